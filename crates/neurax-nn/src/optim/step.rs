//! A step of an optimizer: what the caller may add, and its operands.

use super::leaves::{float_paths, floats, leaves, with_floats};
use super::state::OptState;
use crate::precision::{at_least_f32, narrow_as};
use neurax_tensor::{Recorder, Tensor, Tree};
use std::fmt;

/// A function of the parameters that returns the loss and its gradient.
type LossAndGradient<'a, P> = &'a dyn Fn(&P) -> (Tensor, P);

/// The loss, a function that evaluates it, and the weight of the gradient: the arguments of
/// [`Optim::step_with`] that rules need which do not only use the gradient, such as
/// [`lbfgs`](super::lbfgs), [`sam`](super::sam) and [`accumulate`](super::accumulate).
///
/// [`Optim::step_with`]: super::Optim::step_with
#[derive(Clone)]
pub struct StepInput<'a, P> {
    pub(super) loss: Option<Tensor>,
    pub(super) weight: Option<Tensor>,
    pub(super) evaluate: Option<LossAndGradient<'a, P>>,
}

impl<'a, P> StepInput<'a, P> {
    /// Creates an input without loss, weight and function, as [`Optim::step`](super::Optim::step)
    /// has it.
    pub fn new() -> StepInput<'a, P> {
        StepInput { loss: None, weight: None, evaluate: None }
    }

    /// Sets the loss at the parameters of the step.
    pub fn loss(self, loss: &Tensor) -> StepInput<'a, P> {
        StepInput { loss: Some(loss.clone()), ..self }
    }

    /// Sets the weight of the loss and the gradient, a float scalar of at least 0: the number of
    /// examples of which they are the mean, or the sum of the weights of these. A rule that takes
    /// the mean of several gradients, [`accumulate`](super::accumulate), weighs them by it.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let opt = optim::accumulate(2, optim::sgd(1.0));
    /// let (mut p, mut state) = (tensor([0.0]), opt.init(&tensor([0.0])));
    /// for (gradient, examples) in [(4.0, 3.0), (8.0, 1.0)] {
    ///     let input = optim::StepInput::new().weight(&tensor(examples));
    ///     (p, state) = opt.step_with(&p, &tensor([gradient]), state, input);
    /// }
    /// assert_eq!(p.item()?, -5.0, "(3 · 4 + 8) / 4");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn weight(self, weight: &Tensor) -> StepInput<'a, P> {
        StepInput { weight: Some(weight.clone()), ..self }
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
        f.debug_struct("StepInput")
            .field("loss", &self.loss)
            .field("weight", &self.weight)
            .field("evaluate", &self.evaluate.is_some())
            .finish()
    }
}

/// The operands of a step: the leaves of the parameters and of the gradients, and the input.
pub(super) struct StepOperands {
    pub params: Vec<Tensor>,
    /// The paths of the leaves that are trained.
    pub paths: Vec<String>,
    pub loss: Option<Tensor>,
    /// The weight of the loss and the gradients.
    pub weight: Option<Tensor>,
    /// The gradient of each leaf. If the structures differ, they carry the error.
    matched: Vec<Tensor>,
    /// The gradients as they were given.
    grads: Vec<Tensor>,
}

impl StepOperands {
    #[track_caller]
    pub fn new<P: Tree>(
        params: &P,
        grads: &P,
        loss: Option<Tensor>,
        weight: Option<Tensor>,
    ) -> StepOperands {
        let matched = params.zip_map(grads, |_, g| g.clone());
        let (params, paths) = (leaves(params), float_paths(params));
        let (matched, grads) = (leaves(&matched), leaves(grads));
        StepOperands { params, paths, loss, weight, matched, grads }
    }

    /// Returns the recorder of the youngest trace among all operands of a step.
    pub fn recorder(&self, state: &OptState) -> Recorder {
        let state = state.leaves().into_iter().map(|(_, t)| t);
        let scalars = self.loss.iter().chain(&self.weight);
        Recorder::of(self.params.iter().chain(&self.grads).chain(scalars).chain(state))
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
