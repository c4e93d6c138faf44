//! The learning rate of a step, for logs.

use crate::State;
use neurax_nn::optim::Schedule;
use neurax_tensor::{DType, Result, Tensor};

/// The source of the learning rate: the optimizer of the trainer, or a schedule of a custom
/// training, whose optimizers the trainer does not know.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateSource(Option<Schedule>);

impl RateSource {
    /// Creates the source of a schedule.
    pub fn of(schedule: Schedule) -> RateSource {
        RateSource(Some(schedule))
    }

    /// Returns the rate of the last step, if it is known.
    ///
    /// # Errors
    /// If the optimizer's state or the schedule carries an error.
    pub fn value(&self, state: &State) -> Result<Option<f64>> {
        match (&self.0, &state.optim) {
            (Some(schedule), None) => {
                let before = state.step.saturating_sub(1) as f64;
                schedule.at(&Tensor::scalar(DType::F32, before)).item().map(Some)
            }
            _ => state.learning_rate(),
        }
    }
}
