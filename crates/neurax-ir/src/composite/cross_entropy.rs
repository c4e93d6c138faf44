//! Cross-entropy from logits.

use super::{Composite, Derivative, LogSoftmax, Named, rules::*};
use crate::graph::attr::attrs;
use crate::op::{Bound, Direction, Sample, Tangent, rules::*};
use crate::{Builder, Result, Type, Value, Values};

attrs! {
    /// `-sum(targets * log_softmax(logits))` along the last axis, which is removed; operands
    /// `(logits, targets)` of one type. The targets are probabilities; a class of probability zero
    /// contributes nothing, whatever its logit.
    pub struct CrossEntropy = "cross_entropy" {}
}

impl Named for CrossEntropy {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 2)?;
        let t = one_float(Self::NAME, &xs[..1])?;
        if xs[0] != xs[1] {
            let why = format!(
                "expected targets of the logits' type {}, got {}; \
                 pass probabilities or one-hot rows of that type",
                xs[0], xs[1]
            );
            return refuse(Self::NAME, why);
        }
        match t.rank().checked_sub(1) {
            Some(last) => Ok(vec![t.with_shape(t.shape.removed(last))]),
            None => refuse(Self::NAME, "expected logits with an axis of classes, got a scalar"),
        }
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let (logits, targets) = (xs[0], xs[1]);
        let logs = log_probabilities(b, logits);
        let product = b.mul(targets, logs);
        let zero = b.full_like(targets, 0.0);
        let costs = b.compare(Direction::Ne, targets, zero);
        let product = b.select_or_zero(costs, product);
        let total = b.sum(product, &[last_axis(b, logits)]);
        Values::from_slice(&[b.neg(total)])
    }

    /// Emits `dy = sum(s dx)` over the operands with a tangent, with derivatives `s`; the transpose
    /// is `s ct`.
    fn derivative(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Derivative {
        let axis = last_axis(b, at.xs[0]);
        Some(linear_by_slopes(b, Self::NAME, at, dxs, slopes, Some(axis)))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(CrossEntropy {}.into())
    }

    fn samples() -> Vec<Sample> {
        pair_rows(CrossEntropy {}, &[&[2, 3], &[4], &[2, 0], &[0, 3]], 0.1, 0.9)
    }
}

fn log_probabilities(b: &mut Builder, logits: Value) -> Value {
    let axis = last_axis(b, logits);
    b.emit(LogSoftmax { axis }, &[logits])
}

/// Emits the derivatives with respect to the active operands: `softmax(logits) sum(targets) -
/// targets` for the logits, `-log_softmax(logits)` for the targets.
fn slopes(b: &mut Builder, xs: &[Value], active: [bool; 2]) -> Vec<Value> {
    let (logits, targets) = (xs[0], xs[1]);
    let logs = log_probabilities(b, logits);
    let mut slopes = vec![];
    if active[0] {
        let p = b.exp(logs);
        let total = broadcast_sum(b, targets, last_axis(b, logits));
        let scaled = b.mul(p, total);
        slopes.push(b.sub(scaled, targets));
    }
    if active[1] {
        slopes.push(b.neg(logs));
    }
    slopes
}
