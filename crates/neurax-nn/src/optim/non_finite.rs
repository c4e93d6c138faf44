//! The choice for gradients that are NaN or infinite.

use super::computed::Computed;
use super::loss_scale::LossScale;
use super::state::{COUNT, OptState, Slots, missing};
use neurax_tensor::{DType, Error, Tensor};

/// The choice for a step with a gradient that is NaN or infinite, from the laxest one to the
/// strictest one: see [`Optim::non_finite`](super::Optim::non_finite).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NonFinite {
    /// The step is computed as usual; parameters become NaN. As in PyTorch and Optax.
    #[default]
    Pass,
    /// The step is counted and changes nothing else, neither parameters nor the state.
    Skip,
    /// The step is skipped and counted, and it is an error: of the updates if the gradients are
    /// plain tensors, of the training run in a trainer. In a traced function, which cannot report
    /// an error that depends on values, [`OptState::non_finite_steps`] tells.
    Fail,
}

impl NonFinite {
    /// Returns `step`, or what this choice, which is not [`NonFinite::Pass`], makes of it if one of
    /// `grads` is not finite. `before` is the state before the step.
    /// `scale` is updated for the next step.
    pub(super) fn guard(
        self,
        grads: &[Tensor],
        before: OptState,
        mut step: Computed,
        scale: Option<LossScale>,
    ) -> Computed {
        let each = grads.iter().map(|g| g.is_finite().all(..));
        let finite = match each.reduce(|a, b| a & b) {
            Some(finite) => finite,
            // empty: there are no gradients.
            None => return step,
        };
        let Some(counted) = before.slots.last().and_then(|own| own.get(COUNT)?.first()) else {
            return failed(step, missing(COUNT));
        };
        let counted = counted + (!&finite).to(DType::I32);
        if self == NonFinite::Fail && matches!(finite.item(), Ok(0.0)) {
            let why = "expected finite gradients, got NaN or an infinity; choose `NonFinite::Skip` \
                       to leave such steps out";
            return failed(step, Error::new("optim", why));
        }
        let kept = |new: &Tensor, old: &Tensor| finite.select(new, old);
        step.updates = step.updates.iter().map(|u| finite.select(u, 0.0)).collect();
        step.state.step = kept(&step.state.step, &before.step);
        for (new, old) in step.state.slots.iter_mut().zip(&before.slots) {
            keep(new, old, kept);
        }
        if let Some(own) = step.state.slots.last_mut() {
            own.insert(COUNT.into(), vec![counted]);
        }
        if let (Some(scale), Some(own)) = (scale, before.slots.last()) {
            scale.adapt(&mut step, own, &finite);
        }
        step
    }
}

/// Applies `kept` to each tensor of `new` and its counterpart in `old`.
fn keep(new: &mut Slots, old: &Slots, kept: impl Fn(&Tensor, &Tensor) -> Tensor) {
    for (name, tensors) in new {
        let Some(old) = old.get(name) else { continue };
        tensors.iter_mut().zip(old).for_each(|(new, old)| *new = kept(new, old));
    }
}

/// Returns `step` with updates that carry `e`.
fn failed(mut step: Computed, e: Error) -> Computed {
    step.updates = vec![Tensor::from_error(e); step.updates.len()];
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{adam, adamw, chain, clip, momentum, sgd};
    use neurax_tensor::dtype_consts::F16;
    use neurax_tensor::{Tree, jit, tensor};

    fn values(s: &impl Tree) -> Vec<Vec<f64>> {
        let each = |(_, t): (String, &Tensor)| t.to(DType::F64).to_vec::<f64>().unwrap();
        s.leaves().into_iter().map(each).collect()
    }

    #[test]
    fn a_skipped_step_changes_nothing_but_the_count() {
        for opt in [sgd(0.1), momentum(0.1, 0.9), adamw(0.1, 0.1), chain([clip(1.0), adam(0.1)])] {
            let opt = opt.master_copies().non_finite(NonFinite::Skip);
            let p = (tensor([1.0, 2.0]), tensor([3.0]).to(F16));
            let g = (tensor([0.5, -1.0]), tensor([2.0]).to(F16));
            let step = |(p, g, s): (_, _, OptState)| opt.step(&p, &g, s);
            let step = jit(step);
            let (p, s) = step.run((p.clone(), g.clone(), opt.init(&p))).unwrap();
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let bad = (g.0.clone(), tensor([bad]).to(F16));
                let (q, mut after) = step.run((p.clone(), bad, s.clone())).unwrap();
                assert_eq!(after.non_finite_steps().unwrap(), Some(1));
                after.slots.last_mut().unwrap().insert(COUNT.into(), vec![tensor(0)]);
                assert_eq!((values(&q), values(&after)), (values(&p), values(&s)));
            }
            let (_, s) = step.run((p, g, s)).unwrap();
            assert_eq!(s.non_finite_steps().unwrap(), Some(0));
        }
    }

    #[test]
    fn a_choice_to_fail_is_an_error_of_plain_tensors() {
        let p = tensor([1.0]);
        let opt = chain([adam(0.1).non_finite(NonFinite::Skip), sgd(1.0)]);
        let opt = chain([opt.non_finite(NonFinite::Fail), sgd(1.0).non_finite(NonFinite::Pass)]);
        let (q, state) = opt.step(&p, &tensor([f32::NAN]), opt.init(&p));
        assert!(q.error().unwrap().message().contains("expected finite gradients"), "{q:?}");
        assert_eq!(adam(0.1).init(&p).non_finite_steps().unwrap(), None);
        assert!(state.step.error().is_none());
        let (q, _) = adam(0.1).step(&p, &tensor([f32::NAN]), adam(0.1).init(&p));
        assert!(q.item().unwrap().is_nan(), "by default, it passes");
    }
}
