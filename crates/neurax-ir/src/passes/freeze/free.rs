//! Constants that cost less to compute than to read.

use crate::composite::Composite;
use crate::passes::elementwise::is_elementwise;
use crate::{Eqn, Graph, Op, Value};
use std::collections::BTreeSet;

/// Returns for each equation whether its constant results are computed where they are read: those
/// of ops that move nothing, and functions of elements whose result is larger than all values
/// behind it that are read, unless a reader needs the result in memory.
pub(super) fn free_equations(graph: &Graph, constant: &[bool]) -> Vec<bool> {
    let bytes = |v: &Value| graph.ty(*v).bytes().unwrap_or(usize::MAX);
    // The values that are read for each value.
    let mut read: Vec<BTreeSet<Value>> = graph.inputs().map(|v| BTreeSet::from([v])).collect();
    let stored = stored_values(graph);
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
        let is_stored = e.outputs.iter().any(|v| stored[v.index()]);
        let is_function = || is_elementwise(&e.op) && !is_stored && is_larger();
        let is_free = is_constant && (is_structural(e) || is_function());
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

/// Returns for each value whether an equation reads it from memory in any case, which would have to
/// be computed for every call: an operand of a product, a convolution or a gather.
fn stored_values(graph: &Graph) -> Vec<bool> {
    let needs_memory = |e: &&Eqn| {
        use Composite::{ChannelsLastConvolution, QuantizedDot};
        matches!(
            e.op,
            Op::DotGeneral(_)
                | Op::Convolution(_)
                | Op::Gather(_)
                | Op::Composite(ChannelsLastConvolution(_) | QuantizedDot(_))
        )
    };
    let mut stored = vec![false; graph.types().len()];
    let operands = graph.eqns().iter().filter(needs_memory).flat_map(|e| &e.inputs);
    operands.for_each(|v| stored[v.index()] = true);
    for e in graph.eqns().iter().rev().filter(|e| matches!(e.op, Op::Reshape(_))) {
        stored[e.inputs[0].index()] |= stored[e.outputs[0].index()];
    }
    stored
}
