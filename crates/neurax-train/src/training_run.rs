//! The training loop: a fold over epochs and batches, which does not depend on their types.
//!
//! All that a step or an epoch depends on is in the [`State`]: a run that starts from a state
//! inside an epoch continues with the next batch and the totals so far, so that neither the weights
//! nor the log of the epoch show that it was interrupted.

mod validation;

use crate::any_batch::AnySource;
use crate::averaged_weights::{StatisticsRefresh, replace_vars};
use crate::batch_group::{BatchGroup, BatchGroups};
use crate::epoch_so_far::{EpochSoFar, TotalsSoFar};
use crate::error::Phase;
use crate::evaluation::Validation;
use crate::event::{Event, Flow};
use crate::guard::guarded;
use crate::handler::Handlers;
use crate::handlers::rate::RateSource;
use crate::measure::{LOSS, Measure, Totals};
use crate::program::{EvaluateFn, StepCarry, StepProgram, group_size};
use crate::progress::Progress;
use crate::{EpochLog, NonFiniteLoss, Scores, State, Status, non_finite};
use neurax_nn::Vars;
use neurax_tensor::{Error, Failed, Key, Result, key};

/// A training run in progress.
pub(crate) struct TrainingRun {
    pub step: StepProgram,
    /// The most steps of a call of the compiled step.
    pub steps_per_call: usize,
    pub evaluate: EvaluateFn,
    /// The measures of training.
    pub measures: Vec<Measure>,
    /// The measures of them that are computed on the validation sets.
    pub validated: Vec<Measure>,
    pub validations: Vec<Validation>,
    /// The most batches of a validation set that are evaluated.
    pub most_validated: usize,
    /// The number of steps between validations inside an epoch.
    pub validation_interval: Option<usize>,
    /// The running statistics of the mean of weights that becomes the result.
    pub averaging: Option<StatisticsRefresh>,
    pub handlers: Handlers,
    pub progress: Progress,
    /// True if a gradient that is not finite ends training.
    pub fails_on_gradients: bool,
    /// The choice for a loss that is not finite; `Ignore` after the warning.
    pub non_finite_loss: NonFiniteLoss,
    /// True after the warning of a validation loss that is not finite.
    pub has_warned_of_validation: bool,
    /// The part of the run in progress, for the message of an error.
    pub phase: Phase,
    /// `None` only after a device failed, or a function of the user panicked, during a step.
    pub state: Option<State>,
}

impl TrainingRun {
    /// Trains until `last` epochs are complete.
    ///
    /// # Errors
    /// As [`Trainer::run`](crate::Trainer::run). The state says that the run failed, and handlers
    /// of [`Event::Failed`] were called.
    pub fn all(&mut self, data: &dyn AnySource, last: usize) -> Result<()> {
        let outcome = guarded("a function of the training", || self.epochs(data, last));
        let outcome = outcome.and_then(|outcome| outcome);
        if let Some(state) = &mut self.state {
            state.so_far.watch.stop();
        }
        if outcome.is_err() {
            self.notify_failed();
        }
        self.handlers.release(self.state.as_mut());
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
        self.complete(data)
    }

    /// Ends a run. The state is saved before the weights are averaged: a resumed run goes on with
    /// those after the last step.
    fn complete(&mut self, data: &dyn AnySource) -> Result<()> {
        let state = self.state.as_mut().ok_or_else(lost)?;
        self.handlers.call_savers(Event::Completed, state)?;
        self.average(data)?;
        let state = self.state.as_mut().ok_or_else(lost)?;
        self.handlers.call_others(Event::Completed, state)?;
        Ok(())
    }

    /// Gives the state the mean of weights, if there is one, its running statistics and its scores
    /// on the validation sets. A user who interrupts a run does not wait for passes over the data.
    fn average(&mut self, data: &dyn AnySource) -> Result<()> {
        let (Some(refresh), Some(state)) = (&self.averaging, &mut self.state) else {
            return Ok(());
        };
        if state.status.is_interrupted() {
            return Ok(());
        }
        let Some(mean) = refresh.averaging.mean(state)? else {
            self.progress.warn(
                "no weights were averaged, as `AveragedWeights` begins after the last epoch; the \
                 result has the weights after the last step",
            );
            return Ok(());
        };
        let mut vars = Vars { params: mean, state: state.vars.state.clone() };
        refresh.refresh(&mut vars, state.key.clone(), data)?;
        replace_vars(state, vars);
        let validation = self.validation_scores()?;
        self.state()?.validation = validation;
        Ok(())
    }

    /// Trains for an epoch, or for the rest of one that was interrupted.
    fn epoch(&mut self, data: &dyn AnySource) -> Result<Flow> {
        let resumes = self.state()?.is_inside_epoch();
        let mut flow = if resumes { self.continued()? } else { self.started()? };
        let State { epoch, batch, .. } = *self.state()?;
        let mut groups = BatchGroups::new(data, epoch, batch, self.steps_per_call == 1)?;
        let mut is_halted = false;
        while flow != Flow::Stop
            && let Some(group) = self.next_group(&mut groups, flow)?
        {
            if flow == Flow::Continue {
                let group = self.started_group(group)?;
                flow = self.notify(Event::BatchStarted)?;
                if flow == Flow::Continue {
                    flow = self.group(group)?;
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
        self.progress.epoch(epoch, 0);
        let flow = self.notify(Event::EpochStarted)?;
        self.state()?.so_far.watch.start();
        Ok(flow)
    }

    /// Continues an epoch after a batch, at which a handler may have ended it.
    fn continued(&mut self) -> Result<Flow> {
        let state = self.state()?;
        state.so_far.watch.start();
        let (epoch, batch, halts) = (state.epoch, state.batch, state.so_far.halts);
        self.progress.epoch(epoch, batch);
        Ok(if halts { Flow::StopEpoch } else { Flow::Continue })
    }

    /// Returns the batches of the next call of the compiled step, or `None` at the end of the
    /// epoch. A call ends at multiples of [`TrainingRun::steps_per_call`], counted in the epoch, so
    /// that the calls of a resumed run are those of an undisturbed one, and where a handler or the
    /// validation waits for a step. In an epoch that ends with `flow`, one batch says that it is
    /// not the last one.
    fn next_group(
        &self,
        groups: &mut BatchGroups,
        flow: Flow,
    ) -> Result<Option<Result<BatchGroup>>> {
        let State { batch, step, .. } = *self.state.as_ref().ok_or_else(lost)?;
        let grows = |n: usize| {
            let is_last = flow != Flow::Continue
                || (batch + n).is_multiple_of(self.steps_per_call)
                || self.is_validated_after(step + n)
                || self.handlers.end_call(step + n);
            !is_last
        };
        Ok(groups.next(&grows))
    }

    /// Notes the batches of a call in progress.
    ///
    /// # Errors
    /// The error of the source.
    fn started_group(&mut self, group: Result<BatchGroup>) -> Result<BatchGroup> {
        let first = self.state()?.batch + 1;
        self.phase = Phase::Batches(first, first);
        let group = group?;
        self.phase = Phase::Batches(first, first + group.size().0.saturating_sub(1));
        Ok(group)
    }

    /// Trains on the batches of a call.
    fn group(&mut self, group: BatchGroup) -> Result<Flow> {
        let (batches, examples) = group_size(&group)?;
        self.advance(group, batches)?;
        let state = self.state()?;
        state.so_far.examples += batches * examples;
        state.so_far.first_batch.get_or_insert(examples);
        self.progress.advance(batches);
        self.check_loss()?;
        let events: &[Event] = match self.validate_inside_epoch()? {
            true => &[Event::Validated, Event::BatchEnded],
            false => &[Event::BatchEnded],
        };
        let state = self.state.as_ref().ok_or_else(lost)?;
        let mut are_read = self.progress.is_due();
        for event in events {
            are_read = are_read || self.handlers.read_scores(*event, state)?;
        }
        if are_read {
            self.update_scores()?;
            let State { batch, loss, metrics, so_far, .. } =
                self.state.as_ref().ok_or_else(lost)?;
            let seconds = so_far.watch.seconds();
            self.progress.show(*batch, *loss, metrics, so_far.examples, seconds);
        }
        let mut flow = Flow::Continue;
        for event in events {
            flow = flow.max(self.notify(*event)?);
        }
        Ok(flow)
    }

    /// Runs the steps of a call. All of the state is donated to it; if the call fails before it
    /// runs, the state is returned unchanged.
    fn advance(&mut self, group: BatchGroup, batches: usize) -> Result<()> {
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
        let (carry, outcome) = match self.step.run(carry, group) {
            Ok(carry) => {
                state.step += batches;
                state.batch += batches;
                (carry, Ok(()))
            }
            Err(failed) => match *failed {
                Failed { error, args: Some(carry) } => (carry, Err(error)),
                Failed { error, args: None } => return Err(error),
            },
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
        self.show_epoch(&log);
        self.state()?.history.push(log);
        Ok(())
    }

    /// Prints the line of an epoch. A rate that cannot be read is left out: it is not needed.
    fn show_epoch(&mut self, log: &EpochLog) {
        let state = self.state.as_ref().filter(|_| self.progress.shows_rate());
        let rate = state.and_then(|state| RateSource::default().value(state).ok().flatten());
        self.progress.line(log, rate);
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

/// Returns the error of a run whose state was moved to a step that failed.
pub(crate) fn lost() -> Error {
    let why = "the state was lost, because a device failed or a function of the user panicked \
               during a step";
    Error::new("train", why)
}
