//! `neurax onnx conformance`: the tests of ONNX backends.

use super::invalid::invalid;
use super::page;
use crate::output::print_line;
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::conformance::{self, TestResult};
use neurax::onnx::{ExportOutcome, ExportedTest, run_exported};
use neurax::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The number of tests that a message names.
const MAX_NAMES: usize = 20;

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
    pub json: bool,
    /// Writes the page of all results.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// The number of tests that have to pass; without it, all, or all that are not refused.
    #[arg(long, value_name = "COUNT")]
    expect: Option<usize>,
    /// A page of `--page`: the same tests have to fail as there, and no others.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["expect", "page"])]
    against: Option<PathBuf>,
    /// Runs each test after export and import. Models that are read and cannot be exported are
    /// refused.
    #[arg(long, conflicts_with_all = ["page", "against"])]
    export: bool,
}

/// The number of tests that passed, and the names and failures of others; the rest is refused.
struct TestCounts {
    passed: usize,
    failed: Vec<(String, String)>,
}

impl ConformanceArgs {
    pub fn run(&self) -> Result<ExitCode> {
        let tests = self.tests()?;
        // First, as a page that cannot be read should not cost the time of all tests.
        let listed = self.against.as_deref().map(listed_failures).transpose()?;
        let counts = match self.export {
            true => self.run_exported(&tests)?,
            false => self.run_imported(&tests)?,
        };
        let of_page = |(_, failed): &(usize, BTreeSet<String>)| {
            test_names(&tests).filter(|name| !failed.contains(*name)).count()
        };
        let expected = listed.as_ref().map(of_page);
        let code = self.report(&counts, tests.len(), expected)?;
        match listed {
            None => Ok(code),
            Some((total, listed)) => {
                let total = self.filter.is_none().then_some(total);
                let why = page_differences(&tests, &counts.failed, total, &listed);
                why.iter().for_each(|line| _ = writeln!(std::io::stderr(), "error: {line}"));
                Ok(if why.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }

    /// Runs the tests as they are.
    fn run_imported(&self, tests: &[PathBuf]) -> Result<TestCounts> {
        let mut results = Vec::new();
        let progress = ProgressLine::new("");
        for (i, test) in tests.iter().enumerate() {
            progress.step(step(i, test, tests.len()));
            let result = conformance::run(test);
            progress.hidden(|| self.print(&result))?;
            results.push(result);
        }
        if let Some(file) = &self.page {
            std::fs::write(file, page::text(&results)).map_err(|e| {
                invalid(format!("cannot write the page to {}: {e}", file.display()))
            })?;
        }
        let failed = results.iter().filter_map(|r| Some((r.name.clone(), r.failure.clone()?)));
        let failed: Vec<(String, String)> = failed.collect();
        Ok(TestCounts { passed: results.len() - failed.len(), failed })
    }

    /// Prints the numbers, and why they are not those that are expected unless a page says these.
    fn report(
        &self,
        counts: &TestCounts,
        total: usize,
        of_page: Option<usize>,
    ) -> Result<ExitCode> {
        let TestCounts { passed, failed } = counts;
        let refused = total - passed - failed.len();
        let expected = of_page.or(self.expect).unwrap_or(total - refused);
        let is_enough = of_page.is_some() || *passed >= expected;
        if !is_enough {
            let end = match refused {
                0 => String::new(),
                n => format!("; {n} are refused"),
            };
            let failed = failed_text(failed);
            let line = format!("expected {expected} of {total} tests to pass, got {passed}");
            // The standard error may be closed; the exit code still reports the failure.
            let _ = writeln!(std::io::stderr(), "error: {line}; {failed}{end}");
        }
        match (self.json, self.export) {
            (true, false) => {
                print_line(json!({ "passed": passed, "total": total, "expected": expected }))?
            }
            (true, true) => print_line(json!({
                "passed": passed, "refused": refused, "total": total, "expected": expected,
            }))?,
            (false, false) => print_line(format!("{passed} of {total} passed"))?,
            (false, true) => print_line(format!("{passed} of {total} passed, {refused} refused"))?,
        }
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
    fn run_exported(&self, tests: &[PathBuf]) -> Result<TestCounts> {
        let mut counts = TestCounts { passed: 0, failed: vec![] };
        let progress = ProgressLine::new("");
        for (i, test) in tests.iter().enumerate() {
            progress.step(step(i, test, tests.len()));
            let result = run_exported(test);
            match &result.outcome {
                ExportOutcome::Passed => counts.passed += 1,
                ExportOutcome::Refused(_) => (),
                ExportOutcome::Failed(why) => {
                    counts.failed.push((result.name.clone(), why.clone()));
                }
            }
            progress.hidden(|| self.print_exported(&result))?;
        }
        Ok(counts)
    }

    fn print_exported(&self, r: &ExportedTest) -> Result<()> {
        let (word, why) = match &r.outcome {
            ExportOutcome::Passed => ("passed", ""),
            ExportOutcome::Refused(why) => ("refused", why.as_str()),
            ExportOutcome::Failed(why) => ("FAILED", why.as_str()),
        };
        match (self.json, &r.outcome) {
            (true, _) => print_line(json!({
                "name": r.name,
                "operator": r.operator,
                "outcome": word.to_lowercase(),
                "reason": why,
            })),
            (false, ExportOutcome::Passed) => Ok(()),
            (false, _) => print_line(format!("{word} {}: {}", r.name, why.replace('\n', " "))),
        }
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

/// Returns the text that is shown while a test runs.
fn step(i: usize, test: &Path, total: usize) -> String {
    let name = test.file_name().unwrap_or_default().to_string_lossy();
    format!("{} of {total}: {name}", i + 1)
}

/// Returns which tests failed: those whose reasons are not known, and the number of the others.
fn failed_text(failed: &[(String, String)]) -> String {
    let is_new = |(name, why): &&(String, String)| page::known_reason(name, why).is_none();
    let new: Vec<&str> = failed.iter().filter(is_new).map(|(name, _)| name.as_str()).collect();
    let known = failed.len() - new.len();
    let names = if new.is_empty() { String::new() } else { format!(": {}", names_text(&new)) };
    match known {
        0 => format!("{} failed{names}", new.len()),
        _ => format!("{known} failed for known reasons, {} for others{names}", new.len()),
    }
}

/// Returns the first names of tests.
fn names_text(names: &[&str]) -> String {
    let end = if names.len() > MAX_NAMES { ", .." } else { "" };
    format!("{}{end}", names[..names.len().min(MAX_NAMES)].join(", "))
}

/// Reads the number of all tests and the names of those that fail from a page.
fn listed_failures(file: &Path) -> Result<(usize, BTreeSet<String>)> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| invalid(format!("cannot read the page {}: {e}", file.display())))?;
    page::parsed(&text).ok_or_else(|| {
        invalid(format!("expected a page of `--page`, got {}; write it again", file.display()))
    })
}

/// Returns the names of tests, which are those of their folders.
fn test_names(tests: &[PathBuf]) -> impl Iterator<Item = &str> {
    tests.iter().filter_map(|test| test.file_name()?.to_str())
}

/// Returns how results differ from a page: other tests fail, or the number of all is not `total`.
fn page_differences(
    tests: &[PathBuf],
    failed: &[(String, String)],
    total: Option<usize>,
    listed: &BTreeSet<String>,
) -> Vec<String> {
    let failed: BTreeSet<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let new: Vec<&str> = failed.iter().copied().filter(|name| !listed.contains(*name)).collect();
    let fixed: Vec<&str> =
        test_names(tests).filter(|name| listed.contains(*name) && !failed.contains(name)).collect();
    let mut lines = vec![];
    if !new.is_empty() {
        lines.push(format!(
            "{} failed that the page does not list: {}",
            new.len(),
            names_text(&new)
        ));
    }
    if !fixed.is_empty() {
        let names = names_text(&fixed);
        lines.push(format!("{} passed that the page lists as failed: {names}", fixed.len()));
    }
    if let Some(total) = total.filter(|&total| total != tests.len()) {
        lines.push(format!("expected {total} tests as on the page, got {}", tests.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|n| (n.to_string(), "2 of 4 numbers differ".to_string())).collect()
    }

    #[test]
    fn a_new_failure_is_not_made_up_for_by_a_new_pass() {
        let tests = ["a", "b", "c"].map(PathBuf::from);
        let listed = BTreeSet::from(["b".to_string(), "not_run".to_string()]);
        let lines =
            |failed: &[&str], total| page_differences(&tests, &failures(failed), total, &listed);
        assert!(lines(&["b"], Some(3)).is_empty());
        let want = [
            "1 failed that the page does not list: a",
            "1 passed that the page lists as failed: b",
        ];
        assert_eq!(lines(&["a"], None), want);
        assert_eq!(lines(&["b"], Some(4)), ["expected 4 tests as on the page, got 3"]);
    }

    #[test]
    fn known_failures_are_counted_and_others_named() {
        let failed = |names: &[&str]| failed_text(&failures(names));
        assert_eq!(failed(&["test_abs", "test_add"]), "2 failed: test_abs, test_add");
        let text = "1 failed for known reasons, 1 for others: test_abs";
        assert_eq!(failed(&["test_bernoulli_seed", "test_abs"]), text);
        let many = vec!["test"; MAX_NAMES + 1];
        assert!(failed(&many).ends_with(", test, .."));
    }
}
