//! The training loop: a fold over epochs and batches, which does not depend on their types.

use crate::any_batch::{AnyBatch, AnySource};
use crate::error::Phase;
use crate::event::{Event, Flow, Handlers};
use crate::measure::{LOSS, Measure, Totals};
use crate::program::{
    EvaluateFn, StepCarry, StepFn, check_evaluation, evaluate_fn, examples, step_fn,
};
use crate::progress::Progress;
use crate::{EpochLog, NonFiniteLoss, Scores, State, TrainError, non_finite};
use neurax_nn::regularize::Penalty;
use neurax_nn::{Inputs, Model, Optim, Vars};
use neurax_tensor::ir::Origin;
use neurax_tensor::{Error, Failed, Key, Place, Result, TypeSpec, key};
use std::panic::Location;
use std::time::Instant;

/// The settings of a [`Trainer`](crate::Trainer).
pub(crate) struct Settings {
    pub model: Model,
    pub optim: Optim,
    /// The loss, then the metrics.
    pub measures: Vec<Measure>,
    /// The penalty of the parameters, a part of the loss.
    pub penalty: Penalty,
    pub validation: Option<Validation>,
    pub handlers: Handlers,
    pub key: Key,
    pub vars: Option<Vars>,
    pub non_finite_loss: NonFiniteLoss,
    pub quiet: bool,
}

/// A validation set and the user's line that set it.
pub(crate) struct Validation {
    pub data: Box<dyn AnySource + Send>,
    pub at: &'static Location<'static>,
}

/// The result of a training run: the fields of [`Trained`](crate::Trained).
pub(crate) struct Outcome {
    pub model: Model,
    pub state: State,
    pub measures: Vec<Measure>,
    pub evaluate: EvaluateFn,
}

impl Settings {
    /// Trains for `epochs` epochs from `state`, or from initial variables if it is `None`. `at` is
    /// the user's line.
    ///
    /// # Errors
    /// As [`Trainer::run`](crate::Trainer::run).
    pub fn run(
        self,
        state: Option<State>,
        data: &dyn AnySource,
        epochs: usize,
        at: &'static Location<'static>,
    ) -> Result<Outcome, TrainError> {
        let at = Place::from(at);
        let state = match state {
            Some(state) => Ok(state),
            None => self.start(data),
        };
        let state = state.map_err(|error| failed(error.at(&at), None, Phase::Start))?;
        let Settings { model, optim, measures, penalty, validation, handlers, quiet, .. } = self;
        let last = state.history.len().saturating_add(epochs);
        let mut run = TrainingRun {
            fails_on_gradients: optim.fails_on_non_finite(),
            step: step_fn(model.clone(), measures.clone(), penalty.clone(), optim),
            evaluate: evaluate_fn(model.clone(), measures.clone(), penalty),
            progress: Progress::new(quiet, last, data.batches()),
            measures,
            validation,
            handlers,
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

    /// Creates the state before the first step. The first batch determines the types of the inputs.
    fn start(&self, data: &dyn AnySource) -> Result<State> {
        let [init, steps] = self.key.split();
        let vars = match &self.vars {
            Some(vars) => vars.clone(),
            None => {
                let why = "expected at least one batch to train on, got none";
                let batch = data.epoch(0).next().ok_or_else(|| Error::new("train", why))?;
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
}

/// A training run in progress.
struct TrainingRun {
    step: StepFn,
    evaluate: EvaluateFn,
    measures: Vec<Measure>,
    validation: Option<Validation>,
    handlers: Handlers,
    progress: Progress,
    /// True if a gradient that is not finite ends training.
    fails_on_gradients: bool,
    /// The choice for a loss that is not finite; `Ignore` after the warning.
    non_finite_loss: NonFiniteLoss,
    /// The part of the run in progress, for the message of an error.
    phase: Phase,
    /// `None` only after a device failed during a step.
    state: Option<State>,
}

/// The running totals of an epoch.
struct EpochTotals {
    measures: Totals,
    /// The number of examples, those of skipped steps among them.
    examples: usize,
    /// The number of steps of all epochs that the optimizer had skipped before this one.
    skipped_before: usize,
    start: Instant,
}

impl TrainingRun {
    fn all(&mut self, data: &dyn AnySource, last: usize) -> Result<()> {
        self.check_validation()?;
        self.phase = Phase::Epoch;
        let mut flow = self.notify(Event::Started)?;
        while flow == Flow::Continue && self.state()?.history.len() < last {
            flow = self.epoch(data)?;
        }
        self.notify(Event::Completed)?;
        Ok(())
    }

    fn epoch(&mut self, data: &dyn AnySource) -> Result<Flow> {
        let state = self.state()?;
        state.epoch = state.history.len();
        (state.batch, state.loss) = (0, f64::NAN);
        let epoch = state.epoch;
        self.progress.epoch(epoch);
        let mut flow = self.notify(Event::EpochStarted)?;
        let measures = Totals::new(&self.measures);
        let skipped_before = self.non_finite_steps()?;
        let start = Instant::now();
        let mut totals = EpochTotals { measures, examples: 0, skipped_before, start };
        for batch in data.epoch(epoch) {
            if flow == Flow::Stop {
                break;
            }
            self.phase = Phase::Batch(self.state()?.batch + 1);
            flow = self.batch(batch, &mut totals)?;
        }
        self.phase = Phase::Epoch;
        if totals.examples == 0 {
            return without_examples(flow);
        }
        self.finish_epoch(epoch, totals)?;
        Ok(if self.notify(Event::EpochEnded)? == Flow::Stop { Flow::Stop } else { flow })
    }

    fn batch(&mut self, batch: AnyBatch, totals: &mut EpochTotals) -> Result<Flow> {
        if self.notify(Event::BatchStarted)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let examples = examples(&batch)?;
        self.advance(batch, totals)?;
        totals.examples += examples;
        self.progress.advance();
        self.check_loss(totals)?;
        if self.progress.is_due() || self.handlers.has(Event::BatchEnded) {
            self.update_scores(totals)?;
            let seconds = totals.start.elapsed().as_secs_f64();
            let State { loss, metrics, .. } = self.state.as_ref().ok_or_else(lost)?;
            self.progress.show(*loss, metrics, totals.examples, seconds);
        }
        self.notify(Event::BatchEnded)
    }

    /// Runs one step. All of the state is donated to it; if the step fails before it runs, the
    /// state is returned unchanged.
    fn advance(&mut self, batch: AnyBatch, totals: &mut EpochTotals) -> Result<()> {
        let skipped = self.fails_on_gradients.then(|| self.non_finite_steps()).transpose()?;
        let mut state = self.state.take().ok_or_else(lost)?;
        let carry = StepCarry {
            vars: std::mem::take(&mut state.vars),
            opt: std::mem::take(&mut state.opt),
            key: std::mem::replace(&mut state.key, key(0)),
            totals: std::mem::take(&mut totals.measures),
        };
        let (carry, outcome) = match self.step.try_run((carry, batch)) {
            Ok(carry) => {
                state.step += 1;
                state.batch += 1;
                (carry, Ok(()))
            }
            Err(Failed { error, args: Some((carry, _)) }) => (carry, Err(error)),
            Err(Failed { error, args: None }) => return Err(error),
        };
        (state.vars, state.opt, state.key, totals.measures) =
            (carry.vars, carry.opt, carry.key, carry.totals);
        self.state = Some(state);
        outcome?;
        self.check_gradients(skipped)
    }

    /// Returns the number of steps that the optimizer skipped in all epochs; 0 if it does not count
    /// them.
    fn non_finite_steps(&self) -> Result<usize> {
        Ok(self.state.as_ref().ok_or_else(lost)?.opt.non_finite_steps()?.unwrap_or(0))
    }

    /// Checks that the optimizer did not skip the last step; `before` is the count before it, or
    /// `None` if skipped steps do not end training.
    fn check_gradients(&mut self, before: Option<usize>) -> Result<()> {
        match before {
            Some(before) if self.non_finite_steps()? != before => {}
            _ => return Ok(()),
        }
        let state = self.state()?;
        state.step -= 1;
        state.batch -= 1;
        let why = "expected finite gradients, got NaN or an infinity; the parameters are those \
                   before the step";
        Err(Error::new("train", why))
    }

    /// Checks that the loss is finite.
    fn check_loss(&mut self, totals: &EpochTotals) -> Result<()> {
        if self.non_finite_loss == NonFiniteLoss::Ignore {
            return Ok(());
        }
        let loss = totals.measures.loss()?;
        if loss.is_finite() {
            return Ok(());
        }
        let error = non_finite::error(loss);
        if self.non_finite_loss == NonFiniteLoss::Stop {
            return Err(error);
        }
        self.non_finite_loss = NonFiniteLoss::Ignore;
        let context = self.phase.context(self.state.as_ref().ok_or_else(lost)?);
        self.progress.warn(&format!("{}{context}", error.message()));
        Ok(())
    }

    /// Checks that the first batch of the validation set fits the model.
    fn check_validation(&mut self) -> Result<()> {
        let Some(Validation { data, at }) = &self.validation else { return Ok(()) };
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let batch = data.epoch(0).next().ok_or_else(nothing_to_evaluate);
        batch
            .and_then(|b| examples(&b).map(|_| b))
            .and_then(|b| check_evaluation(&self.evaluate, vars, &self.measures, b))
            .map_err(|e| moved_to(e, at))
    }

    /// Updates the loss and the metrics of the state.
    fn update_scores(&mut self, totals: &EpochTotals) -> Result<Scores> {
        let scores = totals.measures.scores(&self.measures)?;
        let state = self.state()?;
        state.loss = scores[LOSS];
        state.metrics = scores.iter().skip(1).map(|(n, x)| (n.to_string(), x)).collect();
        Ok(scores)
    }

    /// Ends an epoch: computes the means and the validation scores, and appends the log.
    fn finish_epoch(&mut self, epoch: usize, totals: EpochTotals) -> Result<()> {
        let train = self.update_scores(&totals)?;
        let seconds = totals.start.elapsed().as_secs_f64();
        let validation = self.validation_scores()?;
        let log = EpochLog {
            epoch,
            train,
            validation: validation.clone(),
            examples: totals.examples,
            skipped: self.non_finite_steps()?.saturating_sub(totals.skipped_before),
            seconds,
        };
        self.progress.line(&log);
        let state = self.state()?;
        state.validation = validation;
        state.history.push(log);
        Ok(())
    }

    /// Returns the scores on the validation set.
    fn validation_scores(&mut self) -> Result<Scores> {
        let Some(Validation { data, at }) = &self.validation else {
            return Ok(Scores::default());
        };
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let scores = evaluate(&self.evaluate, &self.measures, vars, &**data);
        let scores = scores.map_err(|e| moved_to(e, at))?;
        self.phase = Phase::Epoch;
        Ok(scores)
    }

    fn notify(&mut self, event: Event) -> Result<Flow> {
        let state = self.state.as_mut().ok_or_else(lost)?;
        self.handlers.call(event, state)
    }

    fn state(&mut self) -> Result<&mut State> {
        self.state.as_mut().ok_or_else(lost)
    }
}

fn failed(error: Error, state: Option<State>, phase: Phase) -> TrainError {
    TrainError { error, state: state.map(Box::new), phase }
}

/// Returns `e` with the source line `at` instead of that of the model or the loss: they
/// fit the training data, so that the mistake is in the validation set.
fn moved_to(e: Error, at: &'static Location<'static>) -> Error {
    let origin = Origin { place: Place::from(at), ..e.origin().clone() };
    Error::new(e.op(), e.message()).at_origin(&origin)
}

/// Ends an epoch without a training step, which has no means: it is not logged if a handler
/// stopped it, and otherwise an error.
fn without_examples(flow: Flow) -> Result<Flow> {
    match flow {
        Flow::Stop => Ok(flow),
        Flow::Continue => Err(Error::new("train", "expected at least one batch, got none")),
    }
}

fn nothing_to_evaluate() -> Error {
    Error::new("train", "expected at least one example to evaluate, got none")
}

fn lost() -> Error {
    Error::new("train", "the state was lost because a device failed during a step")
}

/// Computes the loss and the metrics over all batches of `data`.
pub(crate) fn evaluate(
    evaluate: &EvaluateFn,
    measures: &[Measure],
    vars: &Vars,
    data: &dyn AnySource,
) -> Result<Scores> {
    let (mut totals, mut count) = (Totals::new(measures), 0);
    for batch in data.epoch(0) {
        count += examples(&batch)?;
        totals = evaluate.run((vars.clone(), totals, batch))?;
    }
    if count == 0 {
        return Err(nothing_to_evaluate());
    }
    totals.scores(measures)
}
