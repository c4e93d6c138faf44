//! Rectified Adam: Liu et al., 2019 (<https://arxiv.org/abs/1908.03265>).

use super::averages::{Corrections, Moments};
use super::option_checks::not_above;
use super::options::{decay_options, eps_root_option, moment_options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use neurax_tensor::{DType, Tensor};

/// Returns [`RAdam`] with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::radam(0.1);
/// let (p, _) = opt.step(&tensor([1.0]), &tensor([5.0]), opt.init(&tensor([1.0])));
/// assert!((p.item()? - 0.5).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn radam(rate: impl Rate) -> Optim {
    RAdam::new().rate(rate)
}

/// RAdam with options. Its direction is that of [`Adam`](super::Adam), times a factor that reduces
/// the variance of the first steps. As in PyTorch and Optax, the direction is the average `m` of
/// the gradients as long as the average of squares has fewer than `threshold` degrees of freedom.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, if ε or `eps_root` is negative, or if
/// `threshold` is not above 4, where the factor begins.
#[derive(Clone, Debug)]
pub struct RAdam {
    moments: Moments,
    threshold: f64,
    weight_decay: Option<Optim>,
}

impl RAdam {
    /// Creates RAdam with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 and a threshold of 5.
    pub fn new() -> RAdam {
        RAdam { moments: Moments::with_eps(1e-8), threshold: 5.0, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's `scale_by_radam`.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay.clone(), for_each_param(self))
    }
}

moment_options! {
    impl RAdam {
        /// Sets the number of degrees of freedom from which on the average of squares is used.
        threshold: f64 = threshold;
    }
}
eps_root_option!(RAdam);
decay_options!(RAdam);
with_rate!(RAdam);

/// The scalars of a step.
pub(super) struct RAdamScalars {
    corrections: Corrections,
    /// True if the average of squares is used.
    is_used: Tensor,
    /// The factor if it is, f64[].
    factor: Tensor,
}

impl RAdam {
    /// Returns true if the average of squares is used in step `t`, and the factor if it is, f64[]:
    /// the difference of two large numbers is exact enough there.
    fn rectification(&self, t: &Tensor) -> [Tensor; 2] {
        let longest = 2.0 / (1.0 - self.moments.b2) - 1.0;
        let t = t.to(DType::F64);
        let exponent = &t * self.moments.b2.ln();
        let length = t * 2.0 * exponent.exp() / exponent.expm1() + longest;
        let is_used = length.ge(self.threshold);
        let length = is_used.select(&length, self.threshold);
        let ratio = longest / ((longest - 4.0) * (longest - 2.0));
        let square = (&length - 4.0) * (&length - 2.0) * ratio / &length;
        let factor = is_used.select(square, 1.0).sqrt();
        [is_used, factor]
    }
}

impl ParamRule<2> for RAdam {
    type Scalars = RAdamScalars;
    const NAME: &'static str = "radam";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        let threshold = || not_above("a threshold", self.threshold, 4.0, "5 is usual");
        self.moments.error().or_else(threshold)
    }

    fn scalars(&self, t: &Tensor) -> RAdamScalars {
        let (corrections, [is_used, factor]) = (self.moments.corrections(t), self.rectification(t));
        RAdamScalars { corrections, is_used, factor }
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        state: [Tensor; 2],
        scalars: &RAdamScalars,
    ) -> (Tensor, [Tensor; 2]) {
        let RAdamScalars { corrections, is_used, factor } = scalars;
        let [m, v] = self.moments.after(g, state);
        let corrected = &m * corrections.first.to(m.dtype());
        let rectified = self.moments.quotient(&corrected * factor.to(m.dtype()), &v, corrections);
        (is_used.select(rectified, corrected), [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};

    #[test]
    fn steps_equal_those_of_the_paper() {
        let (mut m, mut v) = (0.0, 0.0);
        let longest = 2.0 / 0.001 - 1.0;
        let want = formula(|p, g, t| {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let decay = 0.999f64.powi(t);
            let length = longest - 2.0 * f64::from(t) * decay / (1.0 - decay);
            let corrected = m / (1.0 - 0.9f64.powi(t));
            if length < 5.0 {
                return p - 0.1 * corrected;
            }
            let r = (length - 4.0) * (length - 2.0) * longest
                / ((longest - 4.0) * (longest - 2.0) * length);
            p - 0.1 * r.sqrt() * corrected / ((v / (1.0 - decay)).sqrt() + 1e-8)
        });
        near_formula(radam(0.1), want);
    }
}
