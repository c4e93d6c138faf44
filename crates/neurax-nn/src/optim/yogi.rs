//! Yogi: Zaheer et al., 2018
//! (<https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization>).

use super::averages::{
    Corrections, MomentFormula, Moments, average, moment_rule, with_finite_square,
};
use super::option_checks::negative;
use super::options::{decay_options, eps_root_option, moment_options, with_decay, with_rate};
use super::{Optim, Rate};
use neurax_tensor::Tensor;

/// Returns [`Yogi`] with β₁ = 0.9, β₂ = 0.999 and ε = 1e-3.
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
    Yogi::new().rate(rate)
}

/// Yogi with options. Its direction is that of [`Adam`](super::Adam), with
/// `v ← v - (1 - β₂) · sign(v - g²) · g²`. As in Optax, both averages start at `initial` and are
/// corrected for their bias.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or if ε, `eps_root` or `initial` is
/// negative.
#[derive(Clone, Debug)]
pub struct Yogi {
    moments: Moments,
    initial: f64,
    weight_decay: Option<Optim>,
}

impl Yogi {
    /// Creates Yogi with β₁ = 0.9, β₂ = 0.999, ε = 1e-3 and averages that start at 1e-6.
    pub fn new() -> Yogi {
        Yogi { moments: Moments::with_eps(1e-3), initial: 1e-6, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's `scale_by_yogi`.
    pub fn transform(self) -> Optim {
        let formula = YogiFormula { initial: self.initial };
        with_decay(self.weight_decay, moment_rule(self.moments, formula))
    }
}

moment_options! {
    impl Yogi {
        /// Sets the value at which both averages start.
        initial: f64 = initial;
    }
}
eps_root_option!(Yogi);
decay_options!(Yogi);
with_rate!(Yogi);

struct YogiFormula {
    initial: f64,
}

impl MomentFormula<2> for YogiFormula {
    const NAME: &'static str = "yogi";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        negative("an initial average", self.initial, "1e-6 is usual")
    }

    fn start(&self) -> f64 {
        self.initial
    }

    fn update(
        &self,
        moments: &Moments,
        g: &Tensor,
        [m, v]: [Tensor; 2],
        corrections: &Corrections,
    ) -> (Tensor, [Tensor; 2]) {
        let g = with_finite_square(g);
        let m = average(m, &g, moments.b1);
        let square = &g * &g;
        let v = &v - (&v - &square).sign() * square * (1.0 - moments.b2);
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
        near_formula(Yogi::new().b2(0.9).rate(0.1), want);
    }
}
