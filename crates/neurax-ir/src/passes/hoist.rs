//! Loop-invariant code motion: computes values that are the same in each iteration before the loop.
//!
//! An equation of a loop body that depends on constants of the loop only has the same results in
//! each iteration. It moves in front of the loop (Muchnick, "Advanced Compiler Design and
//! Implementation", 13.2), and its results become further constants. Loops are processed from the
//! innermost to the outermost, so an equation can leave several of them in one pass.
//!
//! ```
//! use neurax_ir::{Graph, passes};
//! let graph = Graph::parse("graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = scan[body=graph(%0: f32[], %1: f32[]) {
//!     %2: f32[] = sine(%0)
//!     %3: f32[] = multiply(%1, %2)
//!     return %3
//!   }, length=4, reverse=false, consts=1, carries=1](%0, %1)
//!   return %2
//! }")?;
//! let fast = passes::hoist(&graph)?;
//! let names: Vec<&str> = fast.eqns().iter().map(|e| e.op.name()).collect();
//! assert_eq!(names, ["sine", "scan"]);
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants:
//! - An equation without effects that a loop of zero iterations would not have run may run in front
//!   of it, if it is cheap. A product, a sort or a nested loop, which may not even
//!   end, leaves only loops that run at least once.
//! - Broadcasts stay inside, as storing one costs more than computing it; so do barriers, and the
//!   index along a named axis. Equations without operands are copied to where they are read.
//! - Only loops are opened. The branches of a conditional stay as they are: moving an equation out
//!   would compute it in cases that do not need it.

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
