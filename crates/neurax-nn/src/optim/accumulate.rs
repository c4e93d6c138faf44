//! Accumulation of gradients over several steps.

use super::change::ParamChange;
use super::option_checks::no_steps;
use super::rules::{Rules, nested};
use super::state::{OptState, missing, take};
use super::step::StepOperands;
use super::{Optim, Rule, Slots, Step, invalid, kept_slots, zeros};
use neurax_tensor::{DType, Result, Tensor, Tree, cond, tensor};
use std::panic::Location;

/// The slot of the mean of the gradients since the last step of the inner optimizer.
const MEAN: &str = "mean";
/// The slot of the mean of the losses of these gradients, 0 if the caller passes none.
const MEAN_LOSS: &str = "loss";
/// The slot of the number of these gradients.
const GRADIENTS: &str = "gradients";
/// The slot of the sum of the weights of these gradients.
const WEIGHT: &str = "weight";
/// The slot of the number of steps of the inner optimizer.
const STEPS: &str = "steps";

/// Accumulates gradients over `k` steps: the last one of every `k` steps is a step of `optim` with
/// the mean of the gradients; in the others, the parameters do not change. With `k` batches of `n`
/// examples, training is that with batches of `k · n` examples, in the memory of one of `n`.
///
/// The mean is weighted by the [weights](super::StepInput::weight) of the steps, for which a
/// `Trainer` passes the number of examples of the batch, or the sum of their weights: a last batch
/// of one example counts as one example. Without weights, all gradients count the same.
/// [`Optim::finish`] makes a step of fewer than `k` gradients, as a `Trainer` does at the end of an
/// epoch.
///
/// Schedules of `optim` depend on the number of its steps, as in Optax's `MultiSteps`, and not on
/// the number of batches. The slots of its rule `i` are those of the accumulation with the prefix
/// `i.`, e.g. `1.rate`. Its options hold for the accumulation; with
/// [`NonFinite::Skip`](super::NonFinite::Skip), a gradient that is not finite is left out of the
/// mean. Its rules see the mean of the losses that the steps are given, and cannot evaluate the
/// loss at other parameters: the function of a step is that of the last batch alone.
///
/// The steps of a parameter that is trained later than others are counted from its first batch,
/// where every `k` batches are a step. With [`Optim::finish`], this is exact only if `k` divides
/// the number of batches of an epoch.
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
        slots.extend([MEAN_LOSS, WEIGHT].map(|name| (name.into(), vec![tensor(0.0)])));
        slots
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = no_steps(self.k, "1 step is no accumulation") {
            return invalid("accumulate", why, &grads);
        }
        let steps = take_one(slots, STEPS);
        let before = Accumulated::take_from(slots, step.params);
        let (held, is_last) = match step.finishes {
            true => (before.clone(), before.count.gt(0)),
            false => {
                let held = before.with(&grads, step);
                let is_last = held.count.ge(self.k as i64);
                (held, is_last)
            }
        };
        let Accumulated { mean, loss, count, weight } = held;
        let f32_steps = steps.to(DType::F32);
        // The function is that of the last batch, not of all of them.
        let inner_loss = step.loss.map(|_| &loss);
        let inner_weight = step.weight.map(|_| &weight);
        // A parameter that was added after `n` steps was added after `n / k` inner ones.
        let added = |count: &Tensor| ((step.count - count) / self.k as f64).floor();
        let counts = &step.counts.map(|count| &f32_steps - added(count));
        let inner_step = Step {
            count: &f32_steps,
            counts,
            loss: inner_loss,
            weight: inner_weight,
            finishes: false,
            evaluate: None,
            ..*step
        };
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
        slots.insert(WEIGHT.into(), vec![is_last.select(0.0, weight)]);
        slots.insert(GRADIENTS.into(), vec![is_last.select(0, count)]);
        slots.insert(STEPS.into(), vec![steps + is_last.to(DType::I32)]);
        updates
    }

    fn accumulates(&self) -> bool {
        true
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

/// The gradients since the last step of the inner optimizer.
#[derive(Clone)]
struct Accumulated {
    /// The mean of the gradients, weighted.
    mean: Vec<Tensor>,
    /// The mean of their losses, weighted, f32[].
    loss: Tensor,
    /// The number of gradients, i32[].
    count: Tensor,
    /// The sum of their weights, f32[].
    weight: Tensor,
}

impl Accumulated {
    /// Takes the gradients out of the slots.
    fn take_from(slots: &mut Slots, params: &[Tensor]) -> Accumulated {
        Accumulated {
            mean: take(slots, MEAN, params),
            loss: take_one(slots, MEAN_LOSS),
            count: take_one(slots, GRADIENTS),
            weight: take_one(slots, WEIGHT),
        }
    }

    /// Returns the gradients with those of a step. Gradients whose weights are all 0 count the
    /// same.
    fn with(self, grads: &[Tensor], step: &Step) -> Accumulated {
        let own = step.weight.map_or(tensor(1.0), |weight| weight.to(DType::F32));
        let (count, weight) = (self.count + 1, self.weight + &own);
        let has_weight = weight.gt(0.0);
        let share = has_weight.select(own, 1.0) / has_weight.select(&weight, count.to(DType::F32));
        let toward = |old: &Tensor, new: &Tensor| old + (new - old) * share.to(old.dtype());
        let mean = self.mean.iter().zip(grads).map(|(old, g)| toward(old, g)).collect();
        let loss = match step.loss {
            Some(loss) => toward(&self.loss, &loss.to(self.loss.dtype())),
            None => self.loss,
        };
        Accumulated { mean, loss, count, weight }
    }
}

impl Optim {
    /// Returns the parameters after a step with the gradients that [`accumulate`] holds, which are
    /// fewer than it waits for, and the new state. It counts as a part of the last step; without
    /// such gradients, nothing changes. A [`Trainer`] does so at the end of an epoch.
    ///
    /// Rules behind the accumulation see one more step, with the update of these gradients. An
    /// accumulation inside of another one is not finished: it gets the gradients of the outer one
    /// as those of a step.
    ///
    /// [`Trainer`]: https://docs.rs/neurax/latest/neurax/train/struct.Trainer.html
    ///
    /// # Errors
    ///
    /// The parameters carry an error in the cases of [`Optim::update`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let opt = optim::accumulate(4, optim::sgd(0.5));
    /// let p = tensor([1.0]);
    /// let (p, state) = opt.step(&p, &tensor([2.0]), opt.init(&p));
    /// assert_eq!((p.item()?, state.accumulated_gradients()?), (1.0, 1));
    /// let (p, state) = opt.finish(&p, state);
    /// assert_eq!((p.item()?, state.accumulated_gradients()?), (0.0, 0));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn finish<P: Tree>(&self, params: &P, state: OptState) -> (P, OptState) {
        if !self.rules.accumulate() || matches!(state.accumulated_gradients(), Ok(0)) {
            return (params.map_leaves(Tensor::clone), state);
        }
        let zeros = params.map_leaves(Tensor::zeros_like);
        let operands = StepOperands::new(params, &zeros, Some(tensor(0.0)), None);
        let (new, state) = self.step_leaves(operands, state, None, true, Location::caller());
        (params.with_leaves(new), state)
    }
}

impl OptState {
    /// Returns the number of gradients that [`accumulate`] holds since its last step, which
    /// [`Optim::finish`] applies; of several accumulations, such as those of groups of parameters,
    /// the largest one. Without an accumulation, it is 0.
    ///
    /// # Errors
    /// The error that the state carries, or if the state is being traced.
    pub fn accumulated_gradients(&self) -> Result<usize> {
        let is_count = |name: &str| name.rsplit('.').next() == Some(GRADIENTS);
        let counts = self.slots.iter().flatten().filter(|(name, _)| is_count(name));
        // A rule of the user may keep other tensors in a slot of this name.
        let counts = counts.flat_map(|(_, slot)| slot).filter(|n| n.rank() == 0);
        let mut counts = counts.map(|n| n.item().map(|n| n as usize));
        counts.try_fold(0, |most, n| Ok(most.max(n?)))
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
    use crate::optim::{
        NonFinite, StepInput, adam, adamw, chain, clip, exponential, per_group, scale, sgd,
    };
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
            let input = StepInput::new().loss(&tensor(loss));
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
    fn gradients_and_losses_are_weighted() {
        let opt = accumulate(3, Optim::new(ByLoss));
        let means = accumulate(3, sgd(1.0));
        let step = |opt: &Optim, p: &Tensor, state, x: f32, weight: f32| {
            let input = StepInput::new().loss(&tensor(x)).weight(&tensor(weight));
            opt.step_with(p, &tensor([x]), state, input)
        };
        let p = tensor([0.0]);
        for (rows, want) in [
            ([(1.0, 3.0), (2.0, 4.0), (9.0, 1.0)], 20.0 / 8.0),
            ([(5.0, 0.0), (2.0, 4.0), (7.0, 0.0)], 2.0),
            ([(5.0, 0.0), (6.0, 0.0), (7.0, 0.0)], 6.0),
        ] {
            let (mut a, mut s) = (p.clone(), opt.init(&p));
            let (mut b, mut t) = (p.clone(), means.init(&p));
            for (x, weight) in rows {
                (a, s) = step(&opt, &a, s, x, weight);
                (b, t) = step(&means, &b, t, x, weight);
            }
            assert!(close(&a, &tensor([want])), "{rows:?}: {a}");
            assert!(close(&b, &tensor([-want])), "{rows:?}: {b}");
        }
    }

    #[test]
    fn the_rest_is_a_step_of_its_mean_and_other_rules_stay() {
        let p = vec![tensor([1.0]), tensor([1.0])];
        let g = |a: f32, b: f32| vec![tensor([a]), tensor([b])];
        let rate = || exponential(0.5, 0.5, 1);
        let opt = chain([
            clip(100.0),
            per_group([("0", accumulate(4, sgd(rate()))), ("1", adam(0.1))]),
            scale(-1.0),
        ]);
        let (q, s) = opt.step(&p, &g(1.0, 1.0), opt.init(&p));
        let (q, s) = opt.step(&q, &g(3.0, 1.0), s);
        assert_eq!((q[0].item().unwrap(), s.accumulated_gradients().unwrap()), (1.0, 2));
        let finish = jit(|(p, s): (Vec<Tensor>, OptState)| opt.finish(&p, s));
        let compiled = finish.run((q.clone(), s.clone())).unwrap();
        let (r, t) = opt.finish(&q, s);
        assert!(close(&r[0], &tensor([0.0])) && close(&compiled.0[0], &r[0]), "0.5 · 2: {r:?}");
        assert_eq!(r[1].item().unwrap(), q[1].item().unwrap(), "Adam has no gradient to apply");
        assert_eq!((t.step.item().unwrap(), t.accumulated_gradients().unwrap()), (2.0, 0));
        let (same, t) = opt.finish(&r, t);
        assert_eq!(same[0].item().unwrap(), r[0].item().unwrap());
        // The next accumulation begins with 0 gradients, and the second rate.
        let (mut r, mut t) = (r, t);
        for _ in 0..4 {
            (r, t) = opt.step(&r, &g(4.0, 1.0), t);
        }
        assert!(close(&r[0], &tensor([-1.0])), "{r:?}");
        let plain = adam(0.1);
        let (q, s) = plain.finish(&p[0], plain.init(&p[0]));
        assert_eq!((q.item().unwrap(), s.accumulated_gradients().unwrap()), (1.0, 0));
    }

    #[test]
    fn a_rest_in_narrow_dtypes_keeps_master_copies_and_skipped_steps() {
        let opt = accumulate(4, sgd(0.5).master_copies().non_finite(NonFinite::Skip));
        let (mut p, mut s) = (tensor([1.0]).to(F16), opt.init(&tensor([1.0]).to(F16)));
        for g in [1.0, f32::NAN, 2.0] {
            (p, s) = opt.step(&p, &tensor([g]).to(F16), s);
        }
        let (p, s) = opt.finish(&p, s);
        assert_eq!((p.item().unwrap(), s.non_finite_steps().unwrap()), (0.25, Some(1)));
        assert_eq!((p.dtype(), s.step.item().unwrap()), (F16, 2.0));
    }

    /// Keeps the last gradients in a slot of the name of the count.
    struct Keeping;

    impl Rule for Keeping {
        fn init(&self, params: &[Tensor], _: &[String]) -> Slots {
            Slots::from([(GRADIENTS.to_string(), zeros(params))])
        }

        fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, _: &Step) -> Vec<Tensor> {
            slots.insert(GRADIENTS.into(), grads.clone());
            grads
        }
    }

    #[test]
    fn gradients_that_another_rule_keeps_are_no_count() {
        let opt = chain([accumulate(4, sgd(0.5)), Optim::new(Keeping)]);
        let p = tensor([1.0, 1.0]);
        let (p, s) = opt.step(&p, &tensor([2.0, 2.0]), opt.init(&p));
        assert_eq!(s.accumulated_gradients().unwrap(), 1);
        let (p, s) = opt.finish(&p, s);
        assert_eq!(s.accumulated_gradients().unwrap(), 0);
        assert!(close(&p, &tensor([0.0, 0.0])), "{p}");
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
