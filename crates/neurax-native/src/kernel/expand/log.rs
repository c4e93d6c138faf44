//! The logarithm and functions of it: `x = 2^n m` with m from sqrt(1/2) to sqrt(2), and `log m = 2
//! artanh(s)` with `s = (m - 1) / (m + 1)`, a polynomial of `s` (`coefficients`).

use super::{coefficients as c, parts::*};
use crate::kernel::{ExprBuilder, InstId};
use neurax_ir::{
    DType,
    op::{Binary, Direction, Unary},
};

/// Returns `log x + n ln 2 + low` for a positive normal `x`, with `low` below the last place of the
/// result.
fn log_of<M: ExprBuilder>(m: &mut M, x: InstId, n: Option<InstId>, low: Option<InstId>) -> InstId {
    let ty = m.ty(x);
    let (mut e, fraction) = split_exponent(m, x);
    if let Some(n) = n {
        e = m.add(e, n);
    }
    let (one, two) = (m.like(x, 1.0), m.like(x, 2.0));
    let f = m.sub(fraction, one);
    let below = m.add(f, two);
    let s = m.binary_inst(Binary::Div, f, below);
    let z = m.mul(s, s);
    let p = m.polynomial(z, table(ty, &c::LOG_F32, &c::LOG_F64));
    // 2 s = f - s f, so that the logarithm, 2 s + s z p, is f - s (f - z p).
    let p = m.mul(p, z);
    let p = m.sub(f, p);
    let ln2 = table(ty, &c::LN2_F32, &c::LN2_F64);
    let (high, less) = (m.like(x, ln2[0]), m.like(x, -ln2[1]));
    let mut rest = m.mul(e, less);
    if let Some(low) = low {
        rest = m.sub(rest, low);
    }
    let rest = m.fma(s, p, rest);
    let y = m.sub(f, rest);
    m.fma(e, high, y)
}

/// Selects the logarithm of zero, infinity, NaN and negative numbers.
fn ends<M: ExprBuilder>(m: &mut M, x: InstId, y: InstId) -> InstId {
    let (zero, inf) = (m.like(x, 0.0), m.like(x, f64::INFINITY));
    let (minus, nan) = (m.like(x, f64::NEG_INFINITY), m.like(x, f64::NAN));
    let is_finite = m.compare(Direction::Lt, x, inf);
    let y = m.select(is_finite, y, x);
    let (is_zero, is_out) = (m.compare(Direction::Eq, x, zero), m.compare(Direction::Le, x, zero));
    let end = m.select(is_zero, minus, nan);
    m.select(is_out, end, y)
}

/// Expands the natural logarithm.
pub fn log<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let power = FloatLayout::of(m.ty(x)).digits as i32;
    let (y, is_small) = without_subnormals(m, x, power);
    let (more, none) = (m.like(x, -power as f64), m.like(x, 0.0));
    let n = m.select(is_small, more, none);
    let y = log_of(m, y, Some(n), None);
    ends(m, x, y)
}

/// Returns `1 + x` rounded, and the rounding error relative to it.
fn one_plus<M: ExprBuilder>(m: &mut M, x: InstId) -> (InstId, InstId) {
    let one = m.like(x, 1.0);
    let sum = m.add(x, one);
    let had = m.sub(sum, one);
    let lost = m.sub(x, had);
    (sum, m.binary_inst(Binary::Div, lost, sum))
}

/// Expands `log(1 + x)`: the logarithm of the rounded sum plus the rounding error.
pub fn log1p<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (sum, low) = one_plus(m, x);
    let y = log_of(m, sum, None, Some(low));
    let y = ends(m, sum, y);
    preserve_zero(m, y, x)
}

/// Returns the number from which `sqrt(1 + x^2)` rounds to `x`.
fn large(ty: DType) -> f64 {
    if ty == DType::F32 { 2f64.powi(13) } else { 2f64.powi(28) }
}

/// Returns `log(1 + w)`, or `log(2 x)` for large `x`.
fn log1p_or_twice<M: ExprBuilder>(m: &mut M, w: InstId, x: InstId) -> InstId {
    let (from, zero, one) = (m.like(x, large(m.ty(x))), m.like(x, 0.0), m.like(x, 1.0));
    let is_large = m.compare(Direction::Gt, x, from);
    let (sum, low) = one_plus(m, w);
    let (sum, low, n) =
        (m.select(is_large, x, sum), m.select(is_large, zero, low), m.select(is_large, one, zero));
    let y = log_of(m, sum, Some(n), Some(low));
    ends(m, sum, y)
}

/// Expands the inverse hyperbolic sine as `log(1 + x + x^2 / (1 + sqrt(1 + x^2)))`.
pub fn asinh<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, one) = (m.unary_inst(Unary::Abs, x), m.like(x, 1.0));
    let a = min_with(m, size, large(m.ty(x)));
    let square = m.mul(a, a);
    let root = m.fma(a, a, one);
    let root = m.unary_inst(Unary::Sqrt, root);
    let below = m.add(root, one);
    let more = m.binary_inst(Binary::Div, square, below);
    let w = m.add(a, more);
    let y = log1p_or_twice(m, w, size);
    copy_sign(m, y, x)
}

/// Expands the inverse hyperbolic cosine as `log(1 + t + sqrt(t (t + 2)))` with `t = x - 1`.
pub fn acosh<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (one, two, zero, nan) =
        (m.like(x, 1.0), m.like(x, 2.0), m.like(x, 0.0), m.like(x, f64::NAN));
    let t = m.sub(x, one);
    let a = min_with(m, t, large(m.ty(x)));
    let square = m.add(a, two);
    let square = m.mul(a, square);
    let root = m.unary_inst(Unary::Sqrt, square);
    let w = m.add(a, root);
    let y = log1p_or_twice(m, w, x);
    let fits = m.compare(Direction::Ge, t, zero);
    m.select(fits, y, nan)
}

/// Expands the inverse hyperbolic tangent as half of `log(1 + 2x / (1 - x))`.
pub fn atanh<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, one, half) = (m.unary_inst(Unary::Abs, x), m.like(x, 1.0), m.like(x, 0.5));
    let (double, below) = (m.add(size, size), m.sub(one, size));
    let w = m.binary_inst(Binary::Div, double, below);
    let y = log1p(m, w);
    let y = m.mul(y, half);
    copy_sign(m, y, x)
}
