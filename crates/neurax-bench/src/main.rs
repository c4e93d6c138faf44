//! `cargo run --release -p neurax-bench -- mlp`: see the library.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use clap::Parser;
use std::process::ExitCode;

/// What Neurax costs: one row per task.
#[derive(Parser)]
#[command(name = "neurax-bench", version)]
struct BenchCli {
    #[command(flatten)]
    arguments: neurax_bench::BenchArgs,
}

fn main() -> ExitCode {
    BenchCli::parse().arguments.run().unwrap_or_else(|e| {
        eprintln!("error: {e}");
        ExitCode::FAILURE
    })
}
