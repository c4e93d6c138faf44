//! Inverse trigonometric functions of f32: polynomials (`coefficients`) near zero, and identities
//! that lead there.

use super::{coefficients as c, parts::*};
use crate::kernel::{ExprBuilder, InstId};
use neurax_ir::op::{Binary, Direction, Unary};

/// Approximates the arc tangent of `t` in 0..1.
fn atan_of_ratio<M: ExprBuilder>(m: &mut M, t: InstId) -> InstId {
    let z = m.mul(t, t);
    let (p, cube) = (m.polynomial(z, &c::ATAN_F32), m.mul(z, t));
    m.fma(p, cube, t)
}

/// Expands the arc tangent; above 1 it is pi/2 minus that of the reciprocal.
pub fn atan<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, one) = (m.unary_inst(Unary::Abs, x), m.like(x, 1.0));
    let is_large = m.compare(Direction::Gt, size, one);
    let (above, below) = (m.select(is_large, one, size), m.select(is_large, size, one));
    let t = m.binary_inst(Binary::Div, above, below);
    let y = atan_of_ratio(m, t);
    let y = taken_where(m, is_large, HALF_PI, y);
    copy_sign(m, y, x)
}

/// Returns `c - y` where `pred` holds, else `y`.
fn taken_where<M: ExprBuilder>(m: &mut M, pred: InstId, c: (f64, f64), y: InstId) -> InstId {
    let other = subtract_from(m, c, y);
    m.select(pred, other, y)
}

/// Expands `atan2`: the angle of the point `(x, y)`.
pub fn atan2<M: ExprBuilder>(m: &mut M, y: InstId, x: InstId) -> InstId {
    let (a, b, zero, one) =
        (m.unary_inst(Unary::Abs, y), m.unary_inst(Unary::Abs, x), m.like(x, 0.0), m.like(x, 1.0));
    let is_steep = m.compare(Direction::Gt, a, b);
    let (above, below) = (m.select(is_steep, b, a), m.select(is_steep, a, b));
    let t = m.binary_inst(Binary::Div, above, below);
    // Two infinities are as two ones, two zeros as zero and one.
    let are_same = m.compare(Direction::Eq, above, below);
    let t = m.select(are_same, one, t);
    let sum = m.add(above, below);
    let are_zero = m.compare(Direction::Eq, sum, zero);
    let t = m.select(are_zero, zero, t);
    let angle = atan_of_ratio(m, t);
    let angle = taken_where(m, is_steep, HALF_PI, angle);
    let int = FloatLayout::of(m.ty(x)).int;
    let (bit, none) = (sign_bit(m, x), m.bits(int, 0));
    let is_left = m.compare(Direction::Ne, bit, none);
    let angle = taken_where(m, is_left, twice(HALF_PI), angle);
    copy_sign(m, angle, y)
}

fn twice((high, low): (f64, f64)) -> (f64, f64) {
    (2.0 * high, 2.0 * low)
}

/// Returns the arc sine of `|x|` up to 1/2, else half of its arc cosine, and which of the two it
/// is.
fn asin_or_half_acos<M: ExprBuilder>(m: &mut M, size: InstId) -> (InstId, InstId) {
    let (one, half) = (m.like(size, 1.0), m.like(size, 0.5));
    let is_large = m.compare(Direction::Gt, size, half);
    let (rest, square) = (m.sub(one, size), m.mul(size, size));
    let rest = m.mul(rest, half);
    let z = m.select(is_large, rest, square);
    let root = m.unary_inst(Unary::Sqrt, z);
    let s = m.select(is_large, root, size);
    let (p, cube) = (m.polynomial(z, &c::ASIN_F32), m.mul(z, s));
    (m.fma(p, cube, s), is_large)
}

/// Expands the inverse sine.
pub fn asin<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let size = m.unary_inst(Unary::Abs, x);
    let (p, is_large) = asin_or_half_acos(m, size);
    let double = m.add(p, p);
    let rest = subtract_from(m, HALF_PI, double);
    let y = m.select(is_large, rest, p);
    copy_sign(m, y, x)
}

/// Expands the inverse cosine.
pub fn acos<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, zero) = (m.unary_inst(Unary::Abs, x), m.like(x, 0.0));
    let (p, is_large) = asin_or_half_acos(m, size);
    let is_below = m.compare(Direction::Lt, x, zero);
    let double = m.add(p, p);
    let far = taken_where(m, is_below, twice(HALF_PI), double);
    let signed = copy_sign(m, p, x);
    let near = subtract_from(m, HALF_PI, signed);
    m.select(is_large, far, near)
}
