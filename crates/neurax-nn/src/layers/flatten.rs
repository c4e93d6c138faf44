//! Flattening.

use crate::{Cx, Layer, Node};
use neurax_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Reshapes `x` from [n, a, b, ..] to [n, a·b·..]: each example becomes a row.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(nn::layers::flatten(&Tensor::zeros([5, 2, 3])).shape(), [5, 6]);
/// assert_eq!(nn::layers::flatten(&Tensor::zeros(5)).shape(), [5, 1]);
/// ```
#[track_caller]
pub fn flatten(x: &Tensor) -> Tensor {
    let shape = x.shape();
    // `_` would be ambiguous if there are no examples.
    x.reshape([x.dim(0), shape.iter().skip(1).product()])
}

/// The layer of [`flatten`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Flatten;

impl Layer for Flatten {
    const NAME: &'static str = "flatten";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        flatten(&x)
    }
}

impl Node {
    /// Flattens all axes but the first into one: see [`flatten`].
    #[track_caller]
    pub fn flatten(&self) -> Node {
        self.layer(Flatten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        check::layer(Flatten, &types![f32[2, 3, 2]]).unwrap();
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        assert_eq!(flatten(&Tensor::zeros([0, 2, 3])).shape(), [0, 6]);
    }
}
