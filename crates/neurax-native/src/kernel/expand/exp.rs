//! The exponential and functions of it: `x = n ln 2 + r`, a polynomial of `r` (`coefficients`), and
//! `2^n` built from bits.

use super::{coefficients as c, parts::*};
use crate::kernel::{ExprBuilder, InstId};
use neurax_ir::{
    DType,
    op::{Binary, Direction, Unary},
};
use std::f64::consts::LOG2_E;

/// Reduces `x` to `n` and `r` with `x = n ln 2 + r`.
fn reduce<M: ExprBuilder>(m: &mut M, x: InstId) -> (WholeNumber, InstId) {
    let n = round_to_whole(m, x, LOG2_E);
    let r = without_ln2(m, n.n, x);
    (n, r)
}

/// Reduces `x` to `2^(n + offset)` and `r` with `x = n ln 2 + r`: see [`whole_and_power`].
fn reduce_to_power<M: ExprBuilder>(m: &mut M, x: InstId, offset: i64) -> (InstId, InstId) {
    let (n, power) = whole_and_power(m, x, LOG2_E, offset);
    (power, without_ln2(m, n, x))
}

/// Returns `x - n ln 2`.
fn without_ln2<M: ExprBuilder>(m: &mut M, n: InstId, x: InstId) -> InstId {
    let ln2 = table(m.ty(x), &c::LN2_F32, &c::LN2_F64);
    let (high, low) = (m.like(x, -ln2[0]), m.like(x, -ln2[1]));
    let r = m.fma(n, high, x);
    m.fma(n, low, r)
}

/// Approximates `e^r - 1` for a reduced argument.
pub fn small<M: ExprBuilder>(m: &mut M, r: InstId) -> InstId {
    let p = m.polynomial(r, table(m.ty(r), &c::EXP_F32, &c::EXP_F64));
    let square = m.mul(r, r);
    m.fma(p, square, r)
}

/// Returns the arguments whose results are zero and infinite.
fn ends(ty: DType) -> (f64, f64) {
    if ty == DType::F32 { (-104.0, 89.0) } else { (-746.0, 710.0) }
}

/// Expands `e^x`.
pub fn exp<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (low, high) = ends(m.ty(x));
    let x = clamp(m, x, low, high);
    let (n, r) = reduce(m, x);
    let p = plus_one(m, r);
    scale_by_power(m, p, n)
}

/// Returns `e^r` for a reduced argument.
fn plus_one<M: ExprBuilder>(m: &mut M, r: InstId) -> InstId {
    let (p, one) = (small(m, r), m.like(r, 1.0));
    m.add(p, one)
}

/// Returns `e^-(x + more) y` for `x` from 0 on, which has few enough digits for the reduction by a
/// multiple of ln 2 to be exact.
pub fn exp_of_parts<M: ExprBuilder>(m: &mut M, x: InstId, more: InstId, y: InstId) -> InstId {
    let minus = m.unary_inst(Unary::Neg, x);
    let n = round_to_whole(m, minus, LOG2_E);
    let ln2 = table(m.ty(x), &c::LN2_F32, &c::LN2_F64);
    let (high, low) = (m.like(x, -ln2[0]), m.like(x, -ln2[1]));
    let first = m.fma(n.n, high, minus);
    let low = m.mul(n.n, low);
    let rest = m.sub(low, more);
    let r = m.add(first, rest);
    let p = plus_one(m, r);
    let y = m.mul(p, y);
    scale_by_power(m, y, n)
}

/// Returns `1 - e^-x` for `x` from 1 to where that is 1.
pub fn one_minus_exp<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let minus = m.unary_inst(Unary::Neg, x);
    let (s, r) = reduce_to_power(m, minus, 0);
    let (p, one) = (plus_one(m, r), m.like(x, 1.0));
    let s = m.unary_inst(Unary::Neg, s);
    m.fma(s, p, one)
}

/// Returns `(e^x - 1) 2^offset` of a clamped argument, if `2^(n + offset)` is normal.
fn scaled_expm1<M: ExprBuilder>(m: &mut M, x: InstId, offset: i64) -> InstId {
    let (s, r) = reduce_to_power(m, x, offset);
    let (p, one) = (small(m, r), m.like(x, 2f64.powi(offset as i32)));
    let rest = m.sub(s, one);
    m.fma(s, p, rest)
}

/// Expands `e^x - 1`.
pub fn expm1<M: ExprBuilder>(m: &mut M, x0: InstId) -> InstId {
    let ty = m.ty(x0);
    let x = clamp(m, x0, if ty == DType::F32 { -20.0 } else { -40.0 }, ends(ty).1);
    // Twice the half of it, since 2^128 overflows.
    let y = scaled_expm1(m, x, -1);
    let y = m.add(y, y);
    identity_below(m, y, x0, FloatLayout::of(ty).tiny.powi(2))
}

/// Expands the hyperbolic tangent: a polynomial where it is below a half, `1 - 2 / (e^2x + 1)`
/// beyond, so that the rounding error of the quotient is small beside the result. One formula for
/// both, `t / (t + 2)` with `t = e^2x - 1`, was off by 2.24 units in the last place.
pub fn tanh<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let ty = m.ty(x);
    let (size, z) = (m.unary_inst(Unary::Abs, x), m.mul(x, x));
    let (near, cube) = (m.polynomial(z, table(ty, &c::TANH_F32, &c::TANH_F64)), m.mul(z, size));
    let near = m.fma(near, cube, size);
    let (from, one, two) = (m.like(x, 0.55), m.like(x, 1.0), m.like(x, 2.0));
    let end = min_with(m, size, if ty == DType::F32 { 10.0 } else { 20.0 });
    let double = m.add(end, end);
    let (s, r) = reduce_to_power(m, double, 0);
    let p = plus_one(m, r);
    let below = m.fma(p, s, one);
    let rest = m.binary_inst(Binary::Div, two, below);
    let far = m.sub(one, rest);
    let is_near = m.compare(Direction::Lt, size, from);
    let y = m.select(is_near, near, far);
    let sign = sign_bit(m, x);
    flip_sign(m, y, sign)
}

/// Expands the logistic function `1 / (1 + e^-x)`: with `e = e^-|x|` and `q = e / (1 + e)` it is
/// `1 - q` above zero and `e - e q` below, which keeps rounding errors small.
pub fn logistic<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (minus, zero, one) = (minus_abs(m, x), m.like(x, 0.0), m.like(x, 1.0));
    let e = exp_up_to_zero(m, minus);
    let below = m.add(e, one);
    let q = m.binary_inst(Binary::Div, e, below);
    let is_below = m.compare(Direction::Lt, x, zero);
    let whole = m.select(is_below, e, one);
    let minus_q = m.unary_inst(Unary::Neg, q);
    m.fma(whole, minus_q, whole)
}

/// Returns `e^x` for `x` up to 0. The power of two is too large by a factor that makes it normal,
/// so that only the last multiplication underflows.
fn exp_up_to_zero<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let ty = m.ty(x);
    let x = max_with(m, x, ends(ty).0);
    let digits = FloatLayout::of(ty).digits as i32 + 1;
    let (s, r) = reduce_to_power(m, x, digits as i64);
    let (p, back) = (small(m, r), m.like(x, 2f64.powi(-digits)));
    let scaled = m.fma(p, s, s);
    m.mul(scaled, back)
}

/// Returns the argument from which sinh and cosh are infinite although `e^x / 4` is not.
fn end_of_hyperbolic(ty: DType) -> f64 {
    if ty == DType::F32 { 89.5 } else { 710.6 }
}

/// Expands the hyperbolic sine as `2 t + t / (2 t + 1/2)` with `t = (e^|x| - 1) / 4`.
pub fn sinh<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, half) = (m.unary_inst(Unary::Abs, x), m.like(x, 0.5));
    let size = min_with(m, size, end_of_hyperbolic(m.ty(x)));
    let t = scaled_expm1(m, size, -2);
    let double = m.add(t, t);
    let below = m.add(double, half);
    let rest = m.binary_inst(Binary::Div, t, below);
    let y = m.add(double, rest);
    let y = copy_sign(m, y, x);
    identity_below(m, y, x, FloatLayout::of(m.ty(x)).tiny)
}

/// Expands the hyperbolic cosine as `t + 1 / (4 t)` with `t = e^|x| / 2`.
pub fn cosh<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, quarter) = (m.unary_inst(Unary::Abs, x), m.like(x, 0.25));
    let size = min_with(m, size, end_of_hyperbolic(m.ty(x)));
    let (s, r) = reduce_to_power(m, size, -2);
    let p = plus_one(m, r);
    let t = m.mul(p, s);
    let t = m.add(t, t);
    let rest = m.binary_inst(Binary::Div, quarter, t);
    m.add(t, rest)
}
