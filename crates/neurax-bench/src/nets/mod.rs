//! The networks: structs of parameters and their forward functions, written with tensor functions,
//! and models of `neurax::nn`.

mod cnn;
mod fraud;
mod mlp;
mod transformer;
mod zoo;

pub use cnn::Cnn;
pub use fraud::Fraud;
pub use mlp::Mlp;
pub use transformer::{LayerNormParams, Transformer, TransformerBlock, TransformerSize};
pub use zoo::{Gpt2Mini, LstmClassifier, ModelTask, ResNet18};

use crate::data;
use neurax::prelude::*;

/// A classifier that can be trained.
pub trait Network: Tree + Clone {
    /// The prefix of the names of its tasks.
    const NAME: &'static str;

    /// Creates the network with its initial weights.
    fn init() -> Self;

    /// Returns `n` input examples and their class indices.
    fn examples(n: usize) -> (Tensor, Tensor);

    /// Returns the unnormalized log-probabilities of the classes; the last axis is the classes.
    fn logits(&self, x: &Tensor) -> Tensor;

    /// Returns the mean cross-entropy between the logits of `x` and the class indices `y`.
    fn loss(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let logits = self.logits(x);
        logits.cross_entropy(y.one_hot(logits.dim(-1))).mean(..)
    }
}

/// The parameters of a dense layer, `x kernel + bias`.
#[derive(Tree, Clone, Debug)]
pub struct DenseParams {
    /// `f32[n, m]`.
    pub kernel: Tensor,
    /// `f32[m]`.
    pub bias: Tensor,
}

impl DenseParams {
    /// Creates a layer from `n` to `m` features with uniform values up to `1 / sqrt(n)`.
    pub fn init(seed: u64, n: usize, m: usize) -> DenseParams {
        let size = 1.0 / (n as f32).sqrt();
        DenseParams {
            kernel: data::around_zero(seed, [n, m], size),
            bias: data::around_zero(seed + 1, [m], size),
        }
    }

    /// Applies the layer to `x` of shape `[.., n]`; the result has shape `[.., m]`.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.kernel) + &self.bias
    }
}
