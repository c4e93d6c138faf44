//! `neurax onnx`: ONNX models on the command line.

mod bench;
mod check;
mod conformance;
mod convert;
mod inputs;
mod inspect;
mod invalid;
mod literals;
mod named_arguments;
mod optimize;
mod page;
mod reference_run;
mod run;
mod written_file;

use crate::output::print_line;
use clap::Subcommand;
use neurax::Result;
use serde_json::json;
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
    /// Measures the time to the first result and the times of later calls: `Session::run`, and for
    /// networks of tensors `Predictor::run_all` and `run_into`.
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
    /// an inspected model cannot be compiled. With `--json`, an error is an object, too.
    ///
    /// # Errors
    /// If a file cannot be read, or a model not be run.
    pub fn run(self) -> Result<ExitCode> {
        let done = self.done().map_err(|e| invalid::without_line(&e));
        if let (Err(e), true) = (&done, self.is_json()) {
            print_line(json!({ "error": e.to_string() }))?;
        }
        done
    }

    fn done(&self) -> Result<ExitCode> {
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

    /// Returns true if the last line of standard output is a JSON object.
    fn is_json(&self) -> bool {
        match self {
            OnnxCommand::Inspect(args) => args.json,
            OnnxCommand::Run(args) => args.json,
            OnnxCommand::Check(args) => args.json,
            OnnxCommand::Bench(args) => args.json,
            OnnxCommand::Optimize(args) => args.json,
            OnnxCommand::Convert(args) => args.json,
            OnnxCommand::Conformance(args) => args.json,
        }
    }
}
