//! [`WatchdogFile`].

use super::json_lines::now;
use crate::saved::folder::replace_file;
use crate::tuning::WATCHDOG_INTERVAL;
use crate::{Event, Flow, Handler, State, When};
use neurax_tensor::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A handler that replaces a small JSON file while training advances, so that a supervisor can
/// restart a program that hangs: `{"step":120,"epoch":1,"time":1790000000,"status":"running"}`. The
/// file is written at the start, after steps and batches of validation sets that are 10 seconds
/// apart, and at the end. A trial writes nothing.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let path = std::env::temp_dir().join(format!("neurax-doc-watch-{}", std::process::id()));
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// trainer.handler(train::WatchdogFile::new(&path)).run(&set.batched(2), epochs(2))?;
/// let text = std::fs::read_to_string(&path)?;
/// assert!(text.starts_with(r#"{"step":4,"epoch":1,"time":"#), "{text}");
/// assert!(text.ends_with("\"status\":\"completed\"}\n"), "{text}");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WatchdogFile {
    path: PathBuf,
    interval: Duration,
    last: Option<Instant>,
}

/// The content of the file.
#[derive(Serialize)]
struct SignOfLife {
    step: usize,
    epoch: usize,
    /// The time in seconds since 1970.
    time: u64,
    status: String,
}

impl WatchdogFile {
    /// Creates a handler that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> WatchdogFile {
        WatchdogFile { path: path.into(), interval: WATCHDOG_INTERVAL, last: None }
    }

    /// Sets the least time between two writes.
    pub fn interval(self, interval: Duration) -> WatchdogFile {
        WatchdogFile { interval, ..self }
    }

    /// Writes the file if the last time is an interval ago.
    fn write_at_intervals(&mut self, state: &State) -> Result<()> {
        let is_recent = self.last.is_some_and(|last| last.elapsed() < self.interval);
        if is_recent { Ok(()) } else { self.write(state) }
    }

    fn write(&mut self, state: &State) -> Result<()> {
        if state.is_trial {
            return Ok(());
        }
        let sign = SignOfLife {
            step: state.step,
            epoch: state.epoch,
            time: now() as u64,
            status: state.status.to_string(),
        };
        let text = serde_json::to_string(&sign).map_err(|e| Error::new("log", e.to_string()))?;
        replace_file(&self.path, format!("{text}\n").as_bytes())?;
        self.last = Some(Instant::now());
        Ok(())
    }
}

impl Handler for WatchdogFile {
    fn name(&self) -> String {
        "watchdog_file".into()
    }

    fn events(&self) -> Vec<When> {
        use Event::*;
        [Started, EpochStarted, BatchEnded, EpochEnded, Completed, Failed].map(When::from).into()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match event {
            Event::Started | Event::Completed | Event::Failed => self.write(state)?,
            _ => self.write_at_intervals(state)?,
        }
        Ok(Flow::Continue)
    }

    fn validating(&mut self, state: &State) -> Result<Flow> {
        self.write_at_intervals(state)?;
        Ok(Flow::Continue)
    }

    fn reads_scores(&self) -> bool {
        false
    }
}
