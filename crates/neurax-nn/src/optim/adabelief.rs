//! AdaBelief: Zhuang et al., 2020 (<https://arxiv.org/abs/2010.07468>).

use super::averages::{
    Corrections, MomentFormula, Moments, average, moment_rule, with_finite_square,
};
use super::option_checks::negative;
use super::options::{decay_options, moment_options, with_decay, with_rate};
use super::{Optim, Rate};
use neurax_tensor::Tensor;

/// Returns [`AdaBelief`] with β₁ = 0.9, β₂ = 0.999 and ε = 1e-16.
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
    AdaBelief::new().rate(rate)
}

/// AdaBelief with options. Its direction is that of [`Adam`](super::Adam), with the moving average
/// of `(g - m)²`, to which each step adds `eps_root`, in place of that of `g²`.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or if ε or `eps_root` is negative.
#[derive(Clone, Debug)]
pub struct AdaBelief {
    moments: Moments,
    eps_root: f64,
    weight_decay: Option<Optim>,
}

impl AdaBelief {
    /// Creates AdaBelief with β₁ = 0.9, β₂ = 0.999, ε = 1e-16 and an `eps_root` of 1e-16.
    pub fn new() -> AdaBelief {
        AdaBelief { moments: Moments::with_eps(1e-16), eps_root: 1e-16, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's `scale_by_belief`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay, moment_rule(self.moments, Belief { eps_root: self.eps_root }))
    }
}

moment_options! {
    impl AdaBelief {
        /// Sets the number that each step adds to the average of `(g - m)²`.
        eps_root: f64 = eps_root;
    }
}
decay_options!(AdaBelief);
with_rate!(AdaBelief);

struct Belief {
    eps_root: f64,
}

impl MomentFormula<2> for Belief {
    const NAME: &'static str = "adabelief";
    const SLOTS: [&'static str; 2] = ["m", "s"];

    fn error(&self) -> Option<String> {
        negative("an eps_root", self.eps_root, "1e-16 is usual")
    }

    fn update(
        &self,
        moments: &Moments,
        g: &Tensor,
        [m, s]: [Tensor; 2],
        corrections: &Corrections,
    ) -> (Tensor, [Tensor; 2]) {
        let g = with_finite_square(g);
        let m = average(m, &g, moments.b1);
        let difference = with_finite_square(&(g - &m));
        let s = average(s, &(&difference * &difference), moments.b2) + self.eps_root;
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
        near_formula(AdaBelief::new().b2(0.99).eps(1e-8).eps_root(1e-8).rate(0.1), want);
    }
}
