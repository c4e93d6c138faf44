//! Root mean square normalization.

use super::axes::over_axes;
use super::scale_bias::ScaleOptions;
use crate::init::Init;
use crate::{Cx, Layer, LayerPrecision, MaskRule, Node};
use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Computes `x / sqrt(mean(x²) + epsilon) · scale` with the mean over the last axis: `x` is
/// `[.., n]`, `scale` is `[n]`. This is layer normalization without centering and without a bias.
/// Zhang and Sennrich, Root Mean Square Layer Normalization (<https://arxiv.org/abs/1910.07467>).
///
/// If `x` is a float of fewer than 32 bits, everything is computed in f32, and the result is
/// rounded once to the dtype of `x`. The squares of elements beyond 1.8e19 are infinite in
/// f32, and the result is 0.
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::rms_norm(&tensor([[3.0, 4.0, 0.0, 0.0]]), &Tensor::ones(4), 0.0);
/// assert_eq!(y.to_vec::<f32>()?, [1.2, 1.6, 0.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn rms_norm(x: &Tensor, scale: &Tensor, epsilon: f64) -> Tensor {
    x.rms_norm(Some(scale), epsilon)
}

/// The layer of [`rms_norm`], with a parameter `scale`, initialized with ones.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 8]).layer(nn::RmsNorm::new().epsilon(1e-6));
/// let vars = model.init(key(0), &types![f32[_, 8]])?;
/// assert_eq!(vars.params["rms_norm"]["scale"].shape(), [8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RmsNorm {
    axes: Vec<i64>,
    epsilon: f64,
    #[serde(flatten)]
    options: ScaleOptions,
    shift: f64,
    narrow_scale: bool,
}

impl RmsNorm {
    /// Creates a layer over the last axis with an epsilon of 1e-5.
    pub fn new() -> RmsNorm {
        let options = ScaleOptions::new();
        RmsNorm { axes: vec![-1], epsilon: 1e-5, options, shift: 0.0, narrow_scale: false }
    }

    /// Sets the axes over which the mean is computed, counted from the end if negative. The scale
    /// has the sizes of these axes, in the order of the input.
    pub fn axes(self, axes: impl AsRef<[i64]>) -> RmsNorm {
        RmsNorm { axes: axes.as_ref().to_vec(), ..self }
    }

    /// Sets the constant that is added to the mean square, so that a row of zeros is not divided by
    /// 0.
    pub fn epsilon(self, epsilon: f64) -> RmsNorm {
        RmsNorm { epsilon, ..self }
    }

    /// Sets whether the layer has the parameter `scale`.
    pub fn scale(mut self, scale: bool) -> RmsNorm {
        self.options.scale = scale;
        self
    }

    /// Sets the initializer of `scale`, which is ones by default, less the [`RmsNorm::shift`].
    pub fn scale_init(mut self, scale_init: Init) -> RmsNorm {
        self.options.scale_init = Some(scale_init);
        self
    }

    /// Sets a constant that is added to the scale: with 1, the layer is that of Gemma. The
    /// scale is initialized such that the sum is 1, unless [`RmsNorm::scale_init`] is set.
    pub fn shift(self, shift: f64) -> RmsNorm {
        RmsNorm { shift, ..self }
    }

    /// Rounds the normalized values to the dtype of the input before they are scaled, as Llama and
    /// Axon's `upcast: :normalization` do. It matters to inputs of fewer than 32 bits.
    pub fn narrow_scale(self) -> RmsNorm {
        RmsNorm { narrow_scale: true, ..self }
    }
}

impl Default for RmsNorm {
    fn default() -> RmsNorm {
        RmsNorm::new()
    }
}

impl Layer for RmsNorm {
    const NAME: &'static str = "rms_norm";
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::of_axes(&self.axes)
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        over_axes("rms_norm", &x, &self.axes, |x, sizes| {
            let scale = self.options.scale_param(cx, sizes, 1.0 - self.shift);
            match scale.map(|scale| scale.flatten() + self.shift) {
                Some(scale) if self.narrow_scale => {
                    x.rms_norm(None, self.epsilon) * scale.to(x.dtype())
                }
                scale => x.rms_norm(scale.as_ref(), self.epsilon),
            }
        })
    }
}

impl Node {
    /// Applies root mean square normalization over the last axis: see [`rms_norm`].
    #[track_caller]
    pub fn rms_norm(&self) -> Node {
        self.layer(RmsNorm::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::dtype_consts::{F16, F32};
    use neurax_tensor::{tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(RmsNorm::new(), &types![f32[2, 3]]).unwrap();
        check::layer(RmsNorm::new().axes([1, -1]).shift(1.0), &types![f32[2, 3, 2, 2]]).unwrap();
        check::layer(RmsNorm::new().scale(false), &types![f32[2, 3]]).unwrap();
        check::layer(RmsNorm::new().narrow_scale(), &types![bf16[2, 3]]).unwrap();
    }

    #[test]
    fn an_axis_that_the_input_lacks_is_an_error() {
        let e = check::layer(RmsNorm::new().axes([2]), &types![f32[2, 3]]).unwrap_err();
        assert!(e.to_string().contains("axes [2], got f32[2, 3]"), "{e}");
    }

    #[test]
    fn zeros_stay_zero_and_a_common_factor_cancels() {
        assert_eq!(
            rms_norm(&Tensor::zeros([1, 3]), &Tensor::ones(3), 1e-5).to_vec::<f32>().unwrap(),
            [0.0; 3]
        );
        let x = tensor([[0.5, -1.0, 2.0]]);
        let (one, four) =
            (rms_norm(&x, &Tensor::ones(3), 0.0), rms_norm(&(&x * 4.0), &Tensor::ones(3), 0.0));
        assert_eq!(one.to_vec::<f32>().unwrap(), four.to_vec::<f32>().unwrap());
    }

    #[test]
    fn an_epsilon_that_f32_does_not_hold_divides_nothing_by_zero() {
        for epsilon in [0.0, 1e-50] {
            let y = rms_norm(&Tensor::zeros([1, 3]), &Tensor::ones(3), epsilon);
            assert_eq!(y.to_vec::<f32>().unwrap(), [0.0; 3]);
        }
    }

    #[test]
    fn narrow_floats_do_not_overflow_in_the_statistics() {
        // The square of 300 is beyond the largest f16, 65,504.
        let x = tensor([[300.0, -300.0]]).to(F16);
        assert_eq!(x.square().to(F32).to_vec::<f32>().unwrap(), [f32::INFINITY; 2]);
        let y = rms_norm(&x, &Tensor::ones(2), 1e-5);
        assert_eq!(y.dtype(), F16);
        assert_eq!(y.to(F32).to_vec::<f32>().unwrap(), [1.0, -1.0]);
    }
}
