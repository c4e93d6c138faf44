//! Derivatives of unary functions.

use super::Unary::{self, *};
use crate::op::Tangent;
use crate::{Builder, Error, Result, Value};
use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// Emits the tangent of `y = f(x)`, linear in `dx`; `None` if it is zero.
pub fn tangent(f: Unary, b: &mut Builder, x: Value, y: Value, dx: Value) -> Result<Tangent> {
    let complex = b.dtype(x).is_complex();
    Ok(Some(match f {
        Neg => b.neg(dx),
        Conj => b.conj(dx),
        Real => b.real(dx),
        Imag if complex => b.imag(dx),
        Abs if complex => abs_complex(b, x, y, dx),
        Sign if complex => sign_complex(b, x, y, dx),
        Sign | Floor | Ceil | RoundEven | RoundAway | Imag => return Ok(None),
        _ => {
            let s = slope(f, b, x, y)?;
            b.mul(dx, s)
        }
    }))
}

/// Emits the derivative dy/dx, given `x` and `y = f(x)`.
///
/// # Errors
/// If `f` has no slope: [`tangent`] has its own rule for it, or its result is not differentiable.
fn slope(f: Unary, b: &mut Builder, x: Value, y: Value) -> Result<Value> {
    Ok(match f {
        Abs => b.sign(x),
        Exp => y,
        Expm1 => b.add_scalar(y, 1.0),
        Log => reciprocal(b, x),
        Log1p => {
            let s = b.add_scalar(x, 1.0);
            reciprocal(b, s)
        }
        Sin => b.cos(x),
        Cos => {
            let s = b.sin(x);
            b.neg(s)
        }
        Tan => one_plus_square(b, y),
        Asin => {
            let s = one_minus_square_to_the_ends(b, x);
            b.rsqrt(s)
        }
        Acos => {
            let s = slope(Asin, b, x, y)?;
            b.neg(s)
        }
        Atan => {
            let s = one_plus_square(b, x);
            reciprocal(b, s)
        }
        Sinh => b.cosh(x),
        Cosh => b.sinh(x),
        Tanh => one_minus_square(b, y),
        Asinh => {
            let s = one_plus_square(b, x);
            b.rsqrt(s)
        }
        // Two roots, because the root of the product is on the wrong branch for complex numbers
        // left of the imaginary axis.
        Acosh => {
            let (below, above) = (b.add_scalar(x, -1.0), b.add_scalar(x, 1.0));
            let (p, q) = (b.rsqrt(below), b.rsqrt(above));
            b.mul(p, q)
        }
        Atanh => {
            let s = one_minus_square_to_the_ends(b, x);
            reciprocal(b, s)
        }
        Sqrt => {
            let half = b.full_like(y, 0.5);
            b.div(half, y)
        }
        Rsqrt => {
            let (s, minus_half) = (b.div(y, x), b.full_like(x, -0.5));
            b.mul(s, minus_half)
        }
        // Divided twice, so that no factor is 0 when this is differentiated again at 0.
        Cbrt => {
            let third = b.full_like(y, 1.0 / 3.0);
            let once = b.div(third, y);
            b.div(once, y)
        }
        Logistic => {
            let minus = b.neg(y);
            let rest = b.add_scalar(minus, 1.0);
            b.mul(y, rest)
        }
        Erf => density(b, x, FRAC_2_SQRT_PI),
        Erfc => density(b, x, -FRAC_2_SQRT_PI),
        ErfInv => bell(b, y, PI.sqrt() / 2.0, 1.0),
        Lgamma => b.digamma(x),
        Digamma => {
            let first = b.full_like(x, 1.0);
            b.polygamma(first, x)
        }
        BesselI0e => {
            let (next, decay) = (b.emit(BesselI1e, &[x]), decay(b, x, y));
            b.sub(next, decay)
        }
        BesselI1e => {
            let (last, decay, share) = (b.emit(BesselI0e, &[x]), decay(b, x, y), share(b, x, y));
            let s = b.sub(last, share);
            b.sub(s, decay)
        }
        Neg | Sign | Real | Imag | Conj | Floor | Ceil | RoundEven | RoundAway | Not
        | PopulationCount | CountLeadingZeros | IsFinite => {
            return Err(Error::bug(format_args!("{} has no slope", f.name())));
        }
    })
}

/// Emits `sign(x) y`, which the factor `e^-|x|` of a scaled Bessel function subtracts from the
/// derivative.
fn decay(b: &mut Builder, x: Value, y: Value) -> Value {
    let sign = b.sign(x);
    b.mul(sign, y)
}

/// Emits `y / x` for `y = e^-|x| I1(x)`, near zero by the Taylor series of `I1(x) / x`: the
/// derivatives of the quotient cancel there.
fn share(b: &mut Builder, x: Value, y: Value) -> Value {
    let (zero, one) = (b.full_like(x, 0.0), b.full_like(x, 1.0));
    let size = b.abs(x);
    let near = b.compare(crate::op::Direction::Lt, size, one);
    let (small, divisor) = (b.select(near, x, zero), b.select(near, one, x));
    let square = b.square(small);
    let quarter = b.mul_scalar(square, 0.25);
    let mut series = one;
    // The next term is below the precision of f64.
    for k in (1..=9).rev() {
        let term = b.mul(series, quarter);
        let term = b.mul_scalar(term, 1.0 / f64::from(k * (k + 1)));
        series = b.add_scalar(term, 1.0);
    }
    let size = b.abs(small);
    let exponent = b.neg(size);
    let decay = b.exp(exponent);
    let series = b.mul(series, decay);
    let (series, ratio) = (b.mul_scalar(series, 0.5), b.div(y, divisor));
    b.select(near, series, ratio)
}

/// Emits `1 / x`.
fn reciprocal(b: &mut Builder, x: Value) -> Value {
    let one = b.full_like(x, 1.0);
    b.div(one, x)
}

/// Emits `1 + x * x`.
fn one_plus_square(b: &mut Builder, x: Value) -> Value {
    let s = b.square(x);
    b.add_scalar(s, 1.0)
}

/// Emits `1 - x * x` as `(1 - x) * (1 + x)`, which does not cancel near 1.
fn one_minus_square(b: &mut Builder, x: Value) -> Value {
    let one = b.full_like(x, 1.0);
    let (p, q) = (b.sub(one, x), b.add(one, x));
    b.mul(p, q)
}

/// Emits `1 - x * x` for a function whose derivative is infinite at -1 and 1: there the cotangent
/// of this value is infinite, and a factor `1 - x` of 0 would turn it into NaN.
fn one_minus_square_to_the_ends(b: &mut Builder, x: Value) -> Value {
    let (inside, square) = (one_minus_square(b, x), b.square(x));
    let (zero, one) = (b.full_like(x, 0.0), b.full_like(x, 1.0));
    let end = b.compare(crate::op::Direction::Eq, inside, zero);
    let at_end = b.sub(one, square);
    b.select(end, at_end, inside)
}

/// The argument beyond which `exp(-x * x)` is zero in every dtype.
const DENSITY_END: f64 = 64.0;

/// Emits `c * exp(-x * x)`. Beyond [`DENSITY_END`] it is a constant, so that all its derivatives
/// are zero there; without that, they are zero times infinity at infinities. NaN is not beyond.
fn density(b: &mut Builder, x: Value, c: f64) -> Value {
    let (distance, end) = (b.abs(x), b.full_like(x, DENSITY_END));
    let is_beyond = b.compare(crate::op::Direction::Gt, distance, end);
    let x = b.select(is_beyond, end, x);
    bell(b, x, c, -1.0)
}

/// Emits `c * exp(k * x * x)`.
fn bell(b: &mut Builder, x: Value, c: f64, k: f64) -> Value {
    let s = b.square(x);
    let s = b.mul_scalar(s, k);
    let e = b.exp(s);
    b.mul_scalar(e, c)
}

/// Emits `Re(dx * conj(x) / |x|)`, zero at zero.
fn abs_complex(b: &mut Builder, x: Value, y: Value, dx: Value) -> Value {
    let (up, r) = (b.conj(x), nonzero(b, y));
    let r = b.convert(r, b.dtype(x));
    let s = b.div(up, r);
    let t = b.mul(dx, s);
    b.real(t)
}

/// Emits `(dx - y^2 conj(dx)) / 2|x|`, zero at zero: the component of `dx` that is orthogonal to
/// `x`, as only that changes `x / |x|`.
fn sign_complex(b: &mut Builder, x: Value, y: Value, dx: Value) -> Value {
    let r = b.abs(x);
    let r = nonzero(b, r);
    let r = b.convert(r, b.dtype(x));
    let (square, half) = (b.square(y), b.full_like(x, 0.5));
    let scale = b.div(half, r);
    // |y|^2 is 1, and 0 at zero.
    let conj = b.conj(y);
    let (norm, scale2) = (b.mul(y, conj), b.mul(square, scale));
    let scale = b.mul(scale, norm);
    let conj_dx = b.conj(dx);
    let (t, u) = (b.mul(dx, scale), b.mul(conj_dx, scale2));
    b.sub(t, u)
}

/// Emits `r` with 1 in place of 0.
fn nonzero(b: &mut Builder, r: Value) -> Value {
    let (zero, one) = (b.full_like(r, 0.0), b.full_like(r, 1.0));
    let at_zero = b.compare(crate::op::Direction::Eq, r, zero);
    b.select(at_zero, one, r)
}
