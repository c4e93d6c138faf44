//! The regularized incomplete gamma functions `P(a, x)` and `Q(a, x) = 1 - P(a, x)`, and their
//! derivatives by `a`, in f64.
//!
//! # Method
//!
//! A function is the density times a ratio that has no extreme values:
//!
//! - below the mean, `P = x^a e^-x / gamma(a + 1) (1 + x / (a + 1) + ..)`
//!   (<https://dlmf.nist.gov/8.7.E1>);
//! - above, `Q = x^a e^-x / gamma(a)` times a continued fraction
//!   (<https://dlmf.nist.gov/8.9.E2>);
//! - from `a = 200` on, where both need many terms, the ratios are integrals of
//!   `(1 - s)^(a-1) e^(xs)` and of `(1 + s)^(a-1) e^(-xs)`;
//! - for small `x`, where `Q` is the difference of numbers near 1, that difference is taken before
//!   the rounding, from the series of `log(gamma(1 + a))` (<https://dlmf.nist.gov/5.7.E3>).
//!
//! Ratios are computed as dual numbers, so that their derivatives by `a` come from the same terms.
//! All terms of a derivative have one sign: nothing cancels.

use super::{
    digamma, digamma_rest,
    tail::{Dual, continued_fraction, integral, minus_log, minus_log1p, reach, stirling_rest},
};
use std::f64::consts::PI;

/// From this `a` on, ratios are integrals.
const LARGE_SHAPE: f64 = 200.0;

/// Returns the regularized lower incomplete gamma function `P(a, x)`. NaN for negative operands
/// and for `a = x = 0`.
pub fn igamma(a: f64, x: f64) -> f64 {
    match limit(a, x) {
        Some(p) => p,
        None if is_upper(a, x) => 1.0 - upper(a, x),
        None => lower(a, x),
    }
}

/// Returns the regularized upper incomplete gamma function `Q(a, x) = 1 - P(a, x)`, with all digits
/// where it is small. NaN for negative operands and for `a = x = 0`.
pub fn igammac(a: f64, x: f64) -> f64 {
    if let Some(p) = limit(a, x) {
        return 1.0 - p;
    }
    // For small `x` and `a`, P is near 1, but the continued fraction is slow.
    let is_small = x <= 1.1 && if x <= 0.5 { a < -0.4 / x.ln() } else { a < 0.75 * x };
    if is_small {
        upper_of_small(a, x)
    } else if is_upper(a, x) {
        upper(a, x)
    } else {
        1.0 - lower(a, x)
    }
}

/// Returns the derivative of [`igamma`] by `a`. NaN for `a <= 0` and negative `x`.
pub fn igamma_grad_a(a: f64, x: f64) -> f64 {
    match slope_limit(a, x) {
        Some(limit) => limit,
        None if is_upper(a, x) => -density(a, x) * upper_slope(a, x),
        None => density(a, x) / a * lower_slope(a, x),
    }
}

/// Returns the derivative by `a` of a sample `x` of the gamma distribution with shape `a`: the
/// change of `x` that keeps `P(a, x)`. NaN for `a <= 0` and negative `x`.
///
/// This is the implicit derivative of Figurnov, Mohamed and Mnih
/// (<https://arxiv.org/abs/1805.08498>).
pub fn random_gamma_grad(a: f64, x: f64) -> f64 {
    match slope_limit(a, x) {
        Some(limit) => limit,
        None if is_upper(a, x) => upper_slope(a, x) * x,
        None => -lower_slope(a, x) * x / a,
    }
}

/// Returns `P(a, x)` at the ends of the domain, and NaN outside.
fn limit(a: f64, x: f64) -> Option<f64> {
    if !(a >= 0.0 && x >= 0.0) || a == x && (a == 0.0 || a.is_infinite()) {
        return Some(f64::NAN);
    }
    if x == 0.0 || a.is_infinite() {
        return Some(0.0);
    }
    (a == 0.0 || x.is_infinite()).then_some(1.0)
}

/// Returns the derivatives by `a` at the ends of the domain, and NaN outside.
fn slope_limit(a: f64, x: f64) -> Option<f64> {
    if !(a > 0.0 && x >= 0.0) {
        return Some(f64::NAN);
    }
    (x == 0.0 || x.is_infinite() || a.is_infinite()).then_some(0.0)
}

/// Returns true if `Q` is the smaller part, and `x` is large enough for the continued fraction.
fn is_upper(a: f64, x: f64) -> bool {
    x > a && x > 1.0
}

fn lower(a: f64, x: f64) -> f64 {
    density(a, x) / a * lower_ratio(a, x).value
}

fn upper(a: f64, x: f64) -> f64 {
    density(a, x) * upper_ratio(a, x).value
}

/// Returns the derivative of [`lower`] by `a`, divided by `density / a`.
fn lower_slope(a: f64, x: f64) -> f64 {
    let ratio = lower_ratio(a, x);
    let log = if a < LARGE_SHAPE { x.ln() - digamma(a + 1.0) } else { log_excess(a, x) - 1.0 / a };
    ratio.value * log + ratio.slope
}

/// Returns the derivative of [`upper`] by `a`, divided by the density.
fn upper_slope(a: f64, x: f64) -> f64 {
    let ratio = upper_ratio(a, x);
    let log = if a < LARGE_SHAPE { x.ln() - digamma(a) } else { log_excess(a, x) };
    ratio.value * log + ratio.slope
}

/// Returns `log(x) - digamma(a)` for large `a`, without cancellation where they are close.
fn log_excess(a: f64, x: f64) -> f64 {
    let log = if x < 0.5 * a { (x / a).ln() } else { ((x - a) / a).ln_1p() };
    log - digamma_rest(a)
}

/// Returns `x^a e^-x / gamma(a)`.
fn density(a: f64, x: f64) -> f64 {
    if a >= 10.0 {
        let exponent = a * minus_log(x / a, (x - a) / a) + stirling_rest(a);
        return (a / (2.0 * PI)).sqrt() * (-exponent).exp();
    }
    // The exponential underflows, while the power might overflow.
    if x > 1000.0 {
        return 0.0;
    }
    x.powf(a) * (-x).exp() * a / libm::tgamma(a + 1.0)
}

/// Returns `P(a, x) a / density`.
fn lower_ratio(a: f64, x: f64) -> Dual {
    if a >= LARGE_SHAPE {
        let (ratio, end) = tail(a, x, -1.0);
        let end = end.min(1.0 - f64::EPSILON);
        let integral = integral(end, ratio, |s| (-s).ln_1p());
        return Dual::new(a, 1.0) * integral;
    }
    let (mut sum, mut term) = (Dual::ONE, Dual::ONE);
    let mut at = Dual::new(a, 1.0);
    for _ in 0..10_000 {
        at = at + Dual::ONE;
        term = term * (Dual::new(x, 0.0) / at);
        sum = sum + term;
        if sum.absorbs(term) {
            break;
        }
    }
    sum
}

/// Returns `Q(a, x) / density`.
fn upper_ratio(a: f64, x: f64) -> Dual {
    if a >= LARGE_SHAPE {
        let (ratio, end) = tail(a, x, 1.0);
        return integral(end, ratio, f64::ln_1p);
    }
    let part = |i: f64| {
        let numerator = Dual::new(i * (a - i), i);
        (numerator, Dual::new(x + 2.0 * i + 1.0 - a, -1.0))
    };
    continued_fraction(Dual::new(x + 1.0 - a, -1.0), part)
}

/// Returns the exponent of the density at `x (1 + side s)`, relative to that at `x`, and the `s`
/// where the tail ends.
fn tail(a: f64, x: f64, side: f64) -> (impl Fn(f64) -> f64, f64) {
    let (curvature, slope) = (a - 1.0, side * (x - a + 1.0));
    let exponent = move |s: f64| curvature * minus_log1p(side * s) + slope * s;
    let end = reach(curvature, slope);
    // The density falls more slowly above the mean.
    (exponent, if side > 0.0 { end * (1.0 + end) } else { end })
}

/// Returns `Q(a, x)` for small operands: `1 - u v` of `u = x^a / gamma(1 + a)`, near 1, and
/// `v = 1 + a (-x / (a + 1) + x^2 / (2 (a + 2)) - ..)` (<https://dlmf.nist.gov/8.7.E3>).
fn upper_of_small(a: f64, x: f64) -> f64 {
    let log = a * x.ln() - lgamma1p(a);
    let (mut sum, mut power) = (0.0, 1.0);
    for n in 1..40 {
        let n = f64::from(n);
        power *= -x / n;
        sum += power / (a + n);
    }
    -log.exp_m1() - log.exp() * a * sum
}

/// Returns `log(gamma(1 + a))` for `0 <= a < 1`, with all digits near 0.
pub(super) fn lgamma1p(a: f64) -> f64 {
    if a > 0.5 {
        return libm::lgamma(1.0 + a);
    }
    // The sum of `(-a)^k (zeta(k) - 1) / k`, divided by `a^2`.
    let sum = (2..31).zip(ZETA_MINUS_ONE).rev().fold(0.0, |sum, (k, z)| z / f64::from(k) - sum * a);
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    a * (1.0 - EULER_GAMMA) - a.ln_1p() + a * a * sum
}

/// `zeta(k) - 1` for k = 2, 3, .., 30.
const ZETA_MINUS_ONE: [f64; 29] = [
    0.6449340668482264,
    0.2020569031595943,
    0.08232323371113819,
    0.03692775514336993,
    0.01734306198444914,
    0.008349277381922827,
    0.00407735619794434,
    0.0020083928260822143,
    0.0009945751278180853,
    0.0004941886041194645,
    0.0002460865533080483,
    0.00012271334757848915,
    6.124813505870483e-05,
    3.058823630702049e-05,
    1.528225940865187e-05,
    7.637197637899763e-06,
    3.81729326499984e-06,
    1.908212716553939e-06,
    9.539620338727962e-07,
    4.769329867878064e-07,
    2.38450502727733e-07,
    1.1921992596531106e-07,
    5.960818905125948e-08,
    2.980350351465228e-08,
    1.4901554828365043e-08,
    7.45071178983543e-09,
    3.725334024788457e-09,
    1.862659723513049e-09,
    9.313274324196682e-10,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks `f` against rows `(a, x, value)`, computed by mpmath with 40 digits.
    fn check(name: &str, f: fn(f64, f64) -> f64, rows: &[(f64, f64, f64)]) {
        for &(a, x, want) in rows {
            let have = f(a, x);
            assert!((have / want - 1.0).abs() < 1e-13, "{name}({a}, {x}) is {have}, not {want}");
        }
    }

    #[test]
    fn values_agree_with_mpmath() {
        let rows = [
            (1e-10, 1.001e-10, 0.9999999977552364),
            (0.001, 1e-09, 0.9800547199039311),
            (0.1, 0.1, 0.8275517595858506),
            (0.3, 0.003, 0.19490168090050464),
            (0.5, 2.0, 0.9544997361036416),
            (0.5, 4.0, 0.9953222650189527),
            (0.9, 9e-07, 3.764859116561296e-06),
            (2.5, 0.025, 2.9209539998950108e-05),
            (2.5, 2.75, 0.6420541191490415),
            (2.5, 25.0, 0.9999999986142026),
            (30.0, 33.0, 0.7226986290685928),
            (30.0, 60.0, 0.9999931237350312),
            (250.0, 123.50889359326483, 1.1704557954705947e-23),
            (250.0, 297.4341649025257, 0.9978113484668172),
            (1000.0, 747.0177871865296, 7.808989042797505e-19),
            (1000.0, 968.3772233983162, 0.15861399679200125),
            (10000.0, 9200.0, 1.0130928844019716e-16),
            (10000.0, 9900.0, 0.15865119219356466),
            (1000000.0, 999900.0, 0.4603031602514001),
            (1000000000.0, 1000252982.2128135, 0.9999999999999993),
        ];
        check("igamma", igamma, &rows);
        let rows = [
            (1e-10, 1e-16, 3.626414575733103e-09),
            (1e-10, 1e-12, 2.7053805414514844e-09),
            (0.001, 0.00099, 0.006322330213616734),
            (0.1, 0.1, 0.17244824041414947),
            (0.1, 1.001, 0.024088711263554323),
            (0.1, 1.5, 0.01134401663780527),
            (0.3, 0.01, 0.7207590036409851),
            (0.3, 0.15, 0.3902598706176449),
            (0.5, 0.01, 0.8875370839817152),
            (0.5, 0.25, 0.4795001221869535),
            (7.0, 6.3, 0.5582331269936458),
            (10.0, 10.0, 0.4579297144718522),
            (1000.0, 1000.0, 0.4957947558197845),
            (1000.0, 1003.1622776601683, 0.45603291645919264),
            (1000.0, 1252.9822128134704, 5.831229554663752e-14),
            (10000.0, 10000.0, 0.4986701916600448),
            (1000000.0, 1001000.0, 0.15865521363165971),
            (1000000.0, 1008000.0, 7.370278579605256e-16),
            (1000000000.0, 1000003162.2776601, 0.46016802032185034),
            (1000000000.0, 1000252982.2128135, 6.254595843778144e-16),
        ];
        check("igammac", igammac, &rows);
        let rows = [
            (1e-10, 5e-11, -23.141782392259152),
            (1e-10, 2e-10, -21.755488037513345),
            (0.001, 0.0011, -6.19918459338446),
            (0.001, 2.0, -0.04905334583936488),
            (0.1, 2.0, -0.06476493572843736),
            (0.3, 0.15, -1.1069774291696248),
            (0.3, 1.2, -0.2611460398262423),
            (0.5, 0.01, -0.522514337797483),
            (0.5, 0.99, -0.3939328386096752),
            (100.0, 99.0, -0.03992699317110421),
            (199.0, 218.9, -0.010604465095696732),
            (201.0, 221.10000000000002, -0.010453023846006443),
        ];
        check("igamma_grad_a", igamma_grad_a, &rows);
        let rows = [
            (1e-10, 1e-12, 0.2705380545121956),
            (0.001, 0.00099, 6.286003102007839),
            (0.3, 4.0, 4.4243438508123205),
            (1.0, 4.0, 2.1698556759224794),
            (1.5, 0.015, 0.049348230945490436),
            (1.5, 0.75, 0.769836604490224),
            (1.5, 1.4849999999999999, 1.109845886627036),
            (2.5, 0.025, 0.04828517049409223),
            (2.5, 2.475, 1.0632964938368272),
            (7.0, 0.07, 0.04717237277586013),
            (199.0, 99.5, 0.6937187419782833),
            (199.0, 398.0, 1.3874378778697485),
        ];
        check("random_gamma_grad", random_gamma_grad, &rows);
    }

    #[test]
    fn derivatives_of_large_parameters_agree_with_differences() {
        for (a, x) in [(201.0, 190.0), (1e3, 1.1e3), (1e4, 9.9e3), (1e4, 1e4), (1e6, 1.001e6)] {
            let h = 1e-4 * f64::sqrt(a);
            let want = (igamma(a + h, x) - igamma(a - h, x)) / (2.0 * h);
            let have = igamma_grad_a(a, x);
            assert!((have / want - 1.0).abs() < 1e-6, "{a}, {x}: {have}, not {want}");
            let density = density(a, x) / x;
            let sample = random_gamma_grad(a, x);
            assert!((sample * density / -have - 1.0).abs() < 1e-12, "{a}, {x}: {sample}");
        }
        // Samples of large shapes are `a + sqrt(a) n` with normal `n`.
        let (a, n) = (1e12f64, 0.7);
        let slope = random_gamma_grad(a, a + a.sqrt() * n);
        assert!((slope - 1.0 - n / (2.0 * a.sqrt())).abs() < 1e-11, "{slope}");
    }

    #[test]
    fn ends_and_outside() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for (a, x, p) in [
            (1.0, 0.0, 0.0),
            (0.0, 1.0, 1.0),
            (2.0, inf, 1.0),
            (inf, 2.0, 0.0),
            (3.0, 1e300, 1.0),
            (1e300, 3.0, 0.0),
        ] {
            assert_eq!((igamma(a, x), igammac(a, x)), (p, 1.0 - p), "{a}, {x}");
        }
        for (a, x) in [(-1.0, 1.0), (1.0, -1.0), (0.0, 0.0), (nan, 1.0), (1.0, nan), (inf, inf)] {
            assert!(igamma(a, x).is_nan() && igammac(a, x).is_nan(), "{a}, {x}");
        }
        for f in [igamma_grad_a, random_gamma_grad] {
            assert!(f(0.0, 1.0).is_nan() && f(1.0, -1.0).is_nan() && f(nan, 1.0).is_nan());
            assert_eq!((f(1.0, 0.0), f(1.0, inf)), (0.0, 0.0));
        }
    }
}
