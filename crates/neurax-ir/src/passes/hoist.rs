//! Loop-invariant code: what is the same in every iteration is computed once, in front of the loop.

use super::rewriter::Rewriter;
use crate::{Eqn, Graph, Result, Values};

/// Asks every op that holds graphs, the innermost first, to move what does not change between iterations in front of itself
/// ([`crate::Region::hoist`]).
///
/// # Errors
/// When an op cannot be rebuilt with its nested graphs changed; a graph that verifies has none.
pub fn hoist(graph: &Graph) -> Result<Graph> {
    Rewriter::rewrite(graph, each)
}

fn each(w: &mut Rewriter, mut e: Eqn) -> Result<Values> {
    if let Some(region) = e.op.region() {
        e.op = region.map_graphs(&mut hoist)?;
    }
    match e.op.region().and_then(|r| r.hoist(w.builder(), &e.inputs)) {
        Some(ys) => Ok(ys),
        None => w.keep(e),
    }
}
