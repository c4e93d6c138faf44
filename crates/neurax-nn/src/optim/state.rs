//! The state of an optimizer between steps.

use super::change::TrainedParams;
use super::rule::StepCounts;
pub use super::slots::Slots;
use super::starts::Starts;
use neurax_tensor::{Error, Result, Tensor, Tree, tensor};

/// The slot that counts the steps with a gradient that was not finite.
pub(super) const COUNT: &str = "non_finite";

/// The state of an [`Optim`](super::Optim) between steps.
///
/// It knows the paths of the parameters that it was made for. If a step trains others, because some
/// were frozen or are trained again, the tensors of the paths that stay are kept, those of the
/// others are dropped, and new parameters start as in [`Optim::init`](super::Optim::init): their
/// steps are counted from then on, so that averages are corrected for their start. Schedules go on
/// with the number of all steps.
///
/// A state in a file is read with that of `init` for the same parameters:
/// `safetensors::load_like(&opt.init(&params), path)`.
#[derive(Tree, Clone, Debug)]
pub struct OptState {
    /// The number of steps, i32[].
    pub step: Tensor,
    /// The state of each rule. A constant learning rate is the slot `rate` of its rule and can be
    /// changed there. Behind them, the state of
    /// [`Optim::master_copies`](super::Optim::master_copies) and
    /// [`Optim::non_finite`](super::Optim::non_finite) and
    /// [`Optim::loss_scale`](super::Optim::loss_scale), if one of these options is set.
    pub slots: Vec<Slots>,
    /// The numbers of steps at which the parameters began to be trained.
    pub(super) starts: Starts,
    /// The parameters that the slots are for.
    #[tree(static)]
    pub(super) trained: TrainedParams,
}

impl OptState {
    /// Returns the number of steps whose gradients were not finite, if the optimizer counts them:
    /// see [`Optim::non_finite`](super::Optim::non_finite).
    ///
    /// # Errors
    /// The error that the state carries, or if the state is being traced.
    pub fn non_finite_steps(&self) -> Result<Option<usize>> {
        self.non_finite_count().map(|n| n.item().map(|n| n as usize)).transpose()
    }

    /// Returns [`OptState::non_finite_steps`] as an i32[], which may be traced: a step whose count
    /// differs from that before it was skipped.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let opt = optim::sgd(0.1).non_finite(optim::NonFinite::Skip);
    /// let (p, bad) = (tensor(1.0), tensor(f32::NAN));
    /// let before = opt.init(&p);
    /// let (_, after) = opt.step(&p, &bad, before.clone());
    /// let counts = [before, after].map(|s| s.non_finite_count().map(Tensor::to_string));
    /// assert_eq!(counts, [Some("i32[] 0".to_string()), Some("i32[] 1".to_string())]);
    /// ```
    pub fn non_finite_count(&self) -> Option<&Tensor> {
        self.slots.last().and_then(|own| own.get(COUNT)?.first())
    }

    /// Returns the number of steps before each parameter was trained, `i32[parameters]`: 0 for
    /// those that are trained from the first step on.
    pub fn starts(&self) -> &Tensor {
        self.starts.steps()
    }

    /// Returns the number of previous steps of each parameter.
    pub(super) fn counts(&self) -> StepCounts {
        StepCounts::new(self.starts.counts(&self.step), self.starts.groups().to_vec())
    }
}

/// An empty state, left behind by [`mem::take`](std::mem::take).
impl Default for OptState {
    fn default() -> OptState {
        OptState {
            step: tensor(0),
            slots: Vec::new(),
            starts: Starts::at_first_step(0),
            trained: TrainedParams::default(),
        }
    }
}

/// Takes the slot `name` out of the state. If there is none, as in the state of another optimizer,
/// returns tensors that carry the error.
pub(super) fn take(slots: &mut Slots, name: &str, params: &[Tensor]) -> Vec<Tensor> {
    match slots.remove(name) {
        Some(slot) if slot.len() == params.len() => slot,
        _ => params.iter().map(|_| Tensor::from_error(missing(name))).collect(),
    }
}

/// Returns the error of a state without the slot `name`.
pub(super) fn missing(name: &str) -> Error {
    Error::new(
        "optim",
        format!(
            "missing slot `{name}` for these parameters; \
             create the state with `init` of this optimizer, also after parameters are frozen or \
             unfrozen"
        ),
    )
}
