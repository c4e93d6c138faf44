//! Functions of one element at a time: trigonometric, exponential and rounding functions, kinds of
//! numbers, `Clip`, `Identity`.

use super::axes::same_dtype;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Abs", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.abs())).attributes(LEGACY),
    op("Acos", &[7, 22], 1..=1, |c| one(c.x(0)?.acos())),
    op("Acosh", &[9, 22], 1..=1, |c| one(c.x(0)?.acosh())),
    op("Asin", &[7, 22], 1..=1, |c| one(c.x(0)?.asin())),
    op("Asinh", &[9, 22], 1..=1, |c| one(c.x(0)?.asinh())),
    op("Atan", &[7, 22], 1..=1, |c| one(c.x(0)?.atan())),
    op("Atanh", &[9, 22], 1..=1, |c| one(c.x(0)?.atanh())),
    op("Ceil", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.ceil())).attributes(LEGACY),
    op("Clip", &[1, 6, 11, 12, 13], 1..=3, clip).attributes(&["min", "max", "consumed_inputs"]),
    op("Cos", &[7, 22], 1..=1, |c| one(c.x(0)?.cos())),
    op("Cosh", &[9, 22], 1..=1, |c| one(c.x(0)?.cosh())),
    op("Erf", &[9, 13], 1..=1, |c| one(in_floats(c.x(0)?, |x| x.erf()))),
    op("Exp", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.exp())).attributes(LEGACY),
    op("Floor", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.floor())).attributes(LEGACY),
    op("Identity", &[1, 13, 14, 16, 19, 21, 23, 24, 25], 1..=1, |c| one(c.value(0)?.clone())),
    op("IsInf", &[10, 20], 1..=1, is_inf).attributes(&["detect_negative", "detect_positive"]),
    op("IsNaN", &[9, 13, 20], 1..=1, |c| one(c.x(0)?.is_nan())),
    op("Log", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.log())).attributes(LEGACY),
    op("Neg", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.negative())).attributes(LEGACY),
    op("Reciprocal", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.reciprocal())).attributes(LEGACY),
    op("Round", &[11, 22], 1..=1, |c| one(c.x(0)?.round())),
    op("Sign", &[9, 13], 1..=1, |c| one(c.x(0)?.sign())),
    op("Sin", &[7, 22], 1..=1, |c| one(c.x(0)?.sin())),
    op("Sinh", &[9, 22], 1..=1, |c| one(c.x(0)?.sinh())),
    op("Sqrt", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.sqrt())).attributes(LEGACY),
    op("Tan", &[7, 22], 1..=1, |c| one(c.x(0)?.tan())),
    op("Tanh", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.tanh())).attributes(LEGACY),
];

/// The attribute of version 1, which says which inputs may be overwritten: it has no part in the
/// results.
pub(crate) const LEGACY: &[&str] = &["consumed_inputs"];

/// Limits elements to the range `min` to `max`: inputs since version 11, attributes before. If
/// `min` is above `max`, the result is `max`.
fn clip(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let bound = |i: usize, name: &str| match c.version() >= 11 {
        true => c.maybe(i)?.map(|bound| scalar_bound(&x, name, bound)).transpose(),
        false => Ok(c.float(name)?.map(|bound| Tensor::scalar(x.dtype(), bound))),
    };
    let (low, high) = (bound(1, "min")?, bound(2, "max")?);
    let above = low.map_or(x.clone(), |low| x.maximum(low));
    one(high.map_or(above.clone(), |high| above.minimum(high)))
}

/// Returns a bound of `x` as a scalar.
///
/// # Errors
/// If it has another dtype, or more elements than one.
fn scalar_bound(x: &Tensor, name: &str, bound: Tensor) -> Result<Tensor, RuleFailure> {
    same_dtype(x, &bound)?;
    match bound.size() {
        1 => Ok(bound.reshape(())),
        _ => fail(format!("expected one number as `{name}`, got {}", bound.ty()?)),
    }
}

fn is_inf(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    one(match (c.flag("detect_positive", true)?, c.flag("detect_negative", true)?) {
        (true, true) => x.is_inf(),
        (true, false) => x.is_pos_inf(),
        (false, true) => x.is_neg_inf(),
        (false, false) => Tensor::zeros_of(DType::Bool, x.shape()),
    })
}

/// Computes a function of floats, of integers as floats.
pub(crate) fn in_floats(x: Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    match x.dtype().is_int() {
        true => f(&x.to(DType::F32)).to(x.dtype()),
        false => f(&x),
    }
}
