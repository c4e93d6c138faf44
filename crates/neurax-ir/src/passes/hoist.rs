//! Loop-invariant code: what is the same in every iteration is computed once, in front of the loop.

use super::rewriter::{Rewriter, inside};
use crate::{Eqn, Graph, Op, Result, Values};

/// Asks every op that holds graphs, the innermost first, to move what does not change between
/// iterations in front of itself ([`crate::Region::hoist`]).
///
/// # Errors
/// When an op cannot be rebuilt with its nested graphs changed; a graph that verifies has none.
pub fn hoist(graph: &Graph) -> Result<Graph> {
    Ok(pass(graph)?.unwrap_or_else(|| graph.clone()))
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    Rewriter::rewrite(graph, each)
}

fn each(w: &mut Rewriter, e: &Eqn) -> Result<Option<Values>> {
    let changed = inside(&e.op, pass)?;
    let op = changed.as_ref().unwrap_or(&e.op);
    // Only loops have iterations.
    let is_loop = matches!(op, Op::Scan(_) | Op::While(_));
    match op.region().filter(|_| is_loop).and_then(|r| r.hoist(w.builder(), &e.inputs)) {
        Some(ys) => Ok(Some(ys)),
        None => changed.map(|op| w.emit(op, &e.inputs)).transpose(),
    }
}
