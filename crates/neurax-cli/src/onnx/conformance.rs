//! `neurax onnx conformance`: the tests of ONNX backends.

use super::inputs::invalid;
use super::page;
use crate::output::print_line;
use clap::Args;
use neurax::onnx::conformance::{self, TestResult};
use neurax::prelude::*;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments.
#[derive(Args)]
pub struct ConformanceArgs {
    /// Folders of tests: each test is a folder with `model.onnx` and `test_data_set_K`.
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Runs the tests with this in their names alone.
    #[arg(long)]
    filter: Option<String>,
    /// Prints a JSON object for each test, and for all in the last line.
    #[arg(long)]
    json: bool,
    /// Writes the page of all results.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// The number of tests that have to pass; without it, all.
    #[arg(long, value_name = "COUNT")]
    expect: Option<usize>,
}

impl ConformanceArgs {
    pub fn run(&self) -> Result<ExitCode> {
        let mut results = Vec::new();
        for folder in &self.folders {
            for test in conformance::tests(folder)? {
                let name = test.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if self.filter.as_ref().is_none_or(|part| name.contains(part)) {
                    let result = conformance::run(&test);
                    self.print(&result)?;
                    results.push(result);
                }
            }
        }
        if results.is_empty() {
            return Err(invalid("expected folders with tests, got none".into()));
        }
        if let Some(file) = &self.page {
            std::fs::write(file, page::text(&results))?;
        }
        let passed = results.iter().filter(|r| r.failure.is_none()).count();
        let total = results.len();
        match self.json {
            true => print_line(json!({ "passed": passed, "total": total }))?,
            false => print_line(format!("{passed} of {total} passed"))?,
        }
        let is_enough = passed >= self.expect.unwrap_or(total);
        Ok(if is_enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, r: &TestResult) -> Result<()> {
        match (&r.failure, self.json) {
            (failure, true) => print_line(json!({
                "name": r.name,
                "operator": r.operator,
                "passed": failure.is_none(),
                "reason": failure,
            })),
            (Some(why), false) => {
                print_line(format!("FAILED {}: {}", r.name, why.replace('\n', " ")))
            }
            (None, false) => Ok(()),
        }
    }
}
