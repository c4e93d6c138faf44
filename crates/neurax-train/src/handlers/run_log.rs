//! The handlers of a [`RunDirectory`](crate::RunDirectory) that lock and describe it.

use super::classified_set::ClassifiedSet;
use super::json_lines::now;
use crate::progress::warn;
use crate::saved::folder::locked_folder;
use crate::{Event, Flow, Handler, ProfileRecord, RunRecord, RunSession, State, Status, When};
use neurax_nn::{Model, Net};
use neurax_tensor::{Error, Result};
use std::fs::File;
use std::path::PathBuf;

/// A handler that locks the directory before another one of the run touches a file in it: a second
/// program in the directory ends, and changes nothing.
pub(crate) struct RunLock {
    directory: PathBuf,
    /// The lock from the start of the run; `None` before, and where folders cannot be locked.
    lock: Option<File>,
}

impl RunLock {
    /// Creates the lock of a directory, which is taken when the run starts.
    pub fn new(directory: PathBuf) -> RunLock {
        RunLock { directory, lock: None }
    }
}

impl Handler for RunLock {
    fn name(&self) -> String {
        "run_lock".into()
    }

    fn events(&self) -> Vec<When> {
        vec![Event::Started.into()]
    }

    fn call(&mut self, _: Event, state: &mut State) -> Result<Flow> {
        if !state.is_trial {
            self.lock = locked_folder(&self.directory)?;
        }
        Ok(Flow::Continue)
    }

    fn reads_scores(&self) -> bool {
        false
    }
}

/// A handler that writes the description of a run when it starts and ends, and the predictions.
pub(crate) struct RunLog {
    pub directory: PathBuf,
    pub record: RunRecord,
    /// The model of the trainer; `None` in a custom training.
    pub model: Option<Model>,
    pub(super) classified: Option<ClassifiedSet>,
    pub profile: Option<ProfileRecord>,
    pub records_command: bool,
}

impl RunLog {
    fn start(&mut self, state: &State) -> Result<()> {
        self.check_classified(state)?;
        // A damaged description must not keep a run from being resumed.
        let old = RunRecord::read(&self.directory).ok().flatten().filter(|_| !state.is_new);
        self.record.sessions = old.map(|old| old.sessions).unwrap_or_default();
        let mut session = RunSession::here(now(), state.step);
        if !self.records_command {
            session.command.clear();
        }
        self.record.sessions.push(session);
        self.record.status = Status::Running;
        (self.record.epochs, self.record.batches) = (state.plan.epochs, state.plan.batches);
        if let Some(profile) = &self.profile {
            profile.write(&self.directory)?;
        }
        self.record.write(&self.directory)
    }

    /// Checks the first batch of the data set to classify.
    ///
    /// # Errors
    /// If it does not fit the model.
    fn check_classified(&self, state: &State) -> Result<()> {
        match &self.classified {
            Some(set) => set.check(&self.net(state)?),
            None => Ok(()),
        }
    }

    /// Returns the model of the trainer with the variables of a state.
    ///
    /// # Errors
    /// If the training is a custom one.
    fn net(&self, state: &State) -> Result<Net> {
        let model = self.model.as_ref().ok_or_else(|| {
            let why = "expected the training of one model, got a custom one; write the \
                       predictions after the run with `PredictionRecord::write`";
            Error::new("classify", why)
        })?;
        Ok(model.bind(state.vars.clone()))
    }

    fn end(&mut self, state: &State) -> Result<()> {
        self.record.status = state.status.clone();
        if let Some(session) = self.record.sessions.last_mut() {
            session.ended = Some(now());
        }
        self.record.write(&self.directory)
    }

    /// Writes the predictions. An error is noted: the run itself is complete.
    fn predict(&mut self, state: &State) {
        let Some(set) = &self.classified else { return };
        let found = self.net(state).and_then(|net| set.predictions(&net, state.step));
        let written = found.and_then(|p| p.write(&self.directory));
        self.record.has_predictions = written.is_ok();
        if let Err(e) = written {
            let why = format!("the predictions of `classify` were not written: {e}");
            warn(&why);
            self.record.problems.push(why);
        }
    }
}

impl Handler for RunLog {
    fn name(&self) -> String {
        "run_directory".into()
    }

    fn events(&self) -> Vec<When> {
        [Event::Started, Event::Completed, Event::Failed].map(When::from).into()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match event {
            // A trial tries the whole program, and writes nothing.
            Event::Started if state.is_trial => self.check_classified(state)?,
            _ if state.is_trial => {}
            Event::Started => self.start(state)?,
            // A run that failed before its start has no description, and maybe no lock.
            Event::Failed if self.record.sessions.is_empty() => {}
            Event::Failed => self.end(state)?,
            _ => {
                // After a signal, the program is to end soon.
                if !state.status.is_interrupted() {
                    self.predict(state);
                }
                self.end(state)?;
            }
        }
        Ok(Flow::Continue)
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn reads_result(&self) -> bool {
        true
    }
}
