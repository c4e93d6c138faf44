//! The settings of a trainer, and the start of a run from them.

use crate::any_batch::{AnyBatch, AnySource};
use crate::averaged_weights::StatisticsRefresh;
use crate::differences::{differences, shortened, types_of_vars};
use crate::epochs_of_steps::EpochsOfSteps;
use crate::error::Phase;
use crate::evaluation::{Validation, evaluate};
use crate::first_batches::FirstBatches;
use crate::guard::guarded;
use crate::handler::Handlers;
use crate::measure::{LOSS, Measure, Objective, Totals};
use crate::norms::NormDetail;
use crate::program::{EvaluateFn, StepCarry, StepProgram, evaluate_fn};
use crate::progress::{Progress, warn};
use crate::replaced_vars;
use crate::score_names;
use crate::state::RunPlan;
use crate::supervised::Supervised;
use crate::task::TrainingTask;
use crate::training_run::{TrainingRun, lost};
use crate::{AveragedWeights, NonFiniteLoss, ProgressForm, Scores, State, Status, TrainError};
use neurax_nn::regularize::Penalty;
use neurax_nn::{Model, OptState, Optim, Vars};
use neurax_tensor::{Error, Key, Place, Profile, Result, key};
use std::collections::BTreeSet;
use std::panic::Location;

/// The settings of a [`Trainer`](crate::Trainer).
pub(crate) struct Settings {
    pub task: Box<dyn TrainingTask>,
    /// The model that is trained; `None` for a tree of the user.
    pub model: Option<Model>,
    /// The loss, then the metrics.
    pub measures: Vec<Measure>,
    /// The norms that are measured, too, and the user's line that asked for them.
    pub norms: Option<(NormDetail, &'static Location<'static>)>,
    /// The penalty of the parameters, a part of the loss.
    pub penalty: Penalty,
    pub validations: Vec<Validation>,
    /// The number of steps between validations inside an epoch.
    pub validation_interval: Option<usize>,
    /// The most steps of a call of the compiled step.
    pub steps_per_call: usize,
    /// The mean of weights that becomes the result.
    pub averaging: Option<AveragedWeights>,
    pub handlers: Handlers,
    pub key: Key,
    pub vars: Option<Vars>,
    pub non_finite_loss: NonFiniteLoss,
    /// False if a gradient that is not finite does not end training even with `NonFinite::Fail`.
    pub may_fail_on_gradients: bool,
    pub data_limit: DataLimit,
    /// The number of batches of an epoch; `None` for that of the source.
    pub steps_per_epoch: Option<usize>,
    pub progress: ProgressForm,
    /// The first mistake in the options, with which a run fails before it starts.
    pub mistake: Option<Error>,
}

/// The part of the data that a run uses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum DataLimit {
    /// All of it.
    #[default]
    All,
    /// One batch of one epoch, and one of each validation set.
    OneBatch,
    /// This number of batches of the first epoch, in every epoch.
    Repeated(usize),
}

/// The state from which a run starts.
pub(crate) enum StartPoint {
    /// Initial variables, of a new run.
    Initial,
    /// Initial variables, of a run that may have been killed before its first checkpoint.
    Repeated,
    /// A state, with the first batch of its epoch, for some more epochs.
    Restarted(State),
    /// A state, with the next batch, up to a total number of epochs.
    Resumed(State),
}

/// The result of a training run: the fields of [`Trained`](crate::Trained).
pub(crate) struct Outcome {
    pub state: State,
    /// The measures of validation sets.
    pub measures: Vec<Measure>,
    pub evaluate: EvaluateFn,
}

impl Settings {
    /// Creates the settings of a task with the default options.
    pub fn new(task: Box<dyn TrainingTask>, measures: Vec<Measure>) -> Settings {
        Settings {
            task,
            model: None,
            measures,
            norms: None,
            penalty: Penalty::default(),
            validations: Vec::new(),
            validation_interval: None,
            steps_per_call: 1,
            averaging: None,
            handlers: Handlers::default(),
            key: key(0),
            vars: None,
            non_finite_loss: NonFiniteLoss::default(),
            may_fail_on_gradients: true,
            data_limit: DataLimit::default(),
            steps_per_epoch: None,
            progress: ProgressForm::default(),
            mistake: None,
        }
    }

    /// Creates the settings of a model with a loss, which was given at `at`. Not generic, so that
    /// it is not compiled again in each program.
    pub fn supervised(
        model: Model,
        loss: Objective,
        optim: Optim,
        at: &'static Location<'static>,
    ) -> Settings {
        let measures = vec![Measure { name: LOSS.into(), of: loss, at }];
        let task = Box::new(Supervised { model: model.clone(), optim, at });
        Settings { model: Some(model), ..Settings::new(task, measures) }
    }

    /// Trains for `epochs` epochs. `at` is the user's line.
    ///
    /// # Errors
    /// As [`Trainer::run`](crate::Trainer::run).
    pub fn run(
        self,
        start: StartPoint,
        data: &dyn AnySource,
        epochs: usize,
        at: &'static Location<'static>,
    ) -> Result<Outcome, TrainError> {
        let divided = self.steps_per_epoch.map(|steps| EpochsOfSteps { source: data, steps });
        let data = divided.as_ref().map_or(data, |divided| divided as &dyn AnySource);
        let first = |most, repeats| FirstBatches { source: data, most, repeats };
        match self.data_limit {
            DataLimit::All => self.run_on(start, data, epochs, at),
            DataLimit::OneBatch => {
                self.run_on(StartPoint::Initial, &first(1, false), epochs.min(1), at)
            }
            DataLimit::Repeated(n) => self.run_on(start, &first(n, true), epochs, at),
        }
    }

    /// Returns the loss and the metrics of the variables on all batches of a source.
    ///
    /// # Errors
    /// If a batch does not fit, or there is none.
    pub fn evaluate(self, data: &dyn AnySource) -> Result<Scores> {
        score_names::check(&self.measures, &self.validations)?;
        let vars = self.start(data)?.vars;
        let program = evaluate_fn(self.task.evaluation(&self.measures, &self.penalty));
        let batches = guarded("the source", || data.batches())?;
        let mut progress = Progress::of_task("evaluate", self.progress, batches);
        let scores = evaluate(&program, &self.measures, &vars, data, &mut |examples, seconds| {
            progress.advance(1);
            progress.show_speed(examples, seconds);
            Ok(())
        });
        progress.finish();
        scores
    }

    /// Measures a training step on the first batch.
    ///
    /// # Errors
    /// As [`Trainer::profile`](crate::Trainer::profile).
    pub fn profile(self, data: &dyn AnySource) -> Result<Profile> {
        self.check_options()?;
        let State { vars, opt, key, .. } = self.start(data)?;
        let measures = self.measures_of(&vars);
        let step = StepProgram::new(self.task.step(&measures, &self.penalty));
        let totals = Totals::new(&measures);
        step.profile(StepCarry { vars, opt, key, totals }, first_batch(data)?)
    }

    fn run_on(
        self,
        start: StartPoint,
        data: &dyn AnySource,
        epochs: usize,
        at: &'static Location<'static>,
    ) -> Result<Outcome, TrainError> {
        let at = Place::from(at);
        let started = self.state(start, data, epochs);
        let started = started.and_then(|s| Ok((s, guarded("the source", || data.batches())?)));
        let ((mut state, last), batches) =
            started.map_err(|error| failed(error.at(&at), None, Phase::Start))?;
        let measures = self.measures_of(&state.vars);
        let validated: Vec<Measure> =
            measures.iter().filter(|m| m.is_validated()).cloned().collect();
        match self.plan(&measures, &validated, last, batches) {
            Ok(plan) => state.plan = plan,
            Err(error) => return Err(failed(error.at(&at), Some(state), Phase::Start)),
        }
        let Settings { mut task, penalty, progress, .. } = self;
        state.optim = task.optim().cloned();
        let fails_on_gradients = self.may_fail_on_gradients && task.fails_on_non_finite();
        let mut run = TrainingRun {
            fails_on_gradients,
            step: StepProgram::new(task.step(&measures, &penalty)),
            // The state before a step is known if it is the only one of its call.
            steps_per_call: if fails_on_gradients { 1 } else { self.steps_per_call },
            evaluate: evaluate_fn(task.evaluation(&validated, &penalty)),
            averaging: self.averaging.map(|a| StatisticsRefresh::new(a, task.statistics())),
            progress: Progress::new(progress, last, batches),
            measures,
            validated,
            validations: self.validations,
            most_validated: match self.data_limit {
                DataLimit::OneBatch => 1,
                _ => usize::MAX,
            },
            validation_interval: self.validation_interval,
            handlers: self.handlers,
            non_finite_loss: self.non_finite_loss,
            has_warned_of_validation: false,
            evaluated: None,
            phase: Phase::Start,
            state: Some(state),
        };
        // The variables before the first step are not held while the run changes them.
        drop((task, self.vars));
        let outcome = run.all(data, last);
        run.progress.finish();
        match (outcome, run.state) {
            (Ok(()), Some(state)) => {
                Ok(Outcome { state, measures: run.validated, evaluate: run.evaluate })
            }
            (Ok(()), None) => Err(failed(lost(), None, run.phase)),
            (Err(error), state) => Err(failed(error.at(&at), state, run.phase)),
        }
    }

    /// Returns the facts of the run.
    ///
    /// # Errors
    /// If a metric has no value.
    fn plan(
        &self,
        measures: &[Measure],
        validated: &[Measure],
        last: usize,
        batches: Option<usize>,
    ) -> Result<RunPlan> {
        let validated = score_names::of(validated)?;
        let of_set = |set: &Validation| -> Vec<String> {
            validated.iter().map(|name| set.name_of(name)).collect()
        };
        Ok(RunPlan {
            epochs: Some(last).filter(|n| *n < usize::MAX),
            batches,
            trained_scores: score_names::of(measures)?,
            validated_scores: self.validations.iter().flat_map(of_set).collect(),
            is_averaged: self.averaging.is_some(),
        })
    }

    /// Returns the state from which the run starts, and the number of epochs at which it ends.
    fn state(
        &self,
        start: StartPoint,
        data: &dyn AnySource,
        epochs: usize,
    ) -> Result<(State, usize)> {
        self.check_options()?;
        let is_new = matches!(start, StartPoint::Initial);
        let restarts = matches!(start, StartPoint::Restarted(_));
        let (mut state, last) = match start {
            StartPoint::Initial | StartPoint::Repeated => (self.start(data)?, epochs),
            StartPoint::Restarted(mut state) => {
                replaced_vars::forget_last(&mut state);
                state.reopen_epoch();
                state.batch = 0;
                let last = state.history.len().saturating_add(epochs);
                (state, last)
            }
            StartPoint::Resumed(mut state) => {
                replaced_vars::restore_last(&mut state)?;
                state.reopen_epoch();
                self.check_resumed(&state, data)?;
                if state.is_inside_epoch() {
                    state.so_far.restore(&self.measures_of(&state.vars))?;
                }
                (state, epochs)
            }
        };
        if let Some(averaging) = &self.averaging {
            averaging.check(&state)?;
        }
        // A run that continues another one keeps the record of that one.
        if restarts || state.program.is_unknown() {
            state.program = self.task.record(&self.task.opt(&state.vars.params))?;
        }
        state.status = Status::Running;
        state.is_new = is_new;
        state.is_trial = matches!(self.data_limit, DataLimit::OneBatch);
        Ok((state, last))
    }

    /// Checks the options that do not depend on the data.
    ///
    /// # Errors
    /// If one is a mistake.
    fn check_options(&self) -> Result<()> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        score_names::check(&self.measures, &self.validations)?;
        if self.validation_interval == Some(0) {
            let why = "expected an interval of at least 1, got 0";
            return Err(Error::new("validate_every", why));
        }
        if self.steps_per_call == 0 {
            let why = "expected at least 1 step per call, got 0";
            return Err(Error::new("steps_per_call", why));
        }
        if self.steps_per_epoch == Some(0) {
            let why = "expected at least 1 step in an epoch, got 0";
            return Err(Error::new("steps_per_epoch", why));
        }
        self.handlers.check_names()
    }

    /// Returns the measures of training: the loss, the metrics, and norms of these variables.
    fn measures_of(&self, vars: &Vars) -> Vec<Measure> {
        let norms = self.norms.iter().flat_map(|(detail, at)| {
            let measure = |(name, norm)| Measure { name, of: Objective::Norm(norm), at };
            detail.list(&vars.params).into_iter().map(measure)
        });
        self.measures.iter().cloned().chain(norms).collect()
    }

    /// Creates the state before the first step. The first batch determines the types of the inputs.
    fn start(&self, data: &dyn AnySource) -> Result<State> {
        let [init, steps] = self.key.split();
        let vars = match &self.vars {
            Some(vars) => vars.clone(),
            None => self.task.init(init, &first_batch(data)?)?,
        };
        let opt = self.task.opt(&vars.params);
        let program = self.task.record(&opt)?;
        Ok(State { program, ..State::new(vars, opt, steps) })
    }

    /// Checks that a state is one of this model, this optimizer and data of this size.
    ///
    /// # Errors
    /// If it is not: the message lists the differences.
    fn check_resumed(&self, state: &State, data: &dyn AnySource) -> Result<()> {
        if state.is_inside_epoch() {
            check_data(state, data)?;
        }
        let fresh = self.start(data)?;
        let differ = differences(&types_of_vars(&fresh.vars)?, &types_of_vars(&state.vars)?);
        if !differ.is_empty() {
            return Err(another("model", &differ));
        }
        let differ = fresh.program.layer_differences(&state.program);
        if !differ.is_empty() {
            return Err(another("model", &differ));
        }
        if let Some(warning) = fresh.program.rate_difference(&state.program) {
            warn(&warning);
        }
        let (want, got) = (slots(&self.task.opt(&state.vars.params)), slots(&state.opt));
        let line = |(i, name): &(usize, String)| format!("the slot `{name}` of rule {i}");
        let missing = want.difference(&got).map(|slot| format!("expected {}", line(slot)));
        let unknown = got.difference(&want).map(|slot| format!("got {}", line(slot)));
        let differ: Vec<String> = missing.chain(unknown).collect();
        if !differ.is_empty() {
            return Err(another("optimizer", &shortened(differ)));
        }
        state.so_far.check_measures(&self.measures_of(&state.vars))
    }
}

/// Returns the first batch of a source.
///
/// # Errors
/// If there is none, or the source fails.
fn first_batch(data: &dyn AnySource) -> Result<AnyBatch> {
    let why = "expected at least one batch to train on, got none";
    let batch = guarded("the source", || data.epoch(0).next())?;
    batch.ok_or_else(|| Error::new("train", why))?
}

/// Checks that data have the size of those with which a state inside an epoch was made: its batches
/// would be others, and examples be left out or trained on twice.
///
/// # Errors
/// If an epoch has another number of batches, or its first batch another number of examples.
fn check_data(state: &State, data: &dyn AnySource) -> Result<()> {
    let fails = |want: String, got: usize| {
        let advice = "resume with the data and the batch size of the first run, or begin the epoch \
                      again with `Trainer::resume`";
        Err(Error::new("resume", format!("expected data of {want}, got {got}; {advice}")))
    };
    let found = guarded("the source", || data.batches())?;
    match (state.plan.batches, found) {
        (Some(n), Some(found)) if n != found => {
            return fails(format!("{n} batches an epoch"), found);
        }
        (_, Some(found)) if state.batch > found => {
            return fails(format!("at least {} batches an epoch", state.batch), found);
        }
        _ => {}
    }
    let Some(examples) = state.so_far.first_batch else { return Ok(()) };
    let first = guarded("the source", || data.epoch(state.epoch).next())?.transpose()?;
    let found = first.map_or(0, |batch| batch.len());
    if found == examples {
        return Ok(());
    }
    let epoch = state.epoch + 1;
    fails(format!("{examples} examples in the first batch of epoch {epoch}"), found)
}

/// Returns the names of the slots of each rule of an optimizer.
fn slots(opt: &OptState) -> BTreeSet<(usize, String)> {
    let rules = opt.slots.iter().enumerate();
    rules.flat_map(|(i, slots)| slots.keys().map(move |name| (i, name.clone()))).collect()
}

fn another(what: &str, differ: &[String]) -> Error {
    let why = format!("expected the state of a training of the same {what}");
    Error::new("resume", format!("{why}: {}", differ.join("; ")))
}

fn failed(error: Error, state: Option<State>, phase: Phase) -> TrainError {
    TrainError { error, state: state.map(Box::new), phase }
}
