//! Common subexpression elimination: merges equations that compute the same.
//!
//! The method is global value numbering by hashing (Cocke and Schwartz, "Programming Languages and
//! Their Compilers", 1970). A graph is one basic block, so one walk in order suffices: the operands
//! of an equation are replaced by the first values that equal them, and if an equation with the
//! same op and these operands was seen, its results stand for those of this one. Chains merge in
//! one pass, because equal operands already have one number.
//!
//! ```
//! use neurax_ir::{Graph, passes};
//! let graph = Graph::parse("graph(%0: f32[]) {
//!   %1: f32[] = sine(%0)
//!   %2: f32[] = sine(%0)
//!   %3: f32[] = negate(%1)
//!   %4: f32[] = negate(%2)
//!   return %3, %4
//! }")?;
//! assert_eq!(passes::cse(&graph)?.to_string(), "\
//! graph(%0: f32[]) {
//!   %1: f32[] = sine(%0)
//!   %2: f32[] = negate(%1)
//!   return %2, %2
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants:
//! - Ops are compared with all attributes, constants by their bytes: 0 and -0 differ, and a NaN
//!   equals itself.
//! - An optimization barrier is never merged: it marks a value that is to be computed again. Nor is
//!   an op with effects.
//! - A nested graph is a separate scope. Equal equations inside and outside of a loop meet after
//!   `hoist` has moved the one inside.
//! - `x + y` and `y + x` are different: operands are not sorted.

use super::rewriter::{apply, apply_inside};
use crate::{Eqn, Graph, Op, Result, Value, Values, visits::visit};
use rustc_hash::FxHashMap;
use std::{borrow::Cow, collections::hash_map::Entry};

/// Merges equations with the same op and the same operands. Constants are compared by their bytes.
/// Results of optimization barriers are never merged. Nested graphs are processed separately.
///
/// # Errors
/// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that verifies.
pub fn cse(graph: &Graph) -> Result<Graph> {
    apply(pass, graph)
}

pub(super) fn pass(graph: &Graph) -> Result<Option<Graph>> {
    let mut nested = false;
    let ops = graph.eqns().iter().map(|e| {
        visit();
        let changed = apply_inside(&e.op, pass)?;
        nested |= changed.is_some();
        Ok(changed.map_or(Cow::Borrowed(&e.op), Cow::Owned))
    });
    let ops: Vec<Cow<Op>> = ops.collect::<Result<_>>()?;
    let mut replaced_by: Vec<Value> = (0..graph.types().len() as u32).map(Value).collect();
    let mut first_results: FxHashMap<(&Op, Values), &Values> = FxHashMap::default();
    let mut kept = Vec::with_capacity(ops.len());
    for (i, (e, op)) in graph.eqns().iter().zip(&ops).enumerate() {
        if !matches!(**op, Op::OptimizationBarrier(_)) && !op.has_effects() {
            let inputs = e.inputs.iter().map(|v| replaced_by[v.index()]).collect();
            match first_results.entry((op, inputs)) {
                Entry::Occupied(first) => {
                    for (v, &w) in e.outputs.iter().zip(*first.get()) {
                        replaced_by[v.index()] = w;
                    }
                    continue;
                }
                Entry::Vacant(new) => new.insert(&e.outputs),
            };
        }
        kept.push(i);
    }
    if kept.len() == ops.len() && !nested {
        return Ok(None);
    }
    let eqn = |i: usize| {
        let e = &graph.eqns()[i];
        Eqn {
            op: ops[i].clone().into_owned(),
            inputs: e.inputs.iter().map(|v| replaced_by[v.index()]).collect(),
            outputs: e.outputs.clone(),
            at: e.at.clone(),
        }
    };
    let eqns = kept.into_iter().map(eqn).collect();
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| replaced_by[v.index()]).collect();
    let inputs: Vec<Value> = graph.inputs().collect();
    Ok(Some(Graph::renumbered(graph.types().to_vec(), &inputs, eqns, &outputs)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Literal, op::OptimizationBarrier};

    #[test]
    fn constants_are_merged_by_their_bytes() {
        let mut b = Builder::new();
        let xs: Vec<Value> = [0.0f32, -0.0, 0.0, f32::NAN, f32::NAN]
            .map(|x| b.constant(Literal::from_slice([], &[x]).unwrap()))
            .into();
        let g = cse(&b.finish(&xs).unwrap()).unwrap();
        assert_eq!(g.eqns().len(), 3);
        assert_eq!(g.outputs(), [0, 1, 0, 2, 2].map(Value));
    }

    #[test]
    fn barriers_are_not_merged() {
        let mut b = Builder::new();
        let x = b.input(crate::Type::scalar(crate::DType::F32));
        let ys = [0; 2].map(|_| b.emit(OptimizationBarrier {}, &[x]));
        let g = b.finish(&ys).unwrap();
        assert_eq!(cse(&g).unwrap(), g);
    }
}
