//! The Gaussian error linear unit.

use super::{Composite, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Clamp, Sample, Tangent, Unary};
use crate::{Builder, Result, Type, Value, Values};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// The coefficient of the cubic term in the form with tanh.
const CUBIC: f64 = 0.044715;

/// Beyond it the slope of tanh is zero in every dtype; squares of larger numbers could overflow.
const FLAT: f64 = 20.0;

attrs! {
    /// `x` times the probability that a normal number is below `x`, element by element: exactly, by
    /// the error function, or approximately, by `(1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    /// Hendrycks and Gimpel, Gaussian Error Linear Units (<https://arxiv.org/abs/1606.08415>).
    pub struct Gelu = "gelu" {
        /// The form with tanh?
        approximate: bool,
    }
}

impl Named for Gelu {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(vec![one_float(Self::NAME, xs)?.clone()])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let p = self.probability(b, xs[0]);
        Values::from_slice(&[b.mul(xs[0], p)])
    }

    /// `dy = (p(x) + x p'(x)) dx`, which is its own transpose.
    fn derivative(
        &self,
        b: &mut Builder,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Option<Result<Vec<Tangent>>> {
        let slope: Half = &|b, x, d| {
            let p = self.probability(b, x[0]);
            let density = self.weighted_density(b, x[0], p);
            let slope = b.add(p, density);
            vec![b.mul(slope, d[0])]
        };
        Some(linear(b, Self::NAME, at, at.xs, dxs, slope, slope))
    }

    fn transposed(
        &self,
        _: &mut Builder,
        _: &Bound,
        _: &[Option<Value>],
    ) -> Option<Vec<Option<Value>>> {
        None
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
    /// `p(x)`
    fn probability(&self, b: &mut Builder, x: Value) -> Value {
        if self.approximate {
            return below(b, x);
        }
        let scaled = b.mul_scalar(x, -FRAC_1_SQRT_2);
        let twice = b.emit(Unary::Erfc, &[scaled]);
        b.mul_scalar(twice, 0.5)
    }

    /// `x p'(x)`, where `p` is known.
    fn weighted_density(&self, b: &mut Builder, x: Value, p: Value) -> Value {
        let (low, high) = (b.full_like(x, -FLAT), b.full_like(x, FLAT));
        let x = b.emit(Clamp {}, &[low, x, high]);
        let square = b.square(x);
        let density = if self.approximate {
            let pp = b.square(p);
            let spread = b.sub(p, pp);
            let stretch = b.mul_scalar(square, 6.0 * CUBIC * scale());
            let stretch = b.add_scalar(stretch, 2.0 * scale());
            b.mul(spread, stretch)
        } else {
            let exponent = b.mul_scalar(square, -0.5);
            let e = b.exp(exponent);
            b.mul_scalar(e, 1.0 / (2.0 * PI).sqrt())
        };
        b.mul(x, density)
    }
}

/// `sqrt(2 / pi)`
fn scale() -> f64 {
    FRAC_2_SQRT_PI * FRAC_1_SQRT_2
}

/// `(1 + tanh(u)) / 2` for `u = sqrt(2 / pi) (x + 0.044715 x^3)`, as the logistic function of `2
/// u`: the same number, without cancellation.
fn below(b: &mut Builder, x: Value) -> Value {
    let square = b.square(x);
    let stretch = b.mul_scalar(square, 2.0 * CUBIC * scale());
    let stretch = b.add_scalar(stretch, 2.0 * scale());
    let twice = b.mul(x, stretch);
    b.logistic(twice)
}
