//! The benchmarks as a program: `cargo run --profile bench -p neurax-bench -- mlp`. See the
//! library.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use clap::Parser;
use std::process::ExitCode;

/// Measures Neurax: one row per task.
#[derive(Parser)]
#[command(name = "neurax-bench", version)]
struct BenchCli {
    #[command(flatten)]
    args: neurax_bench::BenchArgs,
}

fn main() -> ExitCode {
    BenchCli::parse().args.run().unwrap_or_else(|e| {
        eprintln!("error: {e}");
        ExitCode::FAILURE
    })
}
