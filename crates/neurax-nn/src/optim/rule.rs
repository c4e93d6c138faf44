//! [`Rule`]: what an optimizer consists of.

use super::change::ParamChange;
use super::slots::Slots;
use neurax_tensor::Tensor;
use std::fmt;

/// A transformation of gradients, or of the updates of the previous rule, to updates.
pub trait Rule: Send + Sync + 'static {
    /// Returns the state before the first step; by default, none. `params` are in f32 or wider, and
    /// `paths` are their paths, as in [`Step`].
    fn init(&self, _params: &[Tensor], _paths: &[String]) -> Slots {
        Slots::new()
    }

    /// Returns the updates, one for each of `grads`, which are in f32 or wider, and changes `slots`
    /// to the state for the next step. If it returns another number of updates, all of them become
    /// an error.
    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor>;

    /// Returns the state for other parameters than those that `slots` is for; by default,
    /// [`kept_slots`]. A rule whose slots are for some of the parameters only, or are lists
    /// of another order, has to implement it.
    fn change(&self, slots: Slots, change: &ParamChange) -> Slots {
        kept_slots(self, slots, change)
    }
}

/// Returns the state of `rule` for other parameters: slots with one tensor for each parameter keep
/// those whose paths stay, and other slots are kept if their types stay. The rest is that of
/// [`Rule::init`].
pub fn kept_slots(rule: &(impl Rule + ?Sized), slots: Slots, change: &ParamChange) -> Slots {
    let fresh = rule.init(change.params(), change.paths());
    change.merged(fresh, &rule.init(&[], &[]), slots)
}

/// The parameters and the count of a step, as a rule sees them.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The leaves of the parameters, converted to f32 if they are narrower.
    pub params: &'a [Tensor],
    /// The path of each parameter in its tree, e.g. `dense.kernel`; that of a tree of one tensor
    /// is empty.
    pub paths: &'a [String],
    /// The number of previous steps, f32[].
    pub count: &'a Tensor,
    /// The loss at these parameters, a float scalar, if the caller passed it: see
    /// [`StepInput`](super::StepInput).
    pub loss: Option<&'a Tensor>,
    /// The loss and its gradient at other parameters, if the caller passed the function.
    pub evaluate: Option<Evaluate<'a>>,
}

/// The loss and its gradient as a function of the parameters, for a [`Rule`].
#[derive(Clone, Copy)]
pub struct Evaluate<'a>(&'a dyn Fn(&[Tensor]) -> (Tensor, Vec<Tensor>));

impl<'a> Evaluate<'a> {
    /// Creates the argument of a rule that calls another one.
    pub fn new(f: &'a dyn Fn(&[Tensor]) -> (Tensor, Vec<Tensor>)) -> Evaluate<'a> {
        Evaluate(f)
    }

    /// Returns the loss and the gradients at `params`, which are in f32 or wider, as in [`Step`].
    pub fn at(&self, params: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        (self.0)(params)
    }
}

impl fmt::Debug for Evaluate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Evaluate")
    }
}
