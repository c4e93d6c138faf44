//! Moving averages of gradients and of their squares, shared by the rules that keep them.

use super::Optim;
use super::param_rule::{ParamRule, for_each_param};
use crate::precision::normal_epsilon;
use neurax_tensor::{DType, Tensor};
use std::array;
use std::marker::PhantomData;

/// The options of a rule with the moving averages `m` of the gradients (decay `b1`) and `v` of
/// their squares (decay `b2`).
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub b1: f64,
    pub b2: f64,
    pub epsilon: f64,
}

impl Moments {
    /// Returns the message of an invalid option.
    pub fn error(&self) -> Option<String> {
        option_error(&[self.b1, self.b2], &[self.epsilon])
    }

    /// Returns the averages after the gradient `g`.
    pub fn after(&self, g: &Tensor, [m, v]: [Tensor; 2]) -> [Tensor; 2] {
        let g = with_finite_square(g);
        [average(m, &g, self.b1), average(v, &(&g * &g), self.b2)]
    }

    /// Returns the correction of `m`, and that of the root of `v`, in step `t`.
    pub fn corrections(&self, t: &Tensor) -> [Tensor; 2] {
        [bias_correction(self.b1, t), bias_correction(self.b2, t).sqrt()]
    }

    /// Returns the corrected `m` divided by the corrected root of `v`.
    pub fn direction(&self, m: &Tensor, v: &Tensor, [first, second]: &[Tensor; 2]) -> Tensor {
        self.quotient(m * first.to(m.dtype()), v, second)
    }

    /// Returns `m` divided by the corrected root of `v`.
    pub fn quotient(&self, m: Tensor, v: &Tensor, second: &Tensor) -> Tensor {
        // The root first: a corrected average could overflow.
        let root = root(v) * second.to(v.dtype());
        m / (root + normal_epsilon(self.epsilon, v))
    }
}

/// A rule for each parameter that has the options and the scalars of [`Moments`], and differs from
/// Adam in its formula only.
pub(super) trait MomentFormula<const N: usize>: Send + Sync + 'static {
    /// The name of the optimizer in errors.
    const NAME: &'static str;
    /// The names of the slots.
    const SLOTS: [&'static str; N];
    /// The value at which the slots start.
    const START: f64 = 0.0;

    /// Returns the update for the gradient `g` and the new slots. `corrections` are those of
    /// [`Moments::corrections`].
    fn update(
        moments: &Moments,
        g: &Tensor,
        slots: [Tensor; N],
        corrections: &[Tensor; 2],
    ) -> (Tensor, [Tensor; N]);
}

/// Returns the optimizer of a formula.
pub(super) fn moment_rule<F: MomentFormula<N>, const N: usize>(
    b1: f64,
    b2: f64,
    epsilon: f64,
) -> Optim {
    for_each_param(MomentRule::<F>(Moments { b1, b2, epsilon }, PhantomData))
}

struct MomentRule<F>(Moments, PhantomData<fn() -> F>);

impl<F: MomentFormula<N>, const N: usize> ParamRule<N> for MomentRule<F> {
    type Scalars = [Tensor; 2];
    const NAME: &'static str = F::NAME;
    const SLOTS: [&'static str; N] = F::SLOTS;

    fn error(&self) -> Option<String> {
        self.0.error()
    }

    fn init(&self, param: &Tensor) -> [Tensor; N] {
        array::from_fn(|_| param.full_like(F::START))
    }

    fn scalars(&self, t: &Tensor) -> [Tensor; 2] {
        self.0.corrections(t)
    }

    fn update(
        &self,
        g: &Tensor,
        _: &Tensor,
        slots: [Tensor; N],
        corrections: &[Tensor; 2],
    ) -> (Tensor, [Tensor; N]) {
        F::update(&self.0, g, slots, corrections)
    }
}

/// Returns the message of the first invalid option: a decay outside of `0..1`, or a negative
/// epsilon.
pub(super) fn option_error(decays: &[f64], epsilons: &[f64]) -> Option<String> {
    if let Some(b) = decays.iter().find(|b| !(0.0..1.0).contains(*b)) {
        return Some(format!("expected decays of the averages in 0..1, got {b}"));
    }
    let is_valid = |e: &&f64| **e >= 0.0;
    let e = epsilons.iter().find(|e| !is_valid(e))?;
    Some(format!("expected an epsilon of at least 0, got {e}"))
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
