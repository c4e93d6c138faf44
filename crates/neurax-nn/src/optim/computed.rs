//! A step that is computed, before it is returned as parameters or as updates.

use super::master;
use super::state::OptState;
use crate::precision::{at_least_f32, narrow_as};
use neurax_tensor::Tensor;

/// A step of the trained parameters.
pub(super) struct Computed {
    /// The parameters before the step.
    pub params: Vec<Tensor>,
    /// The parameters before the step in f32 or wider: converted, or the master copies.
    pub base: Vec<Tensor>,
    /// The updates, of the dtypes of `base`.
    pub updates: Vec<Tensor>,
    /// The state after the step.
    pub state: OptState,
}

impl Computed {
    /// Returns the parameters after the step in f32 or wider.
    fn new_base(&self) -> impl Iterator<Item = (&Tensor, Tensor)> {
        let new = self.base.iter().zip(&self.updates).map(|(p, u)| p + u);
        self.params.iter().zip(new)
    }

    /// Returns the parameters after the step.
    pub fn new_params(&self) -> Vec<Tensor> {
        self.new_base().map(|(p, new)| narrow_as(p, new)).collect()
    }

    /// Returns the master copies after the step.
    pub fn new_copies(&self) -> Vec<Tensor> {
        self.new_base().filter(|(p, _)| master::is_narrow(p)).map(|(_, new)| new).collect()
    }

    /// Returns the updates in the dtypes of the parameters. A master copy may differ from its
    /// parameter, so that its update is the difference of the new and the old parameter.
    pub fn updates(&self, master_copies: bool) -> Vec<Tensor> {
        let new = self.new_params();
        let update = |((p, new), u): ((&Tensor, &Tensor), &Tensor)| match master_copies {
            true if master::is_narrow(p) => narrow_as(p, at_least_f32(new) - at_least_f32(p)),
            _ => narrow_as(p, u.clone()),
        };
        self.params.iter().zip(&new).zip(&self.updates).map(update).collect()
    }
}
