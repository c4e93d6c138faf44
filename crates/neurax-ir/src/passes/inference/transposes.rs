//! Transposes that cancel.
//!
//! Models in the layout `[batch, height, width, channels]` are exported with a transpose in front
//! of and behind each convolution. What stands between two such transposes is computed in the other
//! order of the axes, and both are gone:
//!
//! ```text
//! %1: f32[2, 3, 4] = transpose[permutation=[0, 2, 1]](%0)
//! %2: f32[2, 3, 4] = logistic(%1)                              ->  %1: f32[2, 4, 3] = logistic(%0)
//! %3: f32[2, 4, 3] = transpose[permutation=[0, 2, 1]](%2)
//! ```
//!
//! A transpose moves toward the operands only if it ends everywhere: at another transpose, with
//! which it is merged, or at a broadcast, whose axes are renamed. Nothing is computed twice, and no
//! transpose is added.

use super::search::{PatternSearch, Replacement, replacement};
use crate::op::{Broadcast, Concatenate, Pad, Reduce, Reverse, Slice, Transpose};
use crate::{Builder, Eqn, Op, Shape, Value};

/// The most equations that a transpose moves across.
const MAX_CROSSED: usize = 32;

/// A value in another order of its axes.
enum Reordered {
    /// A value that is known in this order.
    Known(Value),
    /// The transpose of a value that was transposed in another order before.
    Transposed(Value, Vec<usize>),
    /// A value without axes of size 1, broadcast.
    Repeated(Value, Broadcast),
    /// An op on reordered values.
    Computed(Op, Vec<Reordered>),
}

/// Moves a transpose across what is computed elementwise, concatenated, padded, sliced and
/// reversed, where it is merged with another transpose.
pub(super) fn transpose_across(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Transpose(Transpose { permutation }) = &e.op else { return None };
    let mut crossed = 0;
    let (op, operands) = s.computed_in_order(e.inputs[0], permutation, &mut crossed)?;
    if !operands.iter().any(Reordered::has_transpose) {
        return None;
    }
    let found = Reordered::Computed(op, operands);
    let mut inputs = vec![];
    found.collect_inputs(&mut inputs);
    replacement(&inputs, move |b, xs| found.emit(b, &mut xs.iter().copied()))
}

/// Moves a transpose behind a reduction, to which the order of the reduced axes does not matter.
pub(super) fn transpose_behind_reduction(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Reduce(Reduce { kind, axes }) = &e.op else { return None };
    let inner = s.producer(e.inputs[0])?;
    let Op::Transpose(Transpose { permutation }) = &inner.op else { return None };
    let reduced: Vec<usize> = axes.iter().map(|&a| permutation[a]).collect();
    // The axes of the operand that are kept, in the order of the result and in their own order.
    let kept: Vec<usize> =
        (0..permutation.len()).filter(|a| !axes.contains(a)).map(|a| permutation[a]).collect();
    let mut own = kept.clone();
    own.sort_unstable();
    let order = kept.iter().map(|a| own.iter().position(|b| a == b));
    let order: Vec<usize> = order.collect::<Option<_>>()?;
    let kind = *kind;
    replacement(&inner.inputs, move |b, xs| {
        let y = b.reduce(kind, xs[0], &reduced);
        if order.is_sorted() { y } else { b.transpose(y, &order) }
    })
}

/// Reads the operand of a transpose in a product with batch axes by other axes. Without batch axes
/// the operand may be a weight, which is transposed once, before all calls.
pub(super) fn transpose_into_product(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::DotGeneral(op) = &e.op else { return None };
    let inner = |i: usize| match s.producer(e.inputs[i]) {
        Some(Eqn { op: Op::Transpose(Transpose { permutation }), inputs, .. }) => {
            Some((permutation, inputs[0]))
        }
        _ => None,
    };
    let left = inner(0).filter(|(p, _)| is_ordered(&op.lhs_free(p.len()), p));
    let right = inner(1).filter(|(p, _)| is_ordered(&op.rhs_free(p.len()), p));
    if op.lhs_batch.is_empty() || left.is_none() && right.is_none() {
        return None;
    }
    let mut op = op.clone();
    let mut inputs = e.inputs.clone();
    if let Some((permutation, x)) = left {
        op.lhs_batch.iter_mut().chain(&mut op.lhs_contract).for_each(|a| *a = permutation[*a]);
        inputs[0] = x;
    }
    if let Some((permutation, x)) = right {
        op.rhs_batch.iter_mut().chain(&mut op.rhs_contract).for_each(|a| *a = permutation[*a]);
        inputs[1] = x;
    }
    replacement(&inputs, move |b, xs| b.emit(op.clone(), xs))
}

/// Returns true if a transpose by `permutation` keeps the order of `axes`.
fn is_ordered(axes: &[usize], permutation: &[usize]) -> bool {
    axes.iter().map(|&a| permutation[a]).is_sorted()
}

impl PatternSearch<'_> {
    /// Returns the op and the operands that compute `v` with its axes in the order of
    /// `permutation`, if no transpose is left over.
    fn computed_in_order(
        &mut self,
        v: Value,
        permutation: &[usize],
        crossed: &mut usize,
    ) -> Option<(Op, Vec<Reordered>)> {
        *crossed += 1;
        if *crossed > MAX_CROSSED || !self.has_one_reader(v) {
            return None;
        }
        let e = self.enter(v)?;
        let op = with_order(&e.op, permutation)?;
        let count = if let Op::Pad(_) = op { 1 } else { e.inputs.len() };
        let mut operands = vec![];
        for (i, x) in e.inputs.iter().enumerate() {
            operands.push(match i < count {
                true => self.in_order(*x, permutation, crossed)?,
                false => Reordered::Known(*x),
            });
        }
        Some((op, operands))
    }

    fn in_order(
        &mut self,
        v: Value,
        permutation: &[usize],
        crossed: &mut usize,
    ) -> Option<Reordered> {
        let e = self.producer(v)?;
        match &e.op {
            Op::Transpose(inner) => {
                let merged: Vec<usize> =
                    permutation.iter().map(|&p| inner.permutation[p]).collect();
                Some(match merged.is_sorted() {
                    true => Reordered::Known(e.inputs[0]),
                    false => Reordered::Transposed(e.inputs[0], merged),
                })
            }
            Op::Broadcast(op) => self.repeated_in_order(e.inputs[0], op, permutation),
            _ => {
                let (op, operands) = self.computed_in_order(v, permutation, crossed)?;
                Some(Reordered::Computed(op, operands))
            }
        }
    }

    /// Returns a broadcast with other axes, unless it would have to transpose its operand.
    fn repeated_in_order(
        &self,
        x: Value,
        op: &Broadcast,
        permutation: &[usize],
    ) -> Option<Reordered> {
        let shape: Shape = permutation.iter().map(|&p| op.shape[p]).collect::<Vec<_>>().into();
        let long = (0..op.dims.len()).filter(|&i| self.ty(x).shape[i] != 1);
        let place = |i: usize| permutation.iter().position(|&p| p == op.dims[i]);
        let dims: Vec<usize> = long.map(place).collect::<Option<_>>()?;
        dims.is_sorted().then_some(Reordered::Repeated(x, Broadcast { shape, dims }))
    }
}

/// Returns the op for operands with their axes in the order of `permutation`, if its result has
/// that order then.
fn with_order(op: &Op, permutation: &[usize]) -> Option<Op> {
    fn ordered<T: Copy>(xs: &[T], permutation: &[usize]) -> Vec<T> {
        permutation.iter().map(|&p| xs[p]).collect()
    }
    let place = |axis: usize| permutation.iter().position(|&p| p == axis);
    match op {
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Compare(_)
        | Op::Select(_)
        | Op::Clamp(_)
        | Op::Convert(_) => Some(op.clone()),
        Op::Concatenate(c) => Some(Concatenate { axis: place(c.axis)? }.into()),
        Op::Reverse(r) => {
            let axes = r.axes.iter().map(|&a| place(a)).collect::<Option<_>>()?;
            Some(Reverse { axes }.into())
        }
        Op::Pad(p) => {
            let [low, high] = [&p.low, &p.high].map(|x| ordered(x, permutation));
            Some(Pad { low, high, interior: ordered(&p.interior, permutation) }.into())
        }
        Op::Slice(x) => {
            let [start, limit, stride] =
                [&x.start, &x.limit, &x.stride].map(|x| ordered(x, permutation));
            Some(Slice { start, limit, stride }.into())
        }
        _ => None,
    }
}

impl Reordered {
    /// Returns true if a transpose is merged.
    fn has_transpose(&self) -> bool {
        match self {
            Reordered::Known(_) | Reordered::Transposed(..) => true,
            Reordered::Repeated(..) => false,
            Reordered::Computed(_, xs) => xs.iter().any(Reordered::has_transpose),
        }
    }

    /// Adds the values that are read, in order.
    fn collect_inputs(&self, inputs: &mut Vec<Value>) {
        match self {
            Reordered::Known(x) | Reordered::Transposed(x, _) | Reordered::Repeated(x, _) => {
                inputs.push(*x);
            }
            Reordered::Computed(_, xs) => xs.iter().for_each(|x| x.collect_inputs(inputs)),
        }
    }

    /// Emits the value from those of [`Reordered::collect_inputs`].
    fn emit(&self, b: &mut Builder, inputs: &mut dyn Iterator<Item = Value>) -> Value {
        if let Reordered::Computed(op, xs) = self {
            let xs: Vec<Value> = xs.iter().map(|x| x.emit(b, inputs)).collect();
            return b.emit(op.clone(), &xs);
        }
        let Some(x) = inputs.next() else {
            b.fail(crate::Error::bug("a reordered value has too few inputs"));
            return Value(0);
        };
        match self {
            Reordered::Transposed(_, permutation) => b.transpose(x, permutation),
            Reordered::Repeated(_, op) => {
                let long = b.ty(x).shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
                let x = if b.ty(x).rank() == long.len() { x } else { b.reshape(x, long) };
                b.emit(op.clone(), &[x])
            }
            Reordered::Known(_) | Reordered::Computed(..) => x,
        }
    }
}
