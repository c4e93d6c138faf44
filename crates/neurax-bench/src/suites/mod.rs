//! The suites of tasks, one file each.

mod compile;
mod eager;
mod functions;
mod latency;
mod matmul;
mod mlp;
mod models;
mod serving;
mod sparse;
mod steps;
mod training_loop;

use crate::{
    Report, Suite,
    nets::{Cnn, Gpt2Mini, LstmClassifier, ResNet18, Transformer},
};
use neurax::Result;

/// Measures the tasks of `suite`.
///
/// # Errors
/// Returns the first error of a task.
pub fn run(suite: Suite, report: &mut Report) -> Result<()> {
    match suite {
        Suite::Mlp => mlp::run(report),
        Suite::Loop => training_loop::run(report),
        Suite::Cnn => steps::run::<Cnn>(report, &[128]),
        Suite::Transformer => steps::run::<Transformer>(report, &[8]),
        Suite::Resnet18 => models::run::<ResNet18>(report, &[32]),
        Suite::Lstm => models::run::<LstmClassifier>(report, &[32]),
        Suite::Gpt2 => models::run::<Gpt2Mini>(report, &[8]),
        Suite::Gpt2Decode => models::decode(report),
        Suite::Latency => latency::run(report),
        Suite::Serving => serving::run(report),
        Suite::Eager => eager::run(report),
        Suite::Compile => compile::run(report),
        Suite::Matmul => matmul::run(report),
        Suite::Sparse => sparse::run(report),
        Suite::Linalg => functions::linalg(report),
        Suite::Fft => functions::fft(report),
        Suite::Sort => functions::sort(report),
        Suite::Random => functions::random(report),
    }
}
