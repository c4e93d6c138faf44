//! Cross-entropy from logits and class indices.

use super::{Composite, Derivative, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Direction, ReduceKind, Sample, Tangent, rules::*};
use crate::{Builder, DType, Result, Type, Value, Values};

attrs! {
    /// `-log_softmax(logits)` at the class indices: operands `logits`, whose last axis is that of
    /// the classes, and integer `labels` of the shape without it, which is that of the result. The
    /// logits of the classes are gathered; there is no array of ones and zeros. The result for an
    /// index out of range is NaN, and its gradient 0.
    pub struct SparseCrossEntropy = "sparse_cross_entropy" {}
}

impl Named for SparseCrossEntropy {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        let (logits, labels) = (one_float(Self::NAME, &xs[..1])?, &xs[1]);
        let Some(last) = logits.rank().checked_sub(1) else {
            return refuse(Self::NAME, "expected logits with an axis of classes, got a scalar");
        };
        let result = logits.with_shape(logits.shape.removed(last));
        if !labels.dtype.is_int() || labels.shape != result.shape {
            let want = result.with_dtype(DType::I32);
            let why = format!("expected integer labels such as {want} for {logits}, got {labels}");
            return refuse(Self::NAME, why);
        }
        Ok(vec![result])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let (x, axis) = (xs[0], last_axis(b, xs[0]));
        let labels = ClassIndices::of(b, xs);
        // A maximum of negative infinity makes the result NaN, as in log_softmax.
        let max = b.reduce(ReduceKind::Max, x, &[axis]);
        let (_, e) = shifted_exp(b, x, axis);
        let total = b.sum(e, &[axis]);
        let log = b.log(total);
        let at_label = labels.gather(b, x);
        let shifted = b.sub(at_label, max);
        let cost = b.sub(log, shifted);
        let nan = b.full_like(cost, f64::NAN);
        Values::from_slice(&[b.select(labels.inside, cost, nan)])
    }

    /// Emits `dy = sum(s dx)` with `s = softmax(logits) - 1` at the label, and the softmax at other
    /// classes; the transpose is `s ct`.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let forward: LinearMap = &|b, xs, dx| {
            let (labels, s) = slope(b, xs);
            let product = b.mul(s, dx[0]);
            let total = b.sum(product, &[last_axis(b, product)]);
            vec![b.select_or_zero(labels.inside, total)]
        };
        let backward: LinearMap = &|b, xs, ct| {
            let (labels, s) = slope(b, xs);
            let ct = b.select_or_zero(labels.inside, ct[0]);
            let ct = broadcast_along(b, ct, last_axis(b, s), s);
            vec![b.mul(s, ct)]
        };
        Some(linear(b, Self::NAME, at, at.xs, dxs, forward, backward))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(SparseCrossEntropy {}.into())
    }

    fn samples() -> Vec<Sample> {
        const SHAPES: &[&[usize]] = &[&[2, 3], &[4], &[2, 2, 3], &[2, 0], &[0, 3]];
        let row = |d: DType, labels: DType, shape: &[usize], high: f64| {
            let rows = &shape[..shape.len() - 1];
            let inputs = vec![
                sample(Type::new(d, shape), -2.0, 2.0),
                sample(Type::new(labels, rows), 0.0, high),
            ];
            let smooth = d == DType::F64 && high <= 3.0 && !shape.ends_with(&[0]);
            Sample { op: SparseCrossEntropy {}.into(), inputs, smooth }
        };
        let mut samples = vec![];
        for d in DType::ALL.into_iter().filter(|d| d.is_float()) {
            samples.extend(SHAPES.iter().map(|shape| row(d, DType::I32, shape, 3.0)));
        }
        for labels in DType::ALL.into_iter().filter(|d| d.is_int()) {
            samples.push(row(DType::F32, labels, &[3, 2], 4.0));
        }
        samples
    }
}

/// Class indices.
struct ClassIndices {
    /// True where an index is in range.
    inside: Value,
    /// The indices, 0 where they are out of range.
    safe: Value,
}

impl ClassIndices {
    /// Emits the labels of the operands `(logits, labels)`.
    fn of(b: &mut Builder, xs: &[Value]) -> ClassIndices {
        let classes = b.ty(xs[0]).shape[last_axis(b, xs[0])];
        let labels = signed_indices(b, xs[1], classes);
        let (zero, end) = (b.full_like(labels, 0.0), b.full_like(labels, classes as f64));
        let from_zero = b.compare(Direction::Ge, labels, zero);
        let below_end = b.compare(Direction::Lt, labels, end);
        let inside = b.and(from_zero, below_end);
        let safe = b.select_or_zero(inside, labels);
        let index = if i32::try_from(classes).is_ok() { DType::I32 } else { DType::I64 };
        ClassIndices { inside, safe: b.convert(safe, index) }
    }

    /// Emits the elements of `x` at the labels.
    fn gather(&self, b: &mut Builder, x: Value) -> Value {
        let (axis, shape) = (last_axis(b, x), b.ty(self.safe).shape.clone());
        if b.ty(x).shape[axis] == 0 {
            let ty = Type::new(b.dtype(x), shape);
            return b.full(ty, f64::NAN);
        }
        let indices = b.reshape(self.safe, shape.inserted(axis, 1));
        let found = b.take_along_axis(x, indices, axis);
        b.reshape(found, shape)
    }
}

/// Emits the labels and the derivative `s` by the logits.
fn slope(b: &mut Builder, xs: &[Value]) -> (ClassIndices, Value) {
    let (labels, axis) = (ClassIndices::of(b, xs), last_axis(b, xs[0]));
    let (_, e) = shifted_exp(b, xs[0], axis);
    let total = broadcast_sum(b, e, axis);
    let p = b.div(e, total);
    let ty = b.ty(p).with_dtype(b.dtype(labels.safe));
    let class = b.iota(ty, axis);
    let label = broadcast_along(b, labels.safe, axis, class);
    let hit = b.compare(Direction::Eq, class, label);
    let below = b.add_scalar(p, -1.0);
    (labels, b.select(hit, below, p))
}
