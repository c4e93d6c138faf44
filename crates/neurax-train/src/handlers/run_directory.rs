//! [`RunDirectory`].

use super::json_lines::now;
use super::{Checkpoints, JsonLines};
use crate::guard::guarded;
use crate::progress::warn;
use crate::run_files::{CHECKPOINT_FOLDER, METRICS_FILE};
use crate::saved::folder::locked_folder;
use crate::tuning::LOGGED_STEPS;
use crate::{
    Event, Flow, Handler, HyperParameter, LayerRecord, PredictionRecord, RunRecord, RunSession,
    State, Status, When,
};
use neurax_data::Batches;
use neurax_nn::optim::Schedule;
use neurax_nn::{Inputs, Model, Net};
use neurax_tensor::{Result, Tensor, Tree, concat};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

/// A directory that holds all of a run: its log, its checkpoints, and a description with the
/// command line, the environment, the hyper-parameters and the layers. It is given to
/// [`Trainer::record`](crate::Trainer::record).
///
/// ```text
/// run.json          the description: RunRecord
/// metrics.jsonl     a line for each epoch, and for every 10 steps: JsonLines
/// predictions.json  confusion matrix, ROC and PR curves at the end, with `classify`
/// checkpoints       the last states and the best one: Checkpoints
/// ```
///
/// `neurax report DIRECTORY` makes an HTML page of it, `neurax watch DIRECTORY` shows it while the
/// run trains, and [`Trainer::resume_or_run`](crate::Trainer::resume_or_run) continues it, also
/// after it was copied to another machine. A trial writes nothing.
///
/// The command line is recorded for the report. Values of arguments whose names contain `key`,
/// `token`, `secret` or `password`, and users and passwords in URLs, are replaced by `***`; other
/// secrets are kept out by [`RunDirectory::without_command`].
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let run = std::env::temp_dir().join(format!("neurax-doc-run-{}", std::process::id()));
/// let digits = data::digits()?.split(0.8, key(0));
/// let model = nn::input("image", dims![_, 64]).dense(16).relu().dense(10).softmax();
/// let directory = train::RunDirectory::new(&run)
///     .classify(&digits.test, &[])
///     .hyper_parameter("rate", 0.01);
/// let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
///     .metric(metric::accuracy())
///     .validate(&digits.test)
///     .record(directory)
///     .quiet()
///     .resume_or_run(&run, &digits.train.batched(32), epochs(2))?;
/// assert_eq!(trained.step, 90);
/// assert!(run.join("checkpoints/step-000090").exists());
/// let predictions = train::PredictionRecord::read(&run)?;
/// assert_eq!(predictions.map(|p| p.classes.len()), Some(10));
/// # std::fs::remove_dir_all(&run)?;
/// # Ok::<(), Error>(())
/// ```
#[must_use = "a directory is written by `Trainer::record`"]
pub struct RunDirectory {
    directory: PathBuf,
    log: JsonLines,
    checkpoints: Checkpoints,
    hyper_parameters: BTreeMap<String, HyperParameter>,
    classified: Option<ClassifiedSet>,
    records_command: bool,
}

/// The data set of [`RunDirectory::classify`].
struct ClassifiedSet {
    outputs: OutputFn,
    names: Vec<String>,
}

/// Returns the outputs of a network and the targets of the first batches of a data set, of which
/// the number is given.
type OutputFn = Box<dyn Fn(&Net, usize) -> Result<(Tensor, Tensor)> + Send>;

impl ClassifiedSet {
    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// Checks the outputs and targets of one batch, and the names.
    ///
    /// # Errors
    /// If the shapes or the number of names do not fit, or there is no batch.
    fn check(&self, net: &Net) -> Result<()> {
        let (outputs, targets) = self.outputs_of(net, 1)?;
        PredictionRecord::check(&outputs, &targets, &self.names())
    }

    /// Returns the quality of a network after `step` steps.
    ///
    /// # Errors
    /// As [`PredictionRecord::of`].
    fn predictions(&self, net: &Net, step: usize) -> Result<PredictionRecord> {
        let (outputs, targets) = self.outputs_of(net, usize::MAX)?;
        let found = PredictionRecord::of(&outputs, &targets, &self.names())?;
        Ok(PredictionRecord { step: Some(step), ..found })
    }

    fn outputs_of(&self, net: &Net, batches: usize) -> Result<(Tensor, Tensor)> {
        guarded("the data set of `classify`", || (self.outputs)(net, batches))?
    }
}

impl RunDirectory {
    /// Creates the settings of a directory, which is created when the run starts.
    pub fn new(directory: impl Into<PathBuf>) -> RunDirectory {
        let directory = directory.into();
        RunDirectory {
            log: JsonLines::new(directory.join(METRICS_FILE)).every_steps(LOGGED_STEPS),
            checkpoints: Checkpoints::new(directory.join(CHECKPOINT_FOLDER)),
            hyper_parameters: BTreeMap::new(),
            classified: None,
            records_command: true,
            directory,
        }
    }

    /// Writes a line of the log after every `n` steps, instead of every 10.
    pub fn every_steps(mut self, n: usize) -> RunDirectory {
        self.log = self.log.every_steps(n);
        self
    }

    /// Changes when states are saved; by default, after every epoch.
    ///
    /// ```
    /// use neurax::train::{RunDirectory, lowest};
    /// let directory = RunDirectory::new("runs/digits")
    ///     .checkpoints(|points| points.every_steps(100).best(lowest("loss")));
    /// # let _ = directory;
    /// ```
    pub fn checkpoints(mut self, change: impl FnOnce(Checkpoints) -> Checkpoints) -> RunDirectory {
        self.checkpoints = change(self.checkpoints);
        self
    }

    /// Logs the learning rate of a schedule, which is not a part of the state. A constant rate is
    /// logged without it.
    pub fn rate(mut self, schedule: Schedule) -> RunDirectory {
        self.log = self.log.rate(schedule);
        self
    }

    /// Adds a hyper-parameter to the description.
    pub fn hyper_parameter(mut self, name: &str, value: impl Into<HyperParameter>) -> RunDirectory {
        self.hyper_parameters.insert(name.into(), value.into());
        self
    }

    /// Leaves the command line out of the description: for programs whose arguments are secret.
    ///
    /// ```
    /// use neurax::train::RunDirectory;
    /// let directory = RunDirectory::new("runs/digits").without_command();
    /// # let _ = directory;
    /// ```
    pub fn without_command(self) -> RunDirectory {
        RunDirectory { records_command: false, ..self }
    }

    /// Writes the confusion matrix and the ROC and PR curves of a classifier on a data set when the
    /// run ends, unless Ctrl-C ended it: the first output of the model is the probabilities of the
    /// classes, and the targets are their indices or one-hot. Without `names`,
    /// classes are called by their indices. See [`PredictionRecord::of`]. The first batch and the
    /// names are checked when the run starts; an error at the end is a warning, and a problem in
    /// the report.
    pub fn classify<X: Tree + Inputs + Clone>(
        mut self,
        data: impl Into<Batches<X, Tensor>>,
        names: &[&str],
    ) -> RunDirectory {
        let (data, names): (_, Vec<String>) =
            (data.into(), names.iter().map(|name| name.to_string()).collect());
        let outputs = move |net: &Net, batches: usize| {
            let (mut outputs, mut targets) = (vec![], vec![]);
            for batch in data.epoch(0).take(batches) {
                outputs.push(net.apply(&batch.x).y().clone());
                targets.push(batch.y);
            }
            Ok((concat(outputs, 0).ok()?, concat(targets, 0).ok()?))
        };
        self.classified = Some(ClassifiedSet { outputs: Box::new(outputs), names });
        self
    }

    /// Returns the handlers that write the directory: those of its lock, of the log, of the
    /// description, and of the checkpoints. The lock is the first one.
    pub(crate) fn handlers(self, model: &Model) -> (RunLock, JsonLines, RunLog, Checkpoints) {
        let record = RunRecord {
            hyper_parameters: self.hyper_parameters,
            layers: LayerRecord::of(model),
            ..RunRecord::default()
        };
        let (directory, model) = (self.directory, model.clone());
        let lock = RunLock { directory: directory.clone(), lock: None };
        let (classified, records_command) = (self.classified, self.records_command);
        let log = RunLog { directory, record, model, classified, records_command };
        (lock, self.log, log, self.checkpoints)
    }
}

/// A handler that locks the directory before another one of the run touches a file in it: a second
/// program in the directory ends, and changes nothing.
pub(crate) struct RunLock {
    directory: PathBuf,
    /// The lock from the start of the run; `None` before, and where folders cannot be locked.
    lock: Option<File>,
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
    directory: PathBuf,
    record: RunRecord,
    model: Model,
    classified: Option<ClassifiedSet>,
    records_command: bool,
}

impl RunLog {
    fn start(&mut self, state: &State) -> Result<()> {
        if let Some(set) = &self.classified {
            set.check(&self.model.bind(state.vars.clone()))?;
        }
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
        self.record.write(&self.directory)
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
        let net = self.model.bind(state.vars.clone());
        let written = set.predictions(&net, state.step).and_then(|p| p.write(&self.directory));
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
            _ if state.is_trial => {}
            Event::Started => self.start(state)?,
            // A run that failed before its start has no description, and maybe no lock.
            Event::Failed if self.record.sessions.is_empty() => {}
            Event::Failed => self.end(state)?,
            _ => {
                // After Ctrl-C, the user waits for the end.
                if state.status != Status::Interrupted {
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
}
