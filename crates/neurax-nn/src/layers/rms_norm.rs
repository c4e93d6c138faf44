//! Normalization by the root of the mean square.

use crate::{Cx, Layer, Node, init};
use neurax_tensor::{Tensor, keep};

/// `x / sqrt(mean(x²) + epsilon) · gain`, the mean over the last axis: x `[.., n]`, gain `[n]`.
/// Layer normalization without the mean and the offset. Zhang and Sennrich, Root Mean Square Layer
/// Normalization (<https://arxiv.org/abs/1910.07467>).
///
/// ```
/// use neurax::prelude::*;
/// let y = nn::layers::rms_norm(&tensor([[3.0, 4.0, 0.0, 0.0]]), &Tensor::ones(4), 0.0);
/// assert_eq!(y.to_vec::<f32>()?, [1.2, 1.6, 0.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn rms_norm(x: &Tensor, gain: &Tensor, epsilon: f64) -> Tensor {
    let size = x.square().mean(keep(-1));
    x / (size + epsilon).sqrt() * gain
}

/// The layer of [`rms_norm`], with a parameter `gain`, which starts at one.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 8]).layer(nn::RmsNorm::new().epsilon(1e-6).name("norm"));
/// assert_eq!(model.init(key(0), &types![f32[_, 8]])?.size(), 8);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RmsNorm {
    epsilon: f64,
    name: String,
}

impl RmsNorm {
    /// A layer whose epsilon is 1e-5.
    pub fn new() -> RmsNorm {
        RmsNorm { epsilon: 1e-5, name: "rms_norm".into() }
    }

    /// What is added to the mean square, so that a row of zeros divides by something.
    pub fn epsilon(self, epsilon: f64) -> RmsNorm {
        RmsNorm { epsilon, ..self }
    }

    /// What the layer is called.
    pub fn name(self, name: &str) -> RmsNorm {
        RmsNorm { name: name.into(), ..self }
    }
}

impl Default for RmsNorm {
    fn default() -> RmsNorm {
        RmsNorm::new()
    }
}

impl Layer for RmsNorm {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let gain = cx.param("gain", x.dim(-1), init::ones());
        rms_norm(&x, &gain, self.epsilon)
    }
}

impl Node {
    /// Normalization by the root of the mean square over the last axis: see [`rms_norm`].
    #[track_caller]
    pub fn rms_norm(&self) -> Node {
        self.layer(RmsNorm::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(RmsNorm::new(), &types![f32[2, 3]]).unwrap();
    }

    #[test]
    fn a_row_of_zeros_stays_and_a_factor_changes_nothing() {
        assert_eq!(
            rms_norm(&Tensor::zeros([1, 3]), &Tensor::ones(3), 1e-5).to_vec::<f32>().unwrap(),
            [0.0; 3]
        );
        let x = tensor([[0.5, -1.0, 2.0]]);
        let (one, four) =
            (rms_norm(&x, &Tensor::ones(3), 0.0), rms_norm(&(&x * 4.0), &Tensor::ones(3), 0.0));
        assert_eq!(one.to_vec::<f32>().unwrap(), four.to_vec::<f32>().unwrap());
    }
}
