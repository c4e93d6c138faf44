//! NAdam: Dozat, 2016 (<https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>).

use super::averages::{Moments, bias_correction, with_finite_square};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale};
use neurax_tensor::Tensor;

/// Returns NAdam, Adam with Nesterov momentum, with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8:
/// [`scale_by_nadam`] and a learning rate.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::nadam(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - (1.0 - 0.1 * (0.9 * 0.1 / 0.19 + 1.0))).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn nadam(rate: impl Rate) -> Optim {
    chain([scale_by_nadam(0.9, 0.999, 1e-8), scale(rate)])
}

/// Returns the direction of NAdam: that of Adam, with the average `b1 · m + (1 - b1) · g` of the
/// next step in place of `m`. As in Optax and PyTorch, the average of squares has no factor `b2`.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_nadam(b1: f64, b2: f64, epsilon: f64) -> Optim {
    for_each_param(Nadam(Moments { b1, b2, epsilon }))
}

struct Nadam(Moments);

impl ParamRule<2> for Nadam {
    type Scalars = [Tensor; 3];
    const NAME: &'static str = "nadam";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        self.0.error()
    }

    fn scalars(&self, t: &Tensor) -> [Tensor; 3] {
        let [first, second] = self.0.corrections(t);
        [first, second, bias_correction(self.0.b1, &(t + 1.0))]
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        state: [Tensor; 2],
        corrections: &[Tensor; 3],
    ) -> (Tensor, [Tensor; 2]) {
        let ([first, second, next], b1) = (corrections, self.0.b1);
        let [m, v] = self.0.after(g, state);
        let g = with_finite_square(g);
        let ahead = &m * (next * b1).to(m.dtype()) + g * (first * (1.0 - b1)).to(m.dtype());
        (self.0.quotient(ahead, &v, second), [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut m, mut v) = (0.0, 0.0);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let corrected = 1.0 - 0.9f64.powi(t);
            let ahead = 0.9 * m / (1.0 - 0.9f64.powi(t + 1)) + 0.1 * g / corrected;
            p - 0.1 * ahead / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8)
        });
        near_formula(nadam(0.1), want);
    }
}
