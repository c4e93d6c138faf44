//! Schedules that rise and fall.

use super::option_checks::{below, no_fraction, not_above};
use super::options::{options, schedule_options};
use super::{Rate, Schedule};
use neurax_tensor::{DType, Tensor};
use std::f64::consts::PI;

/// Returns one cycle (Smith and Topin, 2017, <https://arxiv.org/abs/1708.07120>): from `peak / 25`
/// up to `peak` over 30 % of `steps` steps, then down to `peak / 250_000`, along cosines. Optax's
/// `cosine_onecycle_schedule`. [`OneCycle`] has options.
///
/// # Errors
///
/// The rate carries an error if `steps` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::one_cycle(1.0, 10);
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 99.0]));
/// let want = tensor([0.04, 0.28, 0.76, 1.0, 0.811745, 0.188258, 4e-6, 4e-6]);
/// assert_eq!(rates.allclose(want, 1e-4, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn one_cycle(peak: f64, steps: usize) -> Schedule {
    OneCycle::new(peak, steps).schedule()
}

/// One cycle with options: from `first = peak / divisor` up to `peak` over the fraction `rise` of
/// the steps, rounded down, then down to `first / final_divisor`, along cosines.
///
/// # Errors
///
/// The rate carries an error if `rise` is not in `0..=1`, a divisor is not above 0, or the number
/// of steps is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::OneCycle::new(1.0, 10).rise(0.5).divisor(10.0).final_divisor(2.0);
/// let rates = rate.schedule().at(&tensor([0.0, 5.0, 10.0]));
/// assert_eq!(rates.allclose(tensor([0.1, 1.0, 0.05]), 1e-6, 0.0).item()?, 1.0);
/// let opt = optim::adam(rate);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OneCycle {
    peak: f64,
    steps: usize,
    rise: f64,
    divisor: f64,
    final_divisor: f64,
}

impl OneCycle {
    /// Creates the cycle that rises for 30 % of `steps` steps, with the divisors 25 and 1e4.
    pub fn new(peak: f64, steps: usize) -> OneCycle {
        OneCycle { peak, steps, rise: 0.3, divisor: 25.0, final_divisor: 1e4 }
    }

    /// Returns the schedule of these options.
    pub fn schedule(self) -> Schedule {
        if let Some(why) = self.error() {
            return Schedule::invalid("one_cycle", why);
        }
        let OneCycle { peak, rise, .. } = self;
        let first = peak / self.divisor;
        let last = first / self.final_divisor;
        Schedule::over("one_cycle", self.steps, |steps| {
            let turn = (rise * steps).floor();
            move |count| {
                let up = along_cosine(&(count / turn.max(1.0)), first, peak);
                let fall = (count - turn) / (steps - turn).max(1.0);
                count.lt(turn).select(up, along_cosine(&fall, peak, last))
            }
        })
    }

    fn error(&self) -> Option<String> {
        let divisor = |x| not_above("a divisor", x, 0.0, "25 and 1e4 are usual");
        no_fraction("a rising fraction", self.rise, "0.3 is usual")
            .or_else(|| [self.divisor, self.final_divisor].into_iter().find_map(divisor))
    }
}

options! {
    impl OneCycle {
        /// Sets the fraction of the steps over which the rate rises.
        rise: f64 = rise;
        /// Sets the divisor of the peak that is the first rate.
        divisor: f64 = divisor;
        /// Sets the divisor of the first rate that is the last one.
        final_divisor: f64 = final_divisor;
    }
}
schedule_options!(OneCycle);

/// Returns the triangular cycle of Smith, 2015 (<https://arxiv.org/abs/1506.01186>): from `low` to
/// `high` over `half` steps, back over `half` steps, and so on.
///
/// # Errors
///
/// The rate carries an error if `half` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::cyclic(0.0, 1.0, 4);
/// let rates = rate.at(&tensor([0.0, 1.0, 4.0, 6.0, 8.0, 9.0, 12.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [0.0, 0.25, 1.0, 0.5, 0.0, 0.25, 1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn cyclic(low: f64, high: f64, half: usize) -> Schedule {
    Schedule::over("cyclic", half, |half| {
        move |count| {
            let phase = (count % (2.0 * half)) / half;
            (1.0 - (phase - 1.0).abs()) * (high - low) + low
        }
    })
}

/// Returns cosine decay with warm restarts (Loshchilov and Hutter, 2016,
/// <https://arxiv.org/abs/1608.03983>): from `start` to 0 over `steps` steps, and again from
/// `start` over `growth` times the number of steps, and so on. [`CosineRestarts`] has options.
///
/// # Errors
///
/// The rate carries an error if `growth` is not at least 1, or `steps` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::cosine_restarts(1.0, 2, 2.0);
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 4.0, 6.0, 10.0, 14.0]));
/// let want = tensor([1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0]);
/// assert_eq!(rates.allclose(want, 1e-5, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn cosine_restarts(start: f64, steps: usize, growth: f64) -> Schedule {
    CosineRestarts::new(start, steps).growth(growth).schedule()
}

/// Cosine decay with warm restarts, with options. The rate of cycle `i`, which starts at 0, is
/// `start · (alpha + (1 - alpha) · factorⁱ · c)`, where `c` falls from 1 to 0 along half a cosine.
/// `CosineDecayRestarts` of Keras.
///
/// # Errors
///
/// The rate carries an error if the growth is not at least 1, or the number of steps is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::CosineRestarts::new(1.0, 2).growth(2.0).factor(0.5).schedule();
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 4.0, 6.0]));
/// assert_eq!(rates.allclose(tensor([1.0, 0.5, 0.5, 0.25, 0.25]), 1e-5, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CosineRestarts {
    start: f64,
    steps: usize,
    growth: f64,
    factor: f64,
    alpha: f64,
}

impl CosineRestarts {
    /// Creates cycles of `steps` steps from `start` to 0.
    pub fn new(start: f64, steps: usize) -> CosineRestarts {
        CosineRestarts { start, steps, growth: 1.0, factor: 1.0, alpha: 0.0 }
    }

    /// Returns the schedule of these options.
    pub fn schedule(self) -> Schedule {
        let CosineRestarts { start, growth, factor, alpha, .. } = self;
        if let Some(why) = below("a growth", growth, 1.0, "2 is usual") {
            return Schedule::invalid("cosine_restarts", why);
        }
        Schedule::over("cosine_restarts", self.steps, |steps| {
            move |count| {
                let (cycle, progress) = cycle_of(&(count.to(DType::F64) / steps), growth);
                let half = (progress * PI).cos() * 0.5 + 0.5;
                let scale = Tensor::scalar(DType::F64, factor).pow(cycle);
                ((half * scale * (1.0 - alpha) + alpha) * start).to(DType::F32)
            }
        })
    }
}

options! {
    impl CosineRestarts {
        /// Sets the factor of the number of steps from cycle to cycle.
        growth: f64 = growth;
        /// Sets the factor of the first rate from cycle to cycle.
        factor: f64 = factor;
        /// Sets the last rate of each cycle as a fraction of `start`.
        alpha: f64 = alpha;
    }
}
schedule_options!(CosineRestarts);

/// Returns a schedule that starts again every `steps` steps.
///
/// # Errors
///
/// The rate carries an error if `steps` is 0.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::restarts(optim::linear(1.0, 0.0, 4), 3);
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 6.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [1.0, 0.75, 0.5, 1.0, 0.75, 1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn restarts(schedule: Schedule, steps: usize) -> Schedule {
    Schedule::over("restarts", steps, |steps| move |count| schedule.at(&(count % steps)))
}

/// Interpolates from `a` to `b` along half a cosine, as `progress` grows from 0 to 1.
fn along_cosine(progress: &Tensor, a: f64, b: f64) -> Tensor {
    let half = (progress.maximum(0.0).minimum(1.0) * PI).cos() * 0.5 + 0.5;
    half * (a - b) + b
}

/// Returns the number of the cycle after `time`, in units of the first cycle, and the progress in
/// it from 0 to 1. Cycle `i` has the length `growthⁱ`.
fn cycle_of(time: &Tensor, growth: f64) -> (Tensor, Tensor) {
    if growth == 1.0 {
        let cycle = time.floor();
        return (cycle.clone(), time - cycle);
    }
    // A logarithm that is rounded down must not be that of the cycle before.
    let cycle = ((time * (growth - 1.0) + 1.0).log() / growth.ln() + 1e-9).floor();
    let length = (&cycle * growth.ln()).exp();
    let begin = (&length - 1.0) / (growth - 1.0);
    (cycle, ((time - begin) / length).maximum(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::linear;
    use crate::optim::reference::near_rates;
    use neurax_tensor::tensor;

    #[test]
    fn rates_are_those_of_the_formulas_of_optax_and_keras() {
        let cosine = |x: f64, a: f64, b: f64| b + (a - b) / 2.0 * ((PI * x).cos() + 1.0);
        let cycle = OneCycle::new(0.5, 31).rise(0.4).divisor(20.0).final_divisor(50.0);
        near_rates(&cycle.schedule(), |t| match t {
            t if t < 12.0 => cosine(t / 12.0, 0.025, 0.5),
            t => cosine((t - 12.0).min(19.0) / 19.0, 0.5, 0.0005),
        });
        near_rates(&cyclic(0.1, 0.4, 7), |t| {
            let cycle = (1.0 + t / 14.0).floor();
            0.1 + 0.3 * (1.0 - (t / 7.0 - 2.0 * cycle + 1.0).abs()).max(0.0)
        });
        for growth in [1.0, 1.5, 2.0, 3.0] {
            let options = CosineRestarts::new(0.5, 6).growth(growth).factor(0.8).alpha(0.1);
            near_rates(&options.schedule(), |t| {
                let (mut begin, mut length, mut height) = (0.0, 6.0, 1.0);
                while t >= begin + length - 1e-9 {
                    begin += length;
                    length *= growth;
                    height *= 0.8;
                }
                let half = 0.5 * (1.0 + (PI * (t - begin) / length).cos());
                0.5 * (0.9 * height * half + 0.1)
            });
        }
        near_rates(&restarts(linear(1.0, 0.0, 9), 9), |t| 1.0 - t % 9.0 / 9.0);
    }

    #[test]
    fn invalid_options_are_errors() {
        let bad = |s: Schedule| s.at(&tensor(0.0)).error().unwrap().message().to_string();
        let cycle = OneCycle::new(1.0, 9);
        assert!(bad(cycle.rise(1.5).schedule()).contains("in 0..=1, got 1.5"));
        assert!(bad(cycle.divisor(0.0).schedule()).contains("a divisor above 0, got 0"));
        assert!(bad(cosine_restarts(1.0, 9, 0.5)).contains("at least 1, got 0.5"));
    }
}
