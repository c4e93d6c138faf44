//! [`CsvLog`].

use super::line_log::{LineLog, LogLine};
use crate::{EpochLog, Event, Flow, Handler, State, When};
use neurax_tensor::{Error, Result};
use std::path::PathBuf;

/// The first columns.
const EPOCH_COLUMNS: [&str; 6] = ["epoch", "step", "examples", "skipped", "halted", "seconds"];
/// The text with which the file begins.
const HEADER_START: &str = "epoch,step,";

/// A handler that writes a CSV file with a row for each epoch: its index from 0, the number of
/// completed steps, the fields of [`EpochLog`], the scores in training and those on the validation
/// sets, whose columns begin with `val `. A run that is resumed removes the rows behind its
/// checkpoint and continues the file. A new run needs a new file; a trial writes nothing.
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
/// let first = "epoch,step,examples,skipped,halted,seconds,loss,val loss";
/// assert_eq!(text.lines().next(), Some(first));
/// assert!(text.lines().nth(2).is_some_and(|row| row.starts_with("1,4,4,0,false,")));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct CsvLog {
    log: LineLog,
}

impl CsvLog {
    /// Creates a handler that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> CsvLog {
        CsvLog { log: LineLog::new(path.into(), HEADER_START) }
    }

    fn append(&mut self, log: &EpochLog, step: usize) -> Result<()> {
        if self.log.is_empty()? {
            let own = EPOCH_COLUMNS.map(String::from).into_iter();
            let train = log.train.iter().map(|(name, _)| name.to_string());
            let validation = log.validation.iter().map(|(name, _)| format!("val {name}"));
            self.log.append(&row(own.chain(train).chain(validation))?)?;
        }
        let counts = [log.epoch, step, log.examples, log.skipped].map(|n| n.to_string());
        let rest = [log.halted.to_string(), log.seconds.to_string()];
        let scores = log.train.iter().chain(log.validation.iter()).map(|(_, x)| x.to_string());
        self.log.append(&row(counts.into_iter().chain(rest).chain(scores))?)
    }
}

impl Handler for CsvLog {
    fn name(&self) -> String {
        format!("csv_log {}", self.log.path().display())
    }

    fn events(&self) -> Vec<When> {
        vec![Event::Started.into(), Event::EpochEnded.into()]
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match (event, state.history.last()) {
            _ if state.is_trial => {}
            (Event::EpochEnded, Some(log)) => self.append(log, state.step)?,
            _ => {
                let epochs = state.history.len();
                self.log.open(state, |i, line| classify(i, line, epochs))?;
            }
        }
        Ok(Flow::Continue)
    }
}

/// Returns the relation of the line `index` to a state after `epochs` epochs. The header is kept
/// with a row.
fn classify(index: usize, line: &str, epochs: usize) -> LogLine {
    if index == 0 {
        let is_header = line.starts_with(&EPOCH_COLUMNS.join(","));
        return if is_header { LogLine::of(epochs > 0) } else { LogLine::Foreign };
    }
    let epoch = line.split(',').next().and_then(|field| field.parse::<usize>().ok());
    epoch.map_or(LogLine::Foreign, |epoch| LogLine::of(epoch < epochs))
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
