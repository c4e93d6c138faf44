//! [`JsonLines`].

use super::line_log::{LineLog, LogLine};
use super::rate::RateSource;
use crate::{EpochLog, Event, Flow, Handler, Scores, State, When, every};
use neurax_nn::optim::Schedule;
use neurax_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The text with which all lines begin.
const LINE_START: &str = r#"{"event":""#;

/// A handler that writes a file of JSON lines: one for each epoch, and with
/// [`JsonLines::every_steps`] one for every few steps. Numbers that are not finite are `null`.
///
/// ```json
/// {"event":"epoch","epoch":0,"step":2,"time":1790000000.25,"rate":0.1,"train":{"loss":2.5},
///  "validation":{},"examples":4,"skipped":0,"halted":false,"seconds":0.01}
/// ```
///
/// (on one line). Epochs are counted from 0, and `step` is the number of completed steps. An
/// evaluation of [`Trainer::validate_every`](crate::Trainer::validate_every) writes the line of its
/// step, with the field `validated` behind `train`. A run
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
    rate: RateSource,
}

/// A line of the file of [`JsonLines`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// The kind of the line.
    pub event: LineKind,
    /// The index of the epoch, from 0.
    pub epoch: usize,
    /// The number of completed steps.
    pub step: usize,
    /// The time in seconds since 1970.
    pub time: f64,
    /// The learning rate of the last step, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The scores in training: of the epoch, or of the epoch so far. `None` for a number that is
    /// not finite.
    pub train: BTreeMap<String, Option<f64>>,
    /// The scores on the validation sets after the step, if they were evaluated inside of the
    /// epoch; empty otherwise. Those after an epoch are in [`EpochFields`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validated: BTreeMap<String, Option<f64>>,
    /// The fields of an epoch.
    #[serde(flatten)]
    pub of_epoch: Option<EpochFields>,
}

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// The line of a completed epoch.
    Epoch,
    /// The line of a step.
    Step,
}

/// The fields of the line of an epoch alone: see [`EpochLog`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochFields {
    /// The scores on the validation sets.
    pub validation: BTreeMap<String, Option<f64>>,
    /// The number of training examples.
    pub examples: usize,
    /// The number of skipped steps.
    pub skipped: usize,
    /// True if the epoch ended before its last batch or before its validation.
    pub halted: bool,
    /// The duration of training in seconds.
    pub seconds: f64,
}

/// The fields that say whether a line belongs to a state.
#[derive(Deserialize)]
struct LinePosition {
    event: LineKind,
    epoch: usize,
    step: usize,
}

impl JsonLines {
    /// Creates a handler that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> JsonLines {
        JsonLines {
            log: LineLog::new(path.into(), LINE_START),
            steps: None,
            rate: RateSource::default(),
        }
    }

    /// Writes a line with the scores of the epoch so far after every `n` steps, too.
    pub fn every_steps(self, n: usize) -> JsonLines {
        JsonLines { steps: Some(n), ..self }
    }

    /// Writes the learning rate of a schedule, for a [`CustomTraining`](crate::CustomTraining),
    /// whose optimizers the trainer does not know. Of other trainings, the rate is known and
    /// written without it.
    pub fn rate(self, schedule: Schedule) -> JsonLines {
        JsonLines { rate: RateSource::of(schedule), ..self }
    }

    /// Appends a line.
    fn append(&mut self, line: &MetricsLine) -> Result<()> {
        let text = serde_json::to_string(line).map_err(|e| Error::new("log", e.to_string()))?;
        self.log.append(&text)
    }
}

impl MetricsLine {
    /// Returns the line of an epoch after `step` steps, with the time of now.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    /// let trained = trainer.run(&set.batched(2), epochs(1))?;
    /// let line = train::MetricsLine::of_epoch(&trained.history[0], trained.step, None);
    /// assert_eq!((line.epoch, line.step), (0, 2));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of_epoch(log: &EpochLog, step: usize, rate: Option<f64>) -> MetricsLine {
        let of_epoch = EpochFields {
            validation: numbers(&log.validation),
            examples: log.examples,
            skipped: log.skipped,
            halted: log.halted,
            seconds: log.seconds,
        };
        MetricsLine {
            event: LineKind::Epoch,
            epoch: log.epoch,
            step,
            time: now(),
            rate,
            train: numbers(&log.train),
            validated: BTreeMap::new(),
            of_epoch: Some(of_epoch),
        }
    }
}

impl Handler for JsonLines {
    fn name(&self) -> String {
        format!("json_lines {}", self.log.path().display())
    }

    fn events(&self) -> Vec<When> {
        let steps = self.steps.map(|n| Event::BatchEnded.when(every(n).batches()));
        let always = [Event::Started, Event::Validated, Event::EpochEnded].map(When::from);
        always.into_iter().chain(steps).collect()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match (event, state.history.last()) {
            _ if state.is_trial => {}
            // The evaluation wrote the line of the step.
            (Event::BatchEnded, _) if state.is_validated_after_last_step() => {}
            (Event::BatchEnded | Event::Validated, _) => {
                self.append(&step_line(event, state, self.rate.value(state)?))?;
            }
            (Event::EpochEnded, Some(log)) => {
                let line = MetricsLine::of_epoch(log, state.step, self.rate.value(state)?);
                self.append(&line)?;
            }
            _ => self.log.open(state, |_, line| classify(line, state))?,
        }
        Ok(Flow::Continue)
    }
}

/// Returns the relation of a line to a state.
fn classify(line: &str, state: &State) -> LogLine {
    let Ok(at) = serde_json::from_str::<LinePosition>(line) else { return LogLine::Foreign };
    match at.event {
        LineKind::Epoch => LogLine::of(at.epoch < state.history.len()),
        LineKind::Step => LogLine::of(at.step <= state.step),
    }
}

fn step_line(event: Event, state: &State, rate: Option<f64>) -> MetricsLine {
    let train = numbers(&state.train_scores());
    let validated = match event {
        Event::Validated => numbers(&state.validation),
        _ => BTreeMap::new(),
    };
    let (epoch, step, time) = (state.epoch, state.step, now());
    MetricsLine { event: LineKind::Step, epoch, step, time, rate, train, validated, of_epoch: None }
}

fn numbers(scores: &Scores) -> BTreeMap<String, Option<f64>> {
    scores.iter().map(|(name, x)| (name.into(), finite(x))).collect()
}

fn finite(x: f64) -> Option<f64> {
    Some(x).filter(|x| x.is_finite())
}

/// Returns the time in seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}
