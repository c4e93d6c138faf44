//! Learning rates: constants and schedules, which are functions of the step count.

use super::option_checks::no_steps;
use super::{Optim, Rule, Slots, Step};
use neurax_tensor::{DType, Error, Tensor, tensor};
use std::fmt;
use std::sync::Arc;

/// A learning rate that depends on the step count. It is traced into the training step and computed
/// there.
#[derive(Clone)]
pub struct Schedule(Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>);

impl Schedule {
    /// Creates a schedule from a function of the step count, f32[] (0 before the first step), that
    /// returns the rate, f32[].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let inverse = optim::Schedule::new(|step| 0.1 / (step + 1.0));
    /// assert_eq!(inverse.at(&tensor(3.0)).to_vec::<f32>()?, [0.025]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Schedule {
        Schedule(Arc::new(f))
    }

    /// Returns a schedule whose rates carry the error of an invalid option of `name`.
    pub(super) fn invalid(name: &'static str, why: String) -> Schedule {
        Schedule::new(move |_| Tensor::from_error(Error::new(name, why.clone())))
    }

    /// Returns the schedule `name` of the function that `f` returns for the number of steps over
    /// which the rate changes, or one that carries the error of 0 steps.
    pub(super) fn over<F>(name: &'static str, steps: usize, f: impl FnOnce(f64) -> F) -> Schedule
    where
        F: Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    {
        match no_steps(steps, "pass the number of steps over which the rate changes") {
            Some(why) => Schedule::invalid(name, why),
            None => Schedule::new(f(steps as f64)),
        }
    }

    /// Returns the rate after `count` steps, or the rates of several counts.
    pub fn at(&self, count: &Tensor) -> Tensor {
        (self.0)(count)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Schedule")
    }
}

/// An argument that is a learning rate: a number or a [`Schedule`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a learning rate",
    note = "pass an f64, e.g. `1e-3`, or a `Schedule`"
)]
pub trait Rate {
    /// Returns `Ok` with a constant rate, or `Err` with a schedule.
    fn rate(self) -> Result<f64, Schedule>;
}

impl Rate for f64 {
    fn rate(self) -> Result<f64, Schedule> {
        Ok(self)
    }
}

impl Rate for Schedule {
    fn rate(self) -> Result<f64, Schedule> {
        Err(self)
    }
}

/// Returns a schedule of a constant rate, e.g. to follow [`warmup`].
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rates = optim::constant(0.5).at(&tensor([0.0, 1.0, 99.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [0.5, 0.5, 0.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn constant(rate: f64) -> Schedule {
    Schedule::new(move |count| count * 0.0 + rate)
}

/// Returns exponential decay: `start`, multiplied by `factor` over every `steps` steps, with a
/// smooth transition.
///
/// # Errors
///
/// The rate carries an error if `steps` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rates = optim::exponential(0.8, 0.5, 10).at(&tensor([0.0, 5.0, 10.0, 20.0, 30.0]));
/// let want = tensor([0.8, 0.565685, 0.4, 0.2, 0.1]);
/// assert_eq!(rates.allclose(want, 1e-5, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn exponential(start: f64, factor: f64, steps: usize) -> Schedule {
    Schedule::over("exponential", steps, |steps| {
        let factor = tensor(factor as f32);
        move |count| factor.pow(count / steps) * start
    })
}

/// Returns linear warmup from 0 to the first rate of `after` over `steps` steps, followed by
/// `after`. A warmup of 0 steps is none.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::warmup(4, optim::constant(1.0));
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 9.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn warmup(steps: usize, after: Schedule) -> Schedule {
    let n = steps as f64;
    Schedule::new(move |count| {
        // The first step already has a rate above zero; a rate of zero would waste it.
        let progress = ((count + 1.0) / n.max(1.0)).minimum(1.0);
        progress * after.at(&(count - n).maximum(0.0))
    })
}

/// Multiplies updates by `-rate`: the last rule of a chain, which turns a direction into a descent
/// step.
pub fn scale(rate: impl Rate) -> Optim {
    match rate.rate() {
        Ok(constant) => Optim::new(FixedRate(constant)),
        Err(schedule) => Optim::new(schedule),
    }
}

/// A constant rate. It is kept in the state, so that it can be changed without tracing the step
/// again.
struct FixedRate(f64);

impl Rule for FixedRate {
    fn init(&self, _: &[Tensor], _: &[String]) -> Slots {
        Slots::from([("rate".into(), vec![Tensor::scalar(DType::F32, self.0)])])
    }

    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, _: &Step) -> Vec<Tensor> {
        match slots.get("rate").and_then(|r| r.first()) {
            Some(rate) => descend(grads, rate),
            None => grads.iter().map(|_| Tensor::from_error(super::missing("rate"))).collect(),
        }
    }

    fn learning_rate(&self, slots: &Slots, _count: &Tensor) -> Option<Tensor> {
        slots.get("rate").and_then(|rate| rate.first()).map(Tensor::abs)
    }
}

impl Rule for Schedule {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        descend(grads, &self.at(step.count))
    }

    fn learning_rate(&self, _slots: &Slots, count: &Tensor) -> Option<Tensor> {
        Some(self.at(count).abs())
    }
}

/// Multiplies `grads` by `-rate`.
fn descend(grads: Vec<Tensor>, rate: &Tensor) -> Vec<Tensor> {
    let negated = -rate;
    grads
        .into_iter()
        .map(|g| {
            let rate = negated.to(g.dtype());
            g * rate
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{near, run};
    use crate::optim::{
        CosineDecay, PolynomialDecay, cosine, cosine_restarts, cyclic, exponential_staircase,
        inverse_sqrt, linear, one_cycle, restarts, sgd,
    };

    #[test]
    fn warmup_is_followed_by_cosine_decay() {
        let rate = warmup(2, cosine(1.0, 4));
        let found: Vec<f32> =
            (0..7).map(|i| rate.at(&tensor(i as f32)).to_vec::<f32>().unwrap()[0]).collect();
        near(&found, &[0.5, 1.0, 1.0, 0.853_553, 0.5, 0.146_447, 0.0]);
    }

    #[test]
    fn a_schedule_depends_on_the_step_count() {
        near(&run(sgd(exponential(0.5, 0.5, 1)), 3), &[0.5, 0.375, 0.328_125]);
        near(&run(sgd(constant(0.5)), 2), &run(sgd(0.5), 2));
    }

    #[test]
    fn schedules_over_no_steps_are_errors_and_a_warmup_of_none_is_none() {
        let schedules = [
            linear(1.0, 0.5, 0),
            PolynomialDecay::new(1.0, 0.5, 0).power(2.0).schedule(),
            exponential(1.0, 0.5, 0),
            exponential_staircase(1.0, 0.5, 0),
            cosine(1.0, 0),
            CosineDecay::new(1.0, 0).alpha(0.5).schedule(),
            inverse_sqrt(1.0, 0),
            one_cycle(1.0, 0),
            cyclic(0.5, 1.0, 0),
            cosine_restarts(1.0, 0, 1.0),
            restarts(constant(1.0), 0),
        ];
        for s in schedules {
            let (p, opt) = (tensor([1.0]), sgd(s));
            let (p, _) = opt.step(&p, &p, opt.init(&p));
            let want = "expected at least 1 step, got 0; pass the number of steps over which the \
                        rate changes";
            assert_eq!(p.error().unwrap().message(), want);
        }
        assert_eq!(warmup(0, constant(1.0)).at(&tensor(0.0)).item().unwrap(), 1.0);
        assert_eq!(
            exponential(0.5, 0.0, 3).at(&tensor([0.0, 1.0])).to_vec::<f32>().unwrap(),
            [0.5, 0.0]
        );
    }
}
