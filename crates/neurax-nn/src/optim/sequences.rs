//! Schedules that consist of parts.

use super::options::{options, schedule_options};
use super::{CosineDecay, Rate, Schedule, constant, linear};

/// Returns a sequence of schedules: `first`, and from each step of `parts` on the schedule there,
/// which counts from that step. Optax's `join_schedules`.
///
/// # Errors
///
/// The rate carries an error if the steps do not ascend.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let decay = optim::linear(1.0, 0.0, 4);
/// let rate = optim::join(optim::linear(0.0, 1.0, 2), [(2, optim::constant(1.0)), (5, decay)]);
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 9.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [0.0, 0.5, 1.0, 1.0, 1.0, 0.75, 0.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn join(first: Schedule, parts: impl IntoIterator<Item = (usize, Schedule)>) -> Schedule {
    let parts: Vec<(usize, Schedule)> = parts.into_iter().collect();
    if let Some(pair) = parts.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        let (a, b) = (pair[0].0, pair[1].0);
        return Schedule::invalid("join", format!("expected ascending steps, got {a} before {b}"));
    }
    Schedule::new(move |count| {
        parts.iter().fold(first.at(count), |before, (step, part)| {
            let begin = *step as f64;
            // Not below 0, where a part may be NaN, also in its derivative.
            let after = part.at(&(count - begin).maximum(0.0));
            count.lt(begin).select(before, after)
        })
    })
}

/// Returns constant rates: `first`, and from each step of `parts` on the rate there. Optax's
/// `piecewise_constant_schedule` has factors in place of rates.
///
/// # Errors
///
/// The rate carries an error if the steps do not ascend.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::piecewise_constant(1.0, [(10, 0.5), (20, 0.125)]);
/// let rates = rate.at(&tensor([0.0, 9.0, 10.0, 19.0, 20.0, 99.0])).to_vec::<f32>()?;
/// assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.125, 0.125]);
/// # Ok::<(), Error>(())
/// ```
pub fn piecewise_constant(first: f64, parts: impl IntoIterator<Item = (usize, f64)>) -> Schedule {
    join(constant(first), parts.into_iter().map(|(step, rate)| (step, constant(rate))))
}

/// Returns linear warmup from 0 to `peak` over `warmup` steps, followed by cosine decay to 0 until
/// step `steps`. [`WarmupCosine`] has options.
///
/// # Errors
///
/// The rate carries an error if there are not more steps than those of the warmup.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::warmup_cosine(1.0, 2, 6);
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 4.0, 6.0, 99.0]));
/// let want = tensor([0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
/// assert_eq!(rates.allclose(want, 1e-5, 1e-6).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn warmup_cosine(peak: f64, warmup: usize, steps: usize) -> Schedule {
    WarmupCosine::new(peak, warmup, steps).schedule()
}

/// Warmup and cosine decay with options: linearly from `start` to `peak` over `warmup` steps, then
/// along half a cosine to `end` until step `steps`. Optax's `warmup_cosine_decay_schedule`.
///
/// # Errors
///
/// The rate carries an error if there are not more steps than those of the warmup.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::WarmupCosine::new(1.0, 2, 6).start(0.5).end(0.2).schedule();
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 99.0]));
/// let want = tensor([0.5, 0.75, 1.0, 0.882843, 0.6, 0.317157, 0.2, 0.2]);
/// assert_eq!(rates.allclose(want, 1e-5, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WarmupCosine {
    start: f64,
    peak: f64,
    warmup: usize,
    steps: usize,
    end: f64,
}

impl WarmupCosine {
    /// Creates the schedule from 0 to `peak` to 0. A warmup of 0 steps is none.
    pub fn new(peak: f64, warmup: usize, steps: usize) -> WarmupCosine {
        WarmupCosine { start: 0.0, peak, warmup, steps, end: 0.0 }
    }

    /// Returns the schedule of these options.
    pub fn schedule(self) -> Schedule {
        let WarmupCosine { start, peak, warmup, steps, end } = self;
        if steps <= warmup {
            let why = format!(
                "expected more than {warmup} steps, those of the warmup, got {steps}; pass the \
                 number of all steps"
            );
            return Schedule::invalid("warmup_cosine", why);
        }
        let alpha = if peak == 0.0 { 0.0 } else { end / peak };
        let decay = CosineDecay::new(peak, steps - warmup).alpha(alpha).schedule();
        match warmup {
            0 => decay,
            _ => join(linear(start, peak, warmup), [(warmup, decay)]),
        }
    }
}

options! {
    impl WarmupCosine {
        /// Sets the first rate.
        start: f64 = start;
        /// Sets the last rate.
        end: f64 = end;
    }
}
schedule_options!(WarmupCosine);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::exponential;
    use crate::optim::reference::near_rates;
    use neurax_tensor::tensor;
    use std::f64::consts::PI;

    #[test]
    fn rates_are_those_of_the_formulas_of_optax() {
        let options = WarmupCosine::new(0.7, 5, 25).start(0.1).end(0.07);
        near_rates(&options.schedule(), |t| match t {
            t if t < 5.0 => 0.1 + 0.6 * t / 5.0,
            t => 0.7 * (0.9 * 0.5 * (1.0 + (PI * (t - 5.0).min(20.0) / 20.0).cos()) + 0.1),
        });
        near_rates(&piecewise_constant(0.4, [(3, 0.2), (4, 0.1), (30, 0.05)]), |t| match t {
            t if t < 3.0 => 0.4,
            t if t < 4.0 => 0.2,
            t if t < 30.0 => 0.1,
            _ => 0.05,
        });
        let parts = [(8, exponential(1.0, 0.5, 4)), (16, constant(0.3))];
        near_rates(&join(linear(0.0, 1.0, 8), parts), |t| match t {
            t if t < 8.0 => t / 8.0,
            t if t < 16.0 => 0.5f64.powf((t - 8.0) / 4.0),
            _ => 0.3,
        });
    }

    #[test]
    fn invalid_steps_are_errors() {
        let bad = |s: Schedule| s.at(&tensor(0.0)).error().unwrap().message().to_string();
        assert!(bad(piecewise_constant(1.0, [(5, 0.1), (5, 0.2)])).contains("got 5 before 5"));
        assert!(bad(warmup_cosine(1.0, 5, 5)).contains("more than 5 steps"));
        assert_eq!(warmup_cosine(1.0, 0, 5).at(&tensor(0.0)).item().unwrap(), 1.0);
    }
}
