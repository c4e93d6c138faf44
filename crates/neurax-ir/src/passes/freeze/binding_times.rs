//! Binding times: which values of a graph are known before its calls.

use crate::Graph;

/// Returns for each value whether it depends on constants alone.
pub(in crate::passes) fn constant_values(graph: &Graph, is_constant: &[bool]) -> Vec<bool> {
    let mut out = is_constant.to_vec();
    for e in graph.eqns() {
        let is_constant = !e.op.has_effects() && e.inputs.iter().all(|v| out[v.index()]);
        out.extend(e.outputs.iter().map(|_| is_constant));
    }
    out
}
