//! NovoGrad: Ginsburg et al., 2019 (<https://arxiv.org/abs/1905.11286>).

use super::averages::{Moments, root};
use super::clip::global_norm;
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, chain, scale};
use crate::precision::normal_epsilon;
use neurax_tensor::{DType, Tensor};
use std::slice;

/// The largest norm whose square is averaged: that of a larger one would be infinite in f64.
const LARGEST_NORM: f64 = 1e154;

/// Returns NovoGrad with β₁ = 0.9, β₂ = 0.25 and ε = 1e-6: [`scale_by_novograd`] and a learning
/// rate.
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
    chain([scale_by_novograd(0.9, 0.25, 1e-6, decay), scale(rate)])
}

/// Returns the direction of NovoGrad, `m ← b1 · m + g / (√v + epsilon) + decay · p`, where `v` is
/// one number for each parameter: the moving average of `‖g‖²`, which starts at that of the first
/// gradient.
///
/// # Errors
///
/// The updates carry an error if `b1` or `b2` is not in `0..1`, or `epsilon` is negative.
pub fn scale_by_novograd(b1: f64, b2: f64, epsilon: f64, decay: f64) -> Optim {
    for_each_param(Novograd { moments: Moments { b1, b2, epsilon }, decay })
}

struct Novograd {
    moments: Moments,
    decay: f64,
}

impl ParamRule<2> for Novograd {
    /// Tests if the step is the first one, bool[].
    type Scalars = Tensor;
    const NAME: &'static str = "novograd";
    const SLOTS: [&'static str; 2] = ["m", "v"];

    fn error(&self) -> Option<String> {
        self.moments.error()
    }

    fn init(&self, param: &Tensor) -> [Tensor; 2] {
        [param.zeros_like(), Tensor::scalar(DType::F64, 0.0)]
    }

    fn scalars(&self, t: &Tensor) -> Tensor {
        t.equal(1.0)
    }

    fn update(
        &self,
        g: &Tensor,
        param: &Tensor,
        [m, v]: [Tensor; 2],
        is_first: &Tensor,
    ) -> (Tensor, [Tensor; 2]) {
        let Some(norm) = global_norm(slice::from_ref(g)) else { return (g.clone(), [m, v]) };
        let Moments { b1, b2, epsilon } = self.moments;
        let square = norm.minimum(LARGEST_NORM).square();
        let v = is_first.select(&square, v * b2 + &square * (1.0 - b2));
        let divisor = (root(&v) + normal_epsilon(epsilon, g)).to(g.dtype());
        let m = m * b1 + g / divisor + param * self.decay;
        (m.clone(), [m, v])
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
