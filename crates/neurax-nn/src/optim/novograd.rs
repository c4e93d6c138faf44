//! NovoGrad: Ginsburg et al., 2019 (<https://arxiv.org/abs/1905.11286>).

use super::averages::{Moments, root};
use super::clip::global_norm;
use super::momentum::MomentumRule;
use super::options::{decay_options, eps_root_option, moment_options, with_decay, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain};
use crate::precision::normal_epsilon;
use neurax_tensor::{DType, Tensor};
use std::slice;

/// The largest norm whose square is averaged: that of a larger one would be infinite in f64.
const LARGEST_NORM: f64 = 1e154;

/// Returns [`NovoGrad`] with β₁ = 0.9, β₂ = 0.25, ε = 1e-6 and weight decay.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::novograd(0.1, 0.0), tensor([0.0, 0.0]));
/// let (p, _) = opt.step(&p, &tensor([3.0, 4.0]), opt.init(&p));
/// assert!((p.get(1).item()? + 0.1 * 0.8).abs() < 1e-6);
/// # Ok::<(), Error>(())
/// ```
pub fn novograd(rate: impl Rate, decay: f64) -> Optim {
    NovoGrad::new().weight_decay(decay).rate(rate)
}

/// NovoGrad with options. Its direction is `m ← β₁ · m + g / (√(v + eps_root) + ε) + decay · p`,
/// where `v` is one number for each parameter: the moving average of `‖g‖²` (decay β₂), which
/// starts at that of the first gradient.
///
/// # Errors
///
/// The updates carry an error if β₁ or β₂ is not in `0..1`, or if ε, `eps_root` or the weight decay
/// is negative.
#[derive(Clone, Debug)]
pub struct NovoGrad {
    moments: Moments,
    weight_decay: Option<Optim>,
}

impl NovoGrad {
    /// Creates NovoGrad with β₁ = 0.9, β₂ = 0.25, ε = 1e-6 and without weight decay.
    pub fn new() -> NovoGrad {
        let moments = Moments { b2: 0.25, ..Moments::with_eps(1e-6) };
        NovoGrad { moments, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains: Optax's
    /// `scale_by_novograd`.
    pub fn transform(self) -> Optim {
        let average = MomentumRule { momentum: self.moments.b1, is_nesterov: false };
        let normalized = for_each_param(NormalizedByLayer(self.moments));
        chain([with_decay(self.weight_decay, normalized), Optim::new(average)])
    }
}

moment_options! {
    impl NovoGrad {}
}
eps_root_option!(NovoGrad);
decay_options!(
    NovoGrad,
    "As in the paper, it is added to the normalized gradients in front of their average."
);
with_rate!(NovoGrad);

/// The gradients of each parameter, divided by the root of the average of their squared norm.
struct NormalizedByLayer(Moments);

impl ParamRule<1> for NormalizedByLayer {
    /// Tests if the step is the first one, bool[].
    type Scalars = Tensor;
    const NAME: &'static str = "novograd";
    const SLOTS: [&'static str; 1] = ["v"];

    fn error(&self) -> Option<String> {
        self.0.error()
    }

    fn init(&self, _: &Tensor) -> [Tensor; 1] {
        [Tensor::scalar(DType::F64, 0.0)]
    }

    fn scalars(&self, t: &Tensor) -> Tensor {
        t.equal(1.0)
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        [v]: [Tensor; 1],
        is_first: &Tensor,
    ) -> (Tensor, [Tensor; 1]) {
        let Some(norm) = global_norm(slice::from_ref(g)) else { return (g.clone(), [v]) };
        let Moments { b2, eps, eps_root, .. } = self.0;
        let square = norm.minimum(LARGEST_NORM).square();
        let v = is_first.select(&square, v * b2 + &square * (1.0 - b2));
        let divisor = (root(&(&v + eps_root)) + normal_epsilon(eps, g)).to(g.dtype());
        (g / divisor, [v])
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
            v = if t == 1 { g * g } else { 0.25 * v + 0.75 * g * g };
            m = 0.9 * m + g / (v.sqrt() + 1e-6) + 0.2 * p;
            p - 0.02 * m
        });
        near_formula(novograd(0.02, 0.2), want);
    }
}
