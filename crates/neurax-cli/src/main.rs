//! The `neurax` command: `neurax demo` trains a network on embedded data and is where to start,
//! `neurax inspect NAME` shows every graph of an example, `neurax devices` what can run here,
//! `neurax bench` what it costs. Arguments and printing only: the work is done by the crate
//! `neurax`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod demo;
mod devices;
mod inspect;
mod output;

use clap::{Parser, Subcommand};
use neurax::Result;
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
    /// Trains a small network on built-in handwritten digits, prints its accuracy, saves its
    /// weights.
    Demo(demo::Demo),
    /// Shows every graph between an example's function and running code, by stage.
    Inspect(inspect::Inspect),
    /// Lists what can run here.
    Devices,
    /// Measures what training, inference and compiling cost.
    Bench(neurax_bench::BenchArgs),
}

fn main() -> ExitCode {
    run(CliArgs::parse().command).unwrap_or_else(|e| {
        // If nobody reads errors, the exit code is left.
        let _ = writeln!(std::io::stderr(), "error: {e}");
        ExitCode::FAILURE
    })
}

fn run(command: CliCommand) -> Result<ExitCode> {
    match command {
        CliCommand::Demo(demo) => demo.run()?,
        CliCommand::Inspect(inspect) => inspect.run()?,
        CliCommand::Devices => devices::run()?,
        CliCommand::Bench(bench) => return bench.run(),
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
    fn an_unknown_example_is_an_error_that_lists_the_known() {
        let e = inspect::Inspect::of("nothing").run().unwrap_err().to_string();
        assert!(e.contains("nothing") && e.contains("digits"), "{e}");
    }
}
