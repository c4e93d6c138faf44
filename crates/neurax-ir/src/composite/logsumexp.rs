//! The logarithm of a sum of exponentials.

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Direction, ReduceKind, Sample, Tangent, Unary};
use crate::{Builder, Result, Type, Value, Values};

attrs! {
    /// `log(sum(e^x))` along an axis, which is removed. The maximum is subtracted first if it is
    /// finite, so that no exponential overflows. Of negative infinities, or of no elements, the
    /// result is negative infinity.
    pub struct LogSumExp = "logsumexp" {
        /// The axis.
        axis: usize,
    }
}

impl Named for LogSumExp {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let t = float_with_axis(Self::NAME, xs, self.axis)?;
        Ok(vec![t.with_shape(t.shape.removed(self.axis))])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let x = xs[0];
        let max = b.reduce(ReduceKind::Max, x, &[self.axis]);
        let finite = b.emit(Unary::IsFinite, &[max]);
        let max = b.select_or_zero(finite, max);
        let shift = broadcast_along(b, max, self.axis, x);
        let shifted = b.sub(x, shift);
        let e = b.exp(shifted);
        let total = b.sum(e, &[self.axis]);
        let log = b.log(total);
        Values::from_slice(&[b.add(log, max)])
    }

    /// Emits `dy = sum(p dx)` with `p = e^(x - y)`; the transpose is `p ct`. A result of fewer than
    /// 32 bits is computed again: its rounding error would be a factor of `p`.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let forward: LinearMap = &|b, xy, dx| {
            let p = self.share(b, xy);
            let weighted = b.mul(p, dx[0]);
            vec![b.sum(weighted, &[self.axis])]
        };
        let backward: LinearMap = &|b, xy, ct| {
            let p = self.share(b, xy);
            let ct = broadcast_along(b, ct[0], self.axis, p);
            vec![b.mul(p, ct)]
        };
        let both = [at.xs[0], at.ys[0]];
        let kept = if is_narrow(b, at.xs[0]) { &both[..1] } else { &both[..] };
        Some(linear(b, Self::NAME, at, kept, dxs, forward, backward))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(LogSumExp { axis: self.axis + 1 }.into())
    }

    fn samples() -> Vec<Sample> {
        axis_rows(|axis| LogSumExp { axis })
    }
}

impl LogSumExp {
    /// Emits `e^(x - y)`, the contribution of each element to the sum; zero if the sum is zero.
    /// `xy` is the operand, and the result unless it is to be computed here.
    fn share(&self, b: &mut Builder, xy: &[Value]) -> Value {
        let x = xy[0];
        let y = xy.get(1).copied().unwrap_or_else(|| b.emit(self.clone(), &[x]));
        let zero_sum = b.full_like(y, f64::NEG_INFINITY);
        let nonzero = b.compare(Direction::Ne, y, zero_sum);
        let y = b.select_or_zero(nonzero, y);
        let y = broadcast_along(b, y, self.axis, x);
        let d = b.sub(x, y);
        b.exp(d)
    }
}
