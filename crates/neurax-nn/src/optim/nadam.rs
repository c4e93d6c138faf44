//! NAdam: Dozat, 2016 (<https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>).

use super::averages::{Corrections, Moments, bias_correction, with_finite_square};
use super::options::{decay_options, eps_root_option, moment_options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate};
use neurax_tensor::Tensor;

/// Returns [`NAdam`], Adam with Nesterov momentum, with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
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
    NAdam::new().rate(rate)
}

/// NAdam with options. Its direction is that of [`Adam`](super::Adam), with the average `β₁ · m +
/// (1 - β₁) · g` of the next step in place of `m`. As in Optax and PyTorch, the average of squares
/// has no factor β₂.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or if ε or `eps_root` is negative.
#[derive(Clone, Debug)]
pub struct NAdam {
    moments: Moments,
    weight_decay: Option<Optim>,
}

impl NAdam {
    /// Creates NAdam with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8.
    pub fn new() -> NAdam {
        NAdam { moments: Moments::with_eps(1e-8), weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        with_decay(self.weight_decay.clone(), for_each_param(self))
    }
}

moment_options! {
    impl NAdam {}
}
eps_root_option!(NAdam);
decay_options!(NAdam);
with_rate!(NAdam);

impl ParamRule<2> for NAdam {
    /// The corrections, and that of `m` in the next step.
    type Scalars = (Corrections, Tensor);
    const NAME: &'static str = "nadam";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        self.moments.error()
    }

    fn scalars(&self, t: &Tensor) -> (Corrections, Tensor) {
        (self.moments.corrections(t), bias_correction(self.moments.b1, &(t + 1.0)))
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        state: [Tensor; 2],
        (corrections, next): &(Corrections, Tensor),
    ) -> (Tensor, [Tensor; 2]) {
        let (first, b1) = (&corrections.first, self.moments.b1);
        let [m, v] = self.moments.after(g, state);
        let g = with_finite_square(g);
        let ahead = &m * (next * b1).to(m.dtype()) + g * (first * (1.0 - b1)).to(m.dtype());
        (self.moments.quotient(ahead, &v, corrections), [m, v])
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
