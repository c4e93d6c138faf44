//! [`TrainingTask`]: the part of a training that depends on what is trained.

use crate::any_batch::AnyBatch;
use crate::measure::Measure;
use crate::program::{EvaluateBody, StatisticsBody, StepBody};
use crate::program_record::ProgramRecord;
use neurax_nn::regularize::Penalty;
use neurax_nn::{OptState, Optim, Params, Vars};
use neurax_tensor::{Key, Result};

/// The part of a training that depends on what is trained: a model with a loss and an optimizer, or
/// a tree of the user with a step. The loop is the same.
pub(crate) trait TrainingTask: Send {
    /// Returns initial variables. `batch` determines the types of the inputs.
    ///
    /// # Errors
    /// If the batch does not fit.
    fn init(&self, key: Key, batch: &AnyBatch) -> Result<Vars>;

    /// Returns the optimizer; `None` if it is a part of the step of the user.
    fn optim(&mut self) -> Option<&mut Optim>;

    /// Returns the state of the optimizer before the first step.
    fn opt(&self, params: &Params) -> OptState;

    /// Returns the record of the program, for the state of its optimizer before the first step.
    ///
    /// # Errors
    /// If a schedule fails.
    fn record(&self, _start: &OptState) -> Result<ProgramRecord> {
        Ok(ProgramRecord::default())
    }

    /// Returns the function of a step, which adds the measures to the totals.
    fn step(&self, measures: &[Measure], penalty: &Penalty) -> StepBody;

    /// Returns the function that adds the measures of a batch to the totals.
    fn evaluation(&self, measures: &[Measure], penalty: &Penalty) -> EvaluateBody;

    /// Returns the function of the running statistics.
    fn statistics(&self) -> StatisticsBody;

    /// Returns true if a gradient that is not finite ends training.
    fn fails_on_non_finite(&self) -> bool;
}
