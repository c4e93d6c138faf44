//! A benchmark run: measures the selected suites and prints their rows.

use crate::{BenchArgs, Measurement, Report, Suite, processes, suites};
use clap::ValueEnum;
use neurax::{Error, Result};
use std::{
    io::{Write, stdout},
    process::ExitCode,
};

impl BenchArgs {
    /// Measures the selected tasks and prints one row for each.
    ///
    /// # Errors
    /// Returns an error if a task fails, no suite has the task that is selected, or the file of
    /// `from` does not fit the network.
    pub fn run(&self) -> Result<ExitCode> {
        if let Some(n) = self.threads.filter(|n| processes::threads() != *n as usize) {
            return processes::rerun_with_threads(n);
        }
        let mut printer = MeasurementPrinter { json: self.json, has_header: false };
        self.measure(&mut |row| printer.print(row))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Measures the selected tasks with the threads of this process and calls `show` with each
    /// row as soon as it is measured.
    ///
    /// # Errors
    /// As [`BenchArgs::run`].
    pub fn measure(&self, show: &mut dyn FnMut(&Measurement)) -> Result<()> {
        let selected = match &self.suites[..] {
            _ if self.cold => &[Suite::Compile],
            [] => Suite::value_variants(),
            some => some,
        };
        if self.from.is_some() && selected.len() != 1 {
            return Err(Error::new(
                "bench",
                "`--from` holds the weights of one network: expected one suite, got several",
            ));
        }
        let mut report = Report::new(self, show);
        selected.iter().try_for_each(|suite| suites::run(*suite, &mut report))?;
        report.check_task()
    }
}

/// Prints measurements to standard output, as a table or as JSON.
struct MeasurementPrinter {
    json: bool,
    has_header: bool,
}

impl MeasurementPrinter {
    /// Prints a row. Ignores a closed pipe, as in `neurax bench | head`.
    fn print(&mut self, row: &Measurement) {
        let is_first = !std::mem::replace(&mut self.has_header, true);
        let line = match (self.json, is_first) {
            (true, _) => row.json(),
            (false, true) => format!("{}\n{row}", Measurement::HEADER),
            (false, false) => row.to_string(),
        };
        let _ = writeln!(stdout(), "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm_baseline;
    use clap::Parser;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        args: BenchArgs,
    }

    /// Returns the rows that a command line measures.
    fn rows(line: &str) -> Result<Vec<Measurement>> {
        let args = TestCli::try_parse_from(line.split(' ')).unwrap().args;
        let mut rows = vec![];
        args.measure(&mut |row| rows.push(row.clone())).map(|()| rows)
    }

    fn tasks(line: &str) -> Vec<String> {
        let rows = rows(line).unwrap();
        assert!(
            rows.iter().all(|r| r.min <= r.median && r.median <= r.max && r.max > 0.0),
            "{rows:?}"
        );
        rows.into_iter().map(|r| r.task).collect()
    }

    #[test]
    fn every_suite_measures_its_tasks() {
        assert_eq!(
            tasks("bench mlp --batch 8 --samples 40 --seconds 0 --task mlp-train"),
            ["mlp-train"]
        );
        assert_eq!(
            tasks("bench mlp --batch 8 --samples 40 --seconds 0 --task mlp-train-steps"),
            ["mlp-train-steps"]
        );
        assert_eq!(tasks("bench latency --seconds 0"), ["fraud-infer", "mlp-infer"]);
        assert_eq!(
            tasks("bench serving --batch 4 --seconds 0 --task serving-offline"),
            ["serving-offline"]
        );
        assert_eq!(tasks("bench serving --seconds 0 --task serving-row"), ["serving-row"]);
        assert_eq!(tasks("bench cnn --batch 1 --seconds 0"), ["cnn-train", "cnn-infer"]);
        assert_eq!(
            tasks("bench transformer --batch 1 --seconds 0 --task transformer-infer"),
            ["transformer-infer"]
        );
        assert_eq!(tasks("bench lstm --batch 1 --seconds 0"), ["lstm-train", "lstm-infer"]);
        assert_eq!(tasks("bench gpt2-decode --seconds 0"), ["gpt2-decode"]);
        assert_eq!(
            tasks("bench eager --seconds 0"),
            ["eager-add", "eager-exp", "eager-matmul", "jit-call"]
        );
        assert_eq!(tasks("bench matmul --seconds 0 --task matmul-64"), ["matmul-64"]);
        let baseline = ["gemm-64".to_string()];
        let supported = gemm_baseline::supports(processes::threads());
        let expected = if supported { &baseline[..] } else { &[] };
        assert_eq!(tasks("bench matmul --seconds 0 --task gemm-64"), expected);
        assert_eq!(tasks("bench sparse --seconds 0"), ["sparse-matvec", "sparse-matmul"]);
        assert_eq!(tasks("bench compile --cold --task mlp-compile"), ["mlp-compile"]);
    }

    #[test]
    fn options_that_do_not_fit_are_errors() {
        let error = |line| rows(line).unwrap_err().to_string();
        assert!(error("bench mlp cnn --from x").contains("expected one suite"));
        assert!(
            error("bench mlp --batch 9 --samples 8")
                .contains("the batch size 9 exceeds the 8 examples")
        );
        assert!(error("bench cnn --from /nowhere").contains("/nowhere"));
        assert!(error("bench eager --seconds 0 --task no").contains(
            "expected `--task` to be one of eager-add, eager-exp, eager-matmul, jit-call, got `no`"
        ));
    }
}
