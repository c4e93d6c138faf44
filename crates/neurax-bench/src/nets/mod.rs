//! The networks: structs of parameters, and what they compute, on tensor functions.

mod cnn;
mod fraud;
mod mlp;
mod transformer;

pub use cnn::Cnn;
pub use fraud::Fraud;
pub use mlp::Mlp;
pub use transformer::{Block, Norm, Size, Transformer};

use crate::data;
use neurax::prelude::*;

/// A classifier that can be trained.
pub trait Net: Tree + Clone {
    /// What tasks are named after.
    const NAME: &'static str;

    /// The network with weights to start from.
    fn start() -> Self;

    /// So many examples, and the classes they belong to.
    fn examples(n: usize) -> (Tensor, Tensor);

    /// The logarithms of the probabilities of the classes, up to a constant; the classes are the
    /// last axis.
    fn logits(&self, x: &Tensor) -> Tensor;

    /// The mean cross-entropy.
    fn loss(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let logits = self.logits(x);
        logits.cross_entropy(y.one_hot(logits.dim(-1))).mean(..)
    }
}

/// `x kernel + bias`.
#[derive(Tree, Clone, Debug)]
pub struct Affine {
    /// `f32[n, m]`.
    pub kernel: Tensor,
    /// `f32[m]`.
    pub bias: Tensor,
}

impl Affine {
    /// Of `n` numbers `m`.
    pub fn start(seed: u64, n: usize, m: usize) -> Affine {
        let size = 1.0 / (n as f32).sqrt();
        Affine {
            kernel: data::around_zero(seed, [n, m], size),
            bias: data::around_zero(seed + 1, [m], size),
        }
    }

    /// Of `[.., n]` gives `[.., m]`.
    pub fn of(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.kernel) + &self.bias
    }
}
