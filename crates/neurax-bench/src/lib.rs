//! What Neurax costs: one row per task, printed as a table or as JSON. `neurax bench` runs the
//! same.
//!
//! Start with [`BenchArgs`], what can be asked for, and [`suites`], what is measured; [`nets`]
//! holds the networks, written on tensor functions. `bench/compare.py` runs other frameworks beside
//! it and writes `BENCHMARKS.md`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod clock;
mod data;
mod gemm_baseline;
mod memory;
pub mod nets;
mod processes;
mod report;
pub mod suites;
mod training;

pub use args::BenchArgs;
pub use report::{DisplayUnit, Measurement, Report};
pub use suites::Suite;
pub use training::{Training, training_step};
