//! Functions of complex numbers where num-complex loses accuracy or overflows. Both complex dtypes compute here, in f64.
//! After Kahan, "Branch Cuts for Complex Elementary Functions" (The State of the Art in Numerical Analysis, 1987).

use crate::Complex;

type C = Complex<f64>;

/// `z / |z|`, zero at zero.
pub fn sign(z: C) -> C {
    let r = z.norm();
    if r == 0.0 { z } else { z.unscale(r) }
}

/// `z / w`, scaled so that intermediate squares do not overflow (Smith's method).
pub fn div(z: C, w: C) -> C {
    if w.re.abs() >= w.im.abs() {
        let r = w.im / w.re;
        // A zero divisor: each part by zero, which gives infinities and NaN as division of reals does.
        if w.re == 0.0 {
            return C::new(z.re / w.re, z.im / w.re);
        }
        let d = w.re + w.im * r;
        C::new((z.re + z.im * r) / d, (z.im - z.re * r) / d)
    } else {
        let r = w.re / w.im;
        let d = w.re * r + w.im;
        C::new((z.re * r + z.im) / d, (z.im * r - z.re) / d)
    }
}

/// The principal square root.
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

/// `e^z - 1`
pub fn expm1(z: C) -> C {
    let s = (z.im / 2.0).sin();
    C::new(z.re.exp_m1() * z.im.cos() - 2.0 * s * s, z.re.exp() * z.im.sin())
}

/// The principal logarithm.
pub fn log(z: C) -> C {
    let r = z.norm();
    let near_one = (0.5..2.0).contains(&r);
    let re = if near_one { ((z.re.abs() - 1.0) * (z.re.abs() + 1.0) + z.im * z.im).ln_1p() / 2.0 } else { r.ln() };
    C::new(re, z.arg())
}

/// `log(1 + z)`
pub fn log1p(z: C) -> C {
    let square = z.re * (2.0 + z.re) + z.im * z.im;
    let re = if square.abs() < 1.0 { square.ln_1p() / 2.0 } else { (z.re + 1.0).hypot(z.im).ln() };
    C::new(re, z.im.atan2(1.0 + z.re))
}

/// Hyperbolic tangent.
pub fn tanh(z: C) -> C {
    if z.re.abs() > 20.0 {
        let small = (-2.0 * z.re.abs()).exp();
        return C::new(1f64.copysign(z.re), if small == 0.0 { 0f64.copysign(z.im) } else { 2.0 * (2.0 * z.im).sin() * small });
    }
    let (t, s) = (z.im.tan(), z.re.sinh());
    let (b, r) = (1.0 + t * t, (1.0 + s * s).sqrt());
    let d = 1.0 + b * s * s;
    C::new(b * r * s / d, t / d)
}

/// `1 / (1 + e^-z)`
pub fn logistic(z: C) -> C {
    div(C::ONE, C::ONE + (-z).exp())
}

/// Tangent.
pub fn tan(z: C) -> C {
    turn_back(tanh(turn(z)))
}

/// Inverse sine.
pub fn asin(z: C) -> C {
    let (p, q) = (sqrt(C::new(1.0 - z.re, -z.im)), sqrt(C::new(1.0 + z.re, z.im)));
    C::new(z.re.atan2((p * q).re), libm::asinh((p.conj() * q).im))
}

/// Inverse cosine.
pub fn acos(z: C) -> C {
    let (p, q) = (sqrt(C::new(1.0 - z.re, -z.im)), sqrt(C::new(1.0 + z.re, z.im)));
    C::new(2.0 * p.re.atan2(q.re), libm::asinh((q.conj() * p).im))
}

/// Inverse tangent.
pub fn atan(z: C) -> C {
    turn_back(atanh(turn(z)))
}

/// Inverse hyperbolic sine.
pub fn asinh(z: C) -> C {
    turn_back(asin(turn(z)))
}

/// Inverse hyperbolic cosine.
pub fn acosh(z: C) -> C {
    let (p, q) = (sqrt(C::new(z.re - 1.0, z.im)), sqrt(C::new(z.re + 1.0, z.im)));
    C::new(libm::asinh((p.conj() * q).re), 2.0 * p.im.atan2(q.re))
}

/// Inverse hyperbolic tangent.
pub fn atanh(z: C) -> C {
    let below = 1.0 - z.re;
    let re = (4.0 * z.re / (below * below + z.im * z.im)).ln_1p() / 4.0;
    C::new(re, (2.0 * z.im).atan2(below * (1.0 + z.re) - z.im * z.im) / 2.0)
}

/// `z^w`; `0^0` is 1, and zero to anything with positive real part is zero.
pub fn pow(z: C, w: C) -> C {
    if w == C::ZERO {
        return C::ONE;
    }
    if z == C::ZERO {
        return if w.re > 0.0 { C::ZERO } else { C::new(f64::NAN, f64::NAN) };
    }
    (w * log(z)).exp()
}

/// `i z`, exact in the sign of zeros.
fn turn(z: C) -> C {
    C::new(-z.im, z.re)
}

/// `-i z`
fn turn_back(z: C) -> C {
    C::new(z.im, -z.re)
}
