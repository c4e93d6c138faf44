//! [`Checkpoints`].
//!
//! Saved states in a directory:
//!
//! ```text
//! step-000200, step-000300   the last ones, from which `resume_from` continues
//! best                       the state after the epoch with the best score
//! failed                     the state when an error ended the run
//! ```
//!
//! A state is saved after all other handlers of the event were called, so that it holds what they
//! remember. Old ones are removed when the new one is on the disk. The state after an error is not
//! one of the steps: its variables may be NaN, and a run that resumes from it would never recover.

use crate::saved::folder::locked_folder;
use crate::saved::steps::{check_newest, remove_older, step_name};
use crate::tuning::DEFAULT_KEPT_STATES;
use crate::{Event, Flow, Goal, Handler, State, Status, When, every};
use neurax_tensor::Result;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHECKPOINTS: &str = "checkpoints";
/// The name of the best score in the memory, and of its folder.
const BEST_STATE: &str = "best";
/// The name of the folder of the state after an error.
const FAILED_STATE: &str = "failed";

/// A handler that saves the state in a directory, so that a training that was stopped or killed
/// goes on with [`Trainer::resume_from`](crate::Trainer::resume_from) as if nothing had happened.
///
/// By default, it saves after every epoch and keeps the last 3 states. It also saves when a handler
/// stops training, after Ctrl-C if there is an [`Interrupt`](crate::Interrupt), and after an error
/// (in the folder `failed`).
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let directory = format!("neurax-doc-points-{}", std::process::id());
/// # let directory = std::env::temp_dir().join(directory);
/// # let _ = std::fs::remove_dir_all(&directory);
/// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
/// let data = set.batched(1);
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = || {
///     let points = train::Checkpoints::new(&directory).every_steps(2).keep(2);
///     let points = points.best(train::lowest("loss"));
///     Trainer::new(&model, loss::mse, optim::adam(0.1)).handler(points).quiet()
/// };
/// trainer().run(&data, epochs(3))?;
/// let exists = ["step-000002", "step-000004", "step-000006", "best"]
///     .map(|name| directory.join(name).exists());
/// assert_eq!(exists, [false, true, true, true]);
///
/// let more = trainer().resume_from(&directory, &data, epochs(5))?;
/// assert_eq!((more.step, more.history.len()), (10, 5));
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    /// The events at which the state is saved; empty for the default.
    events: Vec<When>,
    keep: usize,
    goal: Option<Goal>,
    interval: Option<Duration>,
    /// The time of the last save, or of the start.
    last: Option<Instant>,
    /// The step and the number of epochs of the last saved state.
    saved: Option<(usize, usize)>,
    /// True after a state could not be saved.
    has_failed: bool,
    /// The lock on the directory from the start of the run, which no other run may use meanwhile.
    lock: Option<Arc<File>>,
    /// True after the run started: before, the directory may be that of another one.
    has_started: bool,
}

impl Checkpoints {
    /// Creates a handler that saves in `directory`, which is created when it is needed.
    pub fn new(directory: impl Into<PathBuf>) -> Checkpoints {
        Checkpoints {
            directory: directory.into(),
            events: vec![],
            keep: DEFAULT_KEPT_STATES,
            goal: None,
            interval: None,
            last: None,
            saved: None,
            has_failed: false,
            lock: None,
            has_started: false,
        }
    }

    /// Saves at an event, instead of after every epoch.
    pub fn when(mut self, when: impl Into<When>) -> Checkpoints {
        self.events.push(when.into());
        self
    }

    /// Saves after every `n` steps of the whole run, instead of after every epoch.
    pub fn every_steps(self, n: usize) -> Checkpoints {
        self.when(Event::BatchEnded.when(every(n).batches()))
    }

    /// Saves after every `n` epochs.
    pub fn every_epochs(self, n: usize) -> Checkpoints {
        self.when(Event::EpochEnded.when(every(n).epochs()))
    }

    /// Saves after the first step that ends `interval` after the last save, too.
    pub fn every_time(self, interval: Duration) -> Checkpoints {
        Checkpoints { interval: Some(interval), ..self }
    }

    /// Keeps the last `n` states, at least 1.
    pub fn keep(self, n: usize) -> Checkpoints {
        Checkpoints { keep: n.max(1), ..self }
    }

    /// Saves the state after the epoch with the best score in the folder `best`, too.
    /// [`State::load`] reads it.
    pub fn best(self, goal: Goal) -> Checkpoints {
        Checkpoints { goal: Some(goal), ..self }
    }

    fn is_due(&self, event: Event, state: &State) -> Result<bool> {
        let has_ended = state.status != Status::Running;
        match event {
            // A run that is stopped inside an epoch is saved there, so that it can go on, and not
            // again with the log of a part of the epoch.
            Event::BatchEnded | Event::EpochEnded if has_ended => return Ok(!self.is_saved(state)),
            Event::Completed => {
                return Ok(state.status == Status::Completed && !self.is_saved(state));
            }
            Event::EpochEnded if self.events.is_empty() => return Ok(true),
            Event::BatchEnded if self.interval_is_over() => return Ok(true),
            _ => {}
        }
        for when in &self.events {
            if when.matches(event, state)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_saved(&self, state: &State) -> bool {
        let inside_or_after = |(step, epochs)| {
            // The log of an epoch that was stopped is no reason to save again.
            step == state.step && (epochs == state.history.len() || state.status != Status::Running)
        };
        self.saved.is_some_and(inside_or_after)
    }

    fn interval_is_over(&self) -> bool {
        let elapsed = self.last.map(|last| last.elapsed());
        self.interval.zip(elapsed).is_some_and(|(interval, elapsed)| elapsed >= interval)
    }

    fn react(&mut self, event: Event, state: &mut State) -> Result<()> {
        match event {
            Event::Started => {
                self.last = Some(Instant::now());
                self.lock = locked_folder(&self.directory)?.map(Arc::new);
                check_newest(&self.directory, state.step)?;
                self.has_started = true;
                Ok(())
            }
            // The folder that could not be written ended the run: a second error says no more. The
            // directory of another run is left alone.
            Event::Failed if self.has_failed || !self.has_started => Ok(()),
            Event::Failed => state.save(self.directory.join(FAILED_STATE)),
            _ => {
                let is_best = self.note_best(event, state)?;
                let is_due = self.is_due(event, state)?;
                let saved = self.save(state, is_due, is_best);
                self.has_failed = saved.is_err();
                saved
            }
        }
    }

    fn save(&mut self, state: &State, is_due: bool, is_best: bool) -> Result<()> {
        // First, since the state of the step holds the best score: a resume from it would not save
        // `best` again.
        if is_best {
            state.save(self.directory.join(BEST_STATE))?;
        }
        if is_due {
            state.save(self.directory.join(step_name(state.step)))?;
            self.saved = Some((state.step, state.history.len()));
            self.last = Some(Instant::now());
            remove_older(&self.directory, state.step, self.keep)?;
        }
        Ok(())
    }

    /// Returns true and notes the score if it is the best one.
    fn note_best(&self, event: Event, state: &mut State) -> Result<bool> {
        let Some(goal) = self.goal.as_ref().filter(|_| event == Event::EpochEnded) else {
            return Ok(false);
        };
        let score = goal.value(state)?;
        let memory = state.memory(CHECKPOINTS);
        let is_better = goal.is_better(score, memory.number(BEST_STATE));
        if is_better {
            memory.set_number(BEST_STATE, score);
        }
        Ok(is_better)
    }
}

impl Handler for Checkpoints {
    fn name(&self) -> String {
        CHECKPOINTS.into()
    }

    fn events(&self) -> Vec<When> {
        use Event::*;
        let own = [Started, BatchEnded, EpochEnded, Completed, Failed].map(When::from);
        own.into_iter().chain(self.events.clone()).collect()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        if !state.is_trial {
            self.react(event, state)?;
        }
        Ok(Flow::Continue)
    }

    fn is_last(&self) -> bool {
        true
    }

    fn reads_scores(&self) -> bool {
        false
    }
}
