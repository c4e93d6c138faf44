//! Schedules that decay from a first rate.

use super::option_checks::not_above;
use super::options::{options, schedule_options};
use super::{Rate, Schedule};
use std::f64::consts::PI;

/// Returns linear decay (or growth): from `start` to `end` over `steps` steps, then `end`. Optax's
/// `linear_schedule`. [`PolynomialDecay`] has other powers.
///
/// # Errors
///
/// The rate carries an error if `steps` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::linear(1.0, 0.5, 4);
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 9.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn linear(start: f64, end: f64, steps: usize) -> Schedule {
    PolynomialDecay::new(start, end, steps).schedule()
}

/// Polynomial decay with options: `end + (start - end) · (1 - t / steps)^power` after `t` steps,
/// and `end` after `steps` steps. Optax's `polynomial_schedule`.
///
/// # Errors
///
/// The rate carries an error if the power is not above 0, or the number of steps is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::PolynomialDecay::new(1.0, 0.0, 4).power(2.0).schedule();
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 9.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PolynomialDecay {
    start: f64,
    end: f64,
    steps: usize,
    power: f64,
}

impl PolynomialDecay {
    /// Creates the decay from `start` to `end` with a power of 1, which is linear.
    pub fn new(start: f64, end: f64, steps: usize) -> PolynomialDecay {
        PolynomialDecay { start, end, steps, power: 1.0 }
    }

    /// Returns the schedule of these options.
    pub fn schedule(self) -> Schedule {
        let PolynomialDecay { start, end, steps, power } = self;
        if let Some(why) = not_above("a power", power, 0.0, "1 is linear decay") {
            return Schedule::invalid("polynomial", why);
        }
        Schedule::over("polynomial", steps, |steps| {
            move |count| {
                let rest = (1.0 - count / steps).maximum(0.0);
                let rest = if power == 1.0 { rest } else { rest.pow(power) };
                rest * (start - end) + end
            }
        })
    }
}

options! {
    impl PolynomialDecay {
        /// Sets the power, which is above 0.
        power: f64 = power;
    }
}
schedule_options!(PolynomialDecay);

/// Returns exponential decay in stairs: `start`, multiplied by `factor` after every `steps` steps.
/// [`exponential`](super::exponential) has a smooth transition.
///
/// # Errors
///
/// The rate carries an error if `steps` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::exponential_staircase(0.8, 0.5, 10);
/// let rates = rate.at(&tensor([0.0, 9.0, 10.0, 19.0, 20.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [0.8, 0.8, 0.4, 0.4, 0.2]);
/// # Ok::<(), Error>(())
/// ```
pub fn exponential_staircase(start: f64, factor: f64, steps: usize) -> Schedule {
    let smooth = super::exponential(start, factor, 1);
    Schedule::over("exponential_staircase", steps, |steps| {
        move |count| smooth.at(&(count / steps).floor())
    })
}

/// Returns cosine decay: from `start` to 0 over `steps` steps along half a cosine, then 0
/// (Loshchilov and Hutter, 2016, <https://arxiv.org/abs/1608.03983>). [`CosineDecay`] has options.
///
/// # Errors
///
/// The rate carries an error if `steps` is 0.
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
    CosineDecay::new(start, steps).schedule()
}

/// Cosine decay with options: from `start` to `alpha · start` over `steps` steps along half a
/// cosine, then `alpha · start`. Optax's `cosine_decay_schedule`.
///
/// # Errors
///
/// The rate carries an error if `steps` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::CosineDecay::new(1.0, 4).alpha(0.2).schedule();
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 9.0]));
/// let want = tensor([1.0, 0.882843, 0.6, 0.317157, 0.2, 0.2]);
/// assert_eq!(rates.allclose(want, 1e-5, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CosineDecay {
    start: f64,
    steps: usize,
    alpha: f64,
}

impl CosineDecay {
    /// Creates the decay from `start` to 0.
    pub fn new(start: f64, steps: usize) -> CosineDecay {
        CosineDecay { start, steps, alpha: 0.0 }
    }

    /// Returns the schedule of these options.
    pub fn schedule(self) -> Schedule {
        let CosineDecay { start, alpha, .. } = self;
        Schedule::over("cosine", self.steps, |steps| {
            move |count| {
                let half = ((count / steps).minimum(1.0) * PI).cos() * 0.5 + 0.5;
                (half * (1.0 - alpha) + alpha) * start
            }
        })
    }
}

options! {
    impl CosineDecay {
        /// Sets the last rate as a fraction of the first one.
        alpha: f64 = alpha;
    }
}
schedule_options!(CosineDecay);

/// Returns the schedule of the Transformer (Vaswani et al., 2017,
/// <https://arxiv.org/abs/1706.03762>): linear warmup to `peak` over `warmup` steps, followed by
/// decay with the inverse square root of the number of steps.
///
/// # Errors
///
/// The rate carries an error if `warmup` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::inverse_sqrt(1.0, 4);
/// let rates = rate.at(&tensor([0.0, 1.0, 3.0, 15.0, 63.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [0.25, 0.5, 1.0, 0.5, 0.25]);
/// # Ok::<(), Error>(())
/// ```
pub fn inverse_sqrt(peak: f64, warmup: usize) -> Schedule {
    Schedule::over("inverse_sqrt", warmup, |warmup| {
        move |count| {
            let step = count + 1.0;
            (&step / warmup).minimum((warmup / step).sqrt()) * peak
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::near_rates;
    use crate::optim::sgd;
    use neurax_tensor::tensor;

    #[test]
    fn rates_are_those_of_the_formulas_of_optax() {
        near_rates(&linear(0.1, 0.7, 7), |t| 0.1 + 0.6 * (t / 7.0).min(1.0));
        let polynomial = PolynomialDecay::new(0.9, 0.1, 20).power(1.5);
        near_rates(&polynomial.schedule(), |t| 0.8 * (1.0 - t.min(20.0) / 20.0).powf(1.5) + 0.1);
        near_rates(&exponential_staircase(0.5, 0.8, 6), |t| 0.5 * 0.8f64.powf((t / 6.0).floor()));
        near_rates(&CosineDecay::new(0.5, 12).alpha(0.1).schedule(), |t| {
            0.5 * (0.9 * 0.5 * (1.0 + (PI * t.min(12.0) / 12.0).cos()) + 0.1)
        });
        near_rates(&inverse_sqrt(0.3, 5), |t| {
            0.3 * 5f64.sqrt() * ((t + 1.0) * 5f64.powf(-1.5)).min((t + 1.0).powf(-0.5))
        });
    }

    #[test]
    fn an_invalid_power_is_an_error_of_the_step() {
        let (p, opt) = (tensor([1.0]), sgd(PolynomialDecay::new(1.0, 0.0, 4).power(0.0)));
        let (p, _) = opt.step(&p, &p, opt.init(&p));
        assert!(p.error().unwrap().message().contains("a power above 0"), "{p:?}");
    }
}
