//! Loop-invariant code motion: computes values that are the same in each iteration before the loop.

use super::rewriter::{Rewriter, apply, apply_inside};
use crate::{Eqn, Graph, Op, Result, Values};

/// Moves loop-invariant equations in front of each loop, innermost loops first
/// ([`crate::Region::hoist`]).
///
/// # Errors
/// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that verifies.
pub fn hoist(graph: &Graph) -> Result<Graph> {
    apply(pass, graph)
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    Rewriter::rewrite(graph, rewrite_eqn)
}

fn rewrite_eqn(w: &mut Rewriter, e: &Eqn) -> Result<Option<Values>> {
    let changed = apply_inside(&e.op, pass)?;
    let op = changed.as_ref().unwrap_or(&e.op);
    // Other ops that hold graphs run them once.
    let is_loop = matches!(op, Op::Scan(_) | Op::While(_));
    match op.region().filter(|_| is_loop).and_then(|r| r.hoist(w.builder(), &e.inputs)) {
        Some(ys) => Ok(Some(ys)),
        None => changed.map(|op| w.emit(op, &e.inputs)).transpose(),
    }
}
