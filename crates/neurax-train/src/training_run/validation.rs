//! The methods of [`TrainingRun`] for its validation sets.

use super::{TrainingRun, lost};
use crate::error::Phase;
use crate::evaluation::{Evaluated, Validation};
use crate::{NonFiniteLoss, Scores, State, Status};
use neurax_nn::Vars;
use neurax_tensor::{Error, Result, Tree};
use std::cell::RefCell;

impl TrainingRun {
    /// Checks that the first batches of the validation sets fit the model.
    pub(super) fn check_validations(&mut self) -> Result<()> {
        self.phase = Phase::ValidationCheck;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let check = |v: &Validation| v.check(&self.evaluate, &self.validated, vars);
        self.validations.iter().try_for_each(check)
    }

    /// Computes the scores on the validation sets if this is one of the steps for it, and returns
    /// true. Their time is not that of training.
    pub(super) fn validate_inside_epoch(&mut self) -> Result<bool> {
        let step = self.state()?.step;
        if self.validations.is_empty() || !self.is_validated_after(step) {
            return Ok(false);
        }
        self.state()?.so_far.watch.stop();
        let phase = self.phase;
        let scores = self.validation_scores(Phase::StepValidation)?;
        self.phase = phase;
        let state = self.state()?;
        let evaluated = Evaluated { vars: state.vars.clone(), scores: scores.clone() };
        state.validation = scores;
        state.so_far.validated = Some(step);
        state.so_far.watch.start();
        self.evaluated = Some(evaluated);
        Ok(true)
    }

    /// Returns the scores on the validation sets after an epoch: those of an evaluation after its
    /// last step, if no handler changed the variables since. `None` if they are not known and a
    /// signal ended the run: its user does not wait for a pass over all sets.
    pub(super) fn validation_after_epoch(&mut self) -> Result<Option<Scores>> {
        let evaluated = self.evaluated.take();
        let State { vars, status, .. } = self.state.as_ref().ok_or_else(lost)?;
        if let Some(evaluated) = evaluated
            && have_same_bits(&evaluated.vars, vars)?
        {
            return Ok(Some(evaluated.scores));
        }
        match status.is_interrupted() && !self.validations.is_empty() {
            true => Ok(None),
            false => self.evaluated_scores(Phase::EpochValidation, true),
        }
    }

    /// Sets the scores after an epoch. If they are not those of the evaluation after its last step,
    /// the rest of accumulated gradients or a handler changed the variables between them: goals
    /// compare both evaluations then. The scores show it in a resumed run, too, which does not know
    /// the variables of that evaluation.
    pub(super) fn set_epoch_validation(&mut self, scores: Scores) -> Result<()> {
        let state = self.state()?;
        let is_another = state.validation.bits() != scores.bits();
        // No goal compares the part of an epoch.
        if is_another && state.is_validated_after_last_step() && !state.so_far.is_logged_in_part {
            state.so_far.validated = None;
        }
        state.validation = scores;
        Ok(())
    }

    /// Returns true if the validation sets are evaluated after `step` steps, inside of an epoch.
    pub(super) fn is_validated_after(&self, step: usize) -> bool {
        self.validation_interval.is_some_and(|n| n > 0 && step.is_multiple_of(n))
    }

    /// Warns once of a validation loss that is not finite: the training loss may be finite all the
    /// same, if the data of the set are to blame.
    fn warn_of_validation(&mut self, name: &str, loss: f64) -> Result<()> {
        if self.non_finite_loss != NonFiniteLoss::Ignore && !self.has_warned_of_validation {
            self.has_warned_of_validation = true;
            let context = self.phase.context(self.state.as_ref().ok_or_else(lost)?);
            self.progress.warn(&format!(
                "expected a finite `{name}` on the validation set, got {loss}; look for NaN in its \
                 data and for labels out of range{context}"
            ));
        }
        Ok(())
    }

    /// Returns the scores on the validation sets in this phase of the run.
    pub(super) fn validation_scores(&mut self, phase: Phase) -> Result<Scores> {
        Ok(self.evaluated_scores(phase, false)?.unwrap_or_default())
    }

    /// Returns the scores on the validation sets; `None` if a handler may stop the run in the
    /// evaluation, and did.
    fn evaluated_scores(&mut self, phase: Phase, may_stop: bool) -> Result<Option<Scores>> {
        if self.validations.is_empty() {
            return Ok(Some(Scores::default()));
        }
        self.phase = phase;
        let state = self.state.as_ref().ok_or_else(lost)?;
        let (handlers, stopping) = (&mut self.handlers, RefCell::new(None));
        let mut after_batch = || match handlers.validating(state)?.filter(|_| may_stop) {
            None => Ok(()),
            Some(name) => {
                *stopping.borrow_mut() = Some(name.to_string());
                Err(Error::new("train", format!("the handler `{name}` stopped the evaluation")))
            }
        };
        let (mut scores, mut bad) = (vec![], None);
        for set in &self.validations {
            let (measures, most) = (&self.validated, self.most_validated);
            let own = set.scores(&self.evaluate, measures, &state.vars, most, &mut after_batch);
            if let Some(by) = stopping.take() {
                self.stop(by)?;
                return Ok(None);
            }
            let own = own?;
            // The loss is the first one.
            bad = bad.or(own.first().filter(|(_, loss)| !loss.is_finite()).cloned());
            scores.extend(own);
        }
        if let Some((name, loss)) = bad {
            self.warn_of_validation(&name, loss)?;
        }
        self.phase = Phase::Epoch;
        Ok(Some(scores.into_iter().collect()))
    }

    /// Notes that a handler stopped the run in an evaluation.
    fn stop(&mut self, by: String) -> Result<()> {
        self.phase = Phase::Epoch;
        let status = &mut self.state()?.status;
        if *status == Status::Running {
            *status = Status::Stopped { by };
        }
        Ok(())
    }
}

/// Returns true if variables have the same names and values, bit for bit. The values of shared
/// memory are equal without being read.
fn have_same_bits(a: &Vars, b: &Vars) -> Result<bool> {
    let (a, b) = (a.leaves(), b.leaves());
    if a.len() != b.len() {
        return Ok(false);
    }
    for ((name, x), (other, y)) in a.iter().zip(&b) {
        let (x, y) = (x.to_literal()?, y.to_literal()?);
        let is_shared = x.bytes().as_ptr() == y.bytes().as_ptr() && x.ty() == y.ty();
        if name != other || !(is_shared || x == y) {
            return Ok(false);
        }
    }
    Ok(true)
}
