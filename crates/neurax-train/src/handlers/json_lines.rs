//! [`JsonLines`].

use super::line_log::{LineLog, LogLine};
use crate::{EpochLog, Event, Flow, Handler, Scores, State, When, every};
use neurax_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The kinds of lines.
const EPOCH_LINE: &str = "epoch";
const STEP_LINE: &str = "step";
/// The text with which all lines begin.
const LINE_START: &str = r#"{"event":""#;

/// A handler that writes a file of JSON lines: one for each epoch, and with
/// [`JsonLines::every_steps`] one for every few steps. Numbers that are not finite are `null`.
///
/// ```json
/// {"event":"epoch","epoch":0,"step":2,"time":1790000000.25,"train":{"loss":2.5},
///  "validation":{},"examples":4,"skipped":0,"halted":false,"seconds":0.01}
/// ```
///
/// (on one line). Epochs are counted from 0, and `step` is the number of completed steps. A run
/// that is resumed removes the lines behind its checkpoint and continues the file. A new run needs
/// a new file; a trial writes nothing.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join(format!("neurax-doc-{}.jsonl", std::process::id()));
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let lines = train::JsonLines::new(&path).every_steps(2);
/// trainer.handler(lines).run(&set.batched(2), epochs(2))?;
/// let text = std::fs::read_to_string(&path)?;
/// let starts: Vec<&str> = text.lines().map(|line| &line[..26]).collect();
/// assert_eq!(starts[0], r#"{"event":"step","epoch":0,"#);
/// assert_eq!(starts[3], r#"{"event":"epoch","epoch":1"#);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct JsonLines {
    log: LineLog,
    steps: Option<usize>,
}

/// A line of the file.
#[derive(Serialize)]
struct MetricsLine<'s> {
    event: &'static str,
    epoch: usize,
    step: usize,
    /// The time in seconds since 1970.
    time: f64,
    train: BTreeMap<&'s str, Option<f64>>,
    #[serde(flatten)]
    of_epoch: Option<EpochFields<'s>>,
}

/// The fields of the line of an epoch alone.
#[derive(Serialize)]
struct EpochFields<'s> {
    validation: BTreeMap<&'s str, Option<f64>>,
    examples: usize,
    skipped: usize,
    halted: bool,
    seconds: f64,
}

/// The fields that say whether a line belongs to a state.
#[derive(Deserialize)]
struct LinePosition {
    event: String,
    epoch: usize,
    step: usize,
}

impl JsonLines {
    /// Creates a handler that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> JsonLines {
        JsonLines { log: LineLog::new(path.into(), LINE_START), steps: None }
    }

    /// Writes a line with the scores of the epoch so far after every `n` steps, too.
    pub fn every_steps(self, n: usize) -> JsonLines {
        JsonLines { steps: Some(n), ..self }
    }

    /// Appends a line.
    fn append(&mut self, line: &MetricsLine) -> Result<()> {
        let text = serde_json::to_string(line).map_err(|e| Error::new("log", e.to_string()))?;
        self.log.append(&text)
    }
}

impl Handler for JsonLines {
    fn name(&self) -> String {
        format!("json_lines {}", self.log.path().display())
    }

    fn events(&self) -> Vec<When> {
        let steps = self.steps.map(|n| Event::BatchEnded.when(every(n).batches()));
        [Event::Started.into(), Event::EpochEnded.into()].into_iter().chain(steps).collect()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match (event, state.history.last()) {
            _ if state.is_trial => {}
            (Event::BatchEnded, _) => self.append(&step_line(state))?,
            (Event::EpochEnded, Some(log)) => self.append(&epoch_line(log, state.step))?,
            _ => self.log.open(state, |_, line| classify(line, state))?,
        }
        Ok(Flow::Continue)
    }
}

/// Returns the relation of a line to a state.
fn classify(line: &str, state: &State) -> LogLine {
    let Ok(at) = serde_json::from_str::<LinePosition>(line) else { return LogLine::Foreign };
    match at.event.as_str() {
        EPOCH_LINE => LogLine::of(at.epoch < state.history.len()),
        STEP_LINE => LogLine::of(at.step <= state.step),
        _ => LogLine::Foreign,
    }
}

fn step_line(state: &State) -> MetricsLine<'_> {
    let mut train = numbers(&state.metrics);
    train.insert(crate::measure::LOSS, finite(state.loss));
    let (epoch, step, time) = (state.epoch, state.step, now());
    MetricsLine { event: STEP_LINE, epoch, step, time, train, of_epoch: None }
}

fn epoch_line(log: &EpochLog, step: usize) -> MetricsLine<'_> {
    let of_epoch = EpochFields {
        validation: numbers(&log.validation),
        examples: log.examples,
        skipped: log.skipped,
        halted: log.halted,
        seconds: log.seconds,
    };
    let (train, time) = (numbers(&log.train), now());
    MetricsLine { event: EPOCH_LINE, epoch: log.epoch, step, time, train, of_epoch: Some(of_epoch) }
}

fn numbers(scores: &Scores) -> BTreeMap<&str, Option<f64>> {
    scores.iter().map(|(name, x)| (name, finite(x))).collect()
}

fn finite(x: f64) -> Option<f64> {
    Some(x).filter(|x| x.is_finite())
}

/// Returns the time in seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}
