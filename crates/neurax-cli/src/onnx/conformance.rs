//! `neurax onnx conformance`: the tests of ONNX backends.

use super::inputs::invalid;
use super::page;
use crate::output::print_line;
use clap::Args;
use neurax::onnx::conformance::{self, TestResult};
use neurax::onnx::{ExportOutcome, run_exported};
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
    /// Runs each test after export and import; models that cannot be exported are refused.
    #[arg(long, conflicts_with_all = ["page"])]
    export: bool,
}

impl ConformanceArgs {
    pub fn run(&self) -> Result<ExitCode> {
        let tests = self.tests()?;
        if self.export {
            return self.run_exported(&tests);
        }
        let mut results = Vec::new();
        for test in &tests {
            let result = conformance::run(test);
            self.print(&result)?;
            results.push(result);
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

    /// Returns the folders of the tests to run.
    fn tests(&self) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for folder in &self.folders {
            let failed = |e: Error| {
                invalid(format!("cannot read the folder {}: {}", folder.display(), e.message()))
            };
            all.extend(conformance::tests(folder).map_err(failed)?);
        }
        all.retain(|test| {
            let name = test.file_name().unwrap_or_default().to_string_lossy();
            self.filter.as_ref().is_none_or(|part| name.contains(part))
        });
        match all.is_empty() {
            true => Err(invalid(match &self.filter {
                Some(part) => format!("expected tests with `{part}` in their names, got none"),
                None => "expected folders of tests, each test a folder, got none".into(),
            })),
            false => Ok(all),
        }
    }

    /// Runs the tests after export and import.
    fn run_exported(&self, tests: &[PathBuf]) -> Result<ExitCode> {
        let (mut passed, mut refused) = (0, 0);
        for test in tests {
            let result = run_exported(test);
            let (word, why) = match &result.outcome {
                ExportOutcome::Passed => ("passed", ""),
                ExportOutcome::Refused(why) => ("refused", why.as_str()),
                ExportOutcome::Failed(why) => ("FAILED", why.as_str()),
            };
            passed += usize::from(word == "passed");
            refused += usize::from(word == "refused");
            match self.json {
                true => print_line(json!({
                    "name": result.name,
                    "operator": result.operator,
                    "outcome": word.to_lowercase(),
                    "reason": why,
                }))?,
                false if word != "passed" => {
                    print_line(format!("{word} {}: {}", result.name, why.replace('\n', " ")))?
                }
                false => (),
            }
        }
        let total = tests.len();
        match self.json {
            true => print_line(json!({ "passed": passed, "refused": refused, "total": total }))?,
            false => print_line(format!("{passed} of {total} passed, {refused} refused"))?,
        }
        let is_enough = passed >= self.expect.unwrap_or(total - refused);
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
