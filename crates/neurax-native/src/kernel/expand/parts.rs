//! Building blocks of float expansions: exponents, fractions and signs.
//!
//! All of them work for f32 and f64. Whole numbers stay floats. Where their bits are needed, a
//! large number is added, so that they are the low bits of the sum: vectors of 8-byte elements have
//! no conversion to integers.

use super::coefficients as c;
use crate::kernel::{ExprBuilder, InstId};
use neurax_ir::{
    DType,
    op::{Binary, Direction, Unary},
};

/// The layout of a float dtype.
#[derive(Clone, Copy)]
pub struct FloatLayout {
    /// The integer dtype of the same width.
    pub int: DType,
    /// The bits of the fraction.
    pub digits: u32,
    /// The exponent of 1, as stored.
    pub bias: i64,
    /// `1.5 * 2^digits`: the last place of sums with it is 1.
    pub magic: f64,
    /// The bound below which functions such as `sinh` and `expm1` round to their argument.
    pub tiny: f64,
}

impl FloatLayout {
    /// Returns the layout of f32 or f64.
    pub fn of(ty: DType) -> FloatLayout {
        match ty {
            DType::F32 => FloatLayout {
                int: DType::I32,
                digits: 23,
                bias: 127,
                magic: 12_582_912.0,
                tiny: 2f64.powi(-12),
            },
            // other: f64; no other floats are computed in.
            _ => FloatLayout {
                int: DType::I64,
                digits: 52,
                bias: 1023,
                magic: 6_755_399_441_055_744.0,
                tiny: 2f64.powi(-27),
            },
        }
    }
}

/// Returns the coefficients for a dtype.
pub fn table<'a>(ty: DType, f32s: &'a [f64], f64s: &'a [f64]) -> &'a [f64] {
    if ty == DType::F32 { f32s } else { f64s }
}

/// A whole number, as a float and in the low bits of an integer.
#[derive(Clone, Copy)]
pub struct WholeNumber {
    /// The number.
    pub n: InstId,
    /// An integer whose low bits are the number.
    pub bits: InstId,
}

/// Rounds `x * scale` to a whole number.
pub fn round_to_whole<M: ExprBuilder>(m: &mut M, x: InstId, scale: f64) -> WholeNumber {
    round_above(m, x, scale, 0)
}

/// Rounds `x * scale` to a whole number `n`; the low bits of the integer are `n + more`.
fn round_above<M: ExprBuilder>(m: &mut M, x: InstId, scale: f64, more: i64) -> WholeNumber {
    let f = FloatLayout::of(m.ty(x));
    let (scale, magic) = (m.like(x, scale), m.like(x, f.magic + more as f64));
    let t = m.fma(x, scale, magic);
    WholeNumber { n: m.sub(t, magic), bits: m.bitcast(t, f.int) }
}

/// Returns `2^(n + offset)` for the number in the low bits of an integer, if it is normal in `ty`.
pub fn power_of_two<M: ExprBuilder>(m: &mut M, bits: InstId, offset: i64, ty: DType) -> InstId {
    let f = FloatLayout::of(ty);
    let (bias, shift) =
        (m.bits(f.int, ((f.bias + offset) as u64) & mask(ty)), m.bits(f.int, f.digits as u64));
    let e = m.add(bits, bias);
    let e = m.binary_inst(Binary::ShiftLeft, e, shift);
    m.bitcast(e, ty)
}

/// Rounds `x * scale` to a whole number `n`. Returns it as a float, and `2^(n + offset)` in the
/// dtype of `x`, if that is normal. The bias of the exponent is a part of the number that rounds,
/// which saves its addition.
pub fn whole_and_power<M: ExprBuilder>(
    m: &mut M,
    x: InstId,
    scale: f64,
    offset: i64,
) -> (InstId, InstId) {
    let ty = m.ty(x);
    let f = FloatLayout::of(ty);
    let WholeNumber { n, bits } = round_above(m, x, scale, f.bias + offset);
    let digits = m.bits(f.int, f.digits as u64);
    let power = m.binary_inst(Binary::ShiftLeft, bits, digits);
    (n, m.bitcast(power, ty))
}

/// Returns `y * 2^n` in two steps, so that only the last multiplication underflows or overflows.
pub fn scale_by_power<M: ExprBuilder>(m: &mut M, y: InstId, n: WholeNumber) -> InstId {
    let ty = m.ty(y);
    let first = round_to_whole(m, n.n, 0.5);
    let second = m.sub(n.bits, first.bits);
    let (a, b) = (power_of_two(m, first.bits, 0, ty), power_of_two(m, second, 0, ty));
    let y = m.mul(y, a);
    m.mul(y, b)
}

/// Splits a positive normal `x` into `2^exponent * fraction`, with the fraction from sqrt(1/2) to
/// sqrt(2).
pub fn split_exponent<M: ExprBuilder>(m: &mut M, x: InstId) -> (InstId, InstId) {
    let ty = m.ty(x);
    let f = FloatLayout::of(ty);
    let digits = 1u64 << f.digits;
    let root = if ty == DType::F32 {
        std::f32::consts::FRAC_1_SQRT_2.to_bits() as u64
    } else {
        std::f64::consts::FRAC_1_SQRT_2.to_bits()
    };
    // Counted from the bits of the root, the upper bits are the exponent, the lower ones those of
    // the fraction.
    let bits = m.bitcast(x, f.int);
    let (offset, low, from) = (
        m.bits(f.int, (f.bias as u64 * digits).wrapping_sub(root) & mask(ty)),
        m.bits(f.int, digits - 1),
        m.bits(f.int, root),
    );
    let bits = m.add(bits, offset);
    let fraction = m.binary_inst(Binary::And, bits, low);
    let fraction = m.add(fraction, from);
    let fraction = m.bitcast(fraction, ty);
    // The exponent in the lowest bits of 2^digits.
    let (shift, large) =
        (m.bits(f.int, f.digits as u64), m.bits(f.int, (f.bias as u64 + f.digits as u64) * digits));
    let e = m.binary_inst(Binary::ShiftRightLogical, bits, shift);
    let e = m.binary_inst(Binary::Or, e, large);
    let (e, offset) = (m.bitcast(e, ty), m.number(ty, digits as f64 + f.bias as f64));
    (m.sub(e, offset), fraction)
}

/// Scales subnormal numbers to normal ones by `2^power`. Returns the result and the power that was
/// used.
pub fn without_subnormals<M: ExprBuilder>(m: &mut M, x: InstId, power: i32) -> (InstId, InstId) {
    let ty = m.ty(x);
    let least = m.bits(ty, 1 << FloatLayout::of(ty).digits);
    let (up, is_small) = (m.number(ty, 2f64.powi(power)), m.compare(Direction::Lt, x, least));
    let scaled = m.mul(x, up);
    (m.select(is_small, scaled, x), is_small)
}

/// Clamps `x` to `low..=high`; NaN is kept.
pub fn clamp<M: ExprBuilder>(m: &mut M, x: InstId, low: f64, high: f64) -> InstId {
    let x = max_with(m, x, low);
    min_with(m, x, high)
}

/// Returns the smaller of `x` and `high`; NaN is kept.
pub fn min_with<M: ExprBuilder>(m: &mut M, x: InstId, high: f64) -> InstId {
    let high = m.like(x, high);
    let above = m.compare(Direction::Lt, high, x);
    m.select(above, high, x)
}

/// Returns the larger of `x` and `low`; NaN is kept.
pub fn max_with<M: ExprBuilder>(m: &mut M, x: InstId, low: f64) -> InstId {
    let low = m.like(x, low);
    let below = m.compare(Direction::Lt, x, low);
    m.select(below, low, x)
}

/// Returns `x` where its magnitude is below `bound`, zero included, else `y`.
pub fn identity_below<M: ExprBuilder>(m: &mut M, y: InstId, x: InstId, bound: f64) -> InstId {
    let (size, bound) = (m.unary_inst(Unary::Abs, x), m.like(x, bound));
    let is_small = m.compare(Direction::Lt, size, bound);
    m.select(is_small, x, y)
}

/// Returns `x` where it is zero, which keeps the sign of zero, else `y`.
pub fn preserve_zero<M: ExprBuilder>(m: &mut M, y: InstId, x: InstId) -> InstId {
    let zero = m.like(x, 0.0);
    let is_zero = m.compare(Direction::Eq, x, zero);
    m.select(is_zero, x, y)
}

/// Returns the sign bit alone, as an integer.
pub fn sign_bit<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let ty = m.ty(x);
    let int = FloatLayout::of(ty).int;
    let (bits, top) = (m.bitcast(x, int), m.bits(int, 1 << (ty.bits() - 1)));
    m.binary_inst(Binary::And, bits, top)
}

/// Returns `-|x|`.
pub fn minus_abs<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let ty = m.ty(x);
    let int = FloatLayout::of(ty).int;
    let (bits, top) = (m.bitcast(x, int), m.bits(int, 1 << (ty.bits() - 1)));
    let bits = m.binary_inst(Binary::Or, bits, top);
    m.bitcast(bits, ty)
}

/// Flips the sign of `y` where the sign bit in `bit` is set.
pub fn flip_sign<M: ExprBuilder>(m: &mut M, y: InstId, bit: InstId) -> InstId {
    let (ty, int) = (m.ty(y), m.ty(bit));
    let bits = m.bitcast(y, int);
    let bits = m.binary_inst(Binary::Xor, bits, bit);
    m.bitcast(bits, ty)
}

/// Returns `(high + low) - y`.
pub fn subtract_from<M: ExprBuilder>(m: &mut M, (high, low): (f64, f64), y: InstId) -> InstId {
    let (high, low) = (m.like(y, high), m.like(y, low));
    let rest = m.sub(low, y);
    m.add(high, rest)
}

/// Returns the magnitude of `y` with the sign of `x`.
pub fn copy_sign<M: ExprBuilder>(m: &mut M, y: InstId, x: InstId) -> InstId {
    let ty = m.ty(x);
    let int = if ty == DType::F32 { DType::I32 } else { DType::I64 };
    let top = 1u64 << (ty.bits() - 1);
    let (sign, rest) = (m.bits(int, top), m.bits(int, top - 1));
    let (xb, yb) = (m.bitcast(x, int), m.bitcast(y, int));
    let (s, r) = (m.binary_inst(Binary::And, xb, sign), m.binary_inst(Binary::And, yb, rest));
    let bits = m.binary_inst(Binary::Or, s, r);
    m.bitcast(bits, ty)
}

/// `pi/2` as a sum of two f32.
pub const HALF_PI: (f64, f64) = (c::FRAC_PI_2_F32[0], c::FRAC_PI_2_F32[1]);

fn mask(ty: DType) -> u64 {
    !0 >> (64 - ty.bits())
}
