//! `neurax onnx`: ONNX models on the command line.

mod bench;
mod check;
mod conformance;
mod convert;
mod inputs;
mod inspect;
mod optimize;
mod page;
mod run;

use clap::Subcommand;
use neurax::Result;
use std::process::ExitCode;

/// A command for ONNX models.
#[derive(Subcommand)]
pub enum OnnxCommand {
    /// Shows inputs, outputs, operators and weights of a model, what its segments compile to, and
    /// the memory that these need.
    Inspect(inspect::InspectArgs),
    /// Runs a model on files or random numbers, and shows or writes its outputs.
    Run(run::RunArgs),
    /// Compares the outputs of a model with those of ONNX Runtime, which Python must have.
    Check(check::CheckArgs),
    /// Measures the time to the first result and the times of later calls.
    Bench(bench::OnnxBenchArgs),
    /// Writes a model in which everything is computed that is known before all calls: constants
    /// and batch normalizations are folded, dead nodes dropped.
    Optimize(optimize::OptimizeArgs),
    /// Imports a model and exports it in another opset or float type.
    Convert(convert::ConvertArgs),
    /// Runs the tests of ONNX backends in a folder.
    Conformance(conformance::ConformanceArgs),
}

impl OnnxCommand {
    /// Runs the command. The exit code is that of a failure if a test fails, outputs differ or
    /// an inspected model cannot be compiled.
    ///
    /// # Errors
    /// If a file cannot be read, or a model not be run.
    pub fn run(self) -> Result<ExitCode> {
        match self {
            OnnxCommand::Inspect(args) => return args.run(),
            OnnxCommand::Run(args) => args.run()?,
            OnnxCommand::Check(args) => return args.run(),
            OnnxCommand::Bench(args) => args.run()?,
            OnnxCommand::Optimize(args) => args.run()?,
            OnnxCommand::Convert(args) => args.run()?,
            OnnxCommand::Conformance(args) => return args.run(),
        }
        Ok(ExitCode::SUCCESS)
    }
}
