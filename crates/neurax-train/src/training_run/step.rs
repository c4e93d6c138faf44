//! The methods of [`TrainingRun`] for one call of the compiled step.

use super::{TrainingRun, lost};
use crate::batch_group::BatchGroup;
use crate::epoch_so_far::TotalsSoFar;
use crate::event::{Event, Flow};
use crate::measure::Totals;
use crate::program::{StepCarry, group_size};
use crate::{NonFiniteLoss, State, non_finite};
use neurax_nn::OptState;
use neurax_nn::optim::Slots;
use neurax_tensor::{Error, Failed, Key, Result, Tensor, Tree, key};

/// The parts of the state before a step that a skipped step changes.
struct BeforeSkip {
    /// The number of skipped steps.
    skipped: usize,
    key: Key,
    totals: Totals,
    /// The count of skipped steps and the scale of the loss, in the last slots of the optimizer.
    guard: Slots,
}

impl TrainingRun {
    /// Trains on the batches of a call.
    ///
    /// # Errors
    /// The error of the step or of a handler, with what made the first NaN if a handler
    /// [asks for it](crate::Handler::explains_nan).
    pub(super) fn group(&mut self, group: BatchGroup) -> Result<Flow> {
        if !self.handlers.explain_nan() {
            return self.trained(group);
        }
        let before = self.step_arguments(&group)?;
        self.trained(group).map_err(|error| self.explained(error, &before))
    }

    /// Trains on the batches of a call, and calls the handlers.
    fn trained(&mut self, group: BatchGroup) -> Result<Flow> {
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
        // The variables that were evaluated are not held while the step changes them.
        self.evaluated = None;
        let skipped = self.fails_on_gradients.then(|| self.non_finite_steps()).transpose()?;
        let totals = self.state()?.so_far.take_totals()?;
        let mut state = self.state.take().ok_or_else(lost)?;
        let before = skipped.map(|skipped| BeforeSkip {
            skipped,
            key: state.key.clone(),
            totals: totals.clone(),
            guard: guard_slots(&state.opt),
        });
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
    pub(super) fn non_finite_steps(&self) -> Result<usize> {
        Ok(self.state.as_ref().ok_or_else(lost)?.opt.non_finite_steps()?.unwrap_or(0))
    }

    /// Checks that the optimizer did not skip the last step; otherwise the state is that before it.
    /// `before` is `None` if skipped steps do not end training.
    fn check_gradients(&mut self, before: Option<BeforeSkip>) -> Result<()> {
        let Some(before) = before else { return Ok(()) };
        if self.non_finite_steps()? == before.skipped {
            return Ok(());
        }
        let state = self.state()?;
        (state.key, state.so_far.totals) = (before.key, TotalsSoFar::Of(before.totals));
        if let Some(own) = state.opt.slots.last_mut() {
            own.extend(before.guard);
        }
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

    /// Returns the arguments of the next call, which is not done in place then.
    fn step_arguments(&self, group: &BatchGroup) -> Result<(StepCarry, BatchGroup)> {
        let State { vars, opt, key, so_far, .. } = self.state.as_ref().ok_or_else(lost)?;
        let carry = StepCarry {
            vars: vars.clone(),
            opt: opt.clone(),
            key: key.clone(),
            totals: so_far.known_totals()?.clone(),
        };
        Ok((carry, group.map_leaves(Tensor::clone)))
    }

    /// Returns an error of a call with what made NaN in it, if it made one.
    fn explained(&self, error: Error, before: &(StepCarry, BatchGroup)) -> Error {
        // Errors about NaN are those of the trainer and its handlers, after the step.
        if self.state.is_none() || error.op() != "train" {
            return error;
        }
        match self.step.nan_cause(before) {
            Ok(Some(cause)) => error.with_message(format!("{}; {cause}", error.message())),
            // A step that cannot be repeated says no more than the first error.
            Ok(None) | Err(_) => error,
        }
    }
}

/// Returns the scalars among the last slots of an optimizer, where it counts the steps that it
/// skipped: a skipped step changes no others.
fn guard_slots(opt: &OptState) -> Slots {
    let is_scalar = |slot: &Vec<Tensor>| slot.iter().all(|t| t.rank() == 0);
    let own = opt.slots.last().into_iter().flatten().filter(|(_, slot)| is_scalar(slot));
    own.map(|(name, slot)| (name.clone(), slot.clone())).collect()
}
