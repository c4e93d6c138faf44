//! Loss scaling: Micikevicius et al., 2017 (<https://arxiv.org/abs/1710.03740>).

use super::computed::Computed;
use super::state::{OptState, Slots, missing};
use neurax_tensor::{DType, Error, Tensor, tensor};

/// The slot of the scale.
const SCALE: &str = "loss_scale";
/// The slot of the number of steps with finite gradients since the last change of the scale.
const FINITE: &str = "finite_steps";

/// A factor of the loss, which keeps small gradients in f16 from becoming 0: see
/// [`Optim::loss_scale`](super::Optim::loss_scale).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossScale {
    /// A constant factor.
    Static(f64),
    /// A factor that adapts to the gradients.
    Dynamic {
        /// The first factor.
        init: f64,
        /// The number of steps with finite gradients after which it grows.
        period: usize,
        /// The number by which it is multiplied then, and divided after a gradient that is not
        /// finite.
        factor: f64,
        /// The smallest factor.
        min: f64,
    },
}

impl LossScale {
    /// Returns a factor that starts at 2¹⁵, doubles after 2000 steps with finite gradients, and
    /// halves after a gradient that is not finite, to no less than 1.
    pub fn dynamic() -> LossScale {
        LossScale::Dynamic { init: 32_768.0, period: 2000, factor: 2.0, min: 1.0 }
    }

    /// Returns the message of an invalid option.
    pub(super) fn error(self) -> Option<String> {
        let is_scale = |x: f64| x > 0.0 && x.is_finite();
        match self {
            LossScale::Static(x) if !is_scale(x) => {
                Some(format!("expected a finite scale above 0, got {x}"))
            }
            LossScale::Dynamic { init, min, .. } if !is_scale(init) || !is_scale(min) => {
                Some(format!("expected finite scales above 0, got {init} and {min}"))
            }
            LossScale::Dynamic { factor, .. } if !(factor > 1.0 && factor.is_finite()) => {
                Some(format!("expected a factor above 1, got {factor}"))
            }
            LossScale::Dynamic { period: 0, .. } => {
                Some("expected a period of at least 1 step, got 0".into())
            }
            _ => None,
        }
    }

    /// Returns the slots before the first step.
    pub(super) fn slots(self) -> Slots {
        let init = match self {
            LossScale::Static(x) | LossScale::Dynamic { init: x, .. } => x,
        };
        let scale = (SCALE.into(), vec![Tensor::scalar(DType::F32, init)]);
        Slots::from([scale, (FINITE.into(), vec![tensor(0)])])
    }

    /// Returns gradients of the scaled loss, in f32 or wider, as those of the loss.
    pub(super) fn unscaled(self, grads: Vec<Tensor>, own: &Slots) -> Vec<Tensor> {
        if let Some(why) = self.error() {
            let failed = Tensor::from_error(Error::new("loss_scale", why));
            return vec![failed; grads.len()];
        }
        let factor = 1.0 / slot(own, SCALE);
        let unscaled = |g: Tensor| {
            let factor = factor.to(g.dtype());
            g * factor
        };
        grads.into_iter().map(unscaled).collect()
    }

    /// Updates the scale after a step. `finite` is true if all gradients were finite.
    pub(super) fn adapt(self, step: &mut Computed, before: &Slots, finite: &Tensor) {
        let LossScale::Dynamic { period, factor, min, .. } = self else { return };
        let Some(own) = step.state.slots.last_mut() else { return };
        let (scale, count) = (slot(before, SCALE), slot(before, FINITE) + 1);
        let grows = count.ge(period as i64);
        // A scale beyond the range of f32 would never be finite again.
        let grown = &scale * factor;
        let grown = grown.is_finite().select(grown, &scale);
        let shrunk = (&scale / factor).maximum(min);
        let new = finite.select(grows.select(grown, &scale), shrunk);
        let count = (finite & !grows).select(count, 0);
        own.insert(SCALE.into(), vec![new]);
        own.insert(FINITE.into(), vec![count]);
    }
}

impl OptState {
    /// Returns the factor by which the loss of the next step has to be multiplied, f32[], if the
    /// optimizer scales it: see [`Optim::loss_scale`](super::Optim::loss_scale).
    pub fn loss_scale(&self) -> Option<Tensor> {
        self.slots.last()?.get(SCALE)?.first().cloned()
    }
}

/// Returns the tensor of a slot.
fn slot(own: &Slots, name: &str) -> Tensor {
    let found = own.get(name).and_then(|slot| slot.first()).cloned();
    found.unwrap_or_else(|| Tensor::from_error(missing(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{NonFinite, Optim, adam, chain, clip, sgd};
    use neurax_tensor::dtype_consts::F16;
    use neurax_tensor::{jit, value_and_grad_at};

    const SCALE_OF_8: LossScale =
        LossScale::Dynamic { init: 8.0, period: 2, factor: 2.0, min: 1.0 };

    /// Returns the parameter and the state after a step with the gradient `g` of the loss.
    fn step(opt: &Optim, p: &Tensor, g: f32, state: OptState) -> (Tensor, OptState) {
        let scaled = tensor([g]) * state.loss_scale().unwrap();
        opt.step(p, &scaled, state)
    }

    fn scale(state: &OptState) -> f64 {
        state.loss_scale().unwrap().item().unwrap()
    }

    #[test]
    fn scales_grow_after_a_period_and_shrink_after_an_overflow() {
        let opt = sgd(0.5).loss_scale(SCALE_OF_8);
        let (mut p, mut s) = (tensor([1.0]), opt.init(&tensor([1.0])));
        let mut seen = vec![];
        for g in [1.0, 1.0, f32::NAN, 1.0, f32::INFINITY, f32::NAN, f32::NAN, f32::NAN, f32::NAN] {
            (p, s) = step(&opt, &p, g, s);
            seen.push(scale(&s));
        }
        assert_eq!(seen, [8.0, 16.0, 8.0, 8.0, 4.0, 2.0, 1.0, 1.0, 1.0]);
        assert_eq!((p.item().unwrap(), s.step.item().unwrap()), (-0.5, 3.0));
        assert_eq!(s.non_finite_steps().unwrap(), Some(6));
    }

    #[test]
    fn an_overflow_in_f16_halves_the_scale_and_skips_the_step() {
        let opt = chain([clip(1e9), adam(0.1)]).loss_scale(LossScale::dynamic());
        let train = jit(|(p, s): (Tensor, OptState)| {
            let scale = s.loss_scale().unwrap();
            let (_, grads) = value_and_grad_at(&p, |p| {
                // The gradient is 16 in each element; times 2¹⁵, it overflows in f16.
                let y = p.to(F16) * 16.0;
                (y.to(DType::F32) * &scale).sum(..)
            });
            opt.step(&p, &grads, s)
        });
        let start = tensor([1.0, 2.0]);
        let (p, s) = train.run((start.clone(), opt.init(&start))).unwrap();
        assert_eq!(p.to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!((scale(&s), s.non_finite_steps().unwrap()), (16_384.0, Some(1)));
        let (p, s) = (0..5).fold((p, s), |(p, s), _| train.run((p, s)).unwrap());
        assert!(p.get(0).item().unwrap() < 0.9, "{p}");
        assert!(s.non_finite_steps().unwrap() < Some(5), "{:?}", s.non_finite_steps());
    }

    #[test]
    fn static_scales_stay_and_steps_are_those_without() {
        let (plain, opt) = (adam(0.1), adam(0.1).loss_scale(LossScale::Static(64.0)));
        let (p, _) = plain.step(&tensor([1.0]), &tensor([0.5]), plain.init(&tensor([1.0])));
        let (q, s) = step(&opt, &tensor([1.0]), 0.5, opt.init(&tensor([1.0])));
        assert_eq!(p.item().unwrap(), q.item().unwrap());
        let (q, s) = step(&opt, &q, f32::NAN, s);
        assert_eq!((p.item().unwrap(), scale(&s)), (q.item().unwrap(), 64.0));
        assert_eq!(plain.init(&p).loss_scale().map(|_| ()), None);
        let strict = chain([opt, sgd(1.0).non_finite(NonFinite::Fail)]);
        assert!(strict.fails_on_non_finite());
    }

    #[test]
    fn invalid_options_are_errors() {
        let dynamic = |init, period, factor| LossScale::Dynamic { init, period, factor, min: 1.0 };
        for (choice, part) in [
            (LossScale::Static(0.0), "above 0, got 0"),
            (LossScale::Static(f64::NAN), "above 0, got NaN"),
            (dynamic(-1.0, 2, 2.0), "above 0, got -1"),
            (dynamic(1.0, 0, 2.0), "a period of at least 1"),
            (dynamic(1.0, 2, 1.0), "a factor above 1, got 1"),
        ] {
            let (p, opt) = (tensor([1.0]), sgd(0.1).loss_scale(choice));
            let (q, _) = opt.step(&p, &p, opt.init(&p));
            let e = q.error().unwrap().message().to_string();
            assert!(e.contains(part), "{e}");
        }
    }
}
