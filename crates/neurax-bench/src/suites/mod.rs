//! What is measured: one file per suite of tasks.

mod compile;
mod eager;
mod latency;
mod matmul;
mod mlp;
mod steps;

use crate::{
    Report,
    nets::{Cnn, Transformer},
};
use clap::ValueEnum;
use neurax::Result;

/// Tasks that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Epochs of the dense classifier 784-128-10, and the memory they need.
    Mlp,
    /// Steps and inference of the convolutional classifier.
    Cnn,
    /// Steps and inference of the transformer.
    Transformer,
    /// Inference of small networks, one row at a time.
    Latency,
    /// Single operations outside of `jit`.
    Eager,
    /// Tracing and compiling the training steps.
    Compile,
    /// f32 products, and the `gemm` crate's.
    Matmul,
}

impl Suite {
    /// Measures its tasks.
    ///
    /// # Errors
    /// The first that a task gives.
    pub fn run(self, report: &mut Report) -> Result<()> {
        match self {
            Suite::Mlp => mlp::run(report),
            Suite::Cnn => steps::run::<Cnn>(report, &[128]),
            Suite::Transformer => steps::run::<Transformer>(report, &[8]),
            Suite::Latency => latency::run(report),
            Suite::Eager => eager::run(report),
            Suite::Compile => compile::run(report),
            Suite::Matmul => matmul::run(report),
        }
    }
}
