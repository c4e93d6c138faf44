//! The logarithm of the sum of two exponentials.

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Binary, Bound, Direction, Sample, Tangent, rules::*};
use crate::{Builder, Op, Result, Type, Value, Values};

attrs! {
    /// `log(e^x + e^y)` of operands `(x, y)` of one real floating-point type, elementwise, without
    /// overflow. The derivatives are the shares of the exponentials in their sum; equal operands
    /// have 1/2 each, also two infinities.
    pub struct LogAddExp = "logaddexp" {}
}

impl Named for LogAddExp {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        one_float(Self::NAME, &xs[..1])?;
        Op::from(Binary::Add).infer(xs).map_err(|e| e.inside(Self::NAME))
    }

    /// Emits the maximum plus `log1p(e^-|x - y|)`. It is right for values only: the maximum and the
    /// absolute value have kinks that cancel in the first derivative, but not in the second.
    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let difference = difference(b, xs);
        let distance = b.abs(difference);
        let exponent = b.neg(distance);
        let e = b.exp(exponent);
        let (max, rest) = (b.max(xs[0], xs[1]), b.log1p(e));
        Values::from_slice(&[b.add(max, rest)])
    }

    /// Emits `p dx + q dy` with the shares `p` and `q` of the operands that have a tangent; the
    /// transpose is `(p ct, q ct)`.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        Some(linear_by_slopes(b, Self::NAME, at, dxs, shares, None))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(LogAddExp {}.into())
    }

    fn samples() -> Vec<Sample> {
        pair_rows(LogAddExp {}, &[&[2, 3], &[], &[0]], -1.0, 3.0)
    }
}

/// Emits `x - y`, and 0 for two equal infinities, whose difference is NaN. Other equal operands are
/// not selected, so that the difference has its derivative there.
fn difference(b: &mut Builder, xs: &[Value]) -> Value {
    let d = b.sub(xs[0], xs[1]);
    let (equal, nan) = (b.compare(Direction::Eq, xs[0], xs[1]), b.compare(Direction::Ne, d, d));
    let (infinite, zero) = (b.and(equal, nan), b.full_like(d, 0.0));
    b.select(infinite, zero, d)
}

/// Emits the shares of the active operands in the sum of the exponentials: `e^x / (e^x + e^y)` and
/// `e^y / (e^x + e^y)`.
fn shares(b: &mut Builder, xs: &[Value], active: [bool; 2]) -> Vec<Value> {
    let d = difference(b, xs);
    let mut shares = vec![];
    if active[0] {
        shares.push(b.logistic(d));
    }
    if active[1] {
        let d = b.neg(d);
        shares.push(b.logistic(d));
    }
    shares
}
