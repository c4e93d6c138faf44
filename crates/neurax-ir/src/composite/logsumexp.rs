//! The logarithm of a sum of powers.

use super::{Composite, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Direction, ReduceKind, Sample, Tangent, Unary};
use crate::{Builder, Result, Type, Value, Values};

attrs! {
    /// `log(sum(e^x))` along an axis, which is removed. The largest element is subtracted first if
    /// it is finite, so that no power overflows; of minus infinities, or of nothing, it is minus
    /// infinity.
    pub struct LogSumExp = "logsumexp" {
        /// The axis.
        axis: usize,
    }
}

impl Named for LogSumExp {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let t = float_with_axis(Self::NAME, xs, self.axis)?;
        Ok(vec![t.with_shape(t.shape.removed(self.axis))])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let x = xs[0];
        let top = b.reduce(ReduceKind::Max, x, &[self.axis]);
        let finite = b.emit(Unary::IsFinite, &[top]);
        let top = b.select_or_zero(finite, top);
        let shift = along(b, top, self.axis, x);
        let shifted = b.sub(x, shift);
        let e = b.exp(shifted);
        let total = b.sum(e, &[self.axis]);
        let log = b.log(total);
        Values::from_slice(&[b.add(log, top)])
    }

    /// `dy = sum(p dx)` with `p = e^(x - y)`; transposed, `p ct`.
    fn derivative(
        &self,
        b: &mut Builder,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Option<Result<Vec<Tangent>>> {
        let forward: Half = &|b, xy, dx| {
            let p = self.share(b, xy[0], xy[1]);
            let weighted = b.mul(p, dx[0]);
            vec![b.sum(weighted, &[self.axis])]
        };
        let backward: Half = &|b, xy, ct| {
            let p = self.share(b, xy[0], xy[1]);
            let ct = along(b, ct[0], self.axis, p);
            vec![b.mul(p, ct)]
        };
        Some(linear(b, Self::NAME, at, &[at.xs[0], at.ys[0]], dxs, forward, backward))
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
        Some(LogSumExp { axis: self.axis + 1 }.into())
    }

    fn samples() -> Vec<Sample> {
        axis_rows(|axis| LogSumExp { axis })
    }
}

impl LogSumExp {
    /// `e^(x - y)`: each element's share of the sum; nobody has one in a sum of zero.
    fn share(&self, b: &mut Builder, x: Value, y: Value) -> Value {
        let least = b.full_like(y, f64::NEG_INFINITY);
        let some = b.compare(Direction::Ne, y, least);
        let y = b.select_or_zero(some, y);
        let y = along(b, y, self.axis, x);
        let d = b.sub(x, y);
        b.exp(d)
    }
}
