//! Rules for elementwise ops.

use super::{Rewrite, Rewriter, eqn, operand, value};
use crate::op::{Binary, BitcastConvert, Convert, Unary};
use crate::{DType, Eqn, FloatFormat, Kind, Op, Value};

/// Removes identity elements: `x + 0 = x`, `x - 0 = x`, `x * 1 = x`, `x / 1 = x` and so on. For
/// floats the identity element of addition is `-0.0`, as `-0.0 + 0.0` is `0.0`. Complex products
/// have none: `(inf + i y)(1 + 0 i)` is NaN.
pub(super) fn identity_operand(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Binary(op) = e.op else { return None };
    let d = w.dtype(e.inputs[0]);
    let (left, right) = match op {
        Binary::Add if d.is_complex() => return None,
        Binary::Add if d.is_float() => (Some(-0.0), -0.0),
        Binary::Add | Binary::Or | Binary::Xor => (Some(0.0), 0.0),
        Binary::Sub
        | Binary::ShiftLeft
        | Binary::ShiftRightArithmetic
        | Binary::ShiftRightLogical => (None, 0.0),
        Binary::And => (Some(-1.0), -1.0),
        Binary::Mul if !d.is_complex() => (Some(1.0), 1.0),
        Binary::Div if !d.is_complex() => (None, 1.0),
        _ => return None,
    };
    if w.is_splat(e.inputs[1], right) {
        return operand(e, 0);
    }
    left.filter(|&c| w.is_splat(e.inputs[0], c)).and_then(|_| operand(e, 1))
}

/// Applies absorbing elements of integers and bools: `x * 0 = 0`, `x & 0 = 0`, `x | -1 = -1`. (For
/// floats, NaN, infinities and the sign of zero forbid it.)
pub(super) fn absorbing_operand(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Binary(op) = e.op else { return None };
    let c = match op {
        Binary::Mul | Binary::And => 0.0,
        Binary::Or => -1.0,
        _ => return None,
    };
    if w.dtype(e.inputs[0]).is_differentiable() {
        return None;
    }
    e.inputs.iter().find(|&&x| w.is_splat(x, c)).map(|&x| value(x))
}

/// Removes pairs of involutions: `-(-x) = x`, likewise for `not` and the complex conjugate.
/// Negation only changes the sign, also of zero and NaN; of integers it wraps.
pub(super) fn involution(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Unary(op @ (Unary::Neg | Unary::Not | Unary::Conj)) = e.op else { return None };
    let inner = w.producer(e.inputs[0])?;
    if inner.op == Op::Unary(op) { operand(inner, 0) } else { None }
}

/// Turns additions of negations into subtractions: `x + -y = x - y`, `-x + y = y - x`,
/// `x - -y = x + y`. IEEE 754 defines the difference as this sum.
pub(super) fn add_of_negation(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Binary(op @ (Binary::Add | Binary::Sub)) = e.op else { return None };
    let [x, y] = e.inputs[..] else { return None };
    let negated = |v| {
        let e = w.producer(v).filter(|e| e.op == Op::Unary(Unary::Neg))?;
        e.inputs.first().copied()
    };
    match (op, negated(x), negated(y)) {
        (Binary::Add, _, Some(y)) => Some(eqn(Binary::Sub, &[x, y])),
        (Binary::Add, Some(x), None) => Some(eqn(Binary::Sub, &[y, x])),
        (Binary::Sub, _, Some(y)) => Some(eqn(Binary::Add, &[x, y])),
        _ => None,
    }
}

/// Resolves known selections: `true ? x : y = x`, `false ? x : y = y`, `p ? x : x = x`.
pub(super) fn known_select(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let (Op::Select(_), &[p, x, y]) = (&e.op, &e.inputs[..]) else { return None };
    if x == y || w.is_splat(p, 1.0) {
        return Some(value(x));
    }
    w.is_splat(p, 0.0).then(|| value(y))
}

/// Removes conversions to the operand's dtype, which change nothing.
pub(super) fn convert_to_same(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let (Op::Convert(Convert { dtype }) | Op::BitcastConvert(BitcastConvert { dtype })) = e.op
    else {
        return None;
    };
    if w.dtype(e.inputs[0]) == dtype { operand(e, 0) } else { None }
}

/// Shortens the conversion `a -> b -> c` to `a -> c` if `b` represents every value of `a` and the
/// second step treats `a` and `b` alike: back to `a`, or within one family. (Not from integers
/// through floats: integers wrap where floats saturate.) Two bit casts equal one.
pub(super) fn convert_of_convert(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let inner = w.producer(*e.inputs.first()?)?;
    let x = *inner.inputs.first()?;
    match (&inner.op, &e.op) {
        (Op::BitcastConvert(_), Op::BitcastConvert(_)) => Some(eqn(e.op.clone(), &[x])),
        (Op::Convert(b), Op::Convert(c)) => {
            let a = w.dtype(x);
            let alike = a == c.dtype || family(a) == family(b.dtype);
            (alike && represents_all(b.dtype, a)).then(|| eqn(e.op.clone(), &[x]))
        }
        _ => None,
    }
}

/// Removes the middle of the conversions `x -> b -> c` of integers if `b` has every value of `x`:
/// those of a float between two limits, which are converted to integers between these, and NaN to
/// 0. Quantized numbers that are dequantized are such integers.
pub(super) fn convert_of_limited(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Convert(_) = e.op else { return None };
    let inner = w.producer(e.inputs[0])?;
    let Op::Convert(b) = &inner.op else { return None };
    let x = inner.inputs[0];
    let (range, [low, high]) = (b.dtype.int_range()?, limits(w, x)?);
    let has = |limit: f64| !limit.is_nan() && range.contains(&(limit as i128));
    (has(low) && has(high) && has(0.0)).then(|| eqn(e.op.clone(), &[x]))
}

/// Returns the limits of the floats from which the integers `x` were converted.
fn limits(w: &Rewriter, x: Value) -> Option<[f64; 2]> {
    let e = w.producer(x)?;
    let Op::Convert(Convert { dtype }) = e.op else { return None };
    let limited = w.producer(e.inputs[0])?;
    let Op::Clamp(_) = limited.op else { return None };
    let limit = |i: usize| Some(*w.splat(limited.inputs[i])?.to_f64s().first()?);
    let is_integer = dtype.is_int() && w.dtype(e.inputs[0]).is_float();
    is_integer.then_some([limit(0)?, limit(2)?])
}

/// Returns the family of `d`: dtypes of one family convert to others by the same rule.
fn family(d: DType) -> Kind {
    match d.kind() {
        Kind::Unsigned => Kind::Signed,
        Kind::Storage => Kind::Float,
        kind => kind,
    }
}

/// Returns true if every value of `a` is a value of `b`.
fn represents_all(b: DType, a: DType) -> bool {
    match (a.kind(), b.kind()) {
        (Kind::Bool, _) => true,
        (_, Kind::Bool) => false,
        (Kind::Unsigned, Kind::Unsigned | Kind::Signed) | (Kind::Signed, Kind::Signed) => {
            integer_bits(b) >= integer_bits(a)
        }
        (Kind::Unsigned | Kind::Signed, Kind::Float | Kind::Complex) => {
            // The significand holds every integer up to its width.
            let format = FloatFormat::of(b.real());
            format.is_some_and(|f| f.mantissa_bits as usize + 1 >= integer_bits(a))
        }
        (Kind::Float | Kind::Storage, Kind::Float | Kind::Storage | Kind::Complex)
        | (Kind::Complex, Kind::Complex) => wider_float(b.real(), a.real()),
        _ => false,
    }
}

/// Returns the number of bits of the largest value of an integer dtype.
fn integer_bits(d: DType) -> usize {
    d.bits() - (d.kind() == Kind::Signed) as usize
}

/// Returns true if every float of type `a` is one of type `b`.
fn wider_float(b: DType, a: DType) -> bool {
    FloatFormat::of(b).zip(FloatFormat::of(a)).is_some_and(|(b, a)| b.holds(a))
}
