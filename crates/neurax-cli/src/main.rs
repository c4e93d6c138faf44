//! The `neurax` command. `neurax demo` trains a network on embedded data; start with it.
//! `neurax inspect NAME` shows every graph of an example, `neurax devices` lists the devices,
//! `neurax bench` runs the benchmarks, `neurax onnx` works with ONNX models, `neurax data`
//! downloads public data sets, and `neurax report` and `neurax watch` show trainings. This crate
//! only parses arguments, fetches and prints: the crates `neurax` and `neurax-report` do the work.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod data;
mod demo;
mod devices;
mod features;
mod inspect;
mod onnx;
mod output;
mod progress;
mod report;
mod watch;

use clap::{Parser, Subcommand};
use neurax::{Result, default_device};
use output::printable_lines;
use std::io::Write;
use std::process::ExitCode;

/// Tensors, a compiler and neural networks.
#[derive(Parser)]
#[command(name = "neurax", version, arg_required_else_help = true)]
struct CliArgs {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Trains a small network on embedded handwritten digits, prints its test accuracy and saves
    /// its weights.
    Demo(demo::Demo),
    /// Shows the graph of an example after each stage of the compiler.
    Inspect(inspect::Inspect),
    /// Lists the devices that programs can run on here.
    Devices,
    /// Measures training, inference, single operations and compilation.
    Bench(neurax_bench::BenchArgs),
    /// Lists public data sets and downloads them.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Inspects, runs, checks, measures, optimizes and converts ONNX models.
    #[command(subcommand)]
    Onnx(onnx::OnnxCommand),
    /// Writes the report of a run directory: an HTML page with plots.
    Report(report::ReportCommand),
    /// Shows a run directory in the terminal while the run trains.
    Watch(watch::Watch),
}

impl CliCommand {
    /// Returns true if the command runs programs on the default device.
    fn computes(&self) -> bool {
        use CliCommand::{Bench, Data, Demo, Devices, Inspect, Onnx, Report, Watch};
        match self {
            Demo(_) | Inspect(_) | Bench(_) | Onnx(_) => true,
            Devices | Data(_) | Report(_) | Watch(_) => false,
        }
    }
}

fn main() -> ExitCode {
    run(CliArgs::parse().command).unwrap_or_else(|e| {
        // The standard error may be closed; the exit code still reports the failure.
        let _ = writeln!(std::io::stderr(), "error: {}", printable_lines(&e.to_string()));
        ExitCode::FAILURE
    })
}

fn run(command: CliCommand) -> Result<ExitCode> {
    if command.computes() {
        // A device that does not exist is reported before anything is printed or computed.
        default_device()?;
    }
    match command {
        CliCommand::Demo(demo) => demo.run()?,
        CliCommand::Inspect(inspect) => inspect.run()?,
        CliCommand::Devices => devices::run()?,
        CliCommand::Bench(bench) => return bench.run(),
        CliCommand::Data(command) => command.run()?,
        CliCommand::Onnx(command) => return command.run(),
        CliCommand::Report(report) => report.run()?,
        CliCommand::Watch(watch) => watch.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_well_formed() {
        CliArgs::command().debug_assert();
    }

    #[test]
    fn the_error_for_an_unknown_example_lists_the_known_ones() {
        let e = inspect::Inspect::of("nothing").run().unwrap_err().to_string();
        assert!(e.contains("nothing") && e.contains("digits"), "{e}");
    }
}
