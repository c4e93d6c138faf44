//! The training loop: a fold over epochs and batches, which does not depend on their types.
//!
//! All that a step or an epoch depends on is in the [`State`]: a run that starts from a state
//! inside an epoch continues with the next batch and the totals so far, so that neither the weights
//! nor the log of the epoch show that it was interrupted.

mod accumulated;
mod step;
mod validation;

use crate::any_batch::AnySource;
use crate::averaged_weights::StatisticsRefresh;
use crate::batch_group::{BatchGroup, BatchGroups};
use crate::epoch_so_far::EpochSoFar;
use crate::error::Phase;
use crate::evaluation::{Evaluated, Validation};
use crate::event::{Event, Flow};
use crate::guard::guarded;
use crate::handler::Handlers;
use crate::handlers::rate::RateSource;
use crate::measure::{LOSS, Measure};
use crate::program::{EvaluateFn, StepProgram};
use crate::progress::Progress;
use crate::replaced_vars::replace_vars;
use crate::{EpochLog, NonFiniteLoss, Scores, State, Status};
use neurax_nn::Vars;
use neurax_tensor::{Error, Result};

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
    /// The last evaluation after a step of this epoch, until the next step.
    pub evaluated: Option<Evaluated>,
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
    /// on the validation sets. A user who interrupts a run does not wait for passes over the data,
    /// and gets the weights after the last step.
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
        let handlers = &mut self.handlers;
        let mut goes_on = || Ok(handlers.validating(state)?.is_none());
        if !refresh.refresh(&mut vars, state.key.clone(), data, &mut goes_on)? {
            return Ok(());
        }
        replace_vars(state, vars);
        let validation = self.validation_scores(Phase::EpochValidation)?;
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
        if self.finish_epoch(flow, is_halted)? {
            flow = flow.max(self.notify(Event::EpochHalted)?);
        }
        if self.state()?.so_far.is_logged_in_part {
            flow = Flow::Stop;
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

    /// Updates the loss and the metrics of the state.
    fn update_scores(&mut self) -> Result<Scores> {
        let scores =
            self.state.as_ref().ok_or_else(lost)?.so_far.known_totals()?.scores(&self.measures)?;
        let state = self.state()?;
        state.loss = scores[LOSS];
        state.metrics = scores.iter().skip(1).map(|(n, x)| (n.to_string(), x)).collect();
        Ok(scores)
    }

    /// Ends an epoch: computes the means and the validation scores, and appends the log. Returns
    /// true if the epoch is halted: a handler ended it by `flow` before its last batch, or a signal
    /// before its validation.
    fn finish_epoch(&mut self, flow: Flow, is_halted: bool) -> Result<bool> {
        let train = self.update_scores()?;
        let state = self.state()?;
        state.so_far.watch.stop();
        let seconds = state.so_far.watch.seconds();
        let stops_inside = is_halted && flow == Flow::Stop && !state.so_far.halts;
        let before = if stops_inside { None } else { self.apply_accumulated()? };
        let validation = self.validation_after_epoch()?;
        // The epoch is not whole without its validation.
        if validation.is_none()
            && let Some(before) = before
        {
            self.undo(before)?;
        }
        let halted = is_halted || validation.is_none();
        let skipped = self.non_finite_steps()?;
        let state = self.state()?;
        let EpochSoFar { examples, skipped_before, .. } = state.so_far;
        state.so_far.is_logged_in_part = validation.is_none() || stops_inside;
        let epoch = state.epoch;
        if let Some(scores) = &validation {
            self.set_epoch_validation(scores.clone())?;
        }
        let log = EpochLog {
            epoch,
            train,
            validation: validation.unwrap_or_default(),
            examples,
            skipped: skipped.saturating_sub(skipped_before),
            halted,
            seconds,
        };
        self.show_epoch(&log);
        self.state()?.history.push(log);
        Ok(halted)
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
