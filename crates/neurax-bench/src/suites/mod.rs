//! The suites of tasks, one file each.

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

/// A group of tasks that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Epochs of the dense classifier 784-128-10, and their peak memory.
    Mlp,
    /// Training steps and inference of the convolutional classifier.
    Cnn,
    /// Training steps and inference of the transformer.
    Transformer,
    /// Inference of small dense networks, one row at a time.
    Latency,
    /// Single operations, outside of `jit`.
    Eager,
    /// Tracing and compiling the training steps.
    Compile,
    /// f32 matrix products, and those of the `gemm` crate.
    Matmul,
}

impl Suite {
    /// Measures the tasks of this suite.
    ///
    /// # Errors
    /// Returns the first error of a task.
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
