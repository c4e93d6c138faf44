//! The exponential and its kin, and the logarithm, for f32: polynomials after a reduction of the range. Coefficients are those of the series,
//! with the last ones moved to spread the error (minimax on the reduced range).

use crate::kernel::{Id, Make};
use neurax_ir::{
    DType,
    op::{Binary, Direction, Unary},
};

/// `e^r - 1 - r` over `r^2` on |r| <= ln(2)/2.
const EXP: [f64; 6] = [0.5, 0.166_666_671_6, 0.041_666_641_8, 0.008_333_287_8, 0.001_394_284_8, 0.000_199_222_2];

/// The parts of `x = n ln 2 + r`: `(n, r)`, both f32.
fn reduce<M: Make>(m: &mut M, x: Id) -> (Id, Id) {
    let per = m.like(x, std::f64::consts::LOG2_E);
    let n = m.mul(x, per);
    let n = m.un(Unary::RoundEven, n);
    // ln 2 in two parts, the first with so few bits that its product with n is exact.
    let (high, low) = (m.like(x, -0.693_359_375), m.like(x, 2.121_944_4e-4));
    let r = m.fma(n, high, x);
    (n, m.fma(n, low, r))
}

/// `2^n` for whole numbers from -126 to 127.
fn power_of_two<M: Make>(m: &mut M, n: Id) -> Id {
    let i = m.convert(n, DType::I32);
    let (bias, shift) = (m.bits(DType::I32, 127), m.bits(DType::I32, 23));
    let e = m.add(i, bias);
    let bits = m.bin(Binary::ShiftLeft, e, shift);
    m.bitcast(bits, DType::F32)
}

/// `e^r - 1` of a reduced argument.
fn small<M: Make>(m: &mut M, r: Id) -> Id {
    let p = m.polynomial(r, &EXP);
    let square = m.mul(r, r);
    m.fma(p, square, r)
}

fn clamp<M: Make>(m: &mut M, x: Id, low: f64, high: f64) -> Id {
    let (low, high) = (m.like(x, low), m.like(x, high));
    let x = m.bin(Binary::Max, x, low);
    m.bin(Binary::Min, x, high)
}

/// `e^x`
pub fn exp<M: Make>(m: &mut M, x: Id) -> Id {
    let x = clamp(m, x, -104.0, 89.0);
    let (n, r) = reduce(m, x);
    let (p, one) = (small(m, r), m.like(x, 1.0));
    let p = m.add(p, one);
    // In two steps, so that the ends of the range (subnormal, overflowing) come out of the last multiplication.
    let half = m.like(x, 0.5);
    let a = m.mul(n, half);
    let a = m.un(Unary::Floor, a);
    let b = m.sub(n, a);
    let (a, b) = (power_of_two(m, a), power_of_two(m, b));
    let y = m.mul(p, a);
    m.mul(y, b)
}

/// `e^x - 1`
pub fn expm1<M: Make>(m: &mut M, x0: Id) -> Id {
    let x = clamp(m, x0, -20.0, 88.8);
    let (n, r) = reduce(m, x);
    let (p, one, two, half) = (small(m, r), m.like(x, 1.0), m.like(x, 2.0), m.like(x, 0.5));
    // `2^n (p + 1) - 1` as twice its half, since 2^128 does not exist.
    let n = m.sub(n, one);
    let s = power_of_two(m, n);
    let rest = m.sub(s, half);
    let y = m.fma(s, p, rest);
    let y = m.mul(y, two);
    keep_zero(m, y, x0)
}

/// Hyperbolic tangent, as `t / (t + 2)` with `t = e^2x - 1`.
pub fn tanh<M: Make>(m: &mut M, x: Id) -> Id {
    let size = m.un(Unary::Abs, x);
    let end = m.like(x, 10.0);
    let two = m.like(x, 2.0);
    let size = m.bin(Binary::Min, size, end);
    let t = m.mul(size, two);
    let (n, r) = reduce(m, t);
    let (p, one) = (small(m, r), m.like(x, 1.0));
    let s = power_of_two(m, n);
    let rest = m.sub(s, one);
    let t = m.fma(s, p, rest);
    let below = m.add(t, two);
    let y = m.bin(Binary::Div, t, below);
    super::copy_sign(m, y, x)
}

/// `1 / (1 + e^-x)`
pub fn logistic<M: Make>(m: &mut M, x: Id) -> Id {
    let x = m.un(Unary::Neg, x);
    let e = exp(m, x);
    let one = m.like(x, 1.0);
    let below = m.add(e, one);
    m.bin(Binary::Div, one, below)
}

/// `(log(1 + f) - f + f^2/2) / f^3` for 1 + f from sqrt(1/2) to sqrt(2) (Cephes' minimax polynomial for single precision).
const LOG: [f64; 9] = [
    3.333_333_117_4e-1,
    -2.499_999_399_3e-1,
    2.000_071_476_5e-1,
    -1.666_805_766_5e-1,
    1.424_932_278_7e-1,
    -1.242_014_084_6e-1,
    1.167_699_874e-1,
    -1.151_461_031_0e-1,
    7.037_683_629_2e-2,
];

/// Natural logarithm.
pub fn log<M: Make>(m: &mut M, x: Id) -> Id {
    let (i32, f32) = (DType::I32, DType::F32);
    // Subnormal numbers are made normal first.
    let least = m.bits(f32, 0x0080_0000);
    let is_small = m.compare(Direction::Lt, x, least);
    let (up, one) = (m.number(f32, 8_388_608.0), m.number(f32, 1.0));
    let scaled = m.mul(x, up);
    let y = m.select(is_small, scaled, x);
    let (more, none) = (m.number(f32, -23.0), m.number(f32, 0.0));
    let extra = m.select(is_small, more, none);
    // y = 2^n (1 + f) with 1 + f from sqrt(1/2) to sqrt(2).
    let (root, bias) = (m.bits(i32, 0x3f35_04f3), m.bits(i32, 0x3f80_0000));
    let bits = m.bitcast(y, i32);
    let off = m.sub(bits, root);
    let shift = m.bits(i32, 23);
    let n = m.bin(Binary::ShiftRightArithmetic, off, shift);
    let back = m.bin(Binary::ShiftLeft, n, shift);
    let mantissa = m.sub(bits, back);
    let mantissa = m.bitcast(mantissa, f32);
    let _ = bias;
    let f = m.sub(mantissa, one);
    let n = m.convert(n, f32);
    let n = m.add(n, extra);
    let p = m.polynomial(f, &LOG);
    let (square, half) = (m.mul(f, f), m.number(f32, -0.5));
    let cube = m.mul(square, f);
    let (low, high) = (m.number(f32, -2.121_944_4e-4), m.number(f32, 0.693_359_375));
    let tail = m.mul(n, low);
    let y = m.fma(p, cube, tail);
    let y = m.fma(square, half, y);
    let y = m.add(f, y);
    let y = m.fma(n, high, y);
    ends_of_log(m, x, y)
}

/// The logarithm of zero, of infinity, of NaN and of negative numbers.
fn ends_of_log<M: Make>(m: &mut M, x: Id, y: Id) -> Id {
    let (zero, inf) = (m.like(x, 0.0), m.like(x, f64::INFINITY));
    let (minus, nan) = (m.like(x, f64::NEG_INFINITY), m.like(x, f64::NAN));
    let is_end = m.compare(Direction::Eq, x, inf);
    let y = m.select(is_end, x, y);
    let is_zero = m.compare(Direction::Eq, x, zero);
    let y = m.select(is_zero, minus, y);
    let fits = m.compare(Direction::Ge, x, zero);
    m.select(fits, y, nan)
}

/// `x` where it is zero, for its sign.
fn keep_zero<M: Make>(m: &mut M, y: Id, x: Id) -> Id {
    let zero = m.like(x, 0.0);
    let is_zero = m.compare(Direction::Eq, x, zero);
    m.select(is_zero, x, y)
}
