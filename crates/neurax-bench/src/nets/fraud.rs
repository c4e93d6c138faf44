//! A dense network of the size that fraud detection uses: 30-64-32-1.

use super::DenseParams;
use neurax::prelude::*;

/// A network of three dense layers that computes a probability.
#[derive(Tree, Clone, Debug)]
pub struct Fraud {
    /// The layers 30 to 64, 64 to 32 and 32 to 1.
    pub layers: [DenseParams; 3],
}

impl Fraud {
    /// Creates the network with its initial weights.
    pub fn init() -> Fraud {
        Fraud {
            layers: [
                DenseParams::init(10, 30, 64),
                DenseParams::init(20, 64, 32),
                DenseParams::init(30, 32, 1),
            ],
        }
    }

    /// Returns the probabilities `[n, 1]` for inputs `x` of shape `[n, 30]`.
    pub fn probability(&self, x: &Tensor) -> Tensor {
        let [first, second, last] = &self.layers;
        last.apply(&second.apply(&first.apply(x).relu()).relu()).sigmoid()
    }
}
