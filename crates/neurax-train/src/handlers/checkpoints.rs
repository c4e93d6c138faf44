//! [`Checkpoints`].
//!
//! Saved states in a directory:
//!
//! ```text
//! step-000200, step-000300   the last ones, from which `resume_from` continues
//! best                       the state with the best score
//! best-000200, best-000300   those with the best scores, with `keep_best`
//! failed                     the state when an error ended the run
//! ```
//!
//! A state is saved after all other handlers of the event were called, so that it holds what they
//! remember. Old ones are removed when the new one is on the disk. The state after an error is not
//! one of the steps: its variables may be NaN, and a run that resumes from it would never recover.

use super::best_states::{BestChange, BestStates};
use crate::saved::folder::locked_folder;
use crate::saved::steps::{check_newest, remove_older, step_name};
use crate::tuning::DEFAULT_KEPT_STATES;
use crate::{Event, Flow, Goal, Handler, State, Status, When, every};
use neurax_tensor::Result;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name of the handler of a directory that is called so, such as that of a run directory; the
/// names of others begin with it.
const CHECKPOINTS: &str = "checkpoints";
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
    name: String,
    directory: PathBuf,
    /// The events at which the state is saved; empty for the default.
    events: Vec<When>,
    keep: usize,
    best: Option<BestStates>,
    interval: Option<Duration>,
    /// The time of the last save, or of the start.
    last: Option<Instant>,
    /// The position of the last saved state.
    saved: Option<(usize, usize)>,
    /// True after an evaluation inside of an epoch at which the state is saved after its step.
    is_due_after_step: bool,
    /// True after a state could not be saved.
    has_failed: bool,
    /// The lock on the directory from the start of the run, which no other run may use meanwhile.
    lock: Option<Arc<File>>,
    /// True after the run started: before, the directory may be that of another one.
    has_started: bool,
}

impl Checkpoints {
    /// Creates a handler that saves in `directory`, which is created when it is needed. Two of
    /// these handlers in a trainer need directories whose last parts differ.
    pub fn new(directory: impl Into<PathBuf>) -> Checkpoints {
        let directory = directory.into();
        Checkpoints {
            name: name_of(&directory),
            directory,
            events: vec![],
            keep: DEFAULT_KEPT_STATES,
            best: None,
            interval: None,
            last: None,
            saved: None,
            is_due_after_step: false,
            has_failed: false,
            lock: None,
            has_started: false,
        }
    }

    /// Saves at an event, instead of after every epoch. At [`Event::Validated`], the state is saved
    /// after the `BatchEnded` of the step, as the handlers of that event have to see the step, too.
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

    /// Saves the state after the epoch with the best score in the folder `best`, too, or after the
    /// best evaluation of a [`Goal::every_validation`]: before the handlers of the `BatchEnded` of
    /// its step are called. [`State::load`] reads it. An epoch in which the run stops is compared
    /// when a resumed run has completed it.
    pub fn best(self, goal: Goal) -> Checkpoints {
        let kept = self.best.map_or(1, |best| best.kept);
        Checkpoints { best: Some(BestStates { goal, kept }), ..self }
    }

    /// Saves the states of the `k` best scores of a goal in folders such as `best-000200`, too, and
    /// the best one in `best`. Of equal scores, the first ones are kept.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let directory = format!("neurax-doc-best-points-{}", std::process::id());
    /// # let directory = std::env::temp_dir().join(directory);
    /// # let _ = std::fs::remove_dir_all(&directory);
    /// let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let points = train::Checkpoints::new(&directory).keep_best(2, train::lowest("loss"));
    /// let trainer = Trainer::new(&model, loss::mse, optim::adam(0.01)).handler(points).quiet();
    /// trainer.run(&set.batched(2), epochs(5))?;
    /// let exists = ["best", "best-000003", "best-000004", "best-000005"]
    ///     .map(|name| directory.join(name).exists());
    /// assert_eq!(exists, [true, false, true, true], "the loss falls");
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn keep_best(self, k: usize, goal: Goal) -> Checkpoints {
        Checkpoints { best: Some(BestStates { goal, kept: k.max(1) }), ..self }
    }

    fn is_due(&mut self, event: Event, state: &State) -> Result<bool> {
        let has_ended = state.status != Status::Running;
        match event {
            // The state before may not be saved, or as one of a run that goes on.
            Event::EpochStarted | Event::BatchStarted if has_ended => return Ok(state.step > 0),
            // The other handlers of the step are not called yet.
            Event::Validated => {
                self.is_due_after_step = self.is_chosen(event, state)?;
                return Ok(false);
            }
            // A run that is stopped inside an epoch is saved there, so that it can go on, and not
            // again with the log of a part of the epoch.
            _ if has_ended && self.saved == Some(position(state)) => return Ok(false),
            Event::BatchEnded | Event::EpochEnded if has_ended => return Ok(true),
            Event::Completed => return Ok(state.status == Status::Completed),
            Event::EpochEnded if self.events.is_empty() => return Ok(true),
            Event::BatchEnded if self.is_due_after_step || self.interval_is_over() => {
                return Ok(true);
            }
            _ => {}
        }
        self.is_chosen(event, state)
    }

    /// Returns true if the state is to be saved at an event that [`Checkpoints::when`] chose.
    fn is_chosen(&self, event: Event, state: &State) -> Result<bool> {
        for when in &self.events {
            if when.matches(event, state)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn interval_is_over(&self) -> bool {
        let elapsed = self.last.map(|last| last.elapsed());
        self.interval.zip(elapsed).is_some_and(|(interval, elapsed)| elapsed >= interval)
    }

    /// Checks and locks the directory before the first step.
    fn start(&mut self, state: &mut State) -> Result<()> {
        self.best.as_ref().map_or(Ok(()), |best| best.goal.check(state))?;
        self.last = Some(Instant::now());
        self.lock = locked_folder(&self.directory)?.map(Arc::new);
        check_newest(&self.directory, state.step)?;
        if let Some(best) = &self.best {
            best.read_scores(&self.name, &self.directory, state)?;
        }
        self.has_started = true;
        Ok(())
    }

    fn react(&mut self, event: Event, state: &mut State) -> Result<()> {
        match event {
            // The folder that could not be written ended the run: a second error says no more. The
            // directory of another run is left alone.
            Event::Failed if self.has_failed || !self.has_started => return Ok(()),
            Event::Failed => return state.save(self.directory.join(FAILED_STATE)),
            Event::Started => self.start(state)?,
            _ => {}
        }
        let best = self.best.as_ref().map(|best| best.note(&self.name, event, state));
        let best = best.transpose()?.unwrap_or_default();
        let is_due = self.is_due(event, state)?;
        let saved = self.save(state, is_due, &best);
        self.has_failed = saved.is_err();
        saved
    }

    fn save(&mut self, state: &State, is_due: bool, best: &BestChange) -> Result<()> {
        // First, since the state of the step holds the best score: a resume from it would not save
        // `best` again.
        best.apply(&self.directory, state)?;
        if is_due {
            state.save(self.directory.join(step_name(state.step)))?;
            self.saved = Some(position(state));
            self.is_due_after_step = false;
            self.last = Some(Instant::now());
            remove_older(&self.directory, state.step, self.keep)?;
        }
        Ok(())
    }
}

impl Handler for Checkpoints {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn events(&self) -> Vec<When> {
        use Event::*;
        let own = [Started, EpochStarted, BatchStarted, BatchEnded, EpochEnded, Completed, Failed];
        let own = own.map(When::from);
        let compared = self.best.iter().flat_map(|best| best.goal.events());
        own.into_iter().chain(self.events.clone()).chain(compared).collect()
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
        self.best.as_ref().is_some_and(|best| best.goal.reads_training())
    }
}

/// Returns the step of a state and the number of its complete epochs.
fn position(state: &State) -> (usize, usize) {
    let logged_in_part = usize::from(state.so_far.is_logged_in_part);
    (state.step, state.history.len().saturating_sub(logged_in_part))
}

/// Returns the name of the handler of a directory, under which the state keeps the best score: it
/// does not change when the directory is moved or a run directory is copied. If the last part of
/// the path changes, the score is read from the directory.
fn name_of(directory: &Path) -> String {
    match directory.file_name().map(|name| name.to_string_lossy()) {
        Some(name) if name != CHECKPOINTS => format!("{CHECKPOINTS} {name}"),
        _ => CHECKPOINTS.into(),
    }
}
