//! The methods of [`TrainingRun`] for its validation sets.

use super::{TrainingRun, lost};
use crate::Scores;
use crate::error::Phase;
use crate::evaluation::Validation;
use neurax_tensor::Result;

impl TrainingRun {
    /// Checks that the first batches of the validation sets fit the model.
    pub(super) fn check_validations(&mut self) -> Result<()> {
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let check = |v: &Validation| v.check(&self.evaluate, &self.validated, vars);
        self.validations.iter().try_for_each(check)
    }

    /// Computes the scores on the validation sets if this is one of the steps for it. Their time is
    /// not that of training.
    pub(super) fn validate_inside_epoch(&mut self) -> Result<()> {
        let step = self.state()?.step;
        if !self.is_validated_after(step) {
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

    /// Returns true if the validation sets are evaluated after `step` steps, inside of an epoch.
    pub(super) fn is_validated_after(&self, step: usize) -> bool {
        self.validation_interval.is_some_and(|n| n > 0 && step.is_multiple_of(n))
    }

    /// Returns the scores on the validation sets.
    pub(super) fn validation_scores(&mut self) -> Result<Scores> {
        if self.validations.is_empty() {
            return Ok(Scores::default());
        }
        self.phase = Phase::Validation;
        let vars = &self.state.as_ref().ok_or_else(lost)?.vars;
        let mut scores = vec![];
        for set in &self.validations {
            let own = set.scores(&self.evaluate, &self.validated, vars, self.most_validated);
            scores.extend(own?);
        }
        self.phase = Phase::Epoch;
        Ok(scores.into_iter().collect())
    }
}
