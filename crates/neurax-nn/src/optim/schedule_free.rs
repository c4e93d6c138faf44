//! Schedule-free optimization: Defazio et al., 2024 (<https://arxiv.org/abs/2405.15682>).

use super::averages::{
    Corrections, MomentFormula, Moments, average, moment_rule, with_finite_square,
};
use super::change::ParamChange;
use super::option_checks::option_error;
use super::rules::Rules;
use super::state::{missing, take};
use super::{Optim, Rate, Rule, Schedule, Slots, Step, chain, invalid, kept_slots, weight_decay};
use neurax_tensor::{DType, Tensor, tensor};

/// The slot of the base iterates.
pub(super) const BASE: &str = "base";
/// The slot of the share of the average in the parameters.
pub(super) const MOMENTUM: &str = "momentum";
/// The slot of a constant rate.
const RATE: &str = "rate";
/// The slot of the largest rate so far.
const LARGEST: &str = "largest_rate";
/// The slot of the sum of the weights.
const WEIGHT_SUM: &str = "weight_sum";

/// Returns schedule-free AdamW with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8, which needs no decay of the
/// rate. A rate of [`warmup`](super::warmup) to a constant is usual.
///
/// The parameters that are trained are not those to evaluate: these are the averages that
/// [`OptState::average_of`](super::OptState::average_of) returns.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::schedule_free_adamw(0.3, 0.0);
/// let (mut p, mut state) = (tensor([4.0]), opt.init(&tensor([4.0])));
/// for _ in 0..200 {
///     (p, state) = opt.step(&p, &(&p * 2.0), state);
/// }
/// assert!(state.average_of(&p).item()?.abs() < 0.05);
/// # Ok::<(), Error>(())
/// ```
pub fn schedule_free_adamw(rate: impl Rate, decay: f64) -> Optim {
    let direction = moment_rule(Moments { b1: 0.0, ..Moments::with_eps(1e-8) }, CorrectedRms);
    schedule_free(chain([direction, weight_decay(decay)]), rate, 0.9)
}

/// Makes an optimizer schedule-free. `direction` has neither rate nor momentum, e.g. `chain([])`
/// for SGD, or [`Adam`](super::Adam) with β₁ = 0 and other options. With it, base iterates `z`
/// descend from gradients at the parameters `y = momentum · x + (1 - momentum) · z`, where `x` is
/// the average of `z`, weighted by the square of the largest rate so far.
///
/// # Errors
///
/// The updates carry an error if `momentum` is not above 0 and below 1.
pub fn schedule_free(direction: Optim, rate: impl Rate, momentum: f64) -> Optim {
    let rule = ScheduleFree { direction: direction.rules, rate: rate.rate(), momentum };
    Optim { rules: Rules::one(rule), ..direction }
}

/// Adam without an average of gradients.
struct CorrectedRms;

impl MomentFormula<1> for CorrectedRms {
    const NAME: &'static str = "schedule_free_adamw";
    const SLOTS: [&'static str; 1] = ["v"];

    fn update(
        &self,
        moments: &Moments,
        g: &Tensor,
        [v]: [Tensor; 1],
        corrections: &Corrections,
    ) -> (Tensor, [Tensor; 1]) {
        let g = with_finite_square(g);
        let v = average(v, &(&g * &g), moments.b2);
        (moments.quotient(g, &v, corrections), [v])
    }
}

struct ScheduleFree {
    direction: Rules,
    rate: Result<f64, Schedule>,
    momentum: f64,
}

impl Rule for ScheduleFree {
    fn init(&self, params: &[Tensor], paths: &[String]) -> Slots {
        let mut slots = self.direction.init_nested(params, paths);
        slots.insert(BASE.into(), params.to_vec());
        slots.insert(MOMENTUM.into(), vec![Tensor::scalar(DType::F64, self.momentum)]);
        slots.extend([LARGEST, WEIGHT_SUM].map(|name| (name.into(), vec![tensor(0.0)])));
        if let Ok(constant) = self.rate {
            slots.insert(RATE.into(), vec![Tensor::scalar(DType::F32, constant)]);
        }
        slots
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = self.error() {
            return invalid("schedule_free", why, &grads);
        }
        let rate = self.rate(slots, step.count);
        let rate = rate.unwrap_or_else(|| Tensor::from_error(missing(RATE)));
        let share = share_of_new(slots, &rate);
        let directions = self.direction.update_nested(grads, slots, step);
        let base = take(slots, BASE, step.params);
        let momentum = Tensor::scalar(DType::F64, self.momentum);
        let mut new = vec![];
        let operands = step.params.iter().zip(base).zip(directions);
        let updates = operands.map(|((y, z), u)| {
            let x = average_at(y, &z, &momentum);
            let z = z - u * rate.to(y.dtype());
            let x = &x + (&z - &x) * share.to(y.dtype());
            let update = x * self.momentum + &z * (1.0 - self.momentum) - y;
            new.push(z);
            update
        });
        let updates = updates.collect();
        slots.insert(BASE.into(), new);
        updates
    }

    fn learning_rate(&self, slots: &Slots, count: &Tensor) -> Option<Tensor> {
        self.rate(slots, count)
    }

    fn change(&self, mut slots: Slots, change: &ParamChange) -> Slots {
        let inner = self.direction.change_nested(&mut slots, change);
        kept_slots(self, slots, change).into_iter().chain(inner).collect()
    }
}

impl ScheduleFree {
    fn error(&self) -> Option<String> {
        let is_valid = self.momentum > 0.0;
        let why = || format!("expected a momentum above 0, got {}", self.momentum);
        option_error(&[self.momentum], &[]).or_else(|| (!is_valid).then(why))
    }

    /// Returns the rate of the step after `count` others, f32[]; `None` if the slot of a constant
    /// one is missing.
    fn rate(&self, slots: &Slots, count: &Tensor) -> Option<Tensor> {
        match &self.rate {
            Ok(_) => slots.get(RATE).and_then(|rate| rate.first()).cloned(),
            Err(schedule) => Some(schedule.at(count)),
        }
    }
}

/// Returns the share of the new base iterates in the averages, f32[], and updates the sum of the
/// weights.
fn share_of_new(slots: &mut Slots, rate: &Tensor) -> Tensor {
    let mut take = |name: &str| {
        let found = slots.remove(name).and_then(|mut slot| slot.pop());
        found.unwrap_or_else(|| Tensor::from_error(missing(name)))
    };
    let (largest, total) = (take(LARGEST).maximum(rate), take(WEIGHT_SUM));
    let weight = largest.square();
    let total = total + &weight;
    let is_zero = total.equal(0.0);
    let share = is_zero.select(0.0, weight / is_zero.select(1.0, &total));
    slots.insert(LARGEST.into(), vec![largest]);
    slots.insert(WEIGHT_SUM.into(), vec![total]);
    share
}

/// Returns the average of the base iterates for the parameter `y` and the base iterate `z`. It is
/// not kept, which saves the memory of one copy of the parameters.
pub(super) fn average_at(y: &Tensor, z: &Tensor, momentum: &Tensor) -> Tensor {
    let b = momentum.to(y.dtype());
    (y - z * (1.0 - &b)) / b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};
    use crate::optim::{constant, sgd, warmup};
    use neurax_tensor::Tree;

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut x, mut z, mut v, mut sum) = (1.0, 1.0, 0.0, 0.0);
        let want = formula(|p, g, t| {
            let rate = 0.1 * f64::min(f64::from(t) / 5.0, 1.0);
            v = 0.999 * v + 0.001 * g * g;
            z -= rate * (g / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8) + 0.2 * p);
            sum += rate * rate;
            x += rate * rate / sum * (z - x);
            0.9 * x + 0.1 * z
        });
        near_formula(schedule_free_adamw(warmup(5, constant(0.1)), 0.2), want);
    }

    #[test]
    fn the_average_is_that_of_the_base_iterates() {
        let opt = schedule_free(chain([]), 0.5, 0.75);
        let (mut p, mut z, mut sum) = (tensor([1.0]), 1.0, 0.0);
        let mut state = opt.init(&p);
        for t in 1..=10 {
            let g = (3.0 * f64::from(t)).cos();
            (p, state) = opt.step(&p, &tensor([g as f32]), state);
            z -= 0.5 * g;
            sum += z;
            let (average, want) = (state.average_of(&p).item().unwrap(), sum / f64::from(t));
            assert!((average - want).abs() < 1e-5, "step {t}: {average}, {want}");
        }
    }

    #[test]
    fn a_constant_rate_can_be_changed_and_invalid_uses_are_errors() {
        let (p, opt) = (tensor([1.0]), schedule_free(chain([]), 0.5, 0.5));
        let mut state = opt.init(&p);
        state.slots[0].insert(RATE.into(), vec![tensor(0.25)]);
        assert_eq!(opt.step(&p, &p, state).0.item().unwrap(), 0.75);
        for momentum in [0.0, 1.0] {
            let opt = schedule_free(chain([]), 0.5, momentum);
            let (p, _) = opt.step(&p, &p, opt.init(&p));
            assert!(p.ok().unwrap_err().message().starts_with("expected"));
        }
        let (q, _) = opt.step(&p, &p, sgd(0.5).init(&p));
        assert!(q.ok().unwrap_err().message().contains("missing slot"));
    }
}
