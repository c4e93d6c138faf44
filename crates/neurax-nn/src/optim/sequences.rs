//! Schedules that consist of parts.

use super::{Schedule, constant, cosine_with, linear};

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

/// Returns linear warmup from `start` to `peak` over `warmup` steps, followed by cosine decay to
/// `end` until step `steps`. Optax's `warmup_cosine_decay_schedule`.
///
/// # Errors
///
/// The rate carries an error if there are not more steps than those of the warmup.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let rate = optim::warmup_cosine(0.0, 1.0, 2, 6, 0.2);
/// let rates = rate.at(&tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 99.0]));
/// let want = tensor([0.0, 0.5, 1.0, 0.882843, 0.6, 0.317157, 0.2, 0.2]);
/// assert_eq!(rates.allclose(want, 1e-5, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn warmup_cosine(start: f64, peak: f64, warmup: usize, steps: usize, end: f64) -> Schedule {
    if steps <= warmup {
        let why = format!("expected more than {warmup} steps, those of the warmup, got {steps}");
        return Schedule::invalid("warmup_cosine", why);
    }
    let alpha = if peak == 0.0 { 0.0 } else { end / peak };
    let decay = cosine_with(peak, steps - warmup, alpha);
    join(linear(start, peak, warmup), [(warmup, decay)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::exponential;
    use crate::optim::reference::near_rates;
    use neurax_tensor::tensor;
    use std::f64::consts::PI;

    #[test]
    fn rates_are_those_of_the_formulas_of_optax() {
        near_rates(&warmup_cosine(0.1, 0.7, 5, 25, 0.07), |t| match t {
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
        assert!(bad(warmup_cosine(0.0, 1.0, 5, 5, 0.0)).contains("more than 5 steps"));
        assert_eq!(warmup_cosine(0.0, 1.0, 0, 5, 0.0).at(&tensor(0.0)).item().unwrap(), 1.0);
    }
}
