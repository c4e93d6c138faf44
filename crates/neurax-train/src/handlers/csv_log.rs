//! [`CsvLog`].

use super::line_log::{LineLog, LogLine};
use crate::{EpochLog, Event, Flow, Handler, Scores, State, When};
use neurax_tensor::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::PathBuf;

/// The first columns.
const FIRST_COLUMNS: [&str; 7] =
    ["epoch", "step", "event", "examples", "skipped", "halted", "seconds"];
/// The text with which the file begins.
const HEADER_START: &str = "epoch,step,event,";
/// The events of the rows.
const EPOCH_ROW: &str = "epoch";
const VALIDATION_ROW: &str = "validation";

/// A handler that writes a CSV file with a row for each epoch, and one for each evaluation of
/// [`Trainer::validate_every`](crate::Trainer::validate_every). The columns are the index of the
/// epoch from 0, the number of completed steps, the event (`epoch` or `validation`), the fields of
/// [`EpochLog`], the scores in training and those on the validation sets, whose columns begin with
/// `val `. In the row of an evaluation, examples, seconds and scores in training are those of the
/// epoch so far, and `skipped` and `halted` are empty. The validation scores of an epoch that a
/// signal ended are empty, too.
///
/// A run that is resumed removes the rows behind its checkpoint and continues the file; its scores
/// have to be those of the columns. A new run needs a new file; a trial writes nothing.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join(format!("neurax-doc-{}.csv", std::process::id()));
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).validate(&set).quiet();
/// trainer.handler(train::CsvLog::new(&path)).run(&set.batched(2), epochs(2))?;
/// let text = std::fs::read_to_string(&path)?;
/// let first = "epoch,step,event,examples,skipped,halted,seconds,loss,val loss";
/// assert_eq!(text.lines().next(), Some(first));
/// assert!(text.lines().nth(2).is_some_and(|row| row.starts_with("1,4,epoch,4,0,false,")));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct CsvLog {
    log: LineLog,
    /// The names of the scores in training and on the validation sets.
    scores: [Vec<String>; 2],
}

/// The scores of a row.
struct RowScores<'s> {
    train: &'s Scores,
    validation: &'s Scores,
}

impl CsvLog {
    /// Creates a handler that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> CsvLog {
        CsvLog { log: LineLog::new(path.into(), HEADER_START), scores: [vec![], vec![]] }
    }

    /// Opens the file at the start of a run.
    ///
    /// # Errors
    /// As [`LineLog::open`], and if the file has other columns than the run.
    fn open(&mut self, state: &State) -> Result<()> {
        let plan = &state.plan;
        self.scores = [plan.trained_scores.clone(), plan.validated_scores.clone()];
        if state.step > 0 {
            self.check_columns()?;
        }
        self.log.open(state, |i, line| classify(i, line, state))
    }

    /// Checks that a log that is continued has the columns of the run: the cells of others would
    /// stand below wrong names.
    ///
    /// # Errors
    /// If it has not.
    fn check_columns(&self) -> Result<()> {
        let (want, path) = (self.header()?, self.log.path());
        let mut found = String::new();
        match File::open(path).and_then(|file| BufReader::new(file).read_line(&mut found)) {
            // What it is then is found when it is opened.
            Err(e) if [ErrorKind::NotFound, ErrorKind::InvalidData].contains(&e.kind()) => {}
            read => drop(read?),
        }
        let Some(found) = found.strip_suffix('\n').filter(|f| f.starts_with(HEADER_START)) else {
            return Ok(());
        };
        if found == want {
            return Ok(());
        }
        let why = format!(
            "cannot continue {}: expected the columns `{want}`, got `{found}`; resume with the \
             metrics and validation sets of the first run, or choose another path",
            path.display()
        );
        Err(Error::new("log", why))
    }

    fn header(&self) -> Result<String> {
        let [train, validation] = &self.scores;
        let validation = validation.iter().map(|name| format!("val {name}"));
        let scores = train.iter().cloned().chain(validation);
        row(FIRST_COLUMNS.map(String::from).into_iter().chain(scores))
    }

    /// Appends a row with its first columns and the scores, of which those that were not measured
    /// are empty.
    fn append(&mut self, first: [String; 7], scores: RowScores) -> Result<()> {
        if self.log.is_empty()? {
            self.log.append(&self.header()?)?;
        }
        let cell = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
        let [train, validation] = &self.scores;
        let train = train.iter().map(|name| cell(scores.train.get(name)));
        let validation = validation.iter().map(|name| cell(scores.validation.get(name)));
        let line = row(first.into_iter().chain(train).chain(validation))?;
        self.log.append(&line)
    }

    fn append_epoch(&mut self, log: &EpochLog, step: usize) -> Result<()> {
        let first = [
            log.epoch.to_string(),
            step.to_string(),
            EPOCH_ROW.into(),
            log.examples.to_string(),
            log.skipped.to_string(),
            log.halted.to_string(),
            log.seconds.to_string(),
        ];
        self.append(first, RowScores { train: &log.train, validation: &log.validation })
    }

    fn append_validation(&mut self, state: &State) -> Result<()> {
        let first = [
            state.epoch.to_string(),
            state.step.to_string(),
            VALIDATION_ROW.into(),
            state.so_far.examples.to_string(),
            String::new(),
            String::new(),
            state.so_far.watch.seconds().to_string(),
        ];
        let train = &state.train_scores();
        self.append(first, RowScores { train, validation: &state.validation })
    }
}

impl Handler for CsvLog {
    fn name(&self) -> String {
        format!("csv_log {}", self.log.path().display())
    }

    fn events(&self) -> Vec<When> {
        [Event::Started, Event::Validated, Event::EpochEnded].map(When::from).into()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match (event, state.history.last()) {
            _ if state.is_trial => {}
            (Event::EpochEnded, Some(log)) => self.append_epoch(log, state.step)?,
            (Event::Validated, _) => self.append_validation(state)?,
            _ => self.open(state)?,
        }
        Ok(Flow::Continue)
    }
}

/// Returns the relation of the line `index` to a state. The header is kept with a row.
fn classify(index: usize, line: &str, state: &State) -> LogLine {
    if index == 0 {
        let is_header = line.starts_with(HEADER_START);
        return if is_header { LogLine::of(state.step > 0) } else { LogLine::Foreign };
    }
    let mut fields = line.split(',');
    let mut count = || fields.next().and_then(|field| field.parse::<usize>().ok());
    let (Some(epoch), Some(step)) = (count(), count()) else { return LogLine::Foreign };
    match fields.next() {
        Some(EPOCH_ROW) => LogLine::of(epoch < state.history.len()),
        Some(VALIDATION_ROW) => LogLine::of(step <= state.step),
        _ => LogLine::Foreign,
    }
}

/// Returns the fields as a row, in quotes where they need it.
fn row(fields: impl Iterator<Item = String>) -> Result<String> {
    let mut writer = csv::WriterBuilder::new().from_writer(vec![]);
    let failed = |e: String| Error::new("log", e);
    writer.write_record(fields).map_err(|e| failed(e.to_string()))?;
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| failed(e.to_string()))?;
    Ok(text.trim_end().to_string())
}
