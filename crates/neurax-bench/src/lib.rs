//! Benchmarks of Neurax: one row per task, printed as a table or as JSON. `neurax bench` runs the
//! same tasks.
//!
//! Start with [`BenchArgs`], the command line, and [`suites`], the tasks; [`nets`] holds the
//! networks, written with tensor functions. `bench/compare.py` runs the same tasks in other
//! frameworks and writes `BENCHMARKS.md`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod clock;
mod data;
mod gemm_baseline;
mod memory;
pub mod nets;
mod processes;
mod report;
mod run;
pub mod suites;
mod training;
mod tuning;

pub use args::{BenchArgs, Suite};
pub use report::{DisplayUnit, Measurement, Report};
pub use training::{Training, training_step};
