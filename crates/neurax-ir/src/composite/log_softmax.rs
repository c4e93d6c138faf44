//! The logarithm of softmax.

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent};
use crate::{Builder, Result, Type, Value, Values};

attrs! {
    /// `x - log(sum(e^x))` along an axis. The maximum is subtracted first, so that no exponential
    /// overflows and the argument of the logarithm is at least 1.
    pub struct LogSoftmax = "log_softmax" {
        /// The axis.
        axis: usize,
    }
}

impl Named for LogSoftmax {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        Ok(vec![float_with_axis(Self::NAME, xs, self.axis)?.clone()])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let (shifted, e) = shifted_exp(b, xs[0], self.axis);
        let total = b.sum(e, &[self.axis]);
        let log = b.log(total);
        let log = broadcast_along(b, log, self.axis, shifted);
        Values::from_slice(&[b.sub(shifted, log)])
    }

    /// Emits `dy = dx - sum(p dx)` with `p = e^y`; the transpose is `ct - p sum(ct)`. A result of
    /// fewer than 32 bits is computed again: its rounding error would be a factor of `p`.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let narrow = is_narrow(b, at.xs[0]);
        let probabilities = |b: &mut Builder, kept: Value| {
            let y = if narrow { b.emit(self.clone(), &[kept]) } else { kept };
            b.exp(y)
        };
        let forward: LinearMap = &|b, kept, dx| {
            let p = probabilities(b, kept[0]);
            let weighted = b.mul(p, dx[0]);
            let mean = broadcast_sum(b, weighted, self.axis);
            vec![b.sub(dx[0], mean)]
        };
        let backward: LinearMap = &|b, kept, ct| {
            let p = probabilities(b, kept[0]);
            let total = broadcast_sum(b, ct[0], self.axis);
            let shared = b.mul(p, total);
            vec![b.sub(ct[0], shared)]
        };
        let kept = if narrow { at.xs } else { at.ys };
        Some(linear(b, Self::NAME, at, kept, dxs, forward, backward))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(LogSoftmax { axis: self.axis + 1 }.into())
    }

    fn samples() -> Vec<Sample> {
        axis_rows(|axis| LogSoftmax { axis })
    }
}
