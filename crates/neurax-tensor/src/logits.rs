//! The logits behind probabilities: the operand of the softmax or the logistic function that a
//! traced tensor was computed by.
//!
//! A loss of probabilities cannot compute its gradient from them alone: in f32, `sigmoid(20)` is 1,
//! and its derivative 0. The loss asks for the logits instead, as Keras does, and computes from
//! these.

use crate::{
    DType, Tensor,
    dispatch::dispatch,
    tensor::{CallSite, Repr},
};
use neurax_ir::{Op, composite::Composite, op::Unary};
use std::panic::Location;

/// Returns `z` of the same shape if the traced tensor `y` is `softmax(z)` over its last axis, or
/// `exp(z)` of a `log_softmax`.
#[doc(hidden)]
#[track_caller]
pub fn softmax_logits(y: &Tensor) -> Option<Tensor> {
    let is_last = |x: &Tensor, axis: usize| axis + 1 == x.rank();
    let logits = |op: &Op, x: &Tensor| match op {
        Op::Composite(Composite::Softmax(s)) if is_last(x, s.axis) => Some(x.clone()),
        Op::Unary(Unary::Exp) => match x.producer()? {
            (Op::Composite(Composite::LogSoftmax(s)), from) if is_last(&from, s.axis) => {
                Some(x.clone())
            }
            _ => None,
        },
        _ => None,
    };
    let keeps_rows = |op: &Op, x: &Tensor, y: &Tensor| match op {
        Op::Convert(_) => true,
        Op::Reshape(_) => x.rank() > 0 && y.rank() > 0 && x.dim(-1) == y.dim(-1),
        _ => false,
    };
    before(y, &logits, &keeps_rows, Location::caller())
}

/// Returns `z` of the same shape if the traced tensor `y` is `sigmoid(z)`.
#[doc(hidden)]
#[track_caller]
pub fn sigmoid_logits(y: &Tensor) -> Option<Tensor> {
    let logits = |op: &Op, x: &Tensor| match op {
        Op::Unary(Unary::Logistic) => Some(x.clone()),
        _ => None,
    };
    let moves = |op: &Op, _: &Tensor, _: &Tensor| {
        matches!(
            op,
            Op::Convert(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) | Op::Broadcast(_)
        )
    };
    before(y, &logits, &moves, Location::caller())
}

/// Returns the operand that `logits` finds for the op that computes `y`. Ops that `moves` admits,
/// which move or convert probabilities, are applied to the logits instead.
fn before(
    y: &Tensor,
    logits: &dyn Fn(&Op, &Tensor) -> Option<Tensor>,
    moves: &dyn Fn(&Op, &Tensor, &Tensor) -> bool,
    at: CallSite,
) -> Option<Tensor> {
    let mut path = vec![];
    let mut y = y.clone();
    let found = loop {
        let (op, x) = y.producer()?;
        if let Some(z) = logits(&op, &x) {
            break z;
        }
        if !x.dtype().is_float() || !y.dtype().is_float() || !moves(&op, &x, &y) {
            return None;
        }
        path.push(op);
        y = x;
    };
    let apply = |z: Tensor, op: Op| match op {
        // Narrow probabilities were rounded; their logits need not be.
        Op::Convert(c) => z.convert(c.dtype.promote(z.dtype()).unwrap_or(DType::F32), at),
        op => dispatch(op, [z], at),
    };
    Some(path.into_iter().rev().fold(found, apply))
}

impl Tensor {
    /// Returns the op that computes a traced tensor and its only operand; `None` for other tensors
    /// and ops of several operands.
    fn producer(&self) -> Option<(Op, Tensor)> {
        match &self.0 {
            Repr::Traced(t) => t.trace.producer(t),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checkpoint, dtype_consts::*, eval_shape, tensor, vmap};

    /// Returns true if `logits` finds those of `f` of a matrix, with the shape of the result.
    fn finds(logits: fn(&Tensor) -> Option<Tensor>, f: impl Fn(&Tensor) -> Tensor) -> bool {
        let found = std::cell::Cell::new(false);
        let x = Tensor::zeros([2, 3]);
        let _ = eval_shape(
            |x: Tensor| {
                let y = f(&x);
                found.set(logits(&y).is_some_and(|z| z.shape() == y.shape()));
                y
            },
            &x,
        );
        found.get()
    }

    #[test]
    fn are_found_behind_moves_and_conversions() {
        assert!(finds(softmax_logits, |x| x.softmax(-1)));
        assert!(finds(softmax_logits, |x| x.to(F16).softmax(-1).to(F32)));
        assert!(finds(softmax_logits, |x| x.softmax(-1).reshape([2, 1, 3])));
        assert!(finds(softmax_logits, |x| x.log_softmax(-1).exp()));
        assert!(finds(softmax_logits, |x| vmap(|x: Tensor| x.softmax(0))(x.clone())));
        assert!(finds(sigmoid_logits, |x| x.sigmoid().transpose().reshape(6).to(BF16)));
        assert!(finds(sigmoid_logits, |x| x.sigmoid().slice(1, 0..1).squeeze(1)));
    }

    #[test]
    fn are_found_inside_of_checkpoints() {
        let logits = |x: Tensor| (&x * &x) + 1.0;
        assert!(finds(sigmoid_logits, |x| checkpoint(|x| logits(x).sigmoid())(x.clone())));
        assert!(finds(softmax_logits, |x| checkpoint(|x: Tensor| x.softmax(-1))(x.clone())));
        assert!(finds(softmax_logits, |x| {
            checkpoint(|x| logits(x).log_softmax(-1).exp().to(F64))(x.clone())
        }));
        assert!(!finds(sigmoid_logits, |x| checkpoint(|x| logits(x).tanh())(x.clone())));
    }

    #[test]
    fn are_not_taken_from_other_functions() {
        assert!(!finds(softmax_logits, |x| x.softmax(0)));
        assert!(!finds(softmax_logits, |x| x.softmax(-1).transpose()));
        assert!(!finds(softmax_logits, |x| x.softmax(-1).reshape([3, 2])));
        assert!(!finds(softmax_logits, |x| x.softmax([0, 1])));
        assert!(!finds(softmax_logits, |x| x.exp()));
        assert!(!finds(sigmoid_logits, |x| x.sigmoid() * 0.5));
        assert!(!finds(sigmoid_logits, |x| x.sigmoid().to(I32)));
        assert!(sigmoid_logits(&tensor([0.5]).sigmoid()).is_none(), "no trace, no operands");
    }
}
