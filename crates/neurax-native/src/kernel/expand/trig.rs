//! Sine, cosine and tangent: `|x| = n pi/2 + r`, with pi/2 in parts whose products with n are exact
//! (W. J. Cody and W. Waite, "Software manual for the elementary functions", 1980), and polynomials
//! of `r` (`coefficients`). Arguments for which the parts do not suffice go through the scalar
//! library.

use super::{coefficients as c, parts::*};
use crate::kernel::{ExprBuilder, InstId, InstKind};
use neurax_ir::{
    DType,
    op::{Binary, Direction, Unary},
};
use std::f64::consts::FRAC_2_PI;

/// Returns the largest argument for which the reduction is accurate.
fn limit(ty: DType, has_fma: bool) -> f64 {
    match (ty, has_fma) {
        (DType::F32, true) => 100_000.0,
        (DType::F32, false) => 800.0,
        // other: f64, with and without fused multiply-add.
        _ => 1_000_000.0,
    }
}

/// Reduces `size = |x|` to `n` and `r` with `|x| = n pi/2 + r` and `|r|` at most pi/4.
fn reduce<M: ExprBuilder>(m: &mut M, size: InstId) -> (WholeNumber, InstId) {
    let n = round_to_whole(m, size, FRAC_2_PI);
    // A fused product is exact however long its factors are: three parts of full length. Else parts
    // leave room for the bits of n.
    let parts: &[f64] = match (m.ty(size), m.has_fma()) {
        (DType::F32, true) => &c::FRAC_PI_2_F32,
        (DType::F32, false) => &c::FRAC_PI_2_F32_SHORT,
        (_, true) => &c::FRAC_PI_2_F64,
        (_, false) => &c::FRAC_PI_2_F64_SHORT,
    };
    let mut r = size;
    for part in parts {
        let part = m.like(size, -part);
        r = m.fma(n.n, part, r);
    }
    (n, r)
}

/// Approximates the sine and cosine of a reduced argument.
fn both<M: ExprBuilder>(m: &mut M, r: InstId) -> (InstId, InstId) {
    let ty = m.ty(r);
    let z = m.mul(r, r);
    let (s, cube) = (m.polynomial(z, table(ty, &c::SIN_F32, &c::SIN_F64)), m.mul(z, r));
    let s = m.fma(s, cube, r);
    let (p, square) = (m.polynomial(z, table(ty, &c::COS_F32, &c::COS_F64)), m.mul(z, z));
    let (half, one) = (m.like(r, -0.5), m.like(r, 1.0));
    let first = m.fma(z, half, one);
    (s, m.fma(p, square, first))
}

/// Returns a node that is true if the whole number is odd.
fn is_odd<M: ExprBuilder>(m: &mut M, n: WholeNumber) -> InstId {
    let int = m.ty(n.bits);
    let (one, zero) = (m.bits(int, 1), m.bits(int, 0));
    let bit = m.binary_inst(Binary::And, n.bits, one);
    m.compare(Direction::Ne, bit, zero)
}

/// Moves bit `bit` of an integer to the position of the sign.
fn as_sign<M: ExprBuilder>(m: &mut M, bits: InstId, bit: u64) -> InstId {
    let int = m.ty(bits);
    let (bit_alone, shift) = (m.bits(int, 1 << bit), m.bits(int, int.bits() as u64 - 1 - bit));
    let x = m.binary_inst(Binary::And, bits, bit_alone);
    m.binary_inst(Binary::ShiftLeft, x, shift)
}

/// Replaces the result by a library call for arguments beyond the limit.
fn patch<M: ExprBuilder>(m: &mut M, f: Unary, x: InstId, size: InstId, y: InstId) -> InstId {
    let ty = m.ty(x);
    let limit = m.number(ty, limit(ty, m.has_fma()));
    let is_far = m.compare(Direction::Gt, size, limit);
    m.put(InstKind::Patch(f, is_far, x, y), ty)
}

/// Expands the sine.
pub fn sin<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let size = m.unary_inst(Unary::Abs, x);
    let (n, r) = reduce(m, size);
    let ((s, c), odd) = (both(m, r), is_odd(m, n));
    let y = m.select(odd, c, s);
    // Negative in the third and the fourth quadrant, and for negative arguments.
    let (half, sign) = (as_sign(m, n.bits, 1), sign_bit(m, x));
    let sign = m.binary_inst(Binary::Xor, half, sign);
    let y = flip_sign(m, y, sign);
    patch(m, Unary::Sin, x, size, y)
}

/// Expands the cosine: the sine one quadrant further on.
pub fn cos<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let size = m.unary_inst(Unary::Abs, x);
    let (n, r) = reduce(m, size);
    let ((s, c), odd) = (both(m, r), is_odd(m, n));
    let (y, one) = (m.select(odd, s, c), m.bits(m.ty(n.bits), 1));
    let next = m.add(n.bits, one);
    let sign = as_sign(m, next, 1);
    let y = flip_sign(m, y, sign);
    patch(m, Unary::Cos, x, size, y)
}

/// Expands the tangent: the quotient of sine and cosine, or its negative reciprocal.
pub fn tan<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let size = m.unary_inst(Unary::Abs, x);
    let (n, r) = reduce(m, size);
    let ((s, c), odd) = (both(m, r), is_odd(m, n));
    let (above, below) = (m.select(odd, c, s), m.select(odd, s, c));
    let y = m.binary_inst(Binary::Div, above, below);
    let (odd, sign) = (as_sign(m, n.bits, 0), sign_bit(m, x));
    let sign = m.binary_inst(Binary::Xor, odd, sign);
    let y = flip_sign(m, y, sign);
    patch(m, Unary::Tan, x, size, y)
}
