//! Rules for ops that move elements.

use super::{Rewrite, Rewriter, eqn, operand, value};
use crate::op::{Broadcast, Reshape, Reverse, Transpose};
use crate::{Eqn, Op, Value};

/// Replaces moves of a scalar broadcast by a broadcast of the scalar to the final shape: its
/// elements are equal, so their positions do not matter.
pub(super) fn move_of_splat(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let moves = matches!(
        e.op,
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) | Op::Reverse(_)
    );
    let inner = w.producer(*e.inputs.first()?)?;
    let scalar = *inner.inputs.first()?;
    if !moves || !matches!(inner.op, Op::Broadcast(_)) || w.ty(scalar).rank() > 0 {
        return None;
    }
    let shape = e.op.infer(&w.types_of(&e.inputs)).ok()?.pop()?.shape;
    Some(if shape.rank() == 0 {
        value(scalar)
    } else {
        eqn(Broadcast { shape, dims: vec![] }, &[scalar])
    })
}

/// Removes moves that equal their operand: a reshape or broadcast to the operand's shape, a
/// transpose in the given order, a slice of everything, a pad of nothing, a concatenation of one
/// operand, a reverse or reduction over no axes.
pub(super) fn identity_move(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let shape = &w.ty(*e.inputs.first()?).shape;
    let same = match &e.op {
        Op::Reshape(x) => x.shape == *shape,
        Op::Broadcast(x) => x.shape == *shape,
        Op::Transpose(x) => x.permutation.iter().enumerate().all(|(i, &p)| i == p),
        Op::Slice(x) => {
            x.start.iter().all(|&s| s == 0)
                && x.limit[..] == shape[..]
                && x.stride.iter().all(|&s| s == 1)
        }
        Op::Pad(x) => {
            x.low.iter().chain(&x.high).all(|&n| n == 0) && x.interior.iter().all(|&n| n == 0)
        }
        Op::Concatenate(_) => e.inputs.len() == 1,
        Op::Reverse(x) => x.axes.is_empty(),
        Op::Reduce(x) => x.axes.is_empty(),
        _ => false,
    };
    if same { operand(e, 0) } else { None }
}

/// Returns the op that produces the first operand of `e`, and that op's first operand.
fn producer_of_operand<'w>(w: &'w Rewriter, e: &Eqn) -> Option<(&'w Op, Value)> {
    let inner = w.producer(*e.inputs.first()?)?;
    Some((&inner.op, *inner.inputs.first()?))
}

/// Merges two reshapes: a reshape preserves the order of the elements, so only the last shape
/// counts.
pub(super) fn reshape_of_reshape(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (producer_of_operand(w, e)?, &e.op) {
        ((Op::Reshape(_), x), Op::Reshape(Reshape { shape })) => {
            Some(eqn(Reshape { shape: shape.clone() }, &[x]))
        }
        _ => None,
    }
}

/// Merges two transposes: axis `i` of the result is axis `outer[i]` of the intermediate value,
/// which is axis `inner[outer[i]]` of the operand.
pub(super) fn transpose_of_transpose(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (producer_of_operand(w, e)?, &e.op) {
        ((Op::Transpose(inner), x), Op::Transpose(outer)) => {
            let permutation = outer.permutation.iter().map(|&p| inner.permutation[p]).collect();
            Some(eqn(Transpose { permutation }, &[x]))
        }
        _ => None,
    }
}

/// Merges two broadcasts: axis `i` of the operand is axis `inner[i]` of the intermediate value,
/// which is axis `outer[inner[i]]` of the result.
pub(super) fn broadcast_of_broadcast(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (producer_of_operand(w, e)?, &e.op) {
        ((Op::Broadcast(inner), x), Op::Broadcast(outer)) => {
            let dims = inner.dims.iter().map(|&d| outer.dims[d]).collect();
            Some(eqn(Broadcast { shape: outer.shape.clone(), dims }, &[x]))
        }
        _ => None,
    }
}

/// Merges two reverses: an axis that is reversed twice is unchanged.
pub(super) fn reverse_of_reverse(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (producer_of_operand(w, e)?, &e.op) {
        ((Op::Reverse(inner), x), Op::Reverse(outer)) => {
            let (a, b) = (&inner.axes, &outer.axes);
            let only = |a: &[usize], b: &[usize]| {
                a.iter().copied().filter(|i| !b.contains(i)).collect::<Vec<_>>()
            };
            Some(eqn(Reverse { axes: [only(a, b), only(b, a)].concat() }, &[x]))
        }
        _ => None,
    }
}

/// Drops reversed axes of size 0 or 1, which equal their reverse.
pub(super) fn reverse_of_unit_axes(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Reverse(r) = &e.op else { return None };
    let shape = &w.ty(e.inputs[0]).shape;
    let axes: Vec<usize> = r.axes.iter().copied().filter(|&a| shape[a] > 1).collect();
    (axes.len() < r.axes.len()).then(|| eqn(Reverse { axes }, &e.inputs))
}

/// Drops empty operands of a concatenation, which contribute nothing.
pub(super) fn empty_concat_operands(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Concatenate(c) = &e.op else { return None };
    let nonempty: Vec<Value> =
        e.inputs.iter().copied().filter(|&x| w.ty(x).shape[c.axis] > 0).collect();
    match nonempty.len() {
        0 => operand(e, 0),
        n if n < e.inputs.len() => Some(eqn(c.clone(), &nonempty)),
        _ => None,
    }
}
