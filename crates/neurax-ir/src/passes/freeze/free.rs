//! Constants that cost less to compute than to read.

use crate::passes::elementwise::is_elementwise;
use crate::{Eqn, Graph, Op, Value};
use std::collections::BTreeSet;

/// Returns for each equation whether its constant results are computed where they are read: those
/// of ops that move nothing, and functions of elements whose result is larger than all values
/// behind it that are read.
pub(super) fn free_equations(graph: &Graph, constant: &[bool]) -> Vec<bool> {
    let bytes = |v: &Value| graph.ty(*v).bytes().unwrap_or(usize::MAX);
    // The values that are read for each value.
    let mut read: Vec<BTreeSet<Value>> = graph.inputs().map(|v| BTreeSet::from([v])).collect();
    let mut free = Vec::new();
    for e in graph.eqns() {
        let is_constant = e.outputs.iter().all(|v| constant[v.index()]);
        let behind = || -> BTreeSet<Value> {
            e.inputs.iter().flat_map(|v| read[v.index()].iter().copied()).collect()
        };
        let is_larger = || {
            let behind = behind().iter().map(bytes).fold(0, usize::saturating_add);
            e.outputs.iter().map(bytes).fold(0, usize::saturating_add) > behind
        };
        let is_free = is_constant && (is_structural(e) || is_elementwise(&e.op) && is_larger());
        let own = |v: &Value| if is_free { behind() } else { BTreeSet::from([*v]) };
        let of_outputs: Vec<BTreeSet<Value>> = e.outputs.iter().map(own).collect();
        read.extend(of_outputs);
        free.push(is_free);
    }
    free
}

fn is_structural(e: &Eqn) -> bool {
    matches!(e.op, Op::Constant(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_))
}
