//! The methods of [`TrainingRun`] for the gradients that an optimizer accumulates.

use super::{TrainingRun, lost};
use neurax_nn::{OptState, Vars};
use neurax_tensor::{Result, Tree};

/// The variables and the state of the optimizer before a step.
pub(super) struct BeforeStep(Vars, OptState);

impl TrainingRun {
    /// Makes a step of the gradients that [`accumulate`](neurax_nn::optim::accumulate) holds after
    /// the last batch of an epoch. Returns the state before it, which a validation that is stopped
    /// [needs](TrainingRun::undo); `None` without such gradients or without validation sets.
    ///
    /// # Errors
    /// If the step fails: the state is that before it.
    pub(super) fn apply_accumulated(&mut self) -> Result<Option<BeforeStep>> {
        let state = self.state.as_mut().ok_or_else(lost)?;
        let Some(optim) = &state.optim else { return Ok(None) };
        if state.opt.accumulated_gradients()? == 0 {
            return Ok(None);
        }
        let after = optim.finish(&state.vars.params, state.opt.clone());
        let (params, opt) = after.ok()?;
        let vars = Vars { params, state: state.vars.state.clone() };
        let vars = std::mem::replace(&mut state.vars, vars);
        let opt = std::mem::replace(&mut state.opt, opt);
        Ok((!self.validations.is_empty()).then_some(BeforeStep(vars, opt)))
    }

    /// Returns to the state before [`TrainingRun::apply_accumulated`].
    pub(super) fn undo(&mut self, BeforeStep(vars, opt): BeforeStep) -> Result<()> {
        let state = self.state.as_mut().ok_or_else(lost)?;
        (state.vars, state.opt) = (vars, opt);
        Ok(())
    }
}
