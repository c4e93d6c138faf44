//! What can be asked for on the command line.

use crate::{Measurement, Report, Suite, processes};
use clap::{Args, ValueEnum};
use neurax::{Error, Result};
use std::{
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

/// What to measure, and how.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure; all of it if nothing is named.
    #[arg(value_enum)]
    pub suites: Vec<Suite>,
    /// Examples in a batch; without it each task has its usual sizes.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Threads; without it as many as `NEURAX_THREADS` says, or as the machine runs at once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: Option<u32>,
    /// One JSON object per line instead of a table.
    #[arg(long, overrides_with = "json")]
    pub json: bool,
    /// Only the task of this name.
    #[arg(long, overrides_with = "task")]
    pub task: Option<String>,
    /// For how long each task is repeated.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Examples in an epoch of the MLP.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// A safetensors file of weights and of batches `x` and `y`: of mlp, cnn or transformer, that
    /// suite prints the losses of training on these batches, and starts from these weights.
    #[arg(long)]
    pub from: Option<PathBuf>,
    /// Measure a compilation in this process, once.
    #[arg(long, hide = true)]
    pub cold: bool,
}

impl BenchArgs {
    /// Measures and prints.
    ///
    /// # Errors
    /// When a task fails, or the file of weights does not fit.
    pub fn run(&self) -> Result<ExitCode> {
        if let Some(n) = self.threads.filter(|n| processes::threads() != *n as usize) {
            return processes::rerun_with_threads(n);
        }
        let mut table = MeasurementPrinter { json: self.json, begun: false };
        self.measure(&mut |row| table.print(row))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Measures, with as many threads as this process has, and shows each row when it is there.
    ///
    /// # Errors
    /// As [`BenchArgs::run`].
    pub fn measure(&self, show: &mut dyn FnMut(&Measurement)) -> Result<()> {
        let suites = match &self.suites[..] {
            _ if self.cold => &[Suite::Compile],
            [] => Suite::value_variants(),
            some => some,
        };
        if self.from.is_some() && suites.len() != 1 {
            return Err(Error::new(
                "bench",
                "a file holds the weights of one network: name that one suite",
            ));
        }
        let mut report = Report::new(self, show);
        suites.iter().try_for_each(|suite| suite.run(&mut report))
    }

    /// The sizes of batches to measure.
    pub fn batches(&self, usual: &[usize]) -> Vec<usize> {
        self.batch.map_or_else(|| usual.to_vec(), |n| vec![n as usize])
    }
}

struct MeasurementPrinter {
    json: bool,
    begun: bool,
}

impl MeasurementPrinter {
    /// That nobody reads the rows any more, as behind `head`, is no mistake.
    fn print(&mut self, row: &Measurement) {
        let is_first = !std::mem::replace(&mut self.begun, true);
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
    use clap::Parser;

    #[derive(Parser)]
    struct BenchCli {
        #[command(flatten)]
        arguments: BenchArgs,
    }

    /// The rows of a command line.
    fn rows(line: &str) -> Result<Vec<Measurement>> {
        let arguments = BenchCli::try_parse_from(line.split(' ')).unwrap().arguments;
        let mut rows = vec![];
        arguments.measure(&mut |row| rows.push(row.clone())).map(|()| rows)
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
    fn every_suite_gives_its_rows() {
        assert_eq!(
            tasks("bench mlp --batch 8 --samples 40 --seconds 0 --task mlp-train"),
            ["mlp-train"]
        );
        assert_eq!(
            tasks("bench mlp --batch 8 --samples 40 --seconds 0 --task mlp-train-steps"),
            ["mlp-train-steps"]
        );
        assert_eq!(tasks("bench latency --seconds 0"), ["fraud-infer", "mlp-infer"]);
        assert_eq!(tasks("bench cnn --batch 1 --seconds 0"), ["cnn-train", "cnn-infer"]);
        assert_eq!(
            tasks("bench transformer --batch 1 --seconds 0 --task transformer-infer"),
            ["transformer-infer"]
        );
        assert_eq!(
            tasks("bench eager --seconds 0"),
            ["eager-add", "eager-exp", "eager-matmul", "jit-call"]
        );
        assert_eq!(tasks("bench matmul --seconds 0 --task gemm-64"), ["gemm-64"]);
        assert_eq!(tasks("bench compile --cold --task mlp-compile"), ["mlp-compile"]);
    }

    #[test]
    fn wishes_that_cannot_be_met_are_errors() {
        let why = |line| rows(line).unwrap_err().to_string();
        assert!(why("bench mlp cnn --from x").contains("one suite"));
        assert!(why("bench mlp --batch 9 --samples 8").contains("a batch of 9"));
        assert!(why("bench cnn --from /nowhere").contains("/nowhere"));
    }
}
