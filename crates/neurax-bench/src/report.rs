//! Rows: what a task took.

use crate::{BenchArgs, clock, processes};
use neurax::{Result, default_device};
use serde_json::json;
use std::fmt;

/// What a task took: one line of the table.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// What was measured, e.g. `mlp-train`.
    pub task: String,
    /// Examples in a batch.
    pub batch: usize,
    /// Threads that computed.
    pub threads: usize,
    /// The middle one of all figures.
    pub median: f64,
    /// The smallest one.
    pub min: f64,
    /// The largest one.
    pub max: f64,
    /// What is counted, e.g. `ms`.
    pub unit: &'static str,
}

/// What seconds per call are shown as.
#[derive(Clone, Copy, Debug)]
pub enum DisplayUnit {
    /// Millionths of a second.
    Micros,
    /// Thousandths of a second.
    Millis,
    /// So much of something per call, shown per second.
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
    /// What stands above the rows.
    pub const HEADER: &str =
        "task                     batch threads       median          min          max unit";

    /// The row as one JSON object. It says the device, too.
    pub fn json(&self) -> String {
        let Measurement { task, batch, threads, median, min, max, unit } = self;
        let device = default_device().map_or_else(|e| e.to_string(), |d| d.to_string());
        json!({"task": task, "batch": batch, "threads": threads, "median": median, "min": min, "max": max, "unit": unit, "device": device})
            .to_string()
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Measurement { task, batch, threads, unit, .. } = self;
        let [median, min, max] = [self.median, self.min, self.max].map(short);
        write!(f, "{task:<24} {batch:>5} {threads:>7} {median:>12} {min:>12} {max:>12} {unit}")
    }
}

/// A number with about four digits that count.
fn short(x: f64) -> String {
    let places =
        if x >= 1000.0 { 0 } else { (3 - x.max(1e-3).log10().floor() as i32).max(0) as usize };
    format!("{x:.places$}")
}

/// Where tasks are measured and shown.
pub struct Report<'a> {
    /// What was asked for.
    pub args: &'a BenchArgs,
    threads: usize,
    show: &'a mut dyn FnMut(&Measurement),
}

impl<'a> Report<'a> {
    /// A report that shows each row when it is there.
    pub fn new(args: &'a BenchArgs, show: &'a mut dyn FnMut(&Measurement)) -> Report<'a> {
        Report { args, threads: processes::threads(), show }
    }

    /// How many threads compute.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Was this task asked for?
    pub fn is_selected(&self, task: &str) -> bool {
        self.args.task.as_ref().is_none_or(|t| t == task)
    }

    /// Repeats a call and shows what one takes, if the task was asked for.
    ///
    /// # Errors
    /// The first error of a call.
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

    /// Shows what calls took that were timed elsewhere.
    pub fn add_seconds(&mut self, task: &str, batch: usize, unit: DisplayUnit, seconds: &[f64]) {
        self.add_values(
            task,
            batch,
            unit.name(),
            seconds.iter().map(|s| unit.convert(*s)).collect(),
        );
    }

    /// Shows figures that are not times.
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
    fn rows_as_text_and_as_json() {
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
            "mlp-infer                    1       2        5.250       0.5000        12346 µs"
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
