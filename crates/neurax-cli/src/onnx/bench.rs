//! `neurax onnx bench`: the times of a model.

use super::inputs::{ModelArgs, not_negative};
use crate::output::print_line;
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::OnnxValue;
use neurax::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The least number of calls that are measured.
const MIN_CALLS: usize = 5;

/// Measures the calls that a program has for a model: `Session::run`, and for a network of tensors
/// also `Predictor::run_all`, which returns the outputs, and `Predictor::run_into`, which writes
/// them into memory of the caller. The inputs exist before each call. Each of the three is measured
/// for the given time; the session is dropped before the predictor is compiled.
#[derive(Args)]
pub struct OnnxBenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The time to measure each call, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = not_negative)]
    seconds: f64,
    /// Prints one JSON object; its first numbers are those of `Session::run`.
    #[arg(long)]
    pub json: bool,
}

/// The times of a call that was repeated, in ascending order.
struct CallTimes(Vec<Duration>);

/// The times of a session.
struct SessionTimes {
    /// The time to read the model.
    load: Duration,
    /// The time to read and compile the model and to compute one result.
    first: Duration,
    run: CallTimes,
}

/// The times of a predictor.
struct PredictorTimes {
    run_all: CallTimes,
    run_into: CallTimes,
}

impl OnnxBenchArgs {
    pub fn run(&self) -> Result<()> {
        let progress = ProgressLine::new("Session::run");
        let (values, session) = self.session_times()?;
        progress.step("Predictor");
        let predictor = self.predictor_times(&values);
        drop(progress);
        match self.json {
            true => print_line(as_json(&session, &predictor)),
            false => lines(&session, &predictor).into_iter().try_for_each(print_line),
        }
    }

    /// Measures a session; returns the values of its inputs, too.
    fn session_times(&self) -> Result<(HashMap<String, OnnxValue>, SessionTimes)> {
        let start = Instant::now();
        let session = self.model.importer().open(&self.model.file)?;
        let load = start.elapsed();
        let values = self.model.values(&session)?;
        let inputs = values.clone();
        let start = Instant::now();
        session.run(inputs)?;
        let first = load + start.elapsed();
        let run = self.repeated(|| {
            let inputs = values.clone();
            let start = Instant::now();
            session.run(inputs)?;
            Ok(start.elapsed())
        })?;
        Ok((values, SessionTimes { load, first, run }))
    }

    /// Measures a predictor for the types of the inputs.
    ///
    /// # Errors
    /// If the model is no network of tensors.
    fn predictor_times(&self, values: &HashMap<String, OnnxValue>) -> Result<PredictorTimes> {
        let net = self.model.importer().import(&self.model.file)?;
        let input = |name: &str| match values.get(name) {
            Some(OnnxValue::Tensor(x)) => Ok(x.clone()),
            _ => Err(Error::new("onnx", format!("expected a tensor as input `{name}`"))),
        };
        let inputs: Vec<Tensor> = net.model.inputs().map(input).collect::<Result<_>>()?;
        let predictor = net.predictor(inputs.clone())?;
        let outputs = predictor.run_all(&inputs)?;
        let run_all = self.repeated(|| {
            let start = Instant::now();
            predictor.run_all(&inputs)?;
            Ok(start.elapsed())
        })?;
        let output = |name: &str| outputs.get(name).cloned();
        let mut outputs: Vec<Tensor> = predictor.outputs().filter_map(output).collect();
        let mut outputs: Vec<&mut Tensor> = outputs.iter_mut().collect();
        let run_into = self.repeated(|| {
            let start = Instant::now();
            predictor.run_into(&inputs, &mut outputs)?;
            Ok(start.elapsed())
        })?;
        Ok(PredictorTimes { run_all, run_into })
    }

    /// Repeats a call that returns its time.
    fn repeated(&self, mut call: impl FnMut() -> Result<Duration>) -> Result<CallTimes> {
        let (mut times, begin) = (Vec::new(), Instant::now());
        while times.len() < MIN_CALLS || begin.elapsed().as_secs_f64() < self.seconds {
            times.push(call()?);
        }
        times.sort();
        Ok(CallTimes(times))
    }
}

impl CallTimes {
    /// Returns the time in microseconds below which the fraction `part` of the calls are.
    fn us_at(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * part) as usize).map_or(0.0, |&d| us(d))
    }

    fn as_json(&self) -> Value {
        json!({
            "median_us": self.us_at(0.5),
            "p99_us": self.us_at(0.99),
            "calls": self.0.len(),
        })
    }

    fn line(&self, call: &str) -> String {
        let (median, p99) = (self.us_at(0.5), self.us_at(0.99));
        format!("{call:<20} {median:>12.1} us, 99 % below {p99:.1} us, {} calls", self.0.len())
    }
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn lines(session: &SessionTimes, predictor: &Result<PredictorTimes>) -> Vec<String> {
    let mut lines = vec![
        format!("{:<20} {:>12.1} us", "load", us(session.load)),
        format!("{:<20} {:>12.1} us, load included", "first result", us(session.first)),
        session.run.line("Session::run"),
    ];
    match predictor {
        Ok(predictor) => {
            lines.push(predictor.run_all.line("Predictor::run_all"));
            lines.push(predictor.run_into.line("Predictor::run_into"));
        }
        Err(e) => lines.push(format!("{:<20} none: {e}", "Predictor")),
    }
    lines
}

fn as_json(session: &SessionTimes, predictor: &Result<PredictorTimes>) -> Value {
    let mut times = session.run.as_json();
    times["load_us"] = json!(us(session.load));
    times["first_result_us"] = json!(us(session.first));
    match predictor {
        Ok(predictor) => {
            times["run_all"] = predictor.run_all.as_json();
            times["run_into"] = predictor.run_into.as_json();
        }
        Err(e) => times["predictor_error"] = json!(e.to_string()),
    }
    times
}
