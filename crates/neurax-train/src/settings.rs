//! The settings of a trainer, and the start of a run from them.

use crate::any_batch::{AnyBatch, AnySource};
use crate::averaged_weights::{self, StatisticsRefresh};
use crate::differences::{differences, shortened, types_of_vars};
use crate::error::Phase;
use crate::evaluation::{Validation, evaluate};
use crate::first_batches::FirstBatches;
use crate::guard::guarded;
use crate::handler::Handlers;
use crate::measure::{LOSS, Measure, Objective, Totals};
use crate::norms::NormDetail;
use crate::program::{EvaluateFn, StepCarry, StepProgram, evaluate_fn};
use crate::progress::Progress;
use crate::state::RunPlan;
use crate::supervised::Supervised;
use crate::task::TrainingTask;
use crate::training_run::{TrainingRun, lost};
use crate::{AveragedWeights, NonFiniteLoss, Scores, State, Status, TrainError};
use neurax_nn::regularize::Penalty;
use neurax_nn::{Model, OptState, Optim, Vars};
use neurax_tensor::{Error, Key, Place, Profile, Result, key};
use std::collections::BTreeSet;
use std::panic::Location;

/// The settings of a [`Trainer`](crate::Trainer).
pub(crate) struct Settings {
    pub task: Box<dyn TrainingTask>,
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
    pub quiet: bool,
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
            quiet: false,
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
        Settings::new(Box::new(Supervised { model, optim }), measures)
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
        let vars = self.start(data)?.vars;
        let program = evaluate_fn(self.task.evaluation(&self.measures, &self.penalty));
        let batches = guarded("the source", || data.batches())?;
        let progress = Progress::of_task("evaluate", self.quiet, batches);
        let scores = evaluate(&program, &self.measures, &vars, data, &|examples, seconds| {
            progress.advance(1);
            progress.show_speed(examples, seconds);
        });
        progress.finish();
        scores
    }

    /// Measures a training step on the first batch.
    ///
    /// # Errors
    /// As [`Trainer::profile`](crate::Trainer::profile).
    pub fn profile(self, data: &dyn AnySource) -> Result<Profile> {
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
        state.plan = RunPlan { epochs: Some(last).filter(|n| *n < usize::MAX), batches };
        let measures = self.measures_of(&state.vars);
        let validated: Vec<Measure> =
            measures.iter().filter(|m| m.is_validated()).cloned().collect();
        let Settings { task, penalty, quiet, .. } = self;
        let fails_on_gradients = self.may_fail_on_gradients && task.fails_on_non_finite();
        let mut run = TrainingRun {
            fails_on_gradients,
            step: StepProgram::new(task.step(&measures, &penalty)),
            // The state before a step is known if it is the only one of its call.
            steps_per_call: if fails_on_gradients { 1 } else { self.steps_per_call },
            evaluate: evaluate_fn(task.evaluation(&validated, &penalty)),
            averaging: self.averaging.map(|a| StatisticsRefresh::new(a, task.statistics())),
            progress: Progress::new(quiet, last, batches),
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

    /// Returns the state from which the run starts, and the number of epochs at which it ends.
    fn state(
        &self,
        start: StartPoint,
        data: &dyn AnySource,
        epochs: usize,
    ) -> Result<(State, usize)> {
        self.handlers.check_names()?;
        if self.validation_interval == Some(0) {
            let why = "expected an interval of at least 1, got 0";
            return Err(Error::new("validate_every", why));
        }
        if self.steps_per_call == 0 {
            let why = "expected at least 1 step per call, got 0";
            return Err(Error::new("steps_per_call", why));
        }
        let is_new = matches!(start, StartPoint::Initial);
        let (mut state, last) = match start {
            StartPoint::Initial | StartPoint::Repeated => (self.start(data)?, epochs),
            StartPoint::Restarted(mut state) => {
                averaged_weights::forget_last(&mut state);
                state.batch = 0;
                let last = state.history.len().saturating_add(epochs);
                (state, last)
            }
            StartPoint::Resumed(mut state) => {
                averaged_weights::restore_last(&mut state)?;
                self.check_resumed(&state, data)?;
                if state.is_inside_epoch() {
                    state.so_far.restore(&self.measures_of(&state.vars))?;
                }
                (state, epochs)
            }
        };
        state.status = Status::Running;
        state.is_new = is_new;
        state.is_trial = matches!(self.data_limit, DataLimit::OneBatch);
        Ok((state, last))
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
        Ok(State::new(vars, opt, steps))
    }

    /// Checks that a state is one of this model, this optimizer and data of this size.
    ///
    /// # Errors
    /// If it is not: the message lists the differences.
    fn check_resumed(&self, state: &State, data: &dyn AnySource) -> Result<()> {
        let known = guarded("the source", || data.batches())?;
        if let Some(n) = known.filter(|n| state.is_inside_epoch() && state.batch > *n) {
            let batch = state.batch;
            let why = format!("expected data of at least {batch} batches an epoch, got {n}");
            return Err(Error::new("resume", why));
        }
        let fresh = self.start(data)?;
        let differ = differences(&types_of_vars(&fresh.vars)?, &types_of_vars(&state.vars)?);
        if !differ.is_empty() {
            return Err(another("model", &differ));
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
