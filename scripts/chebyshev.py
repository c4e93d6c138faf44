#!/usr/bin/env python3
"""Fits the Chebyshev series of special functions for large arguments and prints them as Rust.

    python3 scripts/chebyshev.py > crates/neurax-tensor/src/api/special_series.rs && cargo fmt

The coefficients are those of the interpolation in Chebyshev's nodes, computed by mpmath with 40
digits; those below half a unit in the last place of f64 are left out.
"""

from mpmath import mp, mpf

mp.dps = 40
HEADER = '''\
//! Chebyshev series of special functions for large arguments, by `scripts/chebyshev.py`.
//!
//! A function whose asymptotic series diverges is smooth in the inverse of its argument. On each
//! interval it is a Chebyshev series with all terms above half a unit in the last place of f64.

use crate::Tensor;

/// A Chebyshev series of a function of `u` from `low` to `high`.
pub(crate) struct Series {
    low: f64,
    high: f64,
    coefficients: &'static [f64],
}

impl Series {
    /// Evaluates the series by Clenshaw's recurrence (<https://doi.org/10.2307/2002570>).
    #[track_caller]
    pub(crate) fn at(&self, u: &Tensor) -> Tensor {
        let t = (u * 2.0 - (self.low + self.high)) * (1.0 / (self.high - self.low));
        let twice = &t * 2.0;
        let (mut next, mut after) = (t.zeros_like(), t.zeros_like());
        let Some((first, rest)) = self.coefficients.split_first() else { return next };
        for &c in rest.iter().rev() {
            (next, after) = (&twice * &next - after + c, next);
        }
        t * next - after + *first
    }
}'''


def chebyshev(f, low, high, points=80):
    """Returns the coefficients of f between low and high that count."""
    low, high = mpf(low), mpf(high)
    angles = [mp.pi * (2 * k + 1) / (2 * points) for k in range(points)]
    values = [f((low + high) / 2 + (high - low) / 2 * mp.cos(a)) for a in angles]
    term = lambda j: 2 * sum(v * mp.cos(j * a) for v, a in zip(values, angles)) / points
    c = [term(j) for j in range(points)]
    c[0] /= 2
    least = max(map(abs, c)) * mpf(2) ** -56
    return c[: 1 + max(i for i, x in enumerate(c) if abs(x) > least)]


def exponential(integral, sign):
    """Returns `x e^(sign x) integral(x)` as a function of 1/x."""

    def f(u):
        x = 1 / u
        return x * mp.exp(sign * x) * integral(x)

    return f


def auxiliaries(x):
    """Returns the auxiliary functions f and g of the sine and cosine integrals."""
    sine, cosine = mp.si(x) - mp.pi / 2, mp.ci(x)
    f = cosine * mp.sin(x) - sine * mp.cos(x)
    return f, -cosine * mp.cos(x) - sine * mp.sin(x)


def fresnel_auxiliaries(x):
    """Returns the auxiliary functions f and g of the Fresnel integrals."""
    sine, cosine, phase = mp.fresnels(x) - 0.5, mp.fresnelc(x) - 0.5, mp.pi * x * x / 2
    f = -sine * mp.cos(phase) + cosine * mp.sin(phase)
    return f, -sine * mp.sin(phase) - cosine * mp.cos(phase)


def sine_f(u):
    x = 1 / mp.sqrt(u)
    return x * auxiliaries(x)[0]


def sine_g(u):
    x = 1 / mp.sqrt(u)
    return x**2 * auxiliaries(x)[1]


def fresnel_f(u):
    x = u ** (-mpf(1) / 4)
    return mp.pi * x * fresnel_auxiliaries(x)[0]


def fresnel_g(u):
    x = u ** (-mpf(1) / 4)
    return mp.pi**2 * x**3 * fresnel_auxiliaries(x)[1]


def dawson(u):
    x = 1 / mp.sqrt(u)
    return x * mp.sqrt(mp.pi) * mp.exp(-x * x) * mp.erfi(x)


E1, EI = exponential(mp.e1, 1), exponential(mp.ei, -1)
E1_DOC, EI_DOC = "`x e^x E1(x)` in `1/x`", "`x e^-x Ei(x)` in `1/x`"
SI = "of the sine and cosine integrals, in `1/x^2`"
FRESNEL = "of the Fresnel integrals, in `1/x^4`"
DAWSON = "`2 x` times Dawson's integral, in `1/x^2`"
ROWS = [
    ("E1_MIDDLE", E1, 1 / 4, 1, E1_DOC),
    ("E1_FAR", E1, 0, 1 / 4, E1_DOC),
    ("EI_NEAR", EI, mpf(1) / 12, mpf(1) / 6, EI_DOC),
    ("EI_MIDDLE", EI, mpf(1) / 24, mpf(1) / 12, EI_DOC),
    ("EI_FAR", EI, 0, mpf(1) / 24, EI_DOC),
    ("SI_F_NEAR", sine_f, 1 / 64, 1 / 16, f"`x f(x)` {SI}"),
    ("SI_F_FAR", sine_f, 0, 1 / 64, f"`x f(x)` {SI}"),
    ("SI_G_NEAR", sine_g, 1 / 64, 1 / 16, f"`x^2 g(x)` {SI}"),
    ("SI_G_FAR", sine_g, 0, 1 / 64, f"`x^2 g(x)` {SI}"),
    ("FRESNEL_F_NEAR", fresnel_f, mpf(1) / 96, mpf(1.6) ** -4, f"`pi x f(x)` {FRESNEL}"),
    ("FRESNEL_F_FAR", fresnel_f, 0, mpf(1) / 96, f"`pi x f(x)` {FRESNEL}"),
    ("FRESNEL_G_NEAR", fresnel_g, mpf(1) / 96, mpf(1.6) ** -4, f"`pi^2 x^3 g(x)` {FRESNEL}"),
    ("FRESNEL_G_FAR", fresnel_g, 0, mpf(1) / 96, f"`pi^2 x^3 g(x)` {FRESNEL}"),
    ("DAWSON_NEAR", dawson, mpf(1) / 25, mpf(2.5) ** -2, DAWSON),
    ("DAWSON_FAR", dawson, 0, mpf(1) / 25, DAWSON),
]


def main():
    print(HEADER)
    for name, f, low, high, doc in ROWS:
        c = ", ".join(repr(float(x)) for x in chebyshev(f, low, high))
        print(f"\n/// {doc}.\npub(crate) const {name}: Series = Series {{")
        print(f"    low: {float(low)!r},\n    high: {float(high)!r},")
        print(f"    coefficients: &[{c}],\n}};")


if __name__ == "__main__":
    main()
