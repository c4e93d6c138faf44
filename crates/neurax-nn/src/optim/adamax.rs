//! Adamax: Kingma and Ba, 2014, section 7.1 (<https://arxiv.org/abs/1412.6980>).

use super::averages::{Moments, average, bias_correction};
use super::options::{decay_options, options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use crate::precision::normal_epsilon;
use neurax_tensor::Tensor;

/// Returns [`Adamax`] with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
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
    Adamax::new().rate(rate)
}

/// Adamax with options. Its direction is `m / u`, with the corrected moving average `m` of the
/// gradients and `u ← max(β₂ · u, |g| + ε)`.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or ε is negative.
#[derive(Clone, Debug)]
pub struct Adamax {
    moments: Moments,
    weight_decay: Option<Optim>,
}

impl Adamax {
    /// Creates Adamax with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
    pub fn new() -> Adamax {
        Adamax { moments: Moments::with_eps(1e-8), weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's `scale_by_adamax`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay.clone(), for_each_param(self))
    }
}

options! {
    impl Adamax {
        /// Sets β₁, the decay of the moving average of the gradients.
        b1: f64 = moments.b1;
        /// Sets β₂, the decay of the largest gradient.
        b2: f64 = moments.b2;
        /// Sets ε, which is added to the size of each gradient.
        eps: f64 = moments.eps;
    }
}
decay_options!(Adamax);
with_rate!(Adamax);

impl ParamRule<2> for Adamax {
    type Scalars = Tensor;
    const NAME: &'static str = "adamax";
    const SLOTS: [&'static str; 2] = ["m", "u"];

    fn error(&self) -> Option<String> {
        self.moments.error()
    }

    fn scalars(&self, t: &Tensor) -> Tensor {
        bias_correction(self.moments.b1, t)
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        state: [Tensor; 2],
        first: &Tensor,
    ) -> (Tensor, [Tensor; 2]) {
        let (Moments { b1, b2, eps, .. }, [m, u]) = (self.moments, state);
        let m = average(m, g, b1);
        let u = (u * b2).maximum(g.abs() + normal_epsilon(eps, g));
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
