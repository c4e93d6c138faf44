//! Powers and cube roots of f32.

use super::{coefficients as c, erf::upper_half, exp::small, parts::*};
use crate::kernel::{ExprBuilder, InstId};
use neurax_ir::op::{Binary, Direction, Unary};
use std::f64::consts::LN_2;

/// A number as the unevaluated sum of two floats, the second below the last place of the first.
type DoubleFloat = (InstId, InstId);

/// Returns `x y` without rounding.
fn product<M: ExprBuilder>(m: &mut M, x: InstId, y: InstId) -> DoubleFloat {
    let high = m.mul(x, y);
    let minus = m.unary_inst(Unary::Neg, high);
    if m.has_fma() {
        return (high, m.fma(x, y, minus));
    }
    // Products of halves are exact (T. J. Dekker, 1971).
    let (xh, yh) = (upper_half(m, x), upper_half(m, y));
    let (xl, yl) = (m.sub(x, xh), m.sub(y, yh));
    let mut low = m.fma(xh, yh, minus);
    for (a, b) in [(xh, yl), (xl, yh), (xl, yl)] {
        low = m.fma(a, b, low);
    }
    (high, low)
}

/// Returns `x + y` without rounding, if `x` is the larger one or zero.
fn sum<M: ExprBuilder>(m: &mut M, x: InstId, y: InstId) -> DoubleFloat {
    let high = m.add(x, y);
    let had = m.sub(high, x);
    (high, m.sub(y, had))
}

/// Returns the logarithm to base 2 of a positive normal number, to about 32 bits: `2 s / ln 2 + s^3
/// p(s^2)` with `s = (m - 1) / (m + 1)` and its product with `2 / ln 2` in two parts.
fn log2<M: ExprBuilder>(m: &mut M, x: InstId, n: InstId) -> DoubleFloat {
    let (e, fraction) = split_exponent(m, x);
    let e = m.add(e, n);
    let one = m.like(x, 1.0);
    let (above, below) = (m.sub(fraction, one), m.add(fraction, one));
    let s = m.binary_inst(Binary::Div, above, below);
    // What rounding took from s: (above - s (below + rest)) / below.
    let had = m.sub(below, one);
    let rest = m.sub(fraction, had);
    let (back, lost) = product(m, s, below);
    let left = m.sub(above, back);
    let left = m.sub(left, lost);
    let rest = m.mul(s, rest);
    let left = m.sub(left, rest);
    let s_low = m.binary_inst(Binary::Div, left, below);
    let (high, low) = (m.like(x, 2.0 * c::LOG2_E_F32[0]), m.like(x, 2.0 * c::LOG2_E_F32[1]));
    let (first, mut tail) = product(m, s, high);
    tail = m.fma(s, low, tail);
    let z = m.mul(s, s);
    // The slope by s, to the second term.
    let second = m.like(x, 3.0 * c::POWER_LOG_F32[0]);
    let slope = m.fma(z, second, high);
    tail = m.fma(s_low, slope, tail);
    let (p, cube) = (m.polynomial(z, &c::POWER_LOG_F32), m.mul(z, s));
    tail = m.fma(p, cube, tail);
    let (first, rest) = sum(m, first, tail);
    let (high, low) = sum(m, e, first);
    (high, m.add(low, rest))
}

/// Returns `2^(high + low)`, with zero and infinity at the ends.
fn exp2<M: ExprBuilder>(m: &mut M, (high, low): DoubleFloat) -> InstId {
    let high = clamp(m, high, -160.0, 130.0);
    let n = round_to_whole(m, high, 1.0);
    let r = m.sub(high, n.n);
    let r = m.add(r, low);
    let (ln2, one) = (m.like(r, LN_2), m.like(r, 1.0));
    let r = m.mul(r, ln2);
    let p = small(m, r);
    let p = m.add(p, one);
    scale_by_power(m, p, n)
}

/// Expands `x^y` as `2^(y log2 |x|)`, with the logarithm and the product as sums of two floats;
/// signs and special cases follow IEEE 754.
pub fn pow<M: ExprBuilder>(m: &mut M, x: InstId, y: InstId) -> InstId {
    let (size, zero, none) = (m.unary_inst(Unary::Abs, x), m.like(x, 0.0), m.like(x, -24.0));
    let (normal, is_small) = without_subnormals(m, size, 24);
    let n = m.select(is_small, none, zero);
    let (high, low) = log2(m, normal, n);
    let high = log2_ends(m, size, high);
    let (first, rest) = product(m, y, high);
    let rest = m.fma(y, low, rest);
    // The exponent of 1 is zero, even if y is infinite or NaN; past the ends of the range the
    // second part has no meaning.
    let (is_one, end) = (m.compare(Direction::Eq, high, zero), m.like(x, 200.0));
    let first = m.select(is_one, zero, first);
    let far = m.unary_inst(Unary::Abs, first);
    let is_near = m.compare(Direction::Lt, far, end);
    let rest = m.select(is_near, rest, zero);
    let rest = m.select(is_one, zero, rest);
    let z = exp2(m, (first, rest));
    signs(m, z, x, y)
}

/// Selects the logarithm of zero, infinity and NaN.
fn log2_ends<M: ExprBuilder>(m: &mut M, size: InstId, log: InstId) -> InstId {
    let (zero, inf, minus) =
        (m.like(size, 0.0), m.like(size, f64::INFINITY), m.like(size, f64::NEG_INFINITY));
    let is_finite = m.compare(Direction::Lt, size, inf);
    let log = m.select(is_finite, log, size);
    let is_zero = m.compare(Direction::Eq, size, zero);
    m.select(is_zero, minus, log)
}

/// Converts `z = |x|^y` into `x^y`: odd powers keep the sign of `x`, fractional powers of negative
/// numbers are NaN, and `x^0` and `1^y` are 1.
fn signs<M: ExprBuilder>(m: &mut M, z: InstId, x: InstId, y: InstId) -> InstId {
    let (zero, one, half, nan) =
        (m.like(x, 0.0), m.like(x, 1.0), m.like(x, 0.5), m.like(x, f64::NAN));
    let inf = m.like(x, f64::INFINITY);
    let down = m.unary_inst(Unary::Floor, y);
    let is_whole = m.compare(Direction::Eq, down, y);
    let y_half = m.mul(y, half);
    let down = m.unary_inst(Unary::Floor, y_half);
    let is_odd = m.compare(Direction::Ne, down, y_half);
    let signed = copy_sign(m, z, x);
    let odd = m.select(is_odd, signed, z);
    // Neither a fraction of a finite negative number (that of minus infinity is a positive end).
    let minus_inf = m.unary_inst(Unary::Neg, inf);
    let (below, above) =
        (m.compare(Direction::Lt, x, zero), m.compare(Direction::Gt, x, minus_inf));
    let broken = m.select(above, nan, z);
    let broken = m.select(below, broken, z);
    let out = m.select(is_whole, odd, broken);
    let (y_zero, x_one) = (m.compare(Direction::Eq, y, zero), m.compare(Direction::Eq, x, one));
    let out = m.select(y_zero, one, out);
    m.select(x_one, one, out)
}

/// Expands the cube root: `x = 2^(3q + k) m`, a polynomial estimate for `m` and one step of
/// Halley's method.
pub fn cbrt<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, zero, inf) = (m.unary_inst(Unary::Abs, x), m.like(x, 0.0), m.like(x, f64::INFINITY));
    let (normal, is_small) = without_subnormals(m, size, 24);
    let (e, fraction) = split_exponent(m, normal);
    let q = round_to_whole(m, e, 1.0 / 3.0);
    let minus = m.like(x, -3.0);
    let k = m.fma(q.n, minus, e);
    let (above, below) = (m.compare(Direction::Gt, k, zero), m.compare(Direction::Lt, k, zero));
    let mut by = |up: f64| {
        let (up, down, one) = (m.like(x, up), m.like(x, 1.0 / up), m.like(x, 1.0));
        let other = m.select(below, down, one);
        m.select(above, up, other)
    };
    let (root, whole_step) = (by(2f64.cbrt()), by(2.0));
    let a = m.mul(fraction, whole_step);
    let guess = m.polynomial(fraction, &c::CBRT_F32);
    let y = m.mul(guess, root);
    // y - y (y^3 - a) / (2 y^3 + a)
    let (square, minus, two) = (m.mul(y, y), m.unary_inst(Unary::Neg, a), m.like(x, 2.0));
    let (cube, off) = (m.mul(square, y), m.fma(square, y, minus));
    let (below, above) = (m.fma(cube, two, a), m.mul(y, off));
    let step = m.binary_inst(Binary::Div, above, below);
    let y = m.sub(y, step);
    let power = power_of_two(m, q.bits, 0, m.ty(x));
    let y = m.mul(y, power);
    let (down, one) = (m.like(x, 2f64.powi(-8)), m.like(x, 1.0));
    let unscale = m.select(is_small, down, one);
    let y = m.mul(y, unscale);
    let y = copy_sign(m, y, x);
    let is_finite = m.compare(Direction::Lt, size, inf);
    let y = m.select(is_finite, y, x);
    preserve_zero(m, y, x)
}
