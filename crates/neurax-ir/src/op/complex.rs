//! Complex elementary functions that num-complex computes inaccurately or with overflow. Both
//! complex dtypes are computed here, in f64. After Kahan, "Branch Cuts for Complex Elementary
//! Functions" (The State of the Art in Numerical Analysis, 1987).
//!
//! Results for infinite parts, NaN and zeros of either sign follow annex G of the C standard, as
//! NumPy does; `complex/corners.txt` holds recorded values. A number with an infinite part
//! is an infinity there, even if the other part is NaN. Products and `expm1` are computed by their
//! plain formulas, and quotients by zero without the signs of its parts, as in NumPy and JAX.

use crate::Complex;
use std::f64::consts::{FRAC_PI_2, LN_2};

type C = Complex<f64>;

/// Returns `z / |z|`, zero at zero. If one part is infinite, the result is a unit along its axis.
pub fn sign(z: C) -> C {
    match (z.re.is_infinite(), z.im.is_infinite()) {
        (true, false) => return C::new(1f64.copysign(z.re), 0.0),
        (false, true) => return C::new(0.0, 1f64.copysign(z.im)),
        _ => {}
    }
    // Scaled so that the modulus of the largest numbers is finite.
    let largest = z.re.abs().max(z.im.abs());
    if z.is_nan() {
        return C::new(f64::NAN, f64::NAN);
    }
    if largest == 0.0 {
        return z;
    }
    let z = z.unscale(largest);
    z.unscale(z.norm())
}

/// Returns true if a part is infinite.
fn is_infinity(z: C) -> bool {
    z.re.is_infinite() || z.im.is_infinite()
}

/// Returns the corner of the unit square in the direction of an infinity: an infinite part becomes
/// 1, another part 0, with its sign.
fn direction(z: C) -> C {
    let unit = |x: f64| f64::from(x.is_infinite() as u8).copysign(x);
    C::new(unit(z.re), unit(z.im))
}

/// Returns `z / w`. A finite number divided by an infinity is zero, an infinity divided by a finite
/// number is an infinity.
pub fn div(z: C, w: C) -> C {
    let quotient = finite_div(z, w);
    if !(quotient.re.is_nan() && quotient.im.is_nan()) {
        return quotient;
    }
    if is_infinity(z) && w.is_finite() {
        (direction(z) * w.conj()).scale(f64::INFINITY)
    } else if is_infinity(w) && z.is_finite() {
        (z * direction(w).conj()).scale(0.0)
    } else {
        quotient
    }
}

/// Returns `z / w`, scaled so that intermediate squares do not overflow (Smith's method).
fn finite_div(z: C, w: C) -> C {
    if w.re.abs() >= w.im.abs() {
        let r = w.im / w.re;
        // A zero divisor: dividing both parts by its modulus yields infinities and NaN as for
        // reals.
        if w.re == 0.0 {
            return C::new(z.re / 0.0, z.im / 0.0);
        }
        let d = w.re + w.im * r;
        C::new((z.re + z.im * r) / d, (z.im - z.re * r) / d)
    } else {
        let r = w.re / w.im;
        let d = w.re * r + w.im;
        C::new((z.re * r + z.im) / d, (z.im * r - z.re) / d)
    }
}

/// Returns the principal square root.
pub fn sqrt(z: C) -> C {
    if z.im.is_infinite() {
        return C::new(f64::INFINITY, z.im);
    }
    // Scaled by 1/4 so that the modulus of the largest numbers is finite.
    let (x, y) = (z.re.abs() / 4.0, z.im / 4.0);
    let t = ((x + x.hypot(y)) * 2.0).sqrt();
    if t == 0.0 {
        return C::new(0.0, z.im);
    }
    let u = z.im / (2.0 * t);
    if z.re >= 0.0 || z.re.is_nan() { C::new(t, u) } else { C::new(u.abs(), t.copysign(z.im)) }
}

/// Returns `e^z`.
pub fn exp(z: C) -> C {
    if z.im == 0.0 {
        return C::new(z.re.exp(), z.im);
    }
    if !z.im.is_finite() {
        return match z.re {
            f64::NEG_INFINITY => C::new(0.0, 0f64.copysign(z.im)),
            f64::INFINITY => C::new(f64::INFINITY, f64::NAN),
            _ => C::new(f64::NAN, f64::NAN),
        };
    }
    let (sin, cos) = z.im.sin_cos();
    // In two steps where `e^x` overflows, but perhaps not its product with a small sine or cosine.
    let (first, second) =
        if z.re > 709.0 { (700f64.exp(), (z.re - 700.0).exp()) } else { (z.re.exp(), 1.0) };
    C::new(first * cos * second, first * sin * second)
}

/// Returns the hyperbolic sine.
pub fn sinh(z: C) -> C {
    match (z.re, z.im) {
        (x, y) if y == 0.0 => C::new(x.sinh(), y),
        (x, y) if !y.is_finite() && x == 0.0 => C::new(x, f64::NAN),
        (x, y) if !y.is_finite() && x.is_infinite() => C::new(f64::INFINITY, f64::NAN),
        (x, y) if x.is_infinite() => C::new(x * y.cos(), f64::INFINITY * y.sin()),
        (x, y) => C::new(x.sinh() * y.cos(), x.cosh() * y.sin()),
    }
}

/// Returns the hyperbolic cosine.
pub fn cosh(z: C) -> C {
    match (z.re, z.im) {
        (x, y) if y == 0.0 || (x == 0.0 && !y.is_finite()) => {
            let sign = if x.is_sign_negative() { -1f64 } else { 1.0 };
            C::new(if y == 0.0 { x.cosh() } else { f64::NAN }, 0f64.copysign(sign * y))
        }
        (x, y) if !y.is_finite() && x.is_infinite() => C::new(f64::INFINITY, f64::NAN),
        (x, y) if x.is_infinite() => C::new(f64::INFINITY * y.cos(), x * y.sin()),
        (x, y) => C::new(x.cosh() * y.cos(), x.sinh() * y.sin()),
    }
}

/// Returns the sine.
pub fn sin(z: C) -> C {
    times_minus_i(sinh(times_i(z)))
}

/// Returns the cosine.
pub fn cos(z: C) -> C {
    cosh(times_i(z))
}

/// Returns `e^z - 1`.
pub fn expm1(z: C) -> C {
    if z.im == 0.0 {
        return C::new(z.re.exp_m1(), z.im);
    }
    let s = (z.im / 2.0).sin();
    C::new(z.re.exp_m1() * z.im.cos() - 2.0 * s * s, z.re.exp() * z.im.sin())
}

/// Returns the principal logarithm.
pub fn log(z: C) -> C {
    let r = z.norm();
    let near_one = (0.5..2.0).contains(&r);
    let re = if near_one {
        ((z.re.abs() - 1.0) * (z.re.abs() + 1.0) + z.im * z.im).ln_1p() / 2.0
    } else {
        r.ln()
    };
    C::new(re, z.arg())
}

/// Returns `log(1 + z)`.
pub fn log1p(z: C) -> C {
    let square = z.re * (2.0 + z.re) + z.im * z.im;
    let re = if square.abs() < 1.0 { square.ln_1p() / 2.0 } else { (z.re + 1.0).hypot(z.im).ln() };
    C::new(re, z.im.atan2(1.0 + z.re))
}

/// Returns the hyperbolic tangent.
pub fn tanh(z: C) -> C {
    if z.re.is_infinite() {
        let sign = if z.im.is_finite() { (2.0 * z.im).sin() } else { z.im };
        return C::new(1f64.copysign(z.re), 0f64.copysign(sign));
    }
    if z.im == 0.0 {
        return C::new(z.re.tanh(), z.im);
    }
    if !z.im.is_finite() {
        return C::new(if z.re == 0.0 { z.re } else { f64::NAN }, f64::NAN);
    }
    if z.re.abs() > 20.0 {
        let small = (-2.0 * z.re.abs()).exp();
        return C::new(1f64.copysign(z.re), 2.0 * (2.0 * z.im).sin() * small);
    }
    let (t, s) = (z.im.tan(), z.re.sinh());
    let (b, r) = (1.0 + t * t, (1.0 + s * s).sqrt());
    let d = 1.0 + b * s * s;
    C::new(b * r * s / d, t / d)
}

/// Returns `1 / (1 + e^-z)`.
pub fn logistic(z: C) -> C {
    div(C::ONE, C::ONE + exp(-z))
}

/// Returns the tangent.
pub fn tan(z: C) -> C {
    times_minus_i(tanh(times_i(z)))
}

/// Returns the inverse sine.
pub fn asin(z: C) -> C {
    if !z.is_finite() {
        let w = asinh(C::new(z.im, z.re));
        return C::new(w.im, w.re);
    }
    let (p, q) = (sqrt(C::new(1.0 - z.re, -z.im)), sqrt(C::new(1.0 + z.re, z.im)));
    C::new(z.re.atan2((p * q).re), libm::asinh((p.conj() * q).im))
}

/// Returns the inverse cosine.
pub fn acos(z: C) -> C {
    if !z.is_finite() {
        let infinity = f64::INFINITY.copysign(-z.im);
        return match (z.re, z.im) {
            (x, y) if x.is_nan() && y.is_infinite() => C::new(x, infinity),
            (x, y) if y.is_nan() && x.is_infinite() => C::new(y, f64::NEG_INFINITY),
            (x, y) if y.is_nan() && x == 0.0 => C::new(FRAC_PI_2, y),
            (x, y) if x.is_nan() || y.is_nan() => C::new(f64::NAN, f64::NAN),
            (x, y) => C::new(y.abs().atan2(x), infinity),
        };
    }
    let (p, q) = (sqrt(C::new(1.0 - z.re, -z.im)), sqrt(C::new(1.0 + z.re, z.im)));
    C::new(2.0 * p.re.atan2(q.re), libm::asinh((q.conj() * p).im))
}

/// Returns the inverse tangent.
pub fn atan(z: C) -> C {
    times_minus_i(atanh(times_i(z)))
}

/// Returns the inverse hyperbolic sine.
pub fn asinh(z: C) -> C {
    if !z.is_finite() {
        return match (z.re, z.im) {
            (x, y) if y.is_nan() && x.is_infinite() => z,
            (x, y) if x.is_nan() && y.is_infinite() => C::new(y.abs(), x),
            (x, y) if x.is_nan() && y == 0.0 => z,
            (x, y) if x.is_nan() || y.is_nan() => C::new(f64::NAN, f64::NAN),
            (x, y) => C::new(f64::INFINITY.copysign(x), y.atan2(x.abs())),
        };
    }
    times_minus_i(asin(times_i(z)))
}

/// Returns the inverse hyperbolic cosine.
pub fn acosh(z: C) -> C {
    if !z.is_finite() {
        let w = acos(z);
        let angle = if w.re.is_nan() { w.re } else { w.re.copysign(z.im) };
        return C::new(if w.im.is_infinite() { f64::INFINITY } else { f64::NAN }, angle);
    }
    let (p, q) = (sqrt(C::new(z.re - 1.0, z.im)), sqrt(C::new(z.re + 1.0, z.im)));
    C::new(libm::asinh((p.conj() * q).re), 2.0 * p.im.atan2(q.re))
}

/// Returns the inverse hyperbolic tangent.
pub fn atanh(z: C) -> C {
    if !z.is_finite() {
        let zero = 0f64.copysign(z.re);
        return match (z.re, z.im) {
            (x, y) if y.is_nan() && (x.is_infinite() || x == 0.0) => C::new(zero, y),
            (x, y) if y.is_infinite() || (x.is_infinite() && !y.is_nan()) => {
                C::new(zero, FRAC_PI_2.copysign(y))
            }
            _ => C::new(f64::NAN, f64::NAN),
        };
    }
    let size = z.re.hypot(z.im);
    if size > 1e100 {
        // `atanh(z)` is `1/z` plus or minus a quarter turn; squares would overflow.
        return C::new(z.re / size / size, FRAC_PI_2.copysign(z.im));
    }
    // The real part is odd, and the logarithm of its positive half does not cancel.
    let (x, below) = (z.re.abs(), 1.0 - z.re.abs());
    let distance = below.hypot(z.im);
    let re = if distance < 1e-150 {
        (LN_2 - distance.ln()) / 2.0
    } else {
        (4.0 * x / (distance * distance)).ln_1p() / 4.0
    };
    let im = (2.0 * z.im).atan2(below * (1.0 + x) - z.im * z.im) / 2.0;
    C::new(re.copysign(z.re), im)
}

/// Returns `z^w`; `0^0` is 1, and zero to a power of positive real part is zero.
pub fn pow(z: C, w: C) -> C {
    if w == C::ZERO {
        return C::ONE;
    }
    if z == C::ZERO {
        return if w.re > 0.0 { C::ZERO } else { C::new(f64::NAN, f64::NAN) };
    }
    exp(w * log(z))
}

/// Returns `i z`, with exact signs of zeros.
fn times_i(z: C) -> C {
    C::new(-z.im, z.re)
}

/// Returns `-i z`, with exact signs of zeros.
fn times_minus_i(z: C) -> C {
    C::new(z.im, -z.re)
}

#[cfg(test)]
mod tests;
