//! Yogi: Zaheer et al., 2018
//! (<https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization>).

use super::averages::{MomentFormula, Moments, average, moment_rule, with_finite_square};
use super::{Optim, Rate, chain, scale};
use neurax_tensor::Tensor;

/// Returns Yogi with β₁ = 0.9, β₂ = 0.999 and ε = 1e-3: [`scale_by_yogi`] and a learning rate.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::yogi(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 0.1 * 5.000009 / (25.001f64.sqrt() + 1e-3))).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn yogi(rate: impl Rate) -> Optim {
    chain([scale_by_yogi(0.9, 0.999, 1e-3), scale(rate)])
}

/// Returns the direction of Yogi: that of Adam, with `v ← v - (1 - b2) · sign(v - g²) · g²`. As in
/// Optax, both averages start at 1e-6 and are corrected for their bias.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_yogi(b1: f64, b2: f64, epsilon: f64) -> Optim {
    moment_rule::<Yogi, 2>(b1, b2, epsilon)
}

struct Yogi;

impl MomentFormula<2> for Yogi {
    const NAME: &'static str = "yogi";
    const SLOTS: [&'static str; 2] = ["m", "v"];
    /// The value at which both averages start, as in Optax.
    const START: f64 = 1e-6;

    fn update(
        moments: &Moments,
        g: &Tensor,
        slots: [Tensor; 2],
        corrections: &[Tensor; 2],
    ) -> (Tensor, [Tensor; 2]) {
        let (Moments { b1, b2, .. }, [m, v]) = (*moments, slots);
        let g = with_finite_square(g);
        let m = average(m, &g, b1);
        let square = &g * &g;
        let v = &v - (&v - &square).sign() * square * (1.0 - b2);
        (moments.direction(&m, &v, corrections), [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut m, mut v) = (1e-6, 1e-6f64);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v -= 0.1 * (v - g * g).signum() * g * g;
            let root = (v / (1.0 - 0.9f64.powi(t))).sqrt();
            p - 0.1 * m / (1.0 - 0.9f64.powi(t)) / (root + 1e-3)
        });
        near_formula(chain([scale_by_yogi(0.9, 0.9, 1e-3), scale(0.1)]), want);
    }
}
