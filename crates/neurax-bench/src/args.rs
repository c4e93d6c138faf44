//! The command line of the benchmarks.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options of a benchmark run.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Suites to measure; all of them by default.
    #[arg(value_enum)]
    pub suites: Vec<Suite>,
    /// Batch size; each task has its own sizes by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Threads; the default is `NEURAX_THREADS`, or else the number of hardware threads.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: Option<u32>,
    /// Print one JSON object per line instead of a table.
    #[arg(long, overrides_with = "json")]
    pub json: bool,
    /// Measure the task of this name only.
    #[arg(long, overrides_with = "task")]
    pub task: Option<String>,
    /// Seconds for which each task is repeated.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Examples in an epoch of the dense classifier.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// A safetensors file with initial weights and batches `x` and `y` for a suite that trains a
    /// network, or for gpt2-decode. The suite prints the losses on these batches first, then
    /// measures, starting from these weights.
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// Measure one compilation in this process.
    #[arg(long, hide = true)]
    pub cold: bool,
}

impl BenchArgs {
    /// Returns the batch sizes to measure: `batch` if it is set, else `default`.
    pub fn batches(&self, default: &[usize]) -> Vec<usize> {
        self.batch.map_or_else(|| default.to_vec(), |n| vec![n as usize])
    }
}

/// A group of tasks that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Epochs of the dense classifier 784-128-10, and their peak memory.
    Mlp,
    /// Epochs of the dense classifier by hand and by a trainer.
    Loop,
    /// Training steps and inference of the convolutional classifier.
    Cnn,
    /// Training steps and inference of the transformer.
    Transformer,
    /// Training steps and inference of ResNet-18 on images of 32 x 32 pixels.
    Resnet18,
    /// Training steps and inference of an LSTM of 128 units over 100 steps.
    Lstm,
    /// Training steps and inference of a small GPT-2.
    Gpt2,
    /// The next token of the small GPT-2, with a cache of keys and values.
    Gpt2Decode,
    /// Inference of small dense networks, one row at a time.
    Latency,
    /// Requests of many callers in batches, at twice the capacity of the model.
    Serving,
    /// Single operations, outside of `jit`.
    Eager,
    /// Tracing and compiling the training steps.
    Compile,
    /// f32 matrix products, and those of the `gemm` crate.
    Matmul,
    /// Products of a sparse matrix with dense operands.
    Sparse,
    /// Eigenvalues, singular values, systems of equations, factors of many small matrices.
    Linalg,
    /// Fourier transforms.
    Fft,
    /// Sorts.
    Sort,
    /// Random numbers.
    Random,
}
