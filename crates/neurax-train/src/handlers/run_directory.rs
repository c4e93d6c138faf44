//! [`RunDirectory`].

use super::classified_set::ClassifiedSet;
use super::run_log::{RunLock, RunLog};
use super::{Checkpoints, JsonLines};
use crate::run_files::{CHECKPOINT_FOLDER, METRICS_FILE};
use crate::tuning::LOGGED_STEPS;
use crate::{HyperParameter, LayerRecord, ProfileRecord, RunRecord, ValidationData};
use neurax_nn::optim::Schedule;
use neurax_nn::{Inputs, Model};
use neurax_tensor::{Profile, Tensor, Tree};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A directory that holds all of a run: its log, its checkpoints, and a description with the
/// command line, the environment, the hyper-parameters and the layers. It is given to
/// [`Trainer::record`](crate::Trainer::record).
///
/// ```text
/// run.json          the description: RunRecord
/// metrics.jsonl     a line for each epoch, and for every 10 steps: JsonLines
/// predictions.json  confusion matrix, ROC and PR curves at the end, with `classify`
/// profile.json      the time of a training step, with `profile`: ProfileRecord
/// checkpoints       the last states and the best one: Checkpoints
/// ```
///
/// `neurax report DIRECTORY` makes an HTML page of it, `neurax watch DIRECTORY` shows it while the
/// run trains, and [`Trainer::resume_or_run`](crate::Trainer::resume_or_run) continues it, also
/// after it was copied to another machine. A trial writes nothing.
///
/// Ctrl-C and SIGTERM stop the run after its step, with a checkpoint: see
/// [`Interrupt`](crate::Interrupt). [`RunDirectory::without_interrupt`] leaves them to the program.
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
    /// The layers of models that the trainer does not know.
    layers: Vec<LayerRecord>,
    classified: Option<ClassifiedSet>,
    profile: Option<ProfileRecord>,
    records_command: bool,
    interrupts: bool,
}

impl RunDirectory {
    /// Creates the settings of a directory, which is created when the run starts.
    pub fn new(directory: impl Into<PathBuf>) -> RunDirectory {
        let directory = directory.into();
        RunDirectory {
            log: JsonLines::new(directory.join(METRICS_FILE)).every_steps(LOGGED_STEPS),
            checkpoints: Checkpoints::new(directory.join(CHECKPOINT_FOLDER)),
            hyper_parameters: BTreeMap::new(),
            layers: vec![],
            classified: None,
            profile: None,
            records_command: true,
            interrupts: true,
            directory,
        }
    }

    /// Writes a line of the log after every `n` steps, instead of every 10. A call of
    /// [`Trainer::steps_per_call`](crate::Trainer::steps_per_call) ends at each of these steps, so
    /// that it has at most `n`. With `usize::MAX`, there are lines of epochs alone.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let run = std::env::temp_dir().join(format!("neurax-doc-every-{}", std::process::id()));
    /// let set = Dataset::new(Tensor::ones([40, 1]), Tensor::ones([40, 1]))?;
    /// let model = nn::input("x", dims![_, 1]).dense(1);
    /// let directory = train::RunDirectory::new(&run).every_steps(usize::MAX);
    /// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.1))
    ///     .steps_per_call(usize::MAX)
    ///     .record(directory)
    ///     .on(Event::BatchEnded, |s| assert_eq!(s.step % 20, 0, "a call is an epoch"))
    ///     .quiet()
    ///     .run(&set.batched(2), epochs(2))?;
    /// assert_eq!(train::RunFiles::read(&run).lines.len(), 2);
    /// # std::fs::remove_dir_all(&run)?;
    /// # Ok::<(), Error>(())
    /// ```
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

    /// Logs the learning rate of a schedule, for a [`CustomTraining`](crate::CustomTraining), whose
    /// optimizers the trainer does not know. Of other trainings, the rate is known and logged
    /// without it.
    pub fn rate(mut self, schedule: Schedule) -> RunDirectory {
        self.log = self.log.rate(schedule);
        self
    }

    /// Adds a hyper-parameter to the description.
    pub fn hyper_parameter(mut self, name: &str, value: impl Into<HyperParameter>) -> RunDirectory {
        self.hyper_parameters.insert(name.into(), value.into());
        self
    }

    /// Adds the layers of a model to the description, with `name` in front of their paths: for the
    /// models of a [`CustomTraining`](crate::CustomTraining), which the trainer does not know.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let run = std::env::temp_dir().join(format!("neurax-doc-model-{}", std::process::id()));
    /// let model = nn::input("x", dims![_, 2]).dense(1).model();
    /// let start = model.init(key(0), &types![f32[_, 2]])?.params;
    /// let directory = train::RunDirectory::new(&run).model("line", &model);
    /// let step = move |p: Params, batch: &data::Batch, _: Key| {
    ///     let line = |p: Params| {
    ///         let y = model.apply_with(&p, &Params::new(), &batch.x, &Mode::Eval);
    ///         loss::mse(y.y(), &batch.y)
    ///     };
    ///     let (loss, slope) = value_and_grad_at(&p, line);
    ///     (p.zip_map(&slope, |p, slope| p - slope * 0.1), [loss])
    /// };
    /// let set = Dataset::new(key(1).normal([8, 2]), Tensor::ones([8, 1]))?;
    /// let trainer = Trainer::custom(train::CustomTraining::new(start, ["loss"], step));
    /// trainer.record(directory).quiet().run(&set.batched(4), epochs(2))?;
    /// let record = train::RunRecord::read(&run)?.unwrap_or_default();
    /// let paths: Vec<&str> = record.layers.iter().map(|layer| layer.path.as_str()).collect();
    /// assert_eq!(paths, ["line.x", "line.dense"]);
    /// # std::fs::remove_dir_all(&run)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn model(mut self, name: &str, model: &Model) -> RunDirectory {
        let below = |path: &String| format!("{name}.{path}");
        let named = |layer: LayerRecord| LayerRecord {
            path: below(&layer.path),
            inputs: layer.inputs.iter().map(below).collect(),
            ..layer
        };
        self.layers.extend(LayerRecord::of(model).into_iter().map(named));
        self
    }

    /// Writes a profile of the training step, such as that of
    /// [`Trainer::profile`](crate::Trainer::profile), when the run starts: the report shows it as a
    /// flame graph and tables.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// # let run = std::env::temp_dir().join(format!("neurax-doc-profile-{}", std::process::id()));
    /// let iris = data::iris()?.batched(50);
    /// let model = nn::input("flower", dims![_, 4]).dense(16).tanh().dense(3).softmax();
    /// let trainer = || Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01));
    /// let profile = trainer().profile(&iris)?;
    /// let directory = train::RunDirectory::new(&run).profile(&profile);
    /// trainer().record(directory).quiet().run(&iris, epochs(2))?;
    /// let written = train::RunFiles::read(&run).profile;
    /// assert_eq!(written, Some(train::ProfileRecord::of(&profile)));
    /// # std::fs::remove_dir_all(&run)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn profile(self, profile: &Profile) -> RunDirectory {
        RunDirectory { profile: Some(ProfileRecord::of(profile)), ..self }
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

    /// Leaves signals to the program: Ctrl-C ends it without a checkpoint of the steps since the
    /// last one, unless there is another handler of it.
    ///
    /// ```
    /// use neurax::train::RunDirectory;
    /// let directory = RunDirectory::new("runs/digits").without_interrupt();
    /// # let _ = directory;
    /// ```
    pub fn without_interrupt(self) -> RunDirectory {
        RunDirectory { interrupts: false, ..self }
    }

    /// Writes the confusion matrix and the ROC and PR curves of a classifier on a data set when the
    /// run ends, unless a signal ended it: the first output of the model is the probabilities of
    /// the classes, and the targets are their indices or one-hot. Without `names`, classes are
    /// called by their indices. See [`PredictionRecord::of`](crate::PredictionRecord::of). The
    /// first batch and the names are checked when the run starts; an error at the end is a warning,
    /// and a problem in the report.
    ///
    /// The data are a data set, which is evaluated in batches of 256 examples, or any source, such
    /// as a stream: see [`ValidationData`]. The outputs and targets of all examples are held in
    /// memory.
    pub fn classify<X: Tree + Inputs + Clone, K>(
        mut self,
        data: impl ValidationData<X, Tensor, K>,
        names: &[&str],
    ) -> RunDirectory {
        self.classified = Some(ClassifiedSet::new(data.into_batches(), names));
        self
    }

    /// Returns true if the run stops at Ctrl-C after its step.
    pub(crate) fn interrupts(&self) -> bool {
        self.interrupts
    }

    /// Returns the handlers that write the directory: those of its lock, of the log, of the
    /// description, and of the checkpoints. The lock is the first one.
    /// `model` is that of the trainer.
    pub(crate) fn handlers(
        self,
        model: Option<&Model>,
    ) -> (RunLock, JsonLines, RunLog, Checkpoints) {
        let layers = model.map(LayerRecord::of).unwrap_or_default();
        let record = RunRecord {
            hyper_parameters: self.hyper_parameters,
            layers: layers.into_iter().chain(self.layers).collect(),
            ..RunRecord::default()
        };
        let lock = RunLock::new(self.directory.clone());
        let log = RunLog {
            directory: self.directory,
            record,
            model: model.cloned(),
            classified: self.classified,
            profile: self.profile,
            records_command: self.records_command,
        };
        (lock, self.log, log, self.checkpoints)
    }
}
