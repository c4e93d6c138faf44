//! The line search of quasi-Newton methods.
//!
//! It finds a step size `t` along a direction that satisfies the weak Wolfe conditions: the loss
//! decreases by at least [`DECREASE`] of what the slope promises, and the slope grows to at most
//! [`CURVATURE`] of that at the start. The method is bisection (Lewis and Overton, 2013,
//! <https://doi.org/10.1007/s10107-012-0514-2>): `t` starts at 1 and is doubled while it is too
//! small, until one is too large; then the interval between these is halved. A step size of these
//! conditions keeps the approximated Hessian matrix positive definite.

use neurax_tensor::{DType, Tensor, Tree, tensor, while_loop};

/// The share of the decrease that the slope promises.
const DECREASE: f64 = 1e-4;

/// The largest share of the slope at the end of the step.
const CURVATURE: f64 = 0.9;

/// The largest number of step sizes that are tried.
const MAX_TRIES: i32 = 25;

/// The decrease of the loss below which it is not visible, relative to the loss, in units of the
/// precision of f32.
const ROUNDING: f64 = 10.0 * f32::EPSILON as f64;

/// The search in progress.
#[derive(Tree, Clone)]
struct Search {
    /// The step size to try next, or the result.
    size: Tensor,
    /// The largest step size that is known to be too small; 0 at first.
    low: Tensor,
    /// The smallest step size that is known to be too large; infinite at first.
    high: Tensor,
    tries: Tensor,
    is_found: Tensor,
}

/// Returns the step size, a scalar of the dtype of `loss`. `at` returns the loss and its slope for
/// a step size; `loss` and `slope` are those at 0. If no step size satisfies the conditions, it is
/// the largest one found that decreases the loss, or 0; it is 0 for a slope that is not negative.
pub(super) fn step_size(
    loss: &Tensor,
    slope: &Tensor,
    at: impl Fn(&Tensor) -> (Tensor, Tensor),
) -> Tensor {
    let scalar = |x: f64| Tensor::scalar(loss.dtype(), x);
    let start = Search {
        size: scalar(1.0),
        low: scalar(0.0),
        high: scalar(f64::INFINITY),
        tries: tensor(0),
        is_found: Tensor::scalar(DType::Bool, 0.0),
    };
    let limit = loss + loss.abs() * ROUNDING;
    let goes_on = |s: &Search| !&s.is_found & s.tries.lt(MAX_TRIES);
    let last = while_loop(start, goes_on, |s| {
        let (value, new_slope) = at(&s.size);
        // NaN is too large as well.
        let decreases = value.le(&limit + &s.size * slope * DECREASE);
        let is_flat = new_slope.ge(slope * CURVATURE);
        let low = (&decreases & !&is_flat).select(&s.size, &s.low);
        let high = decreases.select(&s.high, &s.size);
        let next = high.is_finite().select((&low + &high) * 0.5, &low * 2.0);
        let is_found = decreases & is_flat;
        let size = is_found.select(&s.size, next);
        Search { size, low, high, tries: s.tries + 1, is_found }
    });
    let size = last.is_found.select(last.size, last.low);
    slope.lt(0.0).select(size, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the step size for a function, given with its derivative.
    fn size_for(f: fn(&Tensor) -> Tensor, slope: fn(&Tensor) -> Tensor) -> f64 {
        let zero = tensor(0.0);
        step_size(&f(&zero), &slope(&zero), |t| (f(t), slope(t))).item().unwrap()
    }

    #[test]
    fn sizes_satisfy_the_weak_wolfe_conditions() {
        for minimum in [1e-4, 0.3, 1.0, 7.0, 5000.0] {
            let f = |t: &Tensor| (t - minimum).square();
            let slope = |t: &Tensor| (t - minimum) * 2.0;
            let zero = tensor(0.0);
            let size = step_size(&f(&zero), &slope(&zero), |t| (f(t), slope(t)));
            let decrease = DECREASE * slope(&zero).item().unwrap() * size.item().unwrap();
            let found = f(&size).item().unwrap();
            assert!(found <= f(&zero).item().unwrap() + decrease, "{minimum}: {size}");
            let flat = CURVATURE * slope(&zero).item().unwrap();
            assert!(slope(&size).item().unwrap() >= flat, "{minimum}: {size}");
        }
    }

    #[test]
    fn sizes_with_a_loss_of_nan_are_too_large() {
        let f = |t: &Tensor| (t - 0.25).square() + (0.5 - t).log() * 0.0;
        let size = size_for(f, |t| (t - 0.25) * 2.0);
        assert_eq!(size, 0.25);
    }

    #[test]
    fn a_search_without_end_takes_the_largest_size_and_an_ascent_none() {
        assert_eq!(size_for(|t| -t, |t| t * 0.0 - 1.0), f64::from(2.0f32.powi(MAX_TRIES - 1)));
        assert_eq!(size_for(|t| t + 1.0, |t| t * 0.0 + 1.0), 0.0);
    }
}
