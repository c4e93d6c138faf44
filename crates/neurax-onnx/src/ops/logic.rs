//! Comparisons, logic, bits, and `Where`.

use super::arithmetic::BROADCAST;
use super::axes::{operands, same_dtype};
use crate::call::{NodeCall, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::Tensor;

pub(crate) const OPERATORS: &[Operator] = &[
    op("And", &[1, 7], 2..=2, |c| of_two(c, |x, y| x.logical_and(y))).attributes(BROADCAST),
    op("Or", &[1, 7], 2..=2, |c| of_two(c, |x, y| x.logical_or(y))).attributes(BROADCAST),
    op("Xor", &[1, 7], 2..=2, |c| of_two(c, |x, y| x.logical_xor(y))).attributes(BROADCAST),
    op("Not", &[1], 1..=1, |c| one(c.x(0)?.logical_not())),
    op("BitwiseAnd", &[18], 2..=2, |c| of_two(c, |x, y| x.bitwise_and(y))),
    op("BitwiseOr", &[18], 2..=2, |c| of_two(c, |x, y| x.bitwise_or(y))),
    op("BitwiseXor", &[18], 2..=2, |c| of_two(c, |x, y| x.bitwise_xor(y))),
    op("BitwiseNot", &[18], 1..=1, |c| one(c.x(0)?.bitwise_not())),
    op("BitShift", &[11, 28], 2..=2, bit_shift).attributes(&["direction"]),
    op("Equal", &[1, 7, 11, 13, 19], 2..=2, equal).attributes(BROADCAST),
    op("Greater", &[1, 7, 9, 13], 2..=2, |c| of_two(c, |x, y| x.gt(y))).attributes(BROADCAST),
    op("GreaterOrEqual", &[12, 16], 2..=2, |c| of_two(c, |x, y| x.ge(y))),
    op("Less", &[1, 7, 9, 13], 2..=2, |c| of_two(c, |x, y| x.lt(y))).attributes(BROADCAST),
    op("LessOrEqual", &[12, 16], 2..=2, |c| of_two(c, |x, y| x.le(y))),
    op("Where", &[9, 16], 3..=3, select),
];

fn of_two(c: &NodeCall, f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> RuleOutcome {
    let (x, y) = operands(c)?;
    one(f(&x, &y))
}

/// Shifts bits; a count below 0, or of all bits or more, shifts all bits out.
fn bit_shift(c: &NodeCall) -> RuleOutcome {
    let (x, y) = operands(c)?;
    match c.required("direction", c.str("direction")?)?.as_str() {
        "LEFT" => one(x.left_shift(y)),
        "RIGHT" => one(x.right_shift(y)),
        other => fail(format!("expected LEFT or RIGHT as attribute `direction`, got {other}")),
    }
}

/// Compares numbers, or strings.
fn equal(c: &NodeCall) -> RuleOutcome {
    let (OnnxValue::Strings(x), OnnxValue::Strings(y)) = (c.value(0)?, c.value(1)?) else {
        return of_two(c, |x, y| x.equal(y));
    };
    let [x, y] = crate::strings::broadcast([x, y])?;
    let equal: Vec<bool> = x.elements().iter().zip(y.elements()).map(|(x, y)| x == y).collect();
    one(Tensor::from_vec(equal, x.shape()))
}

fn select(c: &NodeCall) -> RuleOutcome {
    let (is_first, x, y) = (c.x(0)?, c.x(1)?, c.x(2)?);
    same_dtype(&x, &y)?;
    one(is_first.select(x, y))
}
