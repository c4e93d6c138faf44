//! Layer normalization.

use crate::{Cx, Layer, Node, init};
use neurax_tensor::{Tensor, keep};

/// `(x - mean) / sqrt(var + epsilon) · gain + offset`, mean and variance over the last axis: x
/// `[.., n]`, gain and offset `[n]`. Ba, Kiros and Hinton, Layer Normalization
/// (<https://arxiv.org/abs/1607.06450>).
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::layer_norm(&tensor([[1.0, 3.0]]), &Tensor::ones(2), &Tensor::zeros(2), 0.0);
/// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn layer_norm(x: &Tensor, gain: &Tensor, offset: &Tensor, epsilon: f64) -> Tensor {
    let centred = x - x.mean(keep(-1));
    let variance = centred.square().mean(keep(-1));
    centred / (variance + epsilon).sqrt() * gain + offset
}

/// The layer of [`layer_norm`], with parameters `gain`, which starts at one, and `offset`, which
/// starts at zero.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 8]).layer(nn::LayerNorm::new().epsilon(1e-6).name("norm"));
/// assert_eq!(model.init(key(0), &types![f32[_, 8]])?.size(), 16);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    epsilon: f64,
    name: String,
}

impl LayerNorm {
    /// A layer whose epsilon is 1e-5.
    pub fn new() -> LayerNorm {
        LayerNorm { epsilon: 1e-5, name: "layer_norm".into() }
    }

    /// What is added to the variance, so that a constant row divides by something.
    pub fn epsilon(self, epsilon: f64) -> LayerNorm {
        LayerNorm { epsilon, ..self }
    }

    /// What the layer is called.
    pub fn name(self, name: &str) -> LayerNorm {
        LayerNorm { name: name.into(), ..self }
    }
}

impl Default for LayerNorm {
    fn default() -> LayerNorm {
        LayerNorm::new()
    }
}

impl Layer for LayerNorm {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let gain = cx.param("gain", x.dim(-1), init::ones());
        let offset = cx.param("offset", x.dim(-1), init::zeros());
        layer_norm(&x, &gain, &offset, self.epsilon)
    }
}

impl Node {
    /// Layer normalization over the last axis: see [`layer_norm`].
    #[track_caller]
    pub fn layer_norm(&self) -> Node {
        self.layer(LayerNorm::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(LayerNorm::new(), &types![f32[2, 3]]).unwrap();
    }

    #[test]
    fn a_constant_row_becomes_the_offset() {
        let y = layer_norm(
            &Tensor::full([1, 3], 5.0),
            &Tensor::ones(3),
            &tensor([1.0, 2.0, 3.0]),
            1e-5,
        );
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
    }
}
