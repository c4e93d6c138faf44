//! Rules for ops that move elements.

use super::{Rewrite, Rewriter, eqn, operand, value};
use crate::op::{Broadcast, Reshape, Reverse, Transpose};
use crate::{Eqn, Op, Value};

/// A scalar that was broadcast is the same wherever it is moved: broadcast it to the last shape.
pub(super) fn equal_elements(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let moves = matches!(
        e.op,
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) | Op::Reverse(_)
    );
    let inner = w.maker(*e.inputs.first()?)?;
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

/// Reshaping to the same shape, transposing in the order that is, broadcasting to the same shape,
/// the slice that is everything, padding by nothing, joining one, reversing or reducing no axes:
/// each is its operand.
pub(super) fn nothing(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
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

/// The operand of the equation that made the operand of `e`.
fn before<'w>(w: &'w Rewriter, e: &Eqn) -> Option<(&'w Op, Value)> {
    let inner = w.maker(*e.inputs.first()?)?;
    Some((&inner.op, *inner.inputs.first()?))
}

/// Reshaping keeps the order of the elements: only the last shape counts.
pub(super) fn reshaped_twice(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (before(w, e)?, &e.op) {
        ((Op::Reshape(_), x), Op::Reshape(Reshape { shape })) => {
            Some(eqn(Reshape { shape: shape.clone() }, &[x]))
        }
        _ => None,
    }
}

/// Axis `i` comes from axis `outer[i]`, and that from axis `inner[outer[i]]`.
pub(super) fn transposed_twice(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (before(w, e)?, &e.op) {
        ((Op::Transpose(inner), x), Op::Transpose(outer)) => {
            let permutation = outer.permutation.iter().map(|&p| inner.permutation[p]).collect();
            Some(eqn(Transpose { permutation }, &[x]))
        }
        _ => None,
    }
}

/// Axis `i` goes to axis `inner[i]`, and that to axis `outer[inner[i]]`; an axis that stretches
/// does so once.
pub(super) fn broadcast_twice(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (before(w, e)?, &e.op) {
        ((Op::Broadcast(inner), x), Op::Broadcast(outer)) => {
            let dims = inner.dims.iter().map(|&d| outer.dims[d]).collect();
            Some(eqn(Broadcast { shape: outer.shape.clone(), dims }, &[x]))
        }
        _ => None,
    }
}

/// An axis that is reversed twice is not reversed.
pub(super) fn reversed_twice(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    match (before(w, e)?, &e.op) {
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

/// An axis of one element, or none, is its own reverse.
pub(super) fn unit_axes_reversed(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Reverse(r) = &e.op else { return None };
    let shape = &w.ty(e.inputs[0]).shape;
    let axes: Vec<usize> = r.axes.iter().copied().filter(|&a| shape[a] > 1).collect();
    (axes.len() < r.axes.len()).then(|| eqn(Reverse { axes }, &e.inputs))
}

/// An operand of no elements adds nothing to a concatenation.
pub(super) fn empty_operands(w: &Rewriter, e: &Eqn) -> Option<Rewrite> {
    let Op::Concatenate(c) = &e.op else { return None };
    let full: Vec<Value> =
        e.inputs.iter().copied().filter(|&x| w.ty(x).shape[c.axis] > 0).collect();
    match full.len() {
        0 => operand(e, 0),
        n if n < e.inputs.len() => Some(eqn(c.clone(), &full)),
        _ => None,
    }
}
