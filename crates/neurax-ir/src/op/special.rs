//! Special functions that libm does not have, in f64.

mod incomplete_beta;
mod incomplete_gamma;
mod tail;

pub use incomplete_beta::betainc;
pub use incomplete_gamma::{igamma, igamma_grad_a, igammac, random_gamma_grad};
use std::f64::consts::PI;

/// Returns the logarithmic derivative of the gamma function. At the pole 0 it is the limit from the
/// side that the sign of the zero names, negative infinity for 0.0; at the poles -1, -2, .. NaN.
///
/// The recurrence shifts `x` to 12 or more, where the asymptotic series
/// (<https://dlmf.nist.gov/5.11.E2>) applies; negative `x` are reflected
/// (<https://dlmf.nist.gov/5.5.E4>). The error is about 1e-15 times the larger of 1 and the result.
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x < 0.0 {
        let fraction = x - x.floor();
        return if fraction == 0.0 || x.is_infinite() {
            f64::NAN
        } else {
            digamma(1.0 - x) - PI / (PI * fraction).tan()
        };
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < 12.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    sum + x.ln() + digamma_rest(x)
}

/// Returns `digamma(x) - log(x)` for `x >= 12`.
fn digamma_rest(x: f64) -> f64 {
    // The coefficients B(2k) / 2k, k = 1, 2, ..
    let series = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32760.0,
        1.0 / 12.0,
    ];
    -0.5 / x - horner(&series, 1.0 / (x * x)) / (x * x)
}

/// Returns the `n`-th derivative of [`digamma`]: `(-1)^(n+1) n! zeta(n+1, x)`
/// (<https://dlmf.nist.gov/25.11.E12>). Infinite at the poles 0, -1, -2, ..; NaN if `n` is not a
/// whole number.
pub fn polygamma(n: f64, x: f64) -> f64 {
    if n == 0.0 {
        return digamma(x);
    }
    if n.fract() != 0.0 || n < 0.0 {
        return f64::NAN;
    }
    let size = if x > 0.0 {
        gamma_zeta(n + 1.0, x)
    } else {
        zeta_below(n + 1.0, x, |x| gamma_zeta(n + 1.0, x))
    };
    if n % 2.0 == 0.0 { -size } else { size }
}

/// Returns the Hurwitz zeta function, the sum of `(x + k)^-s` over `k = 0, 1, ..`: infinite for
/// `s = 1` and at the poles `x = 0, -1, ..`; NaN for `s < 1`, and for other negative `x` unless `s`
/// is a whole number.
pub fn zeta(s: f64, x: f64) -> f64 {
    if s.is_nan() || x.is_nan() || s < 1.0 {
        return f64::NAN;
    }
    if s == 1.0 || x <= 0.0 && x == x.floor() && x.is_finite() {
        return f64::INFINITY;
    }
    let sum = |x: f64| if x.is_infinite() { 0.0 } else { x.powf(-s) * zeta_ratio(s, x) };
    if x > 0.0 { sum(x) } else { zeta_below(s, x, sum) }
}

/// Returns `zeta(s, x)` for `x <= 0` and whole `s`, or a multiple of it that does not depend on
/// `x`, from that for positive `x`. The terms above zero are those of the fractional part `f` of
/// `x`; those below are the first terms of `1 - f`.
fn zeta_below(s: f64, x: f64, above: impl Fn(f64) -> f64) -> f64 {
    let floor = x.floor();
    let f = x - floor;
    if f == 0.0 || x.is_infinite() || s.fract() != 0.0 {
        return if f == 0.0 { f64::INFINITY } else { f64::NAN };
    }
    let below = above(1.0 - f) - above(1.0 - x);
    above(f) + if s % 2.0 == 0.0 { below } else { -below }
}

/// Returns `gamma(s) zeta(s, x)` for `s >= 2` and `x > 0`. The first term may be out of the range
/// of f64, while the result is not.
fn gamma_zeta(s: f64, x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    let first = libm::tgamma(s) * x.powf(-s);
    let first = if first.is_normal() { first } else { (libm::lgamma(s) - s * x.ln()).exp() };
    first * zeta_ratio(s, x)
}

/// Returns `zeta(s, x) x^s` for `s > 1` and finite `x > 0`: the sum of the first terms, plus the
/// Euler-Maclaurin formula for the rest (<https://dlmf.nist.gov/25.11.E7>). All terms are scaled by
/// the first one, which may be out of the range of f64.
fn zeta_ratio(s: f64, x: f64) -> f64 {
    let (mut sum, mut at, mut term) = (0.0, x, 1.0);
    // Stop early where the terms decay fast, or where adding 1 to a large `x` has no effect: there
    // the formula is exact from the first term on.
    while at < (12.0 + 2.0 * s).min(1e15) && term > f64::EPSILON * f64::EPSILON {
        sum += term;
        at += 1.0;
        term = (x / at).powf(s);
    }
    // The coefficients B(2k) / (2k)!, k = 1, 2, ..
    let series = [
        1.0 / 12.0,
        -1.0 / 720.0,
        1.0 / 30240.0,
        -1.0 / 1209600.0,
        1.0 / 47900160.0,
        -691.0 / 1307674368000.0,
        1.0 / 74724249600.0,
    ];
    let mut rest = at / (s - 1.0) + 0.5;
    let mut rising = s / at;
    for (k, c) in series.into_iter().enumerate() {
        rest += c * rising;
        let next = s + 2.0 * k as f64;
        rising *= (next + 1.0) * (next + 2.0) / (at * at);
    }
    sum + term * rest
}

/// Returns the inverse of the error function, NaN outside -1..1.
///
/// The first approximation is the single-precision one of Giles, "Approximating the erfinv
/// function" (GPU Computing Gems, 2011). Newton's method refines it: on erf in the middle, on log
/// erfc in the tails, where `1 - |x|` is exact but erf has lost its digits.
pub fn erf_inv(x: f64) -> f64 {
    let a = x.abs();
    if a == 1.0 {
        return f64::INFINITY.copysign(x);
    }
    if a.is_nan() || a > 1.0 {
        return f64::NAN;
    }
    let bell = |y: f64| std::f64::consts::FRAC_2_SQRT_PI * (-y * y).exp();
    let mut y = giles(a);
    for _ in 0..6 {
        let step = if a < 0.5 {
            (a - libm::erf(y)) / bell(y)
        } else {
            let tail = libm::erfc(y);
            (tail / (1.0 - a)).ln() * tail / bell(y)
        };
        y += step;
        // The error is squared by the next step.
        if step.abs() <= 1e-9 * y {
            break;
        }
    }
    y.copysign(x)
}

/// Returns Giles' single-precision approximation of the inverse error function, for `0 <= a < 1`.
fn giles(a: f64) -> f64 {
    let w = -((1.0 - a) * (1.0 + a)).ln();
    let middle = [
        1.50140941,
        0.246640727,
        -0.00417768164,
        -0.00125372503,
        0.00021858087,
        -4.39150654e-06,
        -3.5233877e-06,
        3.43273939e-07,
        2.81022636e-08,
    ];
    let tail = [
        2.83297682,
        1.00167406,
        0.00943887047,
        -0.0076224613,
        0.00573950773,
        -0.00367342844,
        0.00134934322,
        0.000100950558,
        -0.000200214257,
    ];
    a * if w < 5.0 { horner(&middle, w - 2.5) } else { horner(&tail, w.sqrt() - 3.0) }
}

/// Returns `e^-|x| I0(x)`, the scaled modified Bessel function of the first kind of order 0.
pub fn bessel_i0e(x: f64) -> f64 {
    bessel_ie(0.0, x.abs())
}

/// Returns `e^-|x| I1(x)`, the scaled modified Bessel function of the first kind of order 1.
pub fn bessel_i1e(x: f64) -> f64 {
    bessel_ie(1.0, x.abs()).copysign(x)
}

/// Returns `e^-x I(x)` of order 0 or 1, for `x >= 0`: up to 30 by the power series, whose terms are
/// all positive (<https://dlmf.nist.gov/10.25.E2>), then by the asymptotic series
/// (<https://dlmf.nist.gov/10.40.E1>).
fn bessel_ie(order: f64, x: f64) -> f64 {
    if x > 30.0 {
        let next = |term: f64, k: f64| {
            term * ((2.0 * k - 1.0).powi(2) - 4.0 * order * order) / (8.0 * k * x)
        };
        // Two roots, because the product of their arguments may overflow.
        return series(1.0, next, 20) / ((2.0 * PI).sqrt() * x.sqrt());
    }
    let next = |term: f64, k: f64| term * (x / 2.0) * (x / 2.0) / (k * (k + order));
    (-x).exp() * series(if order == 0.0 { 1.0 } else { x / 2.0 }, next, 90)
}

/// Returns the sum of `n` terms: `first`, then `next(previous term, k)` for `k` from 1 on.
fn series(first: f64, next: impl Fn(f64, f64) -> f64, n: u32) -> f64 {
    (1..n)
        .fold((first, first), |(sum, term), k| {
            let term = next(term, f64::from(k));
            (sum + term, term)
        })
        .0
}

/// Evaluates the polynomial `c[0] + c[1] x + c[2] x^2 + ..`.
fn horner(c: &[f64], x: f64) -> f64 {
    c.iter().rev().fold(0.0, |sum, &c| sum * x + c)
}

#[cfg(test)]
#[allow(clippy::approx_constant, reason = "the tables are numbers as another program printed them")]
mod tests {
    use super::*;

    /// Checks `f` against pairs of argument and value, computed by mpmath with 40 digits.
    fn check(name: &str, f: fn(f64) -> f64, rows: &[(f64, f64)]) {
        for &(x, want) in rows {
            let have = f(x);
            assert!(
                (have - want).abs() <= 2e-14 * want.abs().max(want.abs().min(1.0)),
                "{name}({x}) is {have}, not {want}"
            );
        }
    }

    #[test]
    fn values_agree_with_mpmath() {
        check(
            "digamma",
            digamma,
            &[
                (0.001, -1000.5755719318103),
                (0.5, -1.9635100260214235),
                (1.0, -0.5772156649015329),
                (1.5, 0.03648997397857652),
                (3.7, 1.1671535393615113),
                (10.0, 2.251752589066721),
                (11.999, 2.442574774329119),
                (250.0, 5.519459584531046),
                (-0.5, 0.03648997397857652),
                (-3.3, 3.620353460592126),
                (-7.01, 101.98407111772173),
            ],
        );
        check(
            "polygamma 1",
            |x| polygamma(1.0, x),
            &[
                (0.001, 1000001.6425331958),
                (0.5, 4.934802200544679),
                (1.0, 1.6449340668482264),
                (1.5, 0.9348022005446793),
                (3.7, 0.3100378576700383),
                (10.0, 0.10516633568168575),
                (11.999, 0.08690942073224082),
                (250.0, 0.004008010666632534),
                (-0.5, 8.934802200544679),
                (-3.3, 14.817739525515929),
                (-7.01, 10003.157557376158),
            ],
        );
        check(
            "polygamma 2",
            |x| polygamma(2.0, x),
            &[
                (0.001, -2000000002.3976322),
                (0.5, -16.82879664423432),
                (1.0, -2.4041138063191886),
                (3.7, -0.09539530872855403),
                (250.0, -1.6064127999317344e-5),
                (-0.5, -0.82879664423432),
                (-3.3, 68.76944547748523),
            ],
        );
        check(
            "polygamma 40",
            |x| polygamma(40.0, x),
            &[
                (0.5, -1.794216682422424e60),
                (3.7, -4.1247560670090188e24),
                (11.999, -4825.119628812239),
                (250.0, -2.668618463334942e-50),
            ],
        );
        for (s, x, want) in [
            (1.0001, 1.0, 10000.577222947539),
            (1.0001, 100.0, 9995.400896060171),
            (1.5, 1.0, 2.612375348685488),
            (1.5, 1000000.0, 0.002000000500000125),
            (2.0, 11.0, 0.09516633568168574),
            (3.0, 0.001, 1000000001.1988161),
            (3.0, 1.0, 1.2020569031595942),
            (3.0, 1000000.0, 5.0000050000025e-13),
            (7.5, 11.0, 3.4789595588944605e-08),
            (20.0, 11.0, 1.8160477582516796e-21),
        ] {
            let have = zeta(s, x);
            assert!((have / want - 1.0).abs() < 1e-14, "zeta({s}, {x}) is {have}, not {want}");
        }
        check(
            "erf_inv",
            erf_inv,
            &[
                (1e-300, 8.86226925452758e-301),
                (1e-05, 8.862269254759594e-06),
                (0.1, 0.08885599049425769),
                (0.4999, 0.4768250236254278),
                (0.5, 0.4769362762044699),
                (0.9, 1.1630871536766743),
                (0.999, 2.3267537655135246),
                (0.999999999, 4.320005388105362),
                (0.9999999999999999, 5.8635847487551676),
                (-0.7, -0.7328690779592167),
            ],
        );
        check(
            "bessel_i0e",
            bessel_i0e,
            &[
                (1e-300, 1.0),
                (1e-05, 0.9999900000749996),
                (0.5, 0.6450352704491501),
                (-1.0, 0.46575960759364043),
                (3.7, 0.2160494416729737),
                (12.0, 0.11642622121344044),
                (29.999, 0.07314717612913213),
                (30.001, 0.07314471689736321),
                (100.0, 0.03994437929909668),
                (1e10, 3.9894228040641945e-06),
            ],
        );
        check(
            "bessel_i1e",
            bessel_i1e,
            &[
                (1e-300, 5e-301),
                (1e-05, 4.999950000312499e-06),
                (0.5, 0.1564208031848717),
                (-1.0, -0.20791041534970844),
                (3.7, 0.18383785802735622),
                (12.0, 0.11146429929018098),
                (29.999, 0.07191749822218775),
                (30.001, 0.07191516303191349),
                (100.0, 0.03974415302513025),
                (1e10, 3.989422803864723e-06),
            ],
        );
    }

    #[test]
    fn infinities_and_poles() {
        assert!(
            digamma(-3.0).is_nan()
                && digamma(f64::NAN).is_nan()
                && digamma(f64::NEG_INFINITY).is_nan()
        );
        assert_eq!((digamma(0.0), digamma(-0.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!((digamma(f64::INFINITY), polygamma(1.0, f64::INFINITY)), (f64::INFINITY, 0.0));
        assert_eq!(
            (polygamma(1.0, 0.0), polygamma(1.0, -2.0), polygamma(2.0, -2.0)),
            (f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY)
        );
        assert!(
            polygamma(1.0, f64::NAN).is_nan()
                && polygamma(1.0, f64::NEG_INFINITY).is_nan()
                && polygamma(f64::NAN, 1.0).is_nan()
        );
        assert_eq!(
            (zeta(1.0, 2.0), zeta(2.0, 0.0), zeta(3.0, -2.0), zeta(3.0, f64::INFINITY)),
            (f64::INFINITY, f64::INFINITY, f64::INFINITY, 0.0)
        );
        assert!(
            zeta(0.5, 2.0).is_nan() && zeta(2.5, -0.5).is_nan() && zeta(2.0, f64::NAN).is_nan()
        );
        // Odd powers of -1/2 and 1/2 cancel.
        assert!((zeta(3.0, -0.5) / zeta(3.0, 1.5) - 1.0).abs() < 1e-15);
        assert!(polygamma(1e18, 1.5).is_infinite() && polygamma(3.0, 1e300) == 0.0, "in few steps");
        assert!(polygamma(3.0, -1e15 - 0.5).is_finite(), "in few steps");
        assert_eq!(
            (erf_inv(1.0), erf_inv(-1.0), erf_inv(0.0)),
            (f64::INFINITY, f64::NEG_INFINITY, 0.0)
        );
        assert!(erf_inv(1.5).is_nan() && erf_inv(f64::NAN).is_nan());
        assert_eq!(
            (
                bessel_i0e(0.0),
                bessel_i1e(0.0),
                bessel_i0e(f64::INFINITY),
                bessel_i1e(f64::NEG_INFINITY)
            ),
            (1.0, 0.0, 0.0, 0.0)
        );
        // 1 / sqrt(2 pi x), whose square root must not overflow.
        let largest = bessel_i0e(f64::MAX);
        assert!((largest / 2.975447459315899e-155 - 1.0).abs() < 1e-14, "{largest}");
        assert!(bessel_i0e(f64::NAN).is_nan() && bessel_i1e(f64::NAN).is_nan());
    }
}
