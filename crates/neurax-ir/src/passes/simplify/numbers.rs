//! Rules for ops that work element by element.

use super::{Rewrite, Rewriter, eqn, operand, value};
use crate::op::{Binary, BitcastConvert, Convert, Unary};
use crate::{DType, Eqn, Kind, Op};

/// `x + 0 = x`, `x - 0 = x`, `x * 1 = x`, `x / 1 = x` and so on. Of floats, `-0` is what adds
/// nothing: `-0 + 0` is `0`. Products of complex numbers have no such element: `(inf + i y)(1 + 0
/// i)` is not a number.
pub(super) fn neutral(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
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

/// `x * 0 = 0`, `x & 0 = 0`, `x | -1 = -1`, of integers and bools. (Of floats NaN, infinities and
/// the sign of zero forbid it.)
pub(super) fn absorbing(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
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

/// `-(-x) = x`, and so for not and the complex conjugate. Negation changes the sign only, of zero,
/// of NaN, and in integers that wrap.
pub(super) fn undone(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Unary(op @ (Unary::Neg | Unary::Not | Unary::Conj)) = e.op else { return None };
    let inner = w.maker(e.inputs[0])?;
    if inner.op == Op::Unary(op) { operand(inner, 0) } else { None }
}

/// `x + -y = x - y`, `-x + y = y - x`, `x - -y = x + y`: IEEE 754 defines the difference as this
/// sum.
pub(super) fn negated(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Binary(op @ (Binary::Add | Binary::Sub)) = e.op else { return None };
    let [x, y] = e.inputs[..] else { return None };
    let inside = |v| w.maker(v).filter(|m| m.op == Op::Unary(Unary::Neg)).map(|m| m.inputs[0]);
    match (op, inside(x), inside(y)) {
        (Binary::Add, _, Some(y)) => Some(eqn(Binary::Sub, &[x, y])),
        (Binary::Add, Some(x), None) => Some(eqn(Binary::Sub, &[y, x])),
        (Binary::Sub, _, Some(y)) => Some(eqn(Binary::Add, &[x, y])),
        _ => None,
    }
}

/// `true ? x : y = x`, `false ? x : y = y`, `p ? x : x = x`.
pub(super) fn known_choice(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let (Op::Select(_), &[p, x, y]) = (&e.op, &e.inputs[..]) else { return None };
    if x == y || w.is_splat(p, 1.0) {
        return Some(value(x));
    }
    w.is_splat(p, 0.0).then(|| value(y))
}

/// A conversion to the dtype that the operand has changes nothing.
pub(super) fn converted_to_itself(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let (Op::Convert(Convert { dtype }) | Op::BitcastConvert(BitcastConvert { dtype })) = e.op
    else {
        return None;
    };
    if w.dtype(e.inputs[0]) == dtype { operand(e, 0) } else { None }
}

/// `a -> b -> c` is `a -> c` where `b` holds every value of `a`, and the second step treats `a` and
/// `b` alike: back to `a`, or in one family. (Not from integers by way of floats: integers wrap
/// where floats saturate.) The same bits twice are the same bits.
pub(super) fn converted_twice(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let inner = w.maker(*e.inputs.first()?)?;
    let x = *inner.inputs.first()?;
    match (&inner.op, &e.op) {
        (Op::BitcastConvert(_), Op::BitcastConvert(_)) => Some(eqn(e.op.clone(), &[x])),
        (Op::Convert(b), Op::Convert(c)) => {
            let a = w.dtype(x);
            let alike = a == c.dtype || family(a) == family(b.dtype);
            (alike && holds(b.dtype, a)).then(|| eqn(e.op.clone(), &[x]))
        }
        _ => None,
    }
}

/// Dtypes of one family convert to others by the same rule.
fn family(d: DType) -> Kind {
    if d.is_int() { Kind::Signed } else { d.kind() }
}

/// Is every value of `a` a value of `b`?
fn holds(b: DType, a: DType) -> bool {
    match (a.kind(), b.kind()) {
        (Kind::Bool, _) => true,
        (_, Kind::Bool) => false,
        (Kind::Unsigned, Kind::Unsigned | Kind::Signed) | (Kind::Signed, Kind::Signed) => {
            integer_bits(b) >= integer_bits(a)
        }
        (Kind::Unsigned | Kind::Signed, Kind::Float | Kind::Complex) => {
            exact_bits(b.real()) >= integer_bits(a)
        }
        (Kind::Float, Kind::Float | Kind::Complex) | (Kind::Complex, Kind::Complex) => {
            wider_float(b.real(), a.real())
        }
        _ => false,
    }
}

/// Bits of the largest integer.
fn integer_bits(d: DType) -> usize {
    d.bits() - (d.kind() == Kind::Signed) as usize
}

/// Up to how many bits every integer is a value of this float type: those of its significand.
fn exact_bits(d: DType) -> usize {
    match d {
        DType::F8E5M2 => 3,
        DType::F8E4M3FN => 4,
        DType::BF16 => 8,
        DType::F16 => 11,
        DType::F32 => 24,
        DType::F64 => 53,
        _ => 0,
    }
}

/// Is every float of type `a` one of type `b`, by significand and range?
fn wider_float(b: DType, a: DType) -> bool {
    match b {
        DType::F64 => true,
        DType::F32 => a != DType::F64,
        DType::F16 | DType::BF16 => a == b || a.bits() == 8,
        _ => a == b,
    }
}
