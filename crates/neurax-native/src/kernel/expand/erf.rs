//! The error function of f32, its complement, and its inverse, by polynomials (`coefficients`).

use super::{
    coefficients as c,
    exp::{exp_of_parts, one_minus_exp},
    log,
    parts::*,
};
use crate::kernel::{ExprBuilder, InstId};
use neurax_ir::{
    DType,
    op::{Binary, Direction, Unary},
};

/// The start of the tail of the error function, and the argument from which it is 1.
const TAIL: (f64, f64) = (59.0 / 64.0, 4.0);

/// Approximates the error function near zero.
fn near_zero<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let z = m.mul(x, x);
    let p = m.polynomial(z, &c::ERF_F32);
    m.fma(p, x, x)
}

/// Expands the error function: a polynomial near zero, `1 - e^-p(x)` beyond.
pub fn erf<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (size, from) = (m.unary_inst(Unary::Abs, x), m.like(x, TAIL.0));
    let near = near_zero(m, size);
    let end = min_with(m, size, TAIL.1);
    let far = m.polynomial(end, &c::ERF_TAIL_F32);
    let far = one_minus_exp(m, far);
    let is_near = m.compare(Direction::Lt, size, from);
    let y = m.select(is_near, near, far);
    copy_sign(m, y, x)
}

/// Expands the complementary error function: `1 - erf(x)` near zero, `e^(-x^2) p / (1 + 2x)`
/// beyond, with the square as a sum of two floats.
pub fn erfc<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let size = m.unary_inst(Unary::Abs, x);
    let size = min_with(m, size, 10.5);
    let (four, one, two, half, zero) =
        (m.like(x, 4.0), m.like(x, 1.0), m.like(x, 2.0), m.like(x, 0.5), m.like(x, 0.0));
    let (above, below) = (m.sub(size, four), m.add(size, four));
    let t = m.binary_inst(Binary::Div, above, below);
    let p = m.polynomial(t, &c::ERFC_F32);
    let below = m.fma(size, two, one);
    let p = m.binary_inst(Binary::Div, p, below);
    let head = upper_half(m, size);
    let (square, rest, sum) = (m.mul(head, head), m.sub(size, head), m.add(size, head));
    let rest = m.mul(rest, sum);
    let y = exp_of_parts(m, square, rest, p);
    let other = m.sub(two, y);
    let is_below = m.compare(Direction::Lt, x, zero);
    let far = m.select(is_below, other, y);
    let near = near_zero(m, x);
    let near = m.sub(one, near);
    let is_near = m.compare(Direction::Lt, size, half);
    m.select(is_near, near, far)
}

/// Expands the inverse error function: `x` times a polynomial of `w = -log(1 - x^2)` in the middle,
/// of its root in the tails, as in Giles, Approximating the erfinv function (GPU Computing Gems,
/// 2011), with polynomials of our own.
pub fn erf_inv<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let ty = m.ty(x);
    let one = m.like(x, 1.0);
    let (below, above) = (m.sub(one, x), m.add(one, x));
    // Both factors are exact or nearly so, where the square of x has lost the distance to 1.
    let rest = m.mul(below, above);
    let log = log::log(m, rest);
    let w = m.unary_inst(Unary::Neg, log);
    let root = m.unary_inst(Unary::Sqrt, w);
    let middle = m.like(x, -2.5);
    let t = m.add(w, middle);
    let near = m.polynomial(t, table(ty, &c::ERF_INV_F32, &c::ERF_INV_F64));
    let middle = m.like(x, -3.125);
    let t = m.add(root, middle);
    let mut far = m.polynomial(t, table(ty, &c::ERF_INV_TAIL_F32, &c::ERF_INV_TAIL_F64));
    if ty == DType::F64 {
        let (middle, end) = (m.like(x, -5.0), m.like(x, 4.0));
        let t = m.add(root, middle);
        let farther = m.polynomial(t, &c::ERF_INV_FAR_F64);
        let is_farther = m.compare(Direction::Gt, root, end);
        far = m.select(is_farther, farther, far);
    }
    let end = m.like(x, 5.0);
    let is_near = m.compare(Direction::Lt, w, end);
    let p = m.select(is_near, near, far);
    let y = m.mul(p, x);
    // At 1 and -1 the root is infinite, and a polynomial of it need not be.
    let (size, inf) = (m.unary_inst(Unary::Abs, x), m.like(x, f64::INFINITY));
    let end = copy_sign(m, inf, x);
    let is_end = m.compare(Direction::Eq, size, one);
    m.select(is_end, end, y)
}

/// Returns `x` without the lower half of its digits, so that its square is exact.
pub fn upper_half<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let ty = m.ty(x);
    let int = FloatLayout::of(ty).int;
    let (bits, upper) = (m.bitcast(x, int), m.bits(int, 0xffff_f000));
    let bits = m.binary_inst(Binary::And, bits, upper);
    m.bitcast(bits, ty)
}
