//! The Gaussian error linear unit (GELU).

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Clamp, Sample, Tangent, Unary};
use crate::{Builder, Result, Type, Value, Values};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// The coefficient of the cubic term in the tanh form.
const CUBIC_COEFFICIENT: f64 = 0.044715;

/// The argument beyond which the derivative of tanh is zero in every dtype; squares of larger
/// arguments could overflow.
const TANH_SATURATION: f64 = 20.0;

attrs! {
    /// `x` times the standard normal distribution function of `x`, elementwise: exactly, by the
    /// error function, or approximately, by `(1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    /// Hendrycks and Gimpel, Gaussian Error Linear Units (<https://arxiv.org/abs/1606.08415>).
    pub struct Gelu = "gelu" {
        /// True for the tanh approximation.
        approximate: bool,
    }
}

impl Named for Gelu {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(vec![one_float(Self::NAME, xs)?.clone()])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let p = self.probability(b, xs[0]);
        Values::from_slice(&[b.mul(xs[0], p)])
    }

    /// Emits `dy = (p(x) + x p'(x)) dx`, which is its own transpose.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let slope: LinearMap = &|b, x, d| {
            let p = self.probability(b, x[0]);
            let density = self.weighted_density(b, x[0], p);
            let slope = b.add(p, density);
            vec![b.mul(slope, d[0])]
        };
        Some(linear(b, Self::NAME, at, at.xs, dxs, slope, slope))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(self.clone().into())
    }

    fn samples() -> Vec<Sample> {
        let op = |approximate| Gelu { approximate }.into();
        float_rows(&[(op(true), &[2, 3]), (op(false), &[2, 3]), (op(true), &[0]), (op(false), &[])])
    }
}

impl Gelu {
    /// Emits the distribution function `p(x)`.
    fn probability(&self, b: &mut Builder, x: Value) -> Value {
        if self.approximate {
            return tanh_probability(b, x);
        }
        let scaled = b.mul_scalar(x, -FRAC_1_SQRT_2);
        let twice = b.emit(Unary::Erfc, &[scaled]);
        b.mul_scalar(twice, 0.5)
    }

    /// Emits `x p'(x)`, given `p`.
    fn weighted_density(&self, b: &mut Builder, x: Value, p: Value) -> Value {
        let (low, high) = (b.full_like(x, -TANH_SATURATION), b.full_like(x, TANH_SATURATION));
        let x = b.emit(Clamp {}, &[low, x, high]);
        let square = b.square(x);
        let density = if self.approximate {
            let pp = b.square(p);
            let variance = b.sub(p, pp);
            let stretch = b.mul_scalar(square, 6.0 * CUBIC_COEFFICIENT * sqrt_two_over_pi());
            let stretch = b.add_scalar(stretch, 2.0 * sqrt_two_over_pi());
            b.mul(variance, stretch)
        } else {
            let exponent = b.mul_scalar(square, -0.5);
            let e = b.exp(exponent);
            b.mul_scalar(e, 1.0 / (2.0 * PI).sqrt())
        };
        b.mul(x, density)
    }
}

/// Returns `sqrt(2 / pi)`.
fn sqrt_two_over_pi() -> f64 {
    FRAC_2_SQRT_PI * FRAC_1_SQRT_2
}

/// Emits `(1 + tanh(u)) / 2` for `u = sqrt(2 / pi) (x + 0.044715 x^3)` as the logistic function of
/// `2 u`, which is equal but free of cancellation.
fn tanh_probability(b: &mut Builder, x: Value) -> Value {
    let square = b.square(x);
    let stretch = b.mul_scalar(square, 2.0 * CUBIC_COEFFICIENT * sqrt_two_over_pi());
    let stretch = b.add_scalar(stretch, 2.0 * sqrt_two_over_pi());
    let twice = b.mul(x, stretch);
    b.logistic(twice)
}
