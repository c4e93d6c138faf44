//! Layer normalization.

use super::axes::over_axes;
use super::scale_bias::{ScaleBiasOptions, scale_bias_options};
use crate::{Cx, Layer, LayerPrecision, MaskRule, Node};
use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Computes `(x - mean) / sqrt(var + epsilon) · scale + bias` with mean and variance over the last
/// axis: `x` is `[.., n]`, `scale` and `bias` are `[n]`. Ba, Kiros and Hinton, Layer Normalization
/// (<https://arxiv.org/abs/1607.06450>).
///
/// If `x` is a float of fewer than 32 bits, everything is computed in f32, and the result is
/// rounded once to the dtype of `x`. The squares of deviations beyond 1.8e19 are infinite in
/// f32, and the result is 0.
///
/// ```
/// use neurax::prelude::*;
/// let (scale, bias) = (Tensor::ones(2), Tensor::zeros(2));
/// let y = nn::layers::layer_norm(&tensor([[1.0, 3.0]]), &scale, &bias, 0.0);
/// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn layer_norm(x: &Tensor, scale: &Tensor, bias: &Tensor, epsilon: f64) -> Tensor {
    x.layer_norm(Some(scale), Some(bias), epsilon)
}

/// The layer of [`layer_norm`], with parameters `scale`, initialized with ones, and `bias`,
/// initialized with zeros.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 8]).layer(nn::LayerNorm::new().epsilon(1e-6));
/// let vars = model.init(key(0), &types![f32[_, 8]])?;
/// assert_eq!(vars.params["layer_norm"]["scale"].shape(), [8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerNorm {
    axes: Vec<i64>,
    epsilon: f64,
    #[serde(flatten)]
    options: ScaleBiasOptions,
}

impl LayerNorm {
    /// Creates a layer over the last axis with an epsilon of 1e-5.
    pub fn new() -> LayerNorm {
        LayerNorm { axes: vec![-1], epsilon: 1e-5, options: ScaleBiasOptions::new() }
    }

    /// Sets the axes over which mean and variance are computed, counted from the end if negative.
    /// The parameters have the sizes of these axes, in the order of the input.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3, 4]).layer(nn::LayerNorm::new().axes([-2, -1]));
    /// let vars = model.init(key(0), &types![f32[_, 3, 4]])?;
    /// assert_eq!(vars.params["layer_norm"]["scale"].shape(), [3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn axes(self, axes: impl AsRef<[i64]>) -> LayerNorm {
        LayerNorm { axes: axes.as_ref().to_vec(), ..self }
    }

    /// Sets the constant that is added to the variance, so that a constant row is not divided by 0.
    pub fn epsilon(self, epsilon: f64) -> LayerNorm {
        LayerNorm { epsilon, ..self }
    }
}

scale_bias_options!(LayerNorm);

impl Default for LayerNorm {
    fn default() -> LayerNorm {
        LayerNorm::new()
    }
}

impl Layer for LayerNorm {
    const NAME: &'static str = "layer_norm";
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::of_axes(&self.axes)
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        over_axes("layer_norm", &x, &self.axes, |x, sizes| {
            let scale = self.options.scale_param(cx, sizes).map(|scale| scale.flatten());
            let bias = self.options.bias_param(cx, sizes).map(|bias| bias.flatten());
            x.layer_norm(scale.as_ref(), bias.as_ref(), self.epsilon)
        })
    }
}

impl Node {
    /// Applies layer normalization over the last axis: see [`layer_norm`].
    #[track_caller]
    pub fn layer_norm(&self) -> Node {
        self.layer(LayerNorm::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::dtype_consts::{F16, F32};
    use neurax_tensor::{grad, tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(LayerNorm::new(), &types![f32[2, 3]]).unwrap();
        check::layer(LayerNorm::new().axes([1, -1]).bias(false), &types![f32[2, 3, 2, 2]]).unwrap();
        check::layer(LayerNorm::new().scale(false).bias(false), &types![f32[2, 3]]).unwrap();
    }

    #[test]
    fn an_axis_that_the_input_lacks_is_an_error() {
        let e = check::layer(LayerNorm::new().axes([2]), &types![f32[2, 3]]).unwrap_err();
        let e = e.to_string();
        assert!(e.contains("axes [2], got f32[2, 3]") && e.contains("in layer layer_norm"), "{e}");
        let e = check::layer(LayerNorm::new(), &types![f32[]]).unwrap_err().to_string();
        assert!(e.contains("axes [-1], got f32[]"), "{e}");
    }

    #[test]
    fn a_constant_row_becomes_the_bias() {
        let y = layer_norm(
            &Tensor::full([1, 3], 5.0),
            &Tensor::ones(3),
            &tensor([1.0, 2.0, 3.0]),
            1e-5,
        );
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn an_epsilon_that_f32_does_not_hold_divides_nothing_by_zero() {
        for epsilon in [0.0, 1e-50] {
            let x = Tensor::full([1, 2], 5.0);
            let y = layer_norm(&x, &Tensor::ones(2), &Tensor::zeros(2), epsilon);
            assert_eq!(y.to_vec::<f32>().unwrap(), [0.0; 2]);
        }
    }

    #[test]
    fn narrow_floats_do_not_overflow_in_the_statistics() {
        // The square of 300 is beyond the largest f16, 65,504.
        let x = tensor([[300.0, -300.0]]).to(F16);
        let y = layer_norm(&x, &Tensor::ones(2), &Tensor::zeros(2), 1e-5);
        assert_eq!(y.dtype(), F16);
        assert_eq!(y.to(F32).to_vec::<f32>().unwrap(), [1.0, -1.0]);
        let weighted = |x: Tensor| {
            let y = layer_norm(&x, &Tensor::ones(2), &Tensor::zeros(2), 1e-5);
            (y * tensor([[1.0, 2.0]])).sum(..)
        };
        let gradient = grad(weighted).run(x).unwrap();
        assert!(gradient.to(F32).to_vec::<f32>().unwrap().iter().all(|g| g.is_finite()));
    }
}
