//! The learning rate of a step, for logs.

use super::plateau::{is_rate, rule_with_rate};
use crate::State;
use neurax_nn::OptState;
use neurax_nn::optim::Schedule;
use neurax_tensor::{DType, Result};

/// The source of the learning rate: the state of the optimizer, or a schedule, which the state does
/// not hold.
#[derive(Clone, Debug, Default)]
pub(super) struct RateSource(Option<Schedule>);

impl RateSource {
    /// Creates the source of a schedule.
    pub fn of(schedule: Schedule) -> RateSource {
        RateSource(Some(schedule))
    }

    /// Returns the rate of the last step, if it is known.
    ///
    /// # Errors
    /// If the optimizer's state carries an error.
    pub fn value(&self, state: &State) -> Result<Option<f64>> {
        match &self.0 {
            Some(schedule) => {
                let done = (state.opt.step.to(DType::F32) - 1.0).maximum(0.0);
                schedule.at(&done).item().map(Some)
            }
            None => constant(&state.opt),
        }
    }
}

/// Returns the constant rate of the last rule that has one, without the sign of a rule that follows
/// another one.
fn constant(opt: &OptState) -> Result<Option<f64>> {
    let slots = rule_with_rate(opt).and_then(|rule| opt.slots.get(rule));
    let rates = slots.and_then(|own| own.iter().find(|(name, _)| is_rate(name)));
    rates.and_then(|(_, rates)| rates.first()).map(|rate| Ok(rate.item()?.abs())).transpose()
}
