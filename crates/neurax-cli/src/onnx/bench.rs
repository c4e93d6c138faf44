//! `neurax onnx bench`: the times of a model.

use super::inputs::{ModelArgs, not_negative};
use crate::output::print_line;
use crate::progress::ProgressLine;
use clap::{Args, ValueEnum};
use neurax::onnx::{OnnxValue, Session};
use neurax::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The least number of calls that are measured.
const MIN_CALLS: usize = 5;
/// The number of calls whose times are kept, the last ones: their memory, 1 MB, is part of the peak
/// that `bench/onnx_models.py` reports.
const KEPT_CALLS: usize = 1 << 16;

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
    /// The calls to measure; both kinds if it is not given.
    #[arg(long)]
    call: Option<MeasuredCall>,
    /// Prints one JSON object; its first numbers are those of `Session::run`.
    #[arg(long)]
    pub json: bool,
}

/// A kind of calls.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MeasuredCall {
    /// `Session::run`.
    Session,
    /// `Predictor::run_all` and `Predictor::run_into`.
    Predictor,
}

/// The times of a call that was repeated: those of the last calls in ascending order.
struct CallTimes {
    sorted: Vec<Duration>,
    calls: usize,
}

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
    /// The time to read and compile the model and to compute one result.
    first: Duration,
    run_all: CallTimes,
    run_into: CallTimes,
}

impl OnnxBenchArgs {
    pub fn run(&self) -> Result<()> {
        let progress = ProgressLine::new("Session::run");
        let start = Instant::now();
        let session = self.model.importer().open(&self.model.file)?;
        let load = start.elapsed();
        let values = self.model.values(&session)?;
        let is_measured = |call| self.call.is_none_or(|chosen| chosen == call);
        let session = match is_measured(MeasuredCall::Session) {
            true => Some(self.session_times(session, load, &values)?),
            false => None,
        };
        let predictor = is_measured(MeasuredCall::Predictor).then(|| {
            progress.step("Predictor");
            self.predictor_times(&values)
        });
        drop(progress);
        match self.json {
            true => print_line(as_json(&session, &predictor)),
            false => lines(&session, &predictor).into_iter().try_for_each(print_line),
        }
    }

    /// Measures a session that was read within the time `load`.
    fn session_times(
        &self,
        session: Session,
        load: Duration,
        values: &HashMap<String, OnnxValue>,
    ) -> Result<SessionTimes> {
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
        Ok(SessionTimes { load, first, run })
    }

    /// Measures a predictor for the types of the inputs.
    ///
    /// # Errors
    /// If the model is no network of tensors.
    fn predictor_times(&self, values: &HashMap<String, OnnxValue>) -> Result<PredictorTimes> {
        let start = Instant::now();
        let net = self.model.importer().import(&self.model.file)?;
        let input = |name: &str| match values.get(name) {
            Some(OnnxValue::Tensor(x)) => Ok(x.clone()),
            _ => Err(Error::new("onnx", format!("expected a tensor as input `{name}`"))),
        };
        let inputs: Vec<Tensor> = net.model.inputs().map(input).collect::<Result<_>>()?;
        let predictor = net.predictor(inputs.clone())?;
        let outputs = predictor.run_all(&inputs)?;
        let first = start.elapsed();
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
        Ok(PredictorTimes { first, run_all, run_into })
    }

    /// Repeats a call that returns its time.
    fn repeated(&self, mut call: impl FnMut() -> Result<Duration>) -> Result<CallTimes> {
        let (mut times, mut calls, begin) = (Vec::new(), 0, Instant::now());
        while calls < MIN_CALLS || begin.elapsed().as_secs_f64() < self.seconds {
            let time = call()?;
            match times.get_mut(calls % KEPT_CALLS) {
                Some(oldest) => *oldest = time,
                None => times.push(time),
            }
            calls += 1;
        }
        times.sort();
        Ok(CallTimes { sorted: times, calls })
    }
}

impl CallTimes {
    /// Returns the time in microseconds below which the fraction `part` of the calls are.
    fn us_at(&self, part: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * part) as usize).map_or(0.0, |&d| us(d))
    }

    fn as_json(&self) -> Value {
        json!({
            "median_us": self.us_at(0.5),
            "p99_us": self.us_at(0.99),
            "calls": self.calls,
        })
    }

    fn line(&self, call: &str) -> String {
        let (median, p99) = (self.us_at(0.5), self.us_at(0.99));
        format!("{call:<20} {median:>12.1} us, 99 % below {p99:.1} us, {} calls", self.calls)
    }
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn lines(
    session: &Option<SessionTimes>,
    predictor: &Option<Result<PredictorTimes>>,
) -> Vec<String> {
    let first = |time| format!("{:<20} {:>12.1} us, load included", "first result", us(time));
    let mut lines = vec![];
    if let Some(session) = session {
        lines.push(format!("{:<20} {:>12.1} us", "load", us(session.load)));
        lines.push(first(session.first));
        lines.push(session.run.line("Session::run"));
    }
    match predictor {
        Some(Ok(predictor)) => {
            if session.is_none() {
                lines.push(first(predictor.first));
            }
            lines.push(predictor.run_all.line("Predictor::run_all"));
            lines.push(predictor.run_into.line("Predictor::run_into"));
        }
        Some(Err(e)) => lines.push(format!("{:<20} none: {e}", "Predictor")),
        None => {}
    }
    lines
}

fn as_json(session: &Option<SessionTimes>, predictor: &Option<Result<PredictorTimes>>) -> Value {
    let mut times = json!({});
    if let Some(session) = session {
        times = session.run.as_json();
        times["load_us"] = json!(us(session.load));
        times["first_result_us"] = json!(us(session.first));
    }
    match predictor {
        Some(Ok(predictor)) => {
            times["run_all"] = predictor.run_all.as_json();
            times["run_into"] = predictor.run_into.as_json();
            times["first_result_of_predictor_us"] = json!(us(predictor.first));
        }
        Some(Err(e)) => times["predictor_error"] = json!(e.to_string()),
        None => {}
    }
    times
}
