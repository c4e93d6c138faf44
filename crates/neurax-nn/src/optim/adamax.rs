//! Adamax: Kingma and Ba, 2014, section 7.1 (<https://arxiv.org/abs/1412.6980>).

use super::averages::{Moments, average, bias_correction};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns Adamax with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8: [`scale_by_adamax`] and a learning rate.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::adamax(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - 0.9).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn adamax(rate: impl Rate) -> Optim {
    chain([scale_by_adamax(0.9, 0.999, 1e-8), scale(rate)])
}

/// Returns the direction of Adamax, `m / u`, with the corrected moving average `m` of the gradients
/// and `u ← max(b2 · u, |g| + epsilon)`.
///
/// # Errors
///
/// The updates carry an error if a decay is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_adamax(b1: f64, b2: f64, epsilon: f64) -> Optim {
    for_each_param(Adamax(Moments { b1, b2, epsilon }))
}

struct Adamax(Moments);

impl ParamRule<2> for Adamax {
    type Scalars = Tensor;
    const NAME: &'static str = "adamax";
    const SLOTS: [&'static str; 2] = ["m", "u"];

    fn error(&self) -> Option<String> {
        self.0.error()
    }

    fn scalars(&self, t: &Tensor) -> Tensor {
        bias_correction(self.0.b1, t)
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        state: [Tensor; 2],
        first: &Tensor,
    ) -> (Tensor, [Tensor; 2]) {
        let (Moments { b1, b2, epsilon }, [m, u]) = (self.0, state);
        let m = average(m, g, b1);
        let u = (u * b2).maximum(g.abs() + normal_epsilon(epsilon, g));
        (&m / &u * first.to(m.dtype()), [m, u])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut m, mut u) = (0.0, 0.0f64);
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            u = (0.999 * u).max(g.abs() + 1e-8);
            p - 0.1 * m / (1.0 - 0.9f64.powi(t)) / u
        });
        near_formula(adamax(0.1), want);
    }
}
