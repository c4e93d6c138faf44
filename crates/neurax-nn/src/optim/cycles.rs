//! Schedules that rise and fall.

use super::Schedule;
use neurax_tensor::{DType, Tensor};
use std::f64::consts::PI;

/// Returns one cycle (Smith and Topin, 2017, <https://arxiv.org/abs/1708.07120>): from `peak / 25`
/// up to `peak` over 30 % of `steps` steps, then down to `peak / 250_000`, along cosines. Optax's
/// `cosine_onecycle_schedule`.
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
    one_cycle_with(peak, steps, 0.3, 25.0, 1e4)
}

/// Returns one cycle: from `first = peak / divisor` up to `peak` over the fraction `rise` of
/// `steps` steps, rounded down, then down to `first / final_divisor`, along cosines.
///
/// # Errors
///
/// The rate carries an error if `rise` is not in `0..=1`.
pub fn one_cycle_with(
    peak: f64,
    steps: usize,
    rise: f64,
    divisor: f64,
    final_divisor: f64,
) -> Schedule {
    if !(0.0..=1.0).contains(&rise) {
        let why = format!("expected a rising fraction in 0..=1, got {rise}");
        return Schedule::invalid("one_cycle", why);
    }
    let first = peak / divisor;
    let turn = (rise * steps as f64).floor();
    Schedule::new(move |count| {
        let up = along_cosine(&(count / turn.max(1.0)), first, peak);
        let fall = (count - turn) / (steps as f64 - turn).max(1.0);
        count.lt(turn).select(up, along_cosine(&fall, peak, first / final_divisor))
    })
}

/// Returns the triangular cycle of Smith, 2015 (<https://arxiv.org/abs/1506.01186>): from `low` to
/// `high` over `half` steps, back over `half` steps, and so on.
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
    let half = half.max(1) as f64;
    Schedule::new(move |count| {
        let phase = (count % (2.0 * half)) / half;
        (1.0 - (phase - 1.0).abs()) * (high - low) + low
    })
}

/// Returns cosine decay with warm restarts (Loshchilov and Hutter, 2016,
/// <https://arxiv.org/abs/1608.03983>): from `start` to 0 over `steps` steps, and again from
/// `start` over `growth` times the number of steps, and so on.
///
/// # Errors
///
/// The rate carries an error if `growth` is not at least 1.
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
    cosine_restarts_with(start, steps, growth, 1.0, 0.0)
}

/// Returns cosine decay with warm restarts. The rate of cycle `i`, which starts at 0, is
/// `start · (alpha + (1 - alpha) · factorⁱ · c)`, where `c` falls from 1 to 0 along half a cosine.
/// `CosineDecayRestarts` of Keras.
///
/// # Errors
///
/// The rate carries an error if `growth` is not at least 1.
pub fn cosine_restarts_with(
    start: f64,
    steps: usize,
    growth: f64,
    factor: f64,
    alpha: f64,
) -> Schedule {
    let is_valid = (1.0..).contains(&growth);
    if !is_valid {
        let why = format!("expected a growth of at least 1, got {growth}");
        return Schedule::invalid("cosine_restarts", why);
    }
    let steps = steps.max(1) as f64;
    Schedule::new(move |count| {
        let (cycle, progress) = cycle_of(&(count.to(DType::F64) / steps), growth);
        let half = (progress * PI).cos() * 0.5 + 0.5;
        let scale = Tensor::scalar(DType::F64, factor).pow(cycle);
        ((half * scale * (1.0 - alpha) + alpha) * start).to(DType::F32)
    })
}

/// Returns a schedule that starts again every `steps` steps.
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
    let steps = steps.max(1) as f64;
    Schedule::new(move |count| schedule.at(&(count % steps)))
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
        near_rates(&one_cycle_with(0.5, 31, 0.4, 20.0, 50.0), |t| match t {
            t if t < 12.0 => cosine(t / 12.0, 0.025, 0.5),
            t => cosine((t - 12.0).min(19.0) / 19.0, 0.5, 0.0005),
        });
        near_rates(&cyclic(0.1, 0.4, 7), |t| {
            let cycle = (1.0 + t / 14.0).floor();
            0.1 + 0.3 * (1.0 - (t / 7.0 - 2.0 * cycle + 1.0).abs()).max(0.0)
        });
        for growth in [1.0, 1.5, 2.0, 3.0] {
            near_rates(&cosine_restarts_with(0.5, 6, growth, 0.8, 0.1), |t| {
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
    fn zero_steps_do_not_divide_by_zero_and_invalid_options_are_errors() {
        let zero = [one_cycle(1.0, 0), cyclic(0.5, 1.0, 0), cosine_restarts(1.0, 0, 1.0)];
        for s in zero {
            assert!(s.at(&tensor([0.0, 1.0, 5.0])).is_finite().all(..).item().unwrap() == 1.0);
        }
        let bad = |s: Schedule| s.at(&tensor(0.0)).error().unwrap().message().to_string();
        assert!(bad(one_cycle_with(1.0, 9, 1.5, 25.0, 1e4)).contains("in 0..=1, got 1.5"));
        assert!(bad(cosine_restarts(1.0, 9, 0.5)).contains("at least 1, got 0.5"));
    }
}
