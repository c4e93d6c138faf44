//! A network as small as those that judge payments: 30-64-32-1.

use super::DenseParams;
use neurax::prelude::*;

/// Three layers.
#[derive(Tree, Clone, Debug)]
pub struct Fraud {
    /// 30 to 64, 64 to 32, 32 to 1.
    pub layers: [DenseParams; 3],
}

impl Fraud {
    /// The network with weights to start from.
    pub fn init() -> Fraud {
        Fraud {
            layers: [
                DenseParams::init(10, 30, 64),
                DenseParams::init(20, 64, 32),
                DenseParams::init(30, 32, 1),
            ],
        }
    }

    /// Of `[n, 30]` the probabilities `[n, 1]`.
    pub fn probability(&self, x: &Tensor) -> Tensor {
        let [first, second, last] = &self.layers;
        last.apply(&second.apply(&first.apply(x).relu()).relu()).sigmoid()
    }
}
