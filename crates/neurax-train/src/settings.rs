//! The settings of a trainer, and the start of a run from them.

use crate::any_batch::{AnyBatch, AnySource};
use crate::differences::{differences, shortened, types_of_vars};
use crate::error::Phase;
use crate::evaluation::Validation;
use crate::first_batches::FirstBatches;
use crate::guard::guarded;
use crate::handler::Handlers;
use crate::measure::Measure;
use crate::program::{EvaluateFn, evaluate_fn, step_fn};
use crate::progress::Progress;
use crate::training_run::{TrainingRun, lost};
use crate::{NonFiniteLoss, State, Status, TrainError};
use neurax_nn::regularize::Penalty;
use neurax_nn::{Inputs, Model, OptState, Optim, Vars};
use neurax_tensor::{Error, Key, Place, Result, TypeSpec};
use std::collections::BTreeSet;
use std::panic::Location;

/// The settings of a [`Trainer`](crate::Trainer).
pub(crate) struct Settings {
    pub model: Model,
    pub optim: Optim,
    /// The loss, then the metrics.
    pub measures: Vec<Measure>,
    /// The penalty of the parameters, a part of the loss.
    pub penalty: Penalty,
    pub validations: Vec<Validation>,
    /// The number of steps between validations inside an epoch.
    pub validation_interval: Option<usize>,
    pub handlers: Handlers,
    pub key: Key,
    pub vars: Option<Vars>,
    pub non_finite_loss: NonFiniteLoss,
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
    pub model: Model,
    pub state: State,
    pub measures: Vec<Measure>,
    pub evaluate: EvaluateFn,
}

impl Settings {
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
        let ((state, last), batches) =
            started.map_err(|error| failed(error.at(&at), None, Phase::Start))?;
        let Settings { model, optim, measures, penalty, quiet, .. } = self;
        let mut run = TrainingRun {
            fails_on_gradients: optim.fails_on_non_finite(),
            step: step_fn(model.clone(), measures.clone(), penalty.clone(), optim),
            evaluate: evaluate_fn(model.clone(), measures.clone(), penalty),
            progress: Progress::new(quiet, last, batches),
            measures,
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
        let outcome = run.all(data, last);
        run.progress.finish();
        match (outcome, run.state) {
            (Ok(()), Some(state)) => {
                Ok(Outcome { model, state, measures: run.measures, evaluate: run.evaluate })
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
        let is_new = matches!(start, StartPoint::Initial);
        let (mut state, last) = match start {
            StartPoint::Initial | StartPoint::Repeated => (self.start(data)?, epochs),
            StartPoint::Restarted(mut state) => {
                state.batch = 0;
                let last = state.history.len().saturating_add(epochs);
                (state, last)
            }
            StartPoint::Resumed(mut state) => {
                self.check_resumed(&state, data)?;
                if state.is_inside_epoch() {
                    state.so_far.restore(&self.measures)?;
                }
                (state, epochs)
            }
        };
        state.status = Status::Running;
        state.is_new = is_new;
        state.is_trial = matches!(self.data_limit, DataLimit::OneBatch);
        Ok((state, last))
    }

    /// Creates the state before the first step. The first batch determines the types of the inputs.
    fn start(&self, data: &dyn AnySource) -> Result<State> {
        let [init, steps] = self.key.split();
        let vars = match &self.vars {
            Some(vars) => vars.clone(),
            None => {
                let why = "expected at least one batch to train on, got none";
                let batch = guarded("the source", || data.epoch(0).next())?;
                let batch = batch.ok_or_else(|| Error::new("train", why))??;
                self.init(init, &batch)?
            }
        };
        let opt = self.optim.init(&vars.params);
        Ok(State::new(vars, opt, steps))
    }

    fn init(&self, key: Key, batch: &AnyBatch) -> Result<Vars> {
        let inputs =
            batch.inputs().into_iter().map(|(name, x)| Ok((name, TypeSpec::from(&x.ty()?))));
        self.model.init_named(key, inputs.collect::<Result<_>>()?)
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
        let (want, got) = (slots(&self.optim.init(&state.vars.params)), slots(&state.opt));
        let line = |(i, name): &(usize, String)| format!("the slot `{name}` of rule {i}");
        let missing = want.difference(&got).map(|slot| format!("expected {}", line(slot)));
        let unknown = got.difference(&want).map(|slot| format!("got {}", line(slot)));
        let differ: Vec<String> = missing.chain(unknown).collect();
        if !differ.is_empty() {
            return Err(another("optimizer", &shortened(differ)));
        }
        state.so_far.check_measures(&self.measures)
    }
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
