//! Arithmetic of two and of several operands, with broadcasting.

use super::axes::{operands, same_dtype};
use super::elementwise::LEGACY;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::Tensor;

pub(crate) const OPERATORS: &[Operator] = &[
    op("Add", &[1, 6, 7, 13, 14], 2..=2, |c| of_two(c, |x, y| x + y)).attributes(BROADCAST),
    op("Sub", &[1, 6, 7, 13, 14], 2..=2, |c| of_two(c, |x, y| x - y)).attributes(BROADCAST),
    op("Mul", &[1, 6, 7, 13, 14], 2..=2, |c| of_two(c, |x, y| x * y)).attributes(BROADCAST),
    op("Div", &[1, 6, 7, 13, 14], 2..=2, |c| of_two(c, divide)).attributes(BROADCAST),
    op("Pow", &[1, 7, 12, 13, 15], 2..=2, pow).attributes(BROADCAST),
    op("Mod", &[10, 13, 28], 2..=2, modulo).attributes(&["fmod"]),
    op("Max", &[1, 6, 8, 12, 13], 1..=usize::MAX, |c| of_all(c, |x, y| x.maximum(y)))
        .attributes(LEGACY),
    op("Min", &[1, 6, 8, 12, 13], 1..=usize::MAX, |c| of_all(c, |x, y| x.minimum(y)))
        .attributes(LEGACY),
    op("Sum", &[1, 6, 8, 13], 1..=usize::MAX, |c| of_all(c, |x, y| x + y)).attributes(LEGACY),
    op("Mean", &[1, 6, 8, 13], 1..=usize::MAX, mean).attributes(LEGACY),
];

/// The attributes of versions before 7.
pub(crate) const BROADCAST: &[&str] = &["broadcast", "axis", "consumed_inputs"];

fn of_two(c: &NodeCall, f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> RuleOutcome {
    let (x, y) = operands(c)?;
    one(f(&x, &y))
}

/// Computes quotients; those of integers are rounded toward 0.
pub(crate) fn divide(x: &Tensor, y: &Tensor) -> Tensor {
    match x.dtype().is_int() {
        true => (x - x.fmod(y)).floor_divide(y),
        false => x / y,
    }
}

/// Computes powers in the dtype of the base, which may differ from that of the exponent.
fn pow(c: &NodeCall) -> RuleOutcome {
    if c.version() < 7 {
        return of_two(c, |x, y| x.pow(y));
    }
    let (x, y) = (c.x(0)?, c.x(1)?);
    one(match (x.dtype().is_int(), y.dtype().is_int()) {
        (true, false) => x.to(y.dtype()).pow(&y).to(x.dtype()),
        _ => x.pow(y.to(x.dtype())),
    })
}

/// Computes the remainder with the sign of the divisor, or with that of the dividend if `fmod` is
/// set.
fn modulo(c: &NodeCall) -> RuleOutcome {
    let is_fmod = c.flag("fmod", false)?;
    of_two(c, |x, y| if is_fmod { x.fmod(y) } else { x.remainder(y) })
}

fn of_all(c: &NodeCall, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> RuleOutcome {
    one(folded(c, f)?)
}

fn folded(c: &NodeCall, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Result<Tensor, RuleFailure> {
    let xs = c.xs()?;
    for x in &xs {
        same_dtype(&xs[0], x)?;
    }
    match xs.into_iter().reduce(|x, y| f(&x, &y)) {
        Some(y) => Ok(y),
        None => fail("expected at least one input"),
    }
}

fn mean(c: &NodeCall) -> RuleOutcome {
    let sum = folded(c, |x, y| x + y)?;
    one(sum / c.count() as f64)
}
