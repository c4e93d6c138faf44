//! Moving averages of gradients and of their squares, shared by the rules that keep them.

use super::Optim;
use super::option_checks::option_error;
use super::param_rule::{ParamRule, for_each_param};
use crate::precision::normal_epsilon;
use neurax_tensor::{DType, Tensor};
use std::array;

/// The options of a rule with the moving averages `m` of the gradients (decay `b1`) and `v` of
/// their squares (decay `b2`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub b1: f64,
    pub b2: f64,
    /// The number that is added to the root of `v`.
    pub eps: f64,
    /// The number that is added to the corrected `v` under the root.
    pub eps_root: f64,
}

/// The scalars of a step of a rule with [`Moments`].
#[derive(Clone, Debug)]
pub(super) struct Corrections {
    /// The factor that corrects `m` for its bias.
    pub first: Tensor,
    /// The factor that corrects the root of `v` for its bias.
    pub second: Tensor,
    /// The number to add to `v` before its correction, if there is one.
    eps_root: Option<Tensor>,
}

impl Moments {
    /// Creates the options with b1 = 0.9 and b2 = 0.999.
    pub fn with_eps(eps: f64) -> Moments {
        Moments { b1: 0.9, b2: 0.999, eps, eps_root: 0.0 }
    }

    /// Returns the message of an invalid option.
    pub fn error(&self) -> Option<String> {
        option_error(&[self.b1, self.b2], &[self.eps, self.eps_root])
    }

    /// Returns the averages after the gradient `g`.
    pub fn after(&self, g: &Tensor, [m, v]: [Tensor; 2]) -> [Tensor; 2] {
        let g = with_finite_square(g);
        [average(m, &g, self.b1), average(v, &(&g * &g), self.b2)]
    }

    /// Returns the scalars of step `t`.
    pub fn corrections(&self, t: &Tensor) -> Corrections {
        let second = bias_correction(self.b2, t);
        let eps_root = (self.eps_root > 0.0).then(|| self.eps_root / &second);
        Corrections { first: bias_correction(self.b1, t), second: second.sqrt(), eps_root }
    }

    /// Returns the corrected `m` divided by the corrected root of `v`.
    pub fn direction(&self, m: &Tensor, v: &Tensor, corrections: &Corrections) -> Tensor {
        self.quotient(m * corrections.first.to(m.dtype()), v, corrections)
    }

    /// Returns `m` divided by the corrected root of `v`.
    pub fn quotient(&self, m: Tensor, v: &Tensor, corrections: &Corrections) -> Tensor {
        m / (corrections.root(v) + normal_epsilon(self.eps, v))
    }
}

impl Corrections {
    /// Returns the root of the corrected `v`.
    pub fn root(&self, v: &Tensor) -> Tensor {
        let second = self.second.to(v.dtype());
        // The root first: a corrected average could overflow.
        match &self.eps_root {
            Some(eps) => root(&(v + eps.to(v.dtype()))) * second,
            None => root(v) * second,
        }
    }
}

/// A rule for each parameter that has the options and the scalars of [`Moments`], and differs from
/// Adam in its formula only.
pub(super) trait MomentFormula<const N: usize>: Send + Sync + 'static {
    /// The name of the optimizer in errors.
    const NAME: &'static str;
    /// The names of the slots.
    const SLOTS: [&'static str; N];

    /// Returns the message of an invalid option that is not one of [`Moments`].
    fn error(&self) -> Option<String> {
        None
    }

    /// Returns the value at which the slots start.
    fn start(&self) -> f64 {
        0.0
    }

    /// Returns the update for the gradient `g` and the new slots.
    fn update(
        &self,
        moments: &Moments,
        g: &Tensor,
        slots: [Tensor; N],
        corrections: &Corrections,
    ) -> (Tensor, [Tensor; N]);
}

/// Returns the optimizer of a formula.
pub(super) fn moment_rule<const N: usize>(
    moments: Moments,
    formula: impl MomentFormula<N>,
) -> Optim {
    for_each_param(MomentRule { moments, formula })
}

struct MomentRule<F> {
    moments: Moments,
    formula: F,
}

impl<F: MomentFormula<N>, const N: usize> ParamRule<N> for MomentRule<F> {
    type Scalars = Corrections;
    const NAME: &'static str = F::NAME;
    const SLOTS: [&'static str; N] = F::SLOTS;

    fn error(&self) -> Option<String> {
        self.moments.error().or_else(|| self.formula.error())
    }

    fn init(&self, param: &Tensor) -> [Tensor; N] {
        array::from_fn(|_| param.full_like(self.formula.start()))
    }

    fn scalars(&self, t: &Tensor) -> Corrections {
        self.moments.corrections(t)
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        slots: [Tensor; N],
        corrections: &Corrections,
    ) -> (Tensor, [Tensor; N]) {
        self.formula.update(&self.moments, g, slots, corrections)
    }
}

/// Returns the moving average `old` with `decay` after the value `new`.
pub(super) fn average(old: Tensor, new: &Tensor, decay: f64) -> Tensor {
    old * decay + new * (1.0 - decay)
}

/// Returns the root of `v`. The derivative of the root of 0 would be infinite; the smallest number
/// changes no root that an epsilon leaves visible.
pub(super) fn root(v: &Tensor) -> Tensor {
    (v + normal_epsilon(0.0, v)).sqrt()
}

/// Limits finite elements to those whose square is finite. Infinities become NaN, and NaN stays.
///
/// Each of the four operations is one instruction for a vector, as a `clip` is not, which has to
/// choose between two NaN.
pub(super) fn with_finite_square(g: &Tensor) -> Tensor {
    let limit = match g.dtype() {
        DType::F64 => f64::MAX.sqrt(),
        _ => f64::from(f32::MAX).sqrt().floor(),
    };
    let below = g.gt(limit).select(limit, g);
    let within = below.lt(-limit).select(-limit, &below);
    within + g * 0.0
}

/// Returns `1 / (1 - bᵗ)`, the factor that corrects a moving average with decay `b` for its start
/// at zero after `t` steps. It is one scalar for all elements: a division per element would cost as
/// much as the rest of the average.
pub(super) fn bias_correction(b: f64, t: &Tensor) -> Tensor {
    -1.0 / (t * b.ln()).expm1()
}
