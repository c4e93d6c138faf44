//! Accumulation of gradients over several steps.

use super::change::ParamChange;
use super::option_checks::no_steps;
use super::rules::{Rules, nested};
use super::state::{missing, take};
use super::{Optim, Rule, Slots, Step, invalid, kept_slots, zeros};
use neurax_tensor::{DType, Tensor, cond, tensor};

/// The slot of the mean of the gradients since the last step of the inner optimizer.
const MEAN: &str = "mean";
/// The slot of the mean of the losses of these gradients, 0 if the caller passes none.
const MEAN_LOSS: &str = "loss";
/// The slot of the number of these gradients.
const GRADIENTS: &str = "gradients";
/// The slot of the number of steps of the inner optimizer.
const STEPS: &str = "steps";

/// Accumulates gradients over `k` steps: the last one of every `k` steps is a step of `optim` with
/// the mean of the gradients; in the others, the parameters do not change. With `k` batches of `n`
/// examples, training is that with batches of `k · n` examples, in the memory of one of `n`.
///
/// Schedules of `optim` depend on the number of its steps, as in Optax's `MultiSteps`, and not on
/// the number of batches. The slots of its rule `i` are those of the accumulation with the prefix
/// `i.`, e.g. `1.rate`. Its options hold for the accumulation; with
/// [`NonFinite::Skip`](super::NonFinite::Skip), a gradient that is not finite is left out of the
/// mean. Its rules see the mean of the losses that the steps are given, and cannot evaluate the
/// loss at other parameters: the function of a step is that of the last batch alone.
///
/// # Errors
///
/// The updates carry an error if `k` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::accumulate(2, optim::sgd(0.5));
/// let p = tensor([1.0]);
/// let (p, state) = opt.step(&p, &tensor([1.0]), opt.init(&p));
/// assert_eq!(p.item()?, 1.0);
/// let (p, _) = opt.step(&p, &tensor([3.0]), state);
/// assert_eq!(p.item()?, 0.0, "a step of 0.5 · 2");
/// # Ok::<(), Error>(())
/// ```
pub fn accumulate(k: usize, optim: Optim) -> Optim {
    Optim { rules: Rules::one(Accumulation { k, rules: optim.rules }), ..optim }
}

struct Accumulation {
    k: usize,
    rules: Rules,
}

impl Rule for Accumulation {
    fn init(&self, params: &[Tensor], paths: &[String]) -> Slots {
        let mut slots = self.rules.init_nested(params, paths);
        slots.insert(MEAN.into(), zeros(params));
        slots.extend([GRADIENTS, STEPS].map(|name| (name.into(), vec![tensor(0)])));
        slots.insert(MEAN_LOSS.into(), vec![tensor(0.0)]);
        slots
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = no_steps(self.k, "1 step is no accumulation") {
            return invalid("accumulate", why, &grads);
        }
        let count = take_one(slots, GRADIENTS) + 1;
        let steps = take_one(slots, STEPS);
        let old = take(slots, MEAN, step.params);
        let share = 1.0 / count.to(DType::F32);
        let mean = |(old, g): (Tensor, &Tensor)| &old + (g - &old) * share.to(g.dtype());
        let mean: Vec<Tensor> = old.into_iter().zip(&grads).map(mean).collect();
        let is_last = count.ge(self.k as i64);
        let f32_steps = steps.to(DType::F32);
        let old_loss = take_one(slots, MEAN_LOSS);
        let loss = match step.loss {
            Some(loss) => &old_loss + (loss.to(old_loss.dtype()) - &old_loss) * share,
            None => old_loss,
        };
        // The function is that of the last batch, not of all of them.
        let inner_loss = step.loss.map(|_| &loss);
        // A parameter that was added after `n` steps was added after `n / k` inner ones.
        let added = |count: &Tensor| ((step.count - count) / self.k as f64).floor();
        let counts = &step.counts.map(|count| &f32_steps - added(count));
        let inner_step =
            Step { count: &f32_steps, counts, loss: inner_loss, evaluate: None, ..*step };
        let before = self.rules.take_nested(slots);
        let then = || {
            let mut inner = before.clone();
            (self.rules.update(mean.clone(), &mut inner, &inner_step), inner)
        };
        let otherwise = || (zeros(step.params), before.clone());
        // Known, if the step is not traced.
        let (updates, inner) = match is_last.item() {
            Ok(0.0) => otherwise(),
            Ok(_) => then(),
            Err(_) => cond(&is_last, then, otherwise),
        };
        let rest = mean.iter().map(|mean| is_last.select(0.0, mean)).collect();
        *slots = nested(inner);
        slots.insert(MEAN.into(), rest);
        slots.insert(MEAN_LOSS.into(), vec![is_last.select(0.0, loss)]);
        slots.insert(GRADIENTS.into(), vec![is_last.select(0, count)]);
        slots.insert(STEPS.into(), vec![steps + is_last.to(DType::I32)]);
        updates
    }

    /// Returns the rate of the last step of the inner optimizer, or of its first one if there was
    /// none.
    fn learning_rate(&self, slots: &Slots, _count: &Tensor) -> Option<Tensor> {
        let steps = slots.get(STEPS).and_then(|slot| slot.first())?;
        let before = (steps.to(DType::F32) - 1.0).maximum(0.0);
        self.rules.learning_rate_nested(slots, &before)
    }

    fn change(&self, mut slots: Slots, change: &ParamChange) -> Slots {
        let inner = self.rules.change_nested(&mut slots, change);
        kept_slots(self, slots, change).into_iter().chain(inner).collect()
    }
}

/// Takes a number out of the slots.
fn take_one(slots: &mut Slots, name: &str) -> Tensor {
    let number = slots.remove(name).and_then(|mut slot| slot.pop());
    number.unwrap_or_else(|| Tensor::from_error(missing(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{NonFinite, OptState, adamw, chain, clip, exponential, sgd};
    use neurax_tensor::{dtype_consts::F16, jit};

    fn close(a: &Tensor, b: &Tensor) -> bool {
        a.allclose(b, 1e-5, 1e-6).item().unwrap() == 1.0
    }

    #[test]
    fn steps_are_those_with_the_mean_of_the_gradients() {
        let inner = || chain([clip(1.0), adamw(exponential(0.1, 0.5, 2), 0.1)]);
        let (opt, plain) = (accumulate(3, inner()), inner());
        let step = jit(|(p, g, s): (Tensor, Tensor, OptState)| opt.step(&p, &g, s));
        let start = tensor([1.0, -2.0]);
        let (mut p, mut eager, mut want) = (start.clone(), start.clone(), start.clone());
        let (mut s, mut t, mut u) = (opt.init(&p), opt.init(&p), plain.init(&p));
        let mut sum = start.zeros_like();
        for i in 1..=21 {
            let g = tensor([(i as f32).sin(), (i as f32).cos() * 3.0]);
            sum += &g;
            (p, s) = step.run((p, g.clone(), s)).unwrap();
            (eager, t) = opt.step(&eager, &g, t);
            if i % 3 == 0 {
                (want, u) = plain.step(&want, &(&sum / 3.0), u);
                sum = start.zeros_like();
            }
            assert!(close(&p, &want) && close(&eager, &want), "step {i}: {p} {eager} {want}");
        }
        assert_eq!((step.traces(), s.step.item().unwrap()), (1, 21.0));
    }

    /// Moves every parameter by the loss.
    struct ByLoss;

    impl Rule for ByLoss {
        fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
            match step.loss {
                Some(loss) => grads.iter().map(|g| g.zeros_like() + loss).collect(),
                None => invalid("by_loss", "expected a loss, got none".into(), &grads),
            }
        }
    }

    #[test]
    fn inner_rules_see_the_mean_of_the_losses() {
        let opt = accumulate(2, Optim::new(ByLoss));
        let step = |p: &Tensor, loss: f32, state| {
            let input = crate::optim::StepInput::new().loss(&tensor(loss));
            opt.step_with(p, &tensor([0.0]), state, input)
        };
        let p = tensor([1.0]);
        let (mut p, mut state) = (p.clone(), opt.init(&p));
        for (loss, want) in [(1.0, 1.0), (3.0, 3.0), (5.0, 3.0), (6.0, 8.5)] {
            (p, state) = step(&p, loss, state);
            assert_eq!(p.item().unwrap(), want);
        }
        let (_, state) = opt.step(&p, &p, state);
        let (q, _) = opt.step(&p, &p, state);
        let e = q.error().unwrap().to_string();
        assert!(e.contains("expected a loss, got none"), "{e}");
    }

    #[test]
    fn options_of_the_inner_optimizer_hold() {
        let opt = accumulate(2, sgd(0.5).master_copies().non_finite(NonFinite::Skip));
        let (mut p, mut s) = (tensor([1.0]).to(F16), opt.init(&tensor([1.0]).to(F16)));
        for g in [1.0, f32::NAN, 2.0] {
            (p, s) = opt.step(&p, &tensor([g]).to(F16), s);
        }
        assert_eq!((p.item().unwrap(), s.non_finite_steps().unwrap()), (0.25, Some(1)));
    }

    #[test]
    fn invalid_uses_are_errors() {
        let p = tensor([1.0]);
        let message = |opt: &Optim, state| {
            let (q, _) = opt.step(&p, &p, state);
            q.error().unwrap().message().to_string()
        };
        let none = accumulate(0, sgd(0.1));
        assert!(message(&none, none.init(&p)).contains("at least 1 step"));
        let opt = accumulate(2, sgd(0.1));
        assert!(message(&opt, sgd(0.1).init(&p)).contains("missing slot"));
    }
}
