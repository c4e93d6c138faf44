//! AdaBelief: Zhuang et al., 2020 (<https://arxiv.org/abs/2010.07468>).

use super::averages::{MomentFormula, Moments, average, moment_rule, with_finite_square};
use super::{Optim, Rate, chain, scale};
use neurax_tensor::Tensor;

/// Returns AdaBelief with β₁ = 0.9, β₂ = 0.999 and ε = 1e-16: [`scale_by_belief`] and a learning
/// rate.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::adabelief(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 0.1 / 0.9)).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn adabelief(rate: impl Rate) -> Optim {
    chain([scale_by_belief(0.9, 0.999, 1e-16), scale(rate)])
}

/// Returns the direction of AdaBelief: that of Adam, with the moving average of `(g - m)²`, to
/// which each step adds `epsilon`, in place of that of `g²`.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_belief(b1: f64, b2: f64, epsilon: f64) -> Optim {
    moment_rule::<Adabelief, 2>(b1, b2, epsilon)
}

struct Adabelief;

impl MomentFormula<2> for Adabelief {
    const NAME: &'static str = "adabelief";
    const SLOTS: [&'static str; 2] = ["m", "s"];

    fn update(
        moments: &Moments,
        g: &Tensor,
        slots: [Tensor; 2],
        corrections: &[Tensor; 2],
    ) -> (Tensor, [Tensor; 2]) {
        let (Moments { b1, b2, epsilon }, [m, s]) = (*moments, slots);
        let g = with_finite_square(g);
        let m = average(m, &g, b1);
        let difference = with_finite_square(&(g - &m));
        let s = average(s, &(&difference * &difference), b2) + epsilon;
        (moments.direction(&m, &s, corrections), [m, s])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut m, mut s) = (0.0, 0.0);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            s = 0.99 * s + 0.01 * (g - m) * (g - m) + 1e-8;
            let root = (s / (1.0 - 0.99f64.powi(t))).sqrt();
            p - 0.1 * m / (1.0 - 0.9f64.powi(t)) / (root + 1e-8)
        });
        near_formula(chain([scale_by_belief(0.9, 0.99, 1e-8), scale(0.1)]), want);
    }
}
