//! Random numbers from random bits, as graphs: uniform, normal, Gumbel, integers, permutations.
//!
//! The generator is Threefry-2x32 in counter mode: element `i` of an array is the cipher block of
//! the counter `i` under the key (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
//! 2011). Elements are independent of each other, so that generation fuses and vectorizes like any
//! elementwise op, and there is no hidden state.
//!
//! Every rule is that of JAX 0.10 (`jax.random` with partitionable Threefry), including the
//! rounding: recorded fixtures compare the results bit for bit.
//!
//! - uniform: the high bits become the mantissa of a float in `[1, 2)`, minus 1, scaled;
//! - normal: `sqrt(2) erfinv(u)`; Gumbel: `-log(-log(u))`;
//! - integers: two words modulo the span, combined to one of twice the bits, which makes
//!   the modulo bias negligible;
//! - permutations: a sort by random words, repeated until ties are improbable.

use crate::{DType, Scalar, Shape, Type};
use neurax_ir::{Builder, FloatFormat, Value, op::*};
use std::ops::Range;

/// Adds the Threefry block of the counters `(high, low)`, scalars or arrays of one shape.
pub(crate) fn block(b: &mut Builder, key: Value, high: Value, low: Value) -> (Value, Value) {
    let shape = b.ty(low).shape.clone();
    let word = |b: &mut Builder, i: usize| {
        let w = b.slice(key, &[i], &[i + 1]);
        let w = b.reshape(w, Shape::scalar());
        b.broadcast(w, shape.clone(), &[])
    };
    let (k0, k1) = (word(b, 0), word(b, 1));
    let out = b.emit_n(Threefry {}, &[k0, k1, high, low], 2);
    (out[0], out[1])
}

/// Adds the block of every element's row-major index.
fn blocks(b: &mut Builder, key: Value, shape: &Shape) -> (Value, Value) {
    let n = shape.size();
    let flat = Type::new(if n > u32::MAX as usize { DType::U64 } else { DType::U32 }, [n]);
    let index = b.iota(flat.clone(), 0);
    let index = b.reshape(index, shape.clone());
    let low = b.convert(index, DType::U32);
    let high = if flat.dtype == DType::U64 {
        let by = full(b, DType::U64, shape, 32);
        let high = b.emit(Binary::ShiftRightLogical, &[index, by]);
        b.convert(high, DType::U32)
    } else {
        full(b, DType::U32, shape, 0)
    };
    block(b, key, high, low)
}

/// Adds `n` new keys, `u32[n, 2]`, derived from `key`.
pub(crate) fn words_of(b: &mut Builder, key: Value, n: usize) -> Value {
    let (x, y) = blocks(b, key, &[n].into());
    let (x, y) = (b.reshape(x, [n, 1]), b.reshape(y, [n, 1]));
    b.concat(&[x, y], 1)
}

/// Adds two new keys derived from `key`.
fn split(b: &mut Builder, key: Value) -> (Value, Value) {
    let words = words_of(b, key, 2);
    let mut row = |i: usize| {
        let r = b.slice(words, &[i, 0], &[i + 1, 2]);
        b.reshape(r, [2])
    };
    (row(0), row(1))
}

/// Adds random bits as unsigned integers of `width` bits: 8, 16, 32 or 64.
pub(crate) fn bits(b: &mut Builder, key: Value, shape: &Shape, width: usize) -> Value {
    let words = blocks(b, key, shape);
    words_to_bits(b, words, width)
}

/// Adds the bits of a block of each element: unsigned integers of `width` bits.
pub(crate) fn words_to_bits(b: &mut Builder, (x, y): (Value, Value), width: usize) -> Value {
    if width == 64 {
        let (x, y) = (b.convert(x, DType::U64), b.convert(y, DType::U64));
        let by = b.full_like(x, 32.0);
        let x = b.emit(Binary::ShiftLeft, &[x, by]);
        return b.or(x, y);
    }
    let z = b.xor(x, y);
    b.convert(z, unsigned(width))
}

/// Returns the unsigned dtype of `width` bits.
pub(crate) fn unsigned(width: usize) -> DType {
    match width {
        8 => DType::U8,
        16 => DType::U16,
        32 => DType::U32,
        _ => DType::U64,
    }
}

/// Emits a scalar constant of `dtype`, exact for 64-bit integers.
pub(crate) fn constant(b: &mut Builder, dtype: DType, x: impl Into<Scalar>) -> Value {
    b.constant(x.into().literal(dtype))
}

/// Adds the constant `x` broadcast to `shape`.
fn full(b: &mut Builder, dtype: DType, shape: &Shape, x: impl Into<Scalar>) -> Value {
    let c = constant(b, dtype, x);
    b.broadcast(c, shape.clone(), &[])
}

/// A float dtype in which random numbers are drawn, and its format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrawnFloat {
    pub dtype: DType,
    /// The number of bits of the mantissa.
    mantissa: usize,
    /// The bits of 1.0.
    one: u64,
    /// The smallest normal number.
    tiny: f64,
    /// The next number after -1 towards 0.
    above_minus_one: f64,
}

impl DrawnFloat {
    /// Returns the format of `dtype`.
    ///
    /// # Errors
    /// When it is not f16, bf16, f32 or f64.
    pub(crate) fn of(dtype: DType) -> Result<DrawnFloat, String> {
        let is_drawn = matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64);
        let Some(format) = FloatFormat::of(dtype).filter(|_| is_drawn) else {
            return Err(format!("expected dtype f16, bf16, f32 or f64, got {dtype}"));
        };
        Ok(DrawnFloat {
            dtype,
            mantissa: format.mantissa_bits as usize,
            one: (format.bias as u64) << format.mantissa_bits,
            tiny: format.smallest_normal(),
            above_minus_one: -1.0 + format.epsilon() / 2.0,
        })
    }

    /// Returns the number of random bits of a number: for a mantissa shorter than 8 bits (bf16) 8.
    pub(crate) fn drawn_bits(self) -> usize {
        if self.mantissa < 8 { 8 } else { self.dtype.bits() }
    }
}

/// Rounds `x` to `dtype`.
fn rounded(x: f64, dtype: DType) -> f64 {
    Scalar::Float(x).literal(dtype).to_f64s().first().copied().unwrap_or(x)
}

/// Returns `low` and `high` rounded to `dtype` if they bound uniform numbers of that dtype.
///
/// # Errors
/// When a bound or their distance is not finite in `dtype`, or no number of the dtype is at least
/// `low` and below `high`.
pub(crate) fn uniform_bounds(dtype: DType, low: f64, high: f64) -> Result<(f64, f64), String> {
    let (a, b) = (rounded(low, dtype), rounded(high, dtype));
    if !(rounded(b - a, dtype).is_finite() && a.is_finite() && b.is_finite()) {
        return Err(format!(
            "expected bounds that are finite in {dtype}, as is their distance, got {low:?} to \
             {high:?}"
        ));
    }
    if a >= b {
        return Err(format!(
            "expected a lower bound below the upper bound in {dtype}, got {low:?} to {high:?}"
        ));
    }
    Ok((a, b))
}

/// Returns true if the largest of the uniform numbers that [`scaled`] makes is rounded up to
/// `high`.
fn reaches_high(format: DrawnFloat, low: f64, high: f64, span: f64) -> bool {
    let DrawnFloat { dtype, mantissa, .. } = format;
    let largest = 1.0 - f64::powi(2.0, -(mantissa as i32));
    match dtype {
        // In f64 the sum may be rounded twice.
        DType::F64 => largest.mul_add(span, low) >= high.next_down(),
        DType::F32 => rounded(largest * span + low, dtype) >= high,
        _ => rounded(rounded(largest * span, dtype) + low, dtype) >= high,
    }
}

/// Returns the largest number of a dtype below `x`, which is one of the dtype.
fn next_below(x: f64, format: DrawnFloat) -> f64 {
    let DrawnFloat { dtype, mantissa, tiny: least, .. } = format;
    if dtype == DType::F64 {
        return x.next_down();
    }
    // Half the distance of the numbers above `|x|`, or of the subnormal numbers, and a little more:
    // the result is rounded away from `x`.
    let binade = f64::powi(2.0, x.abs().max(least).log2().floor() as i32);
    let spacing = binade * f64::powi(2.0, -(mantissa as i32));
    let below = rounded(x - spacing / 2.0, dtype);
    if below < x { below } else { rounded(x - spacing, dtype) }
}

/// Adds uniform numbers in `[low, high)`, bounds that [`uniform_bounds`] has checked.
pub(crate) fn uniform(
    b: &mut Builder,
    key: Value,
    shape: &Shape,
    format: DrawnFloat,
    low: f64,
    high: f64,
) -> Value {
    let r = bits(b, key, shape, format.drawn_bits());
    uniform_from(b, r, format, low, high)
}

/// Adds the uniform numbers of random bits, [`DrawnFloat::drawn_bits`] for each.
pub(crate) fn uniform_from(
    b: &mut Builder,
    r: Value,
    format: DrawnFloat,
    low: f64,
    high: f64,
) -> Value {
    let DrawnFloat { dtype, mantissa, one, .. } = format;
    let word = unsigned(dtype.bits());
    let shape = b.ty(r).shape.clone();
    let r = b.convert(r, word);
    let by = full(b, word, &shape, (format.drawn_bits() - mantissa) as u64);
    let m = b.emit(Binary::ShiftRightLogical, &[r, by]);
    let one = full(b, word, &shape, one);
    let m = b.or(m, one);
    let f = b.emit(BitcastConvert { dtype }, &[m]);
    let f = b.add_scalar(f, -1.0);
    let (low, high) = (rounded(low, dtype), rounded(high, dtype));
    if (low, high) == (0.0, 1.0) {
        return f;
    }
    let span = rounded(high - low, dtype);
    let x = scaled(b, f, span, low, dtype);
    let minimum = b.full_like(x, low);
    let x = b.max(minimum, x);
    if !reaches_high(format, low, high, span) {
        return x;
    }
    let maximum = b.full_like(x, next_below(high, format));
    b.min(maximum, x)
}

/// Adds `f * span + low`, rounded as XLA does on a CPU: once for f32 and f64, after each operation
/// for 16 bits.
fn scaled(b: &mut Builder, f: Value, span: f64, low: f64, dtype: DType) -> Value {
    match dtype {
        // A kernel of f32 and f64 is not vectorized.
        DType::F32 if !is_exact_factor(span) => {
            // The product is exact in f64.
            let f = b.convert(f, DType::F64);
            let p = b.mul_scalar(f, span);
            let s = b.add_scalar(p, low);
            b.convert(s, DType::F32)
        }
        DType::F64 => fused_multiply_add(b, f, span, low),
        _ => {
            let p = b.mul_scalar(f, span);
            b.add_scalar(p, low)
        }
    }
}

/// Returns true if the product of `span` with an f32 from 0 to 1 is exact in f32: for powers of two
/// that are not so small that the product is subnormal.
fn is_exact_factor(span: f64) -> bool {
    const FRACTION: u64 = (1 << 52) - 1;
    span.to_bits() & FRACTION == 0 && (1e-30..1e30).contains(&span)
}

/// Adds `x * y + z` in f64 with one rounding (except for rare double roundings), by Dekker's exact
/// product and Knuth's exact sum. <https://doi.org/10.1007/BF01397083>
fn fused_multiply_add(b: &mut Builder, x: Value, y: f64, z: f64) -> Value {
    let halves = |y: f64| {
        let c = 134_217_729.0 * y;
        let high = c - (c - y);
        (high, y - high)
    };
    let (yh, yl) = halves(y);
    let c = b.mul_scalar(x, 134_217_729.0);
    let d = b.sub(c, x);
    let xh = b.sub(c, d);
    let xl = b.sub(x, xh);
    let p = b.mul_scalar(x, y);
    let (hh, hl, lh, ll) =
        (b.mul_scalar(xh, yh), b.mul_scalar(xh, yl), b.mul_scalar(xl, yh), b.mul_scalar(xl, yl));
    let e = b.sub(hh, p);
    let e = b.add(e, hl);
    let e = b.add(e, lh);
    let e = b.add(e, ll);
    let s = b.add_scalar(p, z);
    let z = b.full_like(p, z);
    let bb = b.sub(s, p);
    let (u, v) = (b.sub(s, bb), b.sub(z, bb));
    let u = b.sub(p, u);
    let t = b.add(u, v);
    let rest = b.add(t, e);
    b.add(s, rest)
}

/// Adds normal numbers: `sqrt(2) erfinv(u)` with `u` uniform in `(-1, 1)`.
pub(crate) fn normal(b: &mut Builder, key: Value, shape: &Shape, format: DrawnFloat) -> Value {
    let r = bits(b, key, shape, format.drawn_bits());
    normal_from(b, r, format)
}

/// Adds the normal numbers of random bits, [`DrawnFloat::drawn_bits`] for each.
pub(crate) fn normal_from(b: &mut Builder, r: Value, format: DrawnFloat) -> Value {
    let u = uniform_from(b, r, format, format.above_minus_one, 1.0);
    let x = b.emit(Unary::ErfInv, &[u]);
    b.mul_scalar(x, std::f64::consts::SQRT_2)
}

/// Adds Gumbel numbers: `-log(-log(u))` with `u` uniform in `(0, 1)`.
pub(crate) fn gumbel(b: &mut Builder, key: Value, shape: &Shape, format: DrawnFloat) -> Value {
    let mut x = uniform(b, key, shape, format, format.tiny, 1.0);
    for _ in 0..2 {
        let l = b.log(x);
        x = b.neg(l);
    }
    x
}

/// Adds uniform integers in `range`.
pub(crate) fn integers(
    b: &mut Builder,
    key: Value,
    shape: &Shape,
    dtype: DType,
    range: Range<i128>,
) -> Value {
    let (min, max) = dtype.int_range().map_or((0, 0), |r| r.into_inner());
    let narrow = dtype.bits() < 32;
    // Narrow integers are drawn as i32, in which the end of their full range is representable.
    let wide = if narrow { DType::I32 } else { dtype };
    let max_end = if narrow { max + 1 } else { max };
    let over = !narrow && range.end > max;
    let (low, high) = (range.start.clamp(min, max), range.end.clamp(min, max_end));
    let n = wide.bits();
    let modulus = |x: i128| x.rem_euclid(1i128 << n) as u64;
    let span = if high <= low { 1 } else { modulus(high - low + over as i128) };
    let rem = |x: u64| if span == 0 { x } else { x % span };
    let half = rem(1 << (n / 2));
    // The square wraps in n bits, as in JAX.
    let square =
        if n == 32 { half.wrapping_mul(half) & u32::MAX as u64 } else { half.wrapping_mul(half) };
    let factor = rem(square);
    let (k1, k2) = split(b, key);
    let (hi, lo) = (bits(b, k1, shape, n), bits(b, k2, shape, n));
    let word = unsigned(n);
    let (span, factor) = (full(b, word, shape, span), full(b, word, shape, factor));
    let (hi, lo) = (b.rem(hi, span), b.rem(lo, span));
    let p = b.mul(hi, factor);
    let p = b.add(p, lo);
    let offset = b.rem(p, span);
    let offset = b.convert(offset, wide);
    let low = constant(b, wide, Scalar::Int(low));
    let low = b.broadcast_like(low, offset);
    let x = b.add(low, offset);
    b.convert(x, dtype)
}

/// Returns the number of sorts by random words after which ties in all of them are improbable, for
/// `n` elements.
pub(crate) fn shuffle_rounds(n: usize) -> usize {
    (3.0 * (n.max(1) as f64).ln() / (u32::MAX as f64).ln()).ceil() as usize
}

/// Adds a random permutation of the vector `x`: it is sorted by random words, and again until a tie
/// of words in all rounds is improbable.
pub(crate) fn shuffled(b: &mut Builder, key: Value, x: Value) -> Value {
    let n = b.ty(x).size();
    let (mut key, mut x) = (key, x);
    for _ in 0..shuffle_rounds(n) {
        let (next, sub) = split(b, key);
        let words = bits(b, sub, &[n].into(), 32);
        x = b.emit_n(Sort { axis: 0, keys: 1 }, &[words, x], 2)[1];
        key = next;
    }
    x
}
