//! `neurax onnx bench`: the times of a model.

use super::inputs::{ModelArgs, not_negative};
use crate::output::print_line;
use clap::Args;
use neurax::onnx::Importer;
use neurax::prelude::*;
use serde_json::json;
use std::time::{Duration, Instant};

/// The arguments.
#[derive(Args)]
pub struct OnnxBenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The time to measure, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = not_negative)]
    seconds: f64,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl OnnxBenchArgs {
    pub fn run(&self) -> Result<()> {
        let start = Instant::now();
        let session = Importer::new().open(&self.model.file)?;
        let load = start.elapsed();
        let values = self.model.values(&session)?;
        let start = Instant::now();
        session.run(values.clone())?;
        let first = load + start.elapsed();
        let (mut times, begin) = (Vec::new(), Instant::now());
        while times.len() < 5 || begin.elapsed().as_secs_f64() < self.seconds {
            let start = Instant::now();
            session.run(values.clone())?;
            times.push(start.elapsed());
        }
        times.sort();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        let us = |d: Duration| d.as_secs_f64() * 1e6;
        if self.json {
            return print_line(json!({
                "load_us": us(load),
                "first_result_us": us(first),
                "median_us": us(at(0.5)),
                "p99_us": us(at(0.99)),
                "calls": times.len(),
            }));
        }
        print_line(format!("load          {:>12.1} us", us(load)))?;
        print_line(format!("first result  {:>12.1} us", us(first)))?;
        print_line(format!("median        {:>12.1} us of {} calls", us(at(0.5)), times.len()))?;
        print_line(format!("99th percentile {:>10.1} us", us(at(0.99))))
    }
}
