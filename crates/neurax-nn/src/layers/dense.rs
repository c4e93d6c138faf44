//! The fully connected layer.

use crate::init::{self, Init};
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Computes `x · kernel + bias` over the last axis: `x` is `[.., n]`, `kernel` `[n, units]`, `bias`
/// `[units]`, the result `[.., units]`.
///
/// ```
/// use neurax::prelude::*;
/// let (kernel, bias) = (tensor([[1.0], [10.0]]), tensor([0.5]));
/// let y = nn::layers::dense(&tensor([[1.0, 2.0]]), &kernel, Some(&bias));
/// assert_eq!(y.to_vec::<f32>()?, [21.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn dense(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
    plus_bias(x.matmul(kernel), bias)
}

/// Returns the product of `x` and the parameter `<prefix>kernel` with `units` columns, plus the
/// parameter `<prefix>bias` if it has an initializer.
#[track_caller]
pub(crate) fn dense_of(
    cx: &mut Cx,
    prefix: &str,
    x: &Tensor,
    units: usize,
    kernel: &Init,
    bias: Option<&Init>,
) -> Tensor {
    let y = cx.matmul(x, &format!("{prefix}kernel"), units, kernel.clone());
    let bias = bias.map(|init| cx.param(&format!("{prefix}bias"), units, init.clone()));
    plus_bias(y, bias.as_ref())
}

#[track_caller]
fn plus_bias(y: Tensor, bias: Option<&Tensor>) -> Tensor {
    match bias {
        Some(bias) => y + bias,
        None => y,
    }
}

/// The layer of [`dense`], with parameters `kernel` and `bias`.
///
/// ```
/// use neurax::prelude::*;
/// let layer = Dense::new(32).kernel(init::he_normal()).bias(false);
/// let model = nn::input("x", dims![_, 8]).layer(layer).named("head");
/// let vars = model.init(key(0), &types![f32[_, 8]])?;
/// assert_eq!(vars.params["head"]["kernel"].shape(), [8, 32]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dense {
    units: usize,
    bias: bool,
    kernel: Init,
    #[serde(default = "init::zeros")]
    bias_init: Init,
}

impl Dense {
    /// Creates a layer with `units` outputs, a kernel that is initialized with
    /// [`init::glorot_uniform`], and a bias that is initialized with zeros.
    pub fn new(units: usize) -> Dense {
        Dense { units, bias: true, kernel: init::glorot_uniform(), bias_init: init::zeros() }
    }

    /// Sets whether the layer has a bias.
    pub fn bias(self, bias: bool) -> Dense {
        Dense { bias, ..self }
    }

    /// Sets the initializer of the kernel.
    pub fn kernel(self, kernel: Init) -> Dense {
        Dense { kernel, ..self }
    }

    /// Sets the initializer of the bias.
    pub fn bias_init(self, bias_init: Init) -> Dense {
        Dense { bias_init, ..self }
    }
}

impl Layer for Dense {
    const NAME: &'static str = "dense";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        dense_of(cx, "", &x, self.units, &self.kernel, self.bias.then_some(&self.bias_init))
    }
}

impl Node {
    /// Applies a fully connected layer with `units` outputs: see [`Dense`].
    #[track_caller]
    pub fn dense(&self, units: usize) -> Node {
        self.layer(Dense::new(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::{FeedForward, MultiHeadAttention, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn is_a_layer() {
        check::layer(Dense::new(4), &types![f32[2, 3]]).unwrap();
        check::layer(Dense::new(4).bias(false), &types![f32[2, 5, 3]]).unwrap();
    }

    #[test]
    fn all_products_take_an_initializer_of_the_bias() {
        let x = input("x", dims![_, 2, 3]).layer(Dense::new(4).bias_init(init::constant(0.5)));
        let attention = MultiHeadAttention::new(2, 2).bias_init(init::constant(0.5));
        let feed_forward = FeedForward::new(5).gated(true).bias_init(init::constant(0.5));
        let y = x.layer(attention).layer(feed_forward);
        let vars = y.init(key(0), &types![f32[_, 2, 3]]).unwrap();
        let all = vars.params.values().flatten().filter(|(name, _)| name.ends_with("bias"));
        let starts: Vec<Vec<f32>> = all.map(|(_, b)| b.to_vec().unwrap()).collect();
        assert_eq!(starts.len(), 1 + 4 + 3);
        assert!(starts.iter().flatten().all(|&x| x == 0.5), "{starts:?}");
    }

    #[test]
    fn an_input_without_axes_is_an_error() {
        let e = check::layer(Dense::new(4), &types![f32[]]).unwrap_err().to_string();
        assert!(e.contains("in layer dense"), "{e}");
    }
}
