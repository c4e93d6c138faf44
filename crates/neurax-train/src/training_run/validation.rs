//! The methods of [`TrainingRun`] for its validation sets.

use super::{TrainingRun, lost};
use crate::error::Phase;
use crate::evaluation::Validation;
use crate::{NonFiniteLoss, Scores};
use neurax_tensor::Result;

impl TrainingRun {
    /// Checks that the first batches of the validation sets fit the model.
    pub(super) fn check_validations(&mut self) -> Result<()> {
        self.phase = Phase::Validation;
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
        let scores = self.validation_scores()?;
        self.phase = phase;
        let state = self.state()?;
        state.validation = scores;
        state.so_far.validated = Some(step);
        state.so_far.watch.start();
        Ok(true)
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

    /// Returns the scores on the validation sets.
    pub(super) fn validation_scores(&mut self) -> Result<Scores> {
        if self.validations.is_empty() {
            return Ok(Scores::default());
        }
        self.phase = Phase::Validation;
        let state = self.state.as_ref().ok_or_else(lost)?;
        let handlers = &mut self.handlers;
        let mut after_batch = || handlers.validating(state);
        let (mut scores, mut bad) = (vec![], None);
        for set in &self.validations {
            let (measures, most) = (&self.validated, self.most_validated);
            let own = set.scores(&self.evaluate, measures, &state.vars, most, &mut after_batch)?;
            // The loss is the first one.
            bad = bad.or(own.first().filter(|(_, loss)| !loss.is_finite()).cloned());
            scores.extend(own);
        }
        if let Some((name, loss)) = bad {
            self.warn_of_validation(&name, loss)?;
        }
        self.phase = Phase::Epoch;
        Ok(scores.into_iter().collect())
    }
}
