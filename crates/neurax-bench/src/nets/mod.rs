//! The networks: structs of parameters, and what they compute, on tensor functions.

mod cnn;
mod fraud;
mod mlp;
mod transformer;

pub use cnn::Cnn;
pub use fraud::Fraud;
pub use mlp::Mlp;
pub use transformer::{LayerNormParams, Transformer, TransformerBlock, TransformerSize};

use crate::data;
use neurax::prelude::*;

/// A classifier that can be trained.
pub trait Network: Tree + Clone {
    /// What tasks are named after.
    const NAME: &'static str;

    /// The network with weights to start from.
    fn init() -> Self;

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
pub struct DenseParams {
    /// `f32[n, m]`.
    pub kernel: Tensor,
    /// `f32[m]`.
    pub bias: Tensor,
}

impl DenseParams {
    /// Of `n` numbers `m`.
    pub fn init(seed: u64, n: usize, m: usize) -> DenseParams {
        let size = 1.0 / (n as f32).sqrt();
        DenseParams {
            kernel: data::around_zero(seed, [n, m], size),
            bias: data::around_zero(seed + 1, [m], size),
        }
    }

    /// Of `[.., n]` gives `[.., m]`.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.kernel) + &self.bias
    }
}
