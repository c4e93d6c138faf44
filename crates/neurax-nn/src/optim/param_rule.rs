//! Rules that treat each parameter by itself.

use super::state::{Slots, missing, take};
use super::{Optim, Rule, Step, invalid};
use neurax_tensor::Tensor;
use std::array;

/// A rule that computes the update of each parameter from its gradient, with `N` tensors of state.
pub(super) trait ParamRule<const N: usize>: Send + Sync + 'static {
    /// The scalars of a step, computed once for all parameters that are trained equally long.
    type Scalars;
    /// The name of the optimizer in errors.
    const NAME: &'static str;
    /// The names of the slots.
    const SLOTS: [&'static str; N];

    /// Returns the message of an invalid option.
    fn error(&self) -> Option<String>;

    /// Returns the state of a parameter before the first step.
    fn init(&self, param: &Tensor) -> [Tensor; N] {
        array::from_fn(|_| param.zeros_like())
    }

    /// Returns the scalars of step `t` of a parameter, f32[], which is 1 in the first step.
    fn scalars(&self, t: &Tensor) -> Self::Scalars;

    /// Returns the update of a parameter and its new state.
    fn update(
        &self,
        grad: &Tensor,
        param: &Tensor,
        state: [Tensor; N],
        scalars: &Self::Scalars,
    ) -> (Tensor, [Tensor; N]);
}

/// Returns the optimizer of a rule for each parameter.
pub(super) fn for_each_param<const N: usize>(rule: impl ParamRule<N>) -> Optim {
    Optim::new(ForEachParam(rule))
}

struct ForEachParam<R, const N: usize>(R);

impl<R: ParamRule<N>, const N: usize> Rule for ForEachParam<R, N> {
    fn init(&self, params: &[Tensor], _: &[String]) -> Slots {
        let mut slots: Slots = R::SLOTS.iter().map(|name| (name.to_string(), vec![])).collect();
        params.iter().for_each(|p| push(&mut slots, R::SLOTS, self.0.init(p)));
        slots
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = self.0.error() {
            return invalid(R::NAME, why, &grads);
        }
        let mut old = R::SLOTS.map(|name| take(slots, name, step.params).into_iter());
        let counts = step.counts.different().iter();
        let scalars: Vec<R::Scalars> = counts.map(|n| self.0.scalars(&(n + 1.0))).collect();
        slots.extend(R::SLOTS.iter().map(|name| (name.to_string(), vec![])));
        let update = |(k, (g, p)): (usize, (&Tensor, &Tensor))| {
            let state = array::from_fn(|i| {
                old[i].next().unwrap_or_else(|| Tensor::from_error(missing(R::SLOTS[i])))
            });
            let (update, new) = self.0.update(g, p, state, &scalars[step.counts.index(k)]);
            push(slots, R::SLOTS, new);
            update
        };
        grads.iter().zip(step.params).enumerate().map(update).collect()
    }
}

/// Appends one tensor to each of the slots `names`.
fn push<const N: usize>(slots: &mut Slots, names: [&str; N], tensors: [Tensor; N]) {
    for (name, tensor) in names.into_iter().zip(tensors) {
        slots.entry(name.into()).or_default().push(tensor);
    }
}
