//! Binding times: which values of a graph are known before its calls.

use crate::Graph;

/// Returns for each value whether it depends on constants alone, by equations for whose index
/// `may_move` is true.
pub(in crate::passes) fn constant_values(
    graph: &Graph,
    is_constant: &[bool],
    may_move: &dyn Fn(usize) -> bool,
) -> Vec<bool> {
    let mut out = is_constant.to_vec();
    for (i, e) in graph.eqns().iter().enumerate() {
        let is_constant =
            may_move(i) && !e.op.has_effects() && e.inputs.iter().all(|v| out[v.index()]);
        out.extend(e.outputs.iter().map(|_| is_constant));
    }
    out
}
