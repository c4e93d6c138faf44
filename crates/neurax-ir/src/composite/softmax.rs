//! Softmax.

use super::{Composite, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent};
use crate::{Builder, Result, Type, Value, Values};

attrs! {
    /// `e^x / sum(e^x)` along an axis: positive numbers that add up to 1. The largest element is
    /// subtracted first, so that no power overflows.
    pub struct Softmax = "softmax" {
        /// The axis.
        axis: usize,
    }
}

impl Named for Softmax {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(vec![float_with_axis(Self::NAME, xs, self.axis)?.clone()])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let (_, e) = powers(b, xs[0], self.axis);
        let total = sums(b, e, self.axis);
        Values::from_slice(&[b.div(e, total)])
    }

    /// `dy = y (dx - sum(y dx))`, which is its own transpose.
    fn derivative(
        &self,
        b: &mut Builder,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Option<Result<Vec<Tangent>>> {
        let slope: Half = &|b, y, d| {
            let weighted = b.mul(y[0], d[0]);
            let mean = sums(b, weighted, self.axis);
            let centred = b.sub(d[0], mean);
            vec![b.mul(y[0], centred)]
        };
        Some(linear(b, Self::NAME, at, at.ys, dxs, slope, slope))
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
        Some(Softmax { axis: self.axis + 1 }.into())
    }

    fn samples() -> Vec<Sample> {
        axis_rows(|axis| Softmax { axis })
    }
}
