//! A network as small as those that judge payments: 30-64-32-1.

use super::Affine;
use neurax::prelude::*;

/// Three layers.
#[derive(Tree, Clone, Debug)]
pub struct Fraud {
    /// 30 to 64, 64 to 32, 32 to 1.
    pub layers: [Affine; 3],
}

impl Fraud {
    /// The network with weights to start from.
    pub fn start() -> Fraud {
        Fraud {
            layers: [
                Affine::start(10, 30, 64),
                Affine::start(20, 64, 32),
                Affine::start(30, 32, 1),
            ],
        }
    }

    /// Of `[n, 30]` the probabilities `[n, 1]`.
    pub fn probability(&self, x: &Tensor) -> Tensor {
        let [first, second, last] = &self.layers;
        last.of(&second.of(&first.of(x).relu()).relu()).sigmoid()
    }
}
