//! Evaluation of binary functions: one row per function for floats, complex numbers and integers.

use super::Binary::{self, *};
use crate::op::{complex, pointwise::*, special};
use crate::{Complex as Cx, Compute, DType, Eval, Literal, Result, with_compute};

/// Applies `f` to two operands of one type, in place in the memory of one that has no other owner.
pub fn apply(f: Binary, cx: &mut Eval, x: Literal, y: Literal) -> Result<Literal> {
    match f {
        Complex => Ok(complex_of(&x, &y)),
        NextAfter => next_after(&x, &y),
        _ => {
            let dtype = x.dtype();
            let right = !x.bytes().is_unique() && y.bytes().is_unique();
            let mut outcome = Ok(());
            let (out, inplace) = with_compute!(any dtype, C => if right {
                y.edit(|out: &mut [C]| outcome = C::binary(f, dtype, Sides::Right(&x.load(), out)))
            } else {
                x.edit(|out: &mut [C]| outcome = C::binary(f, dtype, Sides::Left(out, &y.load())))
            });
            outcome?;
            cx.count_reuse(inplace);
            Ok(out)
        }
    }
}

/// Applies `f` to two elements.
///
/// # Errors
/// If `f` has no evaluation in `dtype`.
pub fn of_elements<C: BinaryElement>(f: Binary, dtype: DType, x: C, y: C) -> Result<C> {
    let mut v = [x];
    C::binary(f, dtype, Sides::Left(&mut v, &[y]))?;
    Ok(v[0])
}

fn complex_of(re: &Literal, im: &Literal) -> Literal {
    let pairs = |dtype| re.ty().with_dtype(dtype);
    if re.dtype() == DType::F32 {
        let (re, im) = (re.load::<f32>(), im.load::<f32>());
        Literal::build(pairs(DType::C64), |out: &mut [Cx<f32>]| interleave(&re, &im, out))
    } else {
        let (re, im) = (re.load::<f64>(), im.load::<f64>());
        Literal::build(pairs(DType::C128), |out: &mut [Cx<f64>]| interleave(&re, &im, out))
    }
}

fn interleave<T: Copy>(re: &[T], im: &[T], out: &mut [Cx<T>]) {
    out.iter_mut().zip(re.iter().zip(im)).for_each(|(o, (&re, &im))| *o = Cx::new(re, im));
}

/// Computes [`NextAfter`] on the stored bits, since the adjacent number depends on the format.
fn next_after(x: &Literal, y: &Literal) -> Result<Literal> {
    let bytes = x.dtype().bits() / 8;
    let (xs, ys) = (x.to_f64s(), y.to_f64s());
    let mut out = crate::Bytes::copy_of(x.bytes());
    if let Some(out) = out.get_mut() {
        for (i, o) in out.chunks_exact_mut(bytes).enumerate() {
            if ys[i].is_nan() || xs[i] == ys[i] {
                o.copy_from_slice(&y.bytes()[i * bytes..][..bytes]);
            } else if !xs[i].is_nan() {
                step(o, xs[i], ys[i]);
            }
        }
    }
    Literal::new(x.ty().clone(), out)
}

/// Moves the stored number `x` one step towards `y`. Floats are sign and magnitude, so adjacent
/// magnitudes are adjacent integers.
fn step(stored: &mut [u8], x: f64, y: f64) {
    let mut wide = [0; 8];
    wide[..stored.len()].copy_from_slice(stored);
    let bits = u64::from_le_bytes(wide);
    let sign = 1u64 << (8 * stored.len() - 1);
    let bits = match x == 0.0 {
        true if y < 0.0 => sign | 1,
        true => 1,
        false if (x < y) == (x > 0.0) => bits + 1,
        false => bits - 1,
    };
    stored.copy_from_slice(&bits.to_le_bytes()[..stored.len()]);
}

/// A type that binary functions are computed in.
pub trait BinaryElement: Compute {
    /// Applies `f` to all pairs of elements, in place in one operand.
    ///
    /// # Errors
    /// If `f` has no evaluation in `dtype`.
    fn binary(f: Binary, dtype: DType, s: Sides<Self>) -> Result<()>;
}

macro_rules! float_rows {
    ($($t:ident),*) => {$(
        impl BinaryElement for $t {
            fn binary(f: Binary, dtype: DType, s: Sides<$t>) -> Result<()> {
                match f {
                    Add => zip(s, |x, y| x + y),
                    Sub => zip(s, |x, y| x - y),
                    Mul => zip(s, |x, y| x * y),
                    Div => zip(s, |x, y| x / y),
                    Rem => zip(s, |x, y| x % y),
                    Pow => zip(s, |x, y| x.powf(y)),
                    Atan2 => zip(s, |x, y| x.atan2(y)),
                    Max => zip(s, |x, y| if (x > y) | x.is_nan() { x } else { y }),
                    Min => zip(s, |x, y| if (x < y) | x.is_nan() { x } else { y }),
                    Polygamma => zip(s, |n, x| special::polygamma(n as f64, x as f64) as $t),
                    Zeta => zip(s, |s, x| special::zeta(s as f64, x as f64) as $t),
                    Igamma => zip(s, |a, x| special::igamma(a as f64, x as f64) as $t),
                    Igammac => zip(s, |a, x| special::igammac(a as f64, x as f64) as $t),
                    IgammaGradA => {
                        zip(s, |a, x| special::igamma_grad_a(a as f64, x as f64) as $t)
                    }
                    RandomGammaGrad => {
                        zip(s, |a, x| special::random_gamma_grad(a as f64, x as f64) as $t)
                    }
                    And | Or | Xor | ShiftLeft | ShiftRightArithmetic | ShiftRightLogical
                    | Complex | NextAfter => return no_evaluation(f.name(), dtype),
                }
                Ok(())
            }
        }
    )*};
}

macro_rules! complex_rows {
    ($($t:ident),*) => {$(
        impl BinaryElement for Cx<$t> {
            fn binary(f: Binary, dtype: DType, s: Sides<Self>) -> Result<()> {
                match f {
                    Add => zip(s, |x, y| x + y),
                    Sub => zip(s, |x, y| x - y),
                    Mul => zip(s, |x, y| x * y),
                    Div => zip(s, |x, y| in_f64(complex::div, x, y)),
                    Pow => zip(s, |x, y| in_f64(complex::pow, x, y)),
                    Rem | Atan2 | Max | Min | And | Or | Xor | ShiftLeft | ShiftRightArithmetic
                    | ShiftRightLogical | Complex | NextAfter | Polygamma | Zeta | Igamma
                    | Igammac | IgammaGradA | RandomGammaGrad => {
                        return no_evaluation(f.name(), dtype);
                    }
                }
                Ok(())
            }
        }
    )*};
}

fn in_f64<C: Compute>(f: fn(Cx<f64>, Cx<f64>) -> Cx<f64>, x: C, y: C) -> C {
    let wide = |x: C| {
        let (re, im) = x.parts();
        Cx::new(re, im)
    };
    let w = f(wide(x), wide(y));
    C::from_parts(w.re, w.im)
}

macro_rules! int_rows {
    ($($t:ident as $u:ident, $s:ident);*) => {$(
        impl BinaryElement for $t {
            fn binary(f: Binary, dtype: DType, s: Sides<$t>) -> Result<()> {
                // Elements of 2 or 4 bits are computed in 8 bits: right shifts have to use the sign
                // and the bits of the narrow element.
                let extra = $t::BITS - dtype.bits() as u32;
                match f {
                    Add => zip(s, |x, y| x.wrapping_add(y)),
                    Sub => zip(s, |x, y| x.wrapping_sub(y)),
                    Mul => zip(s, |x, y| x.wrapping_mul(y)),
                    Div => zip(s, |x, y| if y == 0 { !$t::ZERO } else { x.wrapping_div(y) }),
                    Rem => zip(s, |x, y| if y == 0 { x } else { x.wrapping_rem(y) }),
                    Pow => zip(s, power),
                    Max => zip(s, |x, y| x.max(y)),
                    Min => zip(s, |x, y| x.min(y)),
                    And => zip(s, |x, y| x & y),
                    Or => zip(s, |x, y| x | y),
                    Xor => zip(s, |x, y| x ^ y),
                    ShiftLeft => zip(s, |x, y| x.checked_shl(amount(y)).unwrap_or(0)),
                    ShiftRightArithmetic => zip(s, |x, y| {
                        let x = ((x << extra) as $s) >> extra;
                        (x >> amount(y).min($t::BITS - 1)) as $t
                    }),
                    ShiftRightLogical => zip(s, |x, y| {
                        let x = ((x << extra) as $u) >> extra;
                        x.checked_shr(amount(y)).unwrap_or(0) as $t
                    }),
                    Atan2 | Complex | NextAfter | Polygamma | Zeta | Igamma | Igammac
                    | IgammaGradA | RandomGammaGrad => {
                        return no_evaluation(f.name(), dtype);
                    }
                }
                Ok(())
            }
        }
    )*};
}

/// Returns a shift amount. It is unsigned, so a negative `y` shifts out all bits.
fn amount<C: Compute>(y: C) -> u32 {
    u32::try_from(y.to_i128()).unwrap_or(u32::MAX)
}

/// Returns `x^y`, wrapping. A negative exponent yields the truncated reciprocal: 0 unless `x` is 1
/// or -1.
fn power<C: Compute>(x: C, y: C) -> C {
    let (mut base, mut y, mut out) = (narrow(x.to_i128()), y.to_i128(), 1i128);
    if y < 0 {
        y = if base * base == 1 { -y } else { return C::ZERO };
    }
    while y > 0 {
        out = if y & 1 == 1 { narrow(out * base) } else { out };
        base = narrow(base * base);
        y >>= 1;
    }
    C::from_i128(out)
}

/// Keeps the low 64 bits. Wrapping at 64 bits is also correct for all narrower widths, and the
/// square of a 64-bit number fits in 128 bits.
fn narrow(x: i128) -> i128 {
    x as i64 as i128
}

float_rows!(f32, f64);
complex_rows!(f32, f64);
int_rows!(
    u8 as u8, i8; u16 as u16, i16; u32 as u32, i32; u64 as u64, i64;
    i8 as u8, i8; i16 as u16, i16; i32 as u32, i32; i64 as u64, i64
);
