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

    /// Returns true if the rule may hold gradients that are in no update yet; false by default. A
    /// [step that finishes](Step::finishes) an accumulation asks it for their updates.
    fn accumulates(&self) -> bool {
        false
    }

    /// Returns the learning rate of the last step, f32[] and without a sign; `None` by default, for
    /// a rule without a rate. `slots` is the state after this step, and `count` the number of steps
    /// before it, f32[].
    fn learning_rate(&self, _slots: &Slots, _count: &Tensor) -> Option<Tensor> {
        None
    }

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
    /// The number of previous steps of each parameter, f32[]: those since its state began, which
    /// are fewer than `count` for a parameter that was frozen before. It corrects averages for
    /// their start.
    pub counts: &'a StepCounts,
    /// The loss at these parameters, a float scalar, if the caller passed it: see
    /// [`StepInput`](super::StepInput).
    pub loss: Option<&'a Tensor>,
    /// The weight of the loss and of the gradients among those of other batches, a float scalar, if
    /// the caller passed it.
    pub weight: Option<&'a Tensor>,
    /// True if the step only ends the accumulation of gradients, and adds none: see
    /// [`Optim::finish`](super::Optim::finish).
    pub finishes: bool,
    /// The loss and its gradient at other parameters, if the caller passed the function.
    pub evaluate: Option<Evaluate<'a>>,
}

/// The number of previous steps of each parameter: see [`Step`].
#[derive(Clone, Debug)]
pub struct StepCounts {
    /// The different counts, f32[]; the first one is that of all steps.
    counts: Vec<Tensor>,
    /// For each parameter, the index of its count.
    indices: Vec<usize>,
}

impl StepCounts {
    /// Creates the counts of parameters from the different counts, of which the first one is that
    /// of all steps, and the index of the count of each parameter.
    pub(super) fn new(counts: Vec<Tensor>, indices: Vec<usize>) -> StepCounts {
        StepCounts { counts, indices }
    }

    /// Returns the count of the parameter `i`, f32[].
    pub fn of(&self, i: usize) -> &Tensor {
        &self.counts[self.index(i)]
    }

    /// Returns the index of the count of the parameter `i` in [`StepCounts::different`].
    pub(super) fn index(&self, i: usize) -> usize {
        self.indices.get(i).copied().filter(|index| *index < self.counts.len()).unwrap_or(0)
    }

    /// Returns the different counts.
    pub(super) fn different(&self) -> &[Tensor] {
        &self.counts
    }

    /// Returns the counts of those parameters for which `chosen` is true.
    pub fn chosen(&self, chosen: &[bool]) -> StepCounts {
        let indices = (0..chosen.len()).filter(|i| chosen[*i]).map(|i| self.index(i)).collect();
        StepCounts { counts: self.counts.clone(), indices }
    }

    /// Returns the counts that `f` returns for the different counts.
    pub(super) fn map(&self, f: impl FnMut(&Tensor) -> Tensor) -> StepCounts {
        StepCounts { counts: self.counts.iter().map(f).collect(), indices: self.indices.clone() }
    }
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
