//! Learning rates: constants and schedules, which are functions of the step count.

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
    let (factor, steps) = (tensor(factor as f32), steps.max(1) as f64);
    Schedule::new(move |count| factor.pow(count / steps) * start)
}

/// Returns cosine decay: from `start` to 0 over `steps` steps along half a cosine, then 0
/// (Loshchilov and Hutter, 2016, <https://arxiv.org/abs/1608.03983>).
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rates = optim::cosine(0.5, 4).at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 9.0]));
/// let want = tensor([0.5, 0.426777, 0.25, 0.073223, 0.0, 0.0]);
/// assert_eq!(rates.allclose(want, 1e-5, 1e-7).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn cosine(start: f64, steps: usize) -> Schedule {
    Schedule::new(move |count| {
        let progress = (count / steps.max(1) as f64).minimum(1.0);
        ((progress * std::f64::consts::PI).cos() + 1.0) * (start / 2.0)
    })
}

/// Returns linear warmup from 0 to the first rate of `after` over `steps` steps, followed by
/// `after`.
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
}

impl Rule for Schedule {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        descend(grads, &self.at(step.count))
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
    use crate::optim::{
        sgd,
        tests::{near, run},
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
    fn zero_steps_do_not_divide_by_zero() {
        for s in [cosine(1.0, 0), exponential(1.0, 0.5, 0), warmup(0, constant(1.0))] {
            assert!(s.at(&tensor(0.0)).item().unwrap().is_finite());
        }
        assert_eq!(
            exponential(0.5, 0.0, 3).at(&tensor([0.0, 1.0])).to_vec::<f32>().unwrap(),
            [0.5, 0.0]
        );
    }
}
