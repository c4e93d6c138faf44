//! A step of an optimizer: what the caller may add, and its operands.

use super::leaves::{float_paths, floats, leaves, with_floats};
use super::state::OptState;
use crate::precision::{at_least_f32, narrow_as};
use neurax_tensor::{Recorder, Tensor, Tree};
use std::fmt;

/// A function of the parameters that returns the loss and its gradient.
type LossAndGradient<'a, P> = &'a dyn Fn(&P) -> (Tensor, P);

/// The loss, and a function that evaluates it: the arguments of [`Optim::step_with`] that rules
/// need which do not only use the gradient, such as [`lbfgs`](super::lbfgs) and
/// [`sam`](super::sam).
///
/// [`Optim::step_with`]: super::Optim::step_with
#[derive(Clone)]
pub struct StepInput<'a, P> {
    pub(super) loss: Option<Tensor>,
    pub(super) evaluate: Option<LossAndGradient<'a, P>>,
}

impl<'a, P> StepInput<'a, P> {
    /// Creates an input without loss and function, as [`Optim::step`](super::Optim::step) has it.
    pub fn new() -> StepInput<'a, P> {
        StepInput { loss: None, evaluate: None }
    }

    /// Sets the loss at the parameters of the step.
    pub fn loss(self, loss: &Tensor) -> StepInput<'a, P> {
        StepInput { loss: Some(loss.clone()), ..self }
    }

    /// Sets the function that returns the loss and its gradient at other parameters. It is called
    /// only if a rule asks for it.
    pub fn evaluate(self, f: LossAndGradient<'a, P>) -> StepInput<'a, P> {
        StepInput { evaluate: Some(f), ..self }
    }
}

impl<P> Default for StepInput<'_, P> {
    fn default() -> Self {
        StepInput::new()
    }
}

impl<P> fmt::Debug for StepInput<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (loss, evaluate) = (&self.loss, self.evaluate.is_some());
        f.debug_struct("StepInput").field("loss", loss).field("evaluate", &evaluate).finish()
    }
}

/// The operands of a step: the leaves of the parameters and of the gradients, and the input.
pub(super) struct StepOperands {
    pub params: Vec<Tensor>,
    /// The paths of the leaves that are trained.
    pub paths: Vec<String>,
    pub loss: Option<Tensor>,
    /// The gradient of each leaf. If the structures differ, they carry the error.
    matched: Vec<Tensor>,
    /// The gradients as they were given.
    grads: Vec<Tensor>,
}

impl StepOperands {
    #[track_caller]
    pub fn new<P: Tree>(params: &P, grads: &P, loss: Option<Tensor>) -> StepOperands {
        let matched = params.zip_map(grads, |_, g| g.clone());
        let (params, paths) = (leaves(params), float_paths(params));
        StepOperands { params, paths, loss, matched: leaves(&matched), grads: leaves(grads) }
    }

    /// Returns the recorder of the youngest trace among all operands of a step.
    pub fn recorder(&self, state: &OptState) -> Recorder {
        let state = state.leaves().into_iter().map(|(_, t)| t);
        Recorder::of(self.params.iter().chain(&self.grads).chain(&self.loss).chain(state))
    }

    /// Returns the gradients of the parameters that are trained.
    pub fn gradients(&self) -> Vec<Tensor> {
        gradients_of(&self.params, self.matched.clone())
    }
}

/// Returns the function of a rule for `f`, a function of trees like `params`.
pub(super) fn of_leaves<'f, P: Tree>(
    params: &'f P,
    f: LossAndGradient<'f, P>,
) -> impl Fn(&[Tensor]) -> (Tensor, Vec<Tensor>) + 'f {
    move |new| {
        let old = leaves(params);
        let narrowed = floats(&old).iter().zip(new).map(|(p, x)| narrow_as(p, x.clone())).collect();
        let all = with_floats(&old, narrowed, Tensor::clone);
        let (loss, grads) = f(&params.with_leaves(all));
        let grads = gradients_of(&old, leaves(&grads));
        (loss, grads.iter().map(at_least_f32).collect())
    }
}

/// Returns the gradients of the leaves that are floats.
fn gradients_of(params: &[Tensor], grads: Vec<Tensor>) -> Vec<Tensor> {
    let pairs = params.iter().zip(grads);
    pairs.filter(|(p, _)| p.dtype().is_float()).map(|(_, g)| g).collect()
}
