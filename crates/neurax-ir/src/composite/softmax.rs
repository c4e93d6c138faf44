//! Softmax.

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent};
use crate::{Builder, Result, Type, Value, Values};

attrs! {
    /// `e^x / sum(e^x)` along an axis: positive elements with sum 1. The maximum is subtracted
    /// first, so that no exponential overflows.
    pub struct Softmax = "softmax" {
        /// The axis.
        axis: usize,
    }
}

impl Named for Softmax {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(vec![float_with_axis(Self::NAME, xs, self.axis)?.clone()])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let (_, e) = shifted_exp(b, xs[0], self.axis);
        let total = broadcast_sum(b, e, self.axis);
        Values::from_slice(&[b.div(e, total)])
    }

    /// Emits `dy = y (dx - sum(y dx))`, which is its own transpose.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let slope: LinearMap = &|b, y, d| {
            let weighted = b.mul(y[0], d[0]);
            let mean = broadcast_sum(b, weighted, self.axis);
            let centred = b.sub(d[0], mean);
            vec![b.mul(y[0], centred)]
        };
        Some(linear(b, Self::NAME, at, at.ys, dxs, slope, slope))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(Softmax { axis: self.axis + 1 }.into())
    }

    fn samples() -> Vec<Sample> {
        axis_rows(|axis| Softmax { axis })
    }
}
