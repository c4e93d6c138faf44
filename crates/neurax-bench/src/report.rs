//! Measurements, and how they are collected and displayed.

use crate::{BenchArgs, clock, processes};
use neurax::{Error, Result, default_device};
use serde_json::json;
use std::fmt;

/// The measured values of a task: one row of the table.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The name of the task, e.g. `mlp-train`.
    pub task: String,
    /// The batch size.
    pub batch: usize,
    /// The number of threads.
    pub threads: usize,
    /// The median of all values.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The unit of the values, e.g. `ms`.
    pub unit: &'static str,
}

/// A unit in which seconds per call are displayed.
#[derive(Clone, Copy, Debug)]
pub enum DisplayUnit {
    /// Microseconds per call.
    Micros,
    /// Milliseconds per call.
    Millis,
    /// An amount per second: the amount per call, and the name of the unit.
    Rate(f64, &'static str),
}

impl DisplayUnit {
    fn convert(self, seconds: f64) -> f64 {
        match self {
            DisplayUnit::Micros => seconds * 1e6,
            DisplayUnit::Millis => seconds * 1e3,
            DisplayUnit::Rate(amount, _) => amount / seconds,
        }
    }

    fn name(self) -> &'static str {
        match self {
            DisplayUnit::Micros => "µs",
            DisplayUnit::Millis => "ms",
            DisplayUnit::Rate(_, name) => name,
        }
    }
}

impl Measurement {
    /// The header of the table.
    pub const HEADER: &str =
        "task                        batch threads       median          min          max unit";

    /// Returns the row as one JSON object, which names the default device as well.
    pub fn json(&self) -> String {
        let Measurement { task, batch, threads, median, min, max, unit } = self;
        let device = default_device().map_or_else(|e| e.to_string(), |d| d.to_string());
        let row = json!({
            "task": task,
            "batch": batch,
            "threads": threads,
            "median": median,
            "min": min,
            "max": max,
            "unit": unit,
            "device": device,
        });
        row.to_string()
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Measurement { task, batch, threads, unit, .. } = self;
        let [median, min, max] = [self.median, self.min, self.max].map(short);
        write!(f, "{task:<27} {batch:>5} {threads:>7} {median:>12} {min:>12} {max:>12} {unit}")
    }
}

/// Formats a value with about four significant digits.
fn short(x: f64) -> String {
    let places =
        if x >= 1000.0 { 0 } else { (3 - x.max(1e-3).log10().floor() as i32).max(0) as usize };
    format!("{x:.places$}")
}

/// Measures tasks and shows their rows.
pub struct Report<'a> {
    /// The options of this run.
    pub args: &'a BenchArgs,
    threads: usize,
    /// The names of the tasks that were asked for so far, in order.
    tasks: Vec<String>,
    show: &'a mut dyn FnMut(&Measurement),
}

impl<'a> Report<'a> {
    /// Creates a report that calls `show` with each row as soon as it is measured.
    pub fn new(args: &'a BenchArgs, show: &'a mut dyn FnMut(&Measurement)) -> Report<'a> {
        Report { args, threads: processes::threads(), tasks: Vec::new(), show }
    }

    /// Returns the number of threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Returns true if `task` is to be measured. Every suite asks for each of its tasks.
    pub fn is_selected(&mut self, task: &str) -> bool {
        if !self.tasks.iter().any(|t| t == task) {
            self.tasks.push(task.into());
        }
        self.args.task.as_ref().is_none_or(|t| t == task)
    }

    /// Checks that one of the suites has the task that is to be measured.
    ///
    /// # Errors
    /// If none has it; the message lists their tasks.
    pub fn check_task(&self) -> Result<()> {
        match &self.args.task {
            Some(task) if !self.tasks.contains(task) => {
                let why = format!(
                    "expected `--task` to be one of {}, got `{task}`",
                    self.tasks.join(", ")
                );
                Err(Error::new("bench", why))
            }
            _ => Ok(()),
        }
    }

    /// Repeats `call` and shows the time of one call, if `task` is selected.
    ///
    /// # Errors
    /// Returns the first error of a call.
    pub fn measure(
        &mut self,
        task: &str,
        batch: usize,
        unit: DisplayUnit,
        call: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        if self.is_selected(task) {
            let seconds = clock::repeat(self.args.seconds, call)?;
            self.add_seconds(task, batch, unit, &seconds);
        }
        Ok(())
    }

    /// Shows the seconds of calls that the caller has timed.
    pub fn add_seconds(&mut self, task: &str, batch: usize, unit: DisplayUnit, seconds: &[f64]) {
        self.add_values(
            task,
            batch,
            unit.name(),
            seconds.iter().map(|s| unit.convert(*s)).collect(),
        );
    }

    /// Shows values in the unit named `unit`. Without values, shows nothing.
    pub fn add_values(&mut self, task: &str, batch: usize, unit: &'static str, mut all: Vec<f64>) {
        all.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (all.first(), all.last()) else { return };
        let median = all[all.len() / 2];
        (self.show)(&Measurement {
            task: task.into(),
            batch,
            threads: self.threads,
            median,
            min,
            max,
            unit,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_printed_as_text_and_as_json() {
        let row = Measurement {
            task: "mlp-infer".into(),
            batch: 1,
            threads: 2,
            median: 5.25,
            min: 0.5,
            max: 12345.6,
            unit: "µs",
        };
        assert_eq!(
            row.to_string(),
            "mlp-infer                       1       2        5.250       0.5000        12346 µs"
        );
        assert_eq!(
            row.to_string().chars().count() - "µs".chars().count(),
            Measurement::HEADER.len() - "unit".len()
        );
        let json: serde_json::Value = serde_json::from_str(&row.json()).unwrap();
        assert_eq!(
            (&json["task"], json["median"].as_f64(), &json["unit"]),
            (&"mlp-infer".into(), Some(5.25), &"µs".into())
        );
    }

    #[test]
    fn a_rate_is_largest_where_the_time_is_smallest() {
        assert_eq!(
            (
                DisplayUnit::Rate(10.0, "samples/s").convert(2.0),
                DisplayUnit::Millis.convert(2.0),
                DisplayUnit::Micros.convert(2.0)
            ),
            (5.0, 2e3, 2e6)
        );
    }
}
