//! The training loop: a fold over epochs and batches, which does not depend on their types.
//!
//! All that a step or an epoch depends on is in the [`State`]: a run that starts from a state
//! inside an epoch continues with the next batch and the totals so far, so that neither the weights
//! nor the log of the epoch show that it was interrupted.

use crate::any_batch::{AnyBatch, AnySource};
use crate::epoch_so_far::{EpochSoFar, TotalsSoFar};
use crate::error::Phase;
use crate::evaluation::Validation;
use crate::event::{Event, Flow};
use crate::guard::guarded;
use crate::handler::Handlers;
use crate::measure::{LOSS, Measure, Totals};
use crate::program::{EvaluateFn, StepCarry, StepFn, examples};
use crate::progress::Progress;
use crate::{EpochLog, NonFiniteLoss, Scores, State, Status, non_finite};
use neurax_tensor::{Error, Failed, Key, Result, key};

/// A training run in progress.
pub(crate) struct TrainingRun {
    pub step: StepFn,
    pub evaluate: EvaluateFn,
    pub measures: Vec<Measure>,
    pub validations: Vec<Validation>,
    /// The most batches of a validation set that are evaluated.
    pub most_validated: usize,
    /// The number of steps between validations inside an epoch.
    pub validation_interval: Option<usize>,
    pub handlers: Handlers,
    pub progress: Progress,
    /// True if a gradient that is not finite ends training.
    pub fails_on_gradients: bool,
    /// The choice for a loss that is not finite; `Ignore` after the warning.
    pub non_finite_loss: NonFiniteLoss,
    /// The part of the run in progress, for the message of an error.
    pub phase: Phase,
    /// `None` only after a device failed during a step.
    pub state: Option<State>,
}

impl TrainingRun {
    /// Trains until `last` epochs are complete.
    ///
    /// # Errors
    /// As [`Trainer::run`](crate::Trainer::run). The state says that the run failed, and handlers
    /// of [`Event::Failed`] were called.
    pub fn all(&mut self, data: &dyn AnySource, last: usize) -> Result<()> {
        let outcome = self.epochs(data, last);
        if let Some(state) = &mut self.state {
            state.so_far.watch.stop();
        }
        if outcome.is_err() {
            self.notify_failed();
        }
        outcome
    }

    fn epochs(&mut self, data: &dyn AnySource, last: usize) -> Result<()> {
        self.check_validations()?;
        self.phase = Phase::Epoch;
        let mut flow = self.notify(Event::Started)?;
        while flow != Flow::Stop && self.state()?.history.len() < last {
            flow = self.epoch(data)?;
        }
        if flow == Flow::Stop {
            self.notify(Event::Halted)?;
        } else {
            self.state()?.status = Status::Completed;
        }
        self.notify(Event::Completed)?;
        Ok(())
    }

    /// Trains for an epoch, or for the rest of one that was interrupted.
    fn epoch(&mut self, data: &dyn AnySource) -> Result<Flow> {
        let resumes = self.state()?.is_inside_epoch();
        let mut flow = if resumes { self.continued()? } else { self.started()? };
        let State { epoch, batch, .. } = *self.state()?;
        let mut batches = guarded("the source", || data.epoch_from(epoch, batch))?;
        let mut is_halted = false;
        while flow != Flow::Stop
            && let Some(batch) = guarded("the source", || batches.next())?
        {
            if flow == Flow::Continue {
                self.phase = Phase::Batch(self.state()?.batch + 1);
                let batch = batch?;
                flow = self.notify(Event::BatchStarted)?;
                if flow == Flow::Continue {
                    flow = self.batch(batch)?;
                    continue;
                }
            }
            is_halted = true;
            break;
        }
        self.phase = Phase::Epoch;
        if flow == Flow::Stop && !is_halted {
            // The next batch is not asked for: a source may take long for it.
            let done = self.state()?.batch;
            is_halted = guarded("the source", || data.batches())?.is_none_or(|n| done < n);
        }
        if self.state()?.so_far.examples == 0 && flow != Flow::StopEpoch {
            return without_examples(flow);
        }
        self.finish_epoch(is_halted)?;
        if is_halted {
            flow = flow.max(self.notify(Event::EpochHalted)?);
        }
        Ok(flow.max(self.notify(Event::EpochEnded)?))
    }

    /// Starts an epoch.
    fn started(&mut self) -> Result<Flow> {
        let skipped_before = self.non_finite_steps()?;
        let so_far = EpochSoFar::new(&self.measures, skipped_before);
        let state = self.state()?;
        state.epoch = state.history.len();
        (state.batch, state.loss, state.so_far) = (0, f64::NAN, so_far);
        let epoch = state.epoch;
        self.progress.epoch(epoch);
        let flow = self.notify(Event::EpochStarted)?;
        self.state()?.so_far.watch.start();
        Ok(flow)
    }

    /// Continues an epoch after a batch, at which a handler may have ended it.
    fn continued(&mut self) -> Result<Flow> {
        let state = self.state()?;
        state.so_far.watch.start();
        let (epoch, batch, halts) = (state.epoch, state.batch, state.so_far.halts);
        self.progress.epoch(epoch);
        self.progress.skip(batch);
        Ok(if halts { Flow::StopEpoch } else { Flow::Continue })
    }

    fn batch(&mut self, batch: AnyBatch) -> Result<Flow> {
        let examples = examples(&batch)?;
        self.advance(batch)?;
        let state = self.state()?;
        state.so_far.examples += examples;
        self.progress.advance();
        self.check_loss()?;
        self.validate_inside_epoch()?;
        let state = self.state.as_ref().ok_or_else(lost)?;
        if self.progress.is_due() || self.handlers.read_scores(Event::BatchEnded, state)? {
            self.update_scores()?;
            let State { loss, metrics, so_far, .. } = self.state.as_ref().ok_or_else(lost)?;
            self.progress.show(*loss, metrics, so_far.examples, so_far.watch.seconds());
        }
        self.notify(Event::BatchEnded)
    }

    /// Runs one step. All of the state is donated to it; if the step fails before it runs, the
    /// state is returned unchanged.
    fn advance(&mut self, batch: AnyBatch) -> Result<()> {
        let skipped = self.fails_on_gradients.then(|| self.non_finite_steps()).transpose()?;
        let totals = self.state()?.so_far.take_totals()?;
        let mut state = self.state.take().ok_or_else(lost)?;
        let before = skipped.map(|n| (n, state.key.clone(), totals.clone()));
        let carry = StepCarry {
            vars: std::mem::take(&mut state.vars),
            opt: std::mem::take(&mut state.opt),
            key: std::mem::replace(&mut state.key, key(0)),
            totals,
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
        (state.vars, state.opt, state.key) = (carry.vars, carry.opt, carry.key);
        state.so_far.totals = TotalsSoFar::Of(carry.totals);
        self.state = Some(state);
        outcome?;
        self.check_gradients(before)
    }

    /// Returns the number of steps that the optimizer skipped in all epochs; 0 if it does not count
    /// them.
    fn non_finite_steps(&self) -> Result<usize> {
        Ok(self.state.as_ref().ok_or_else(lost)?.opt.non_finite_steps()?.unwrap_or(0))
    }

    /// Checks that the optimizer did not skip the last step. `before` holds the number of skipped
    /// steps, the key and the totals before it, to which a skipped step returns; it is `None` if
    /// skipped steps do not end training.
    fn check_gradients(&mut self, before: Option<(usize, Key, Totals)>) -> Result<()> {
        let Some((skipped, key, totals)) = before else { return Ok(()) };
        if self.non_finite_steps()? == skipped {
            return Ok(());
        }
        let state = self.state()?;
        (state.key, state.so_far.totals) = (key, TotalsSoFar::Of(totals));
        state.step -= 1;
        state.batch -= 1;
        let why = "expected finite gradients, got NaN or an infinity; the parameters are those \
                   before the step";
        Err(Error::new("train", why))
    }

    /// Checks that the loss is finite.
    fn check_loss(&mut self) -> Result<()> {
        if self.non_finite_loss == NonFiniteLoss::Ignore {
            return Ok(());
        }
        let loss = self.state()?.so_far.known_totals()?.loss()?;
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

    /// Checks that the first batches of the validation sets fit the model.
    fn check_validations(&mut self) -> Result<()> {
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let check = |v: &Validation| v.check(&self.evaluate, &self.measures, vars);
        self.validations.iter().try_for_each(check)
    }

    /// Updates the loss and the metrics of the state.
    fn update_scores(&mut self) -> Result<Scores> {
        let scores =
            self.state.as_ref().ok_or_else(lost)?.so_far.known_totals()?.scores(&self.measures)?;
        let state = self.state()?;
        state.loss = scores[LOSS];
        state.metrics = scores.iter().skip(1).map(|(n, x)| (n.to_string(), x)).collect();
        Ok(scores)
    }

    /// Ends an epoch: computes the means and the validation scores, and appends the log.
    fn finish_epoch(&mut self, halted: bool) -> Result<()> {
        let train = self.update_scores()?;
        let state = self.state()?;
        state.so_far.watch.stop();
        let seconds = state.so_far.watch.seconds();
        let validation = self.validation_scores()?;
        let skipped = self.non_finite_steps()?;
        let state = self.state()?;
        let EpochSoFar { examples, skipped_before, .. } = state.so_far;
        let log = EpochLog {
            epoch: state.epoch,
            train,
            validation: validation.clone(),
            examples,
            skipped: skipped.saturating_sub(skipped_before),
            halted,
            seconds,
        };
        state.validation = validation;
        self.progress.line(&log);
        self.state()?.history.push(log);
        Ok(())
    }

    /// Computes the scores on the validation sets if this is one of the steps for it. Their time is
    /// not that of training.
    fn validate_inside_epoch(&mut self) -> Result<()> {
        let step = self.state()?.step;
        if !self.validation_interval.is_some_and(|n| n > 0 && step.is_multiple_of(n)) {
            return Ok(());
        }
        self.state()?.so_far.watch.stop();
        let phase = self.phase;
        let scores = self.validation_scores()?;
        self.phase = phase;
        let state = self.state()?;
        state.validation = scores;
        state.so_far.watch.start();
        Ok(())
    }

    /// Returns the scores on the validation sets.
    fn validation_scores(&mut self) -> Result<Scores> {
        if self.validations.is_empty() {
            return Ok(Scores::default());
        }
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let mut scores = vec![];
        for set in &self.validations {
            let own = set.scores(&self.evaluate, &self.measures, vars, self.most_validated);
            scores.extend(own?);
        }
        self.phase = Phase::Epoch;
        Ok(scores.into_iter().collect())
    }

    fn notify(&mut self, event: Event) -> Result<Flow> {
        let state = self.state.as_mut().ok_or_else(lost)?;
        self.handlers.call(event, state)
    }

    /// Tells the handlers that an error ends training. A second error is a warning: the first one
    /// is the result.
    fn notify_failed(&mut self) {
        let Some(state) = &mut self.state else { return };
        state.status = Status::Failed;
        if let Err(e) = self.handlers.call(Event::Failed, state) {
            self.progress.warn(&e.to_string());
        }
    }

    fn state(&mut self) -> Result<&mut State> {
        self.state.as_mut().ok_or_else(lost)
    }
}

/// Ends an epoch without a training step, which has no means: it is not logged if a handler
/// stopped training, and otherwise an error.
fn without_examples(flow: Flow) -> Result<Flow> {
    match flow {
        Flow::Stop => Ok(flow),
        _ => Err(Error::new("train", "expected at least one batch, got none")),
    }
}

/// Returns the error of a run whose state was moved to a device that failed.
pub(crate) fn lost() -> Error {
    Error::new("train", "the state was lost because a device failed during a step")
}
