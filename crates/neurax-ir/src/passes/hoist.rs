//! Loop-invariant code: what is the same in every iteration is computed once, in front of the loop.

use crate::{Builder, Graph, Result, Value};

/// Asks every op that holds graphs, the innermost first, to move what does not change between iterations in front of itself
/// ([`crate::Region::hoist`]).
///
/// # Errors
/// When an op cannot be rebuilt with its nested graphs changed; a graph that verifies has none.
pub fn hoist(graph: &Graph) -> Result<Graph> {
    let mut b = Builder::new();
    let mut env: Vec<Value> = b.inputs(graph.input_types());
    for e in graph.eqns() {
        let xs: Vec<Value> = e.inputs.iter().map(|v| env[v.index()]).collect();
        b.set_origin(e.at.clone());
        let op = match e.op.region() {
            Some(region) => region.map_graphs(&mut hoist)?,
            None => e.op.clone(),
        };
        let hoisted = op.region().and_then(|r| r.hoist(&mut b, &xs));
        env.extend(match hoisted {
            Some(ys) => ys,
            None => b.try_emit(op, &xs)?,
        });
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| env[v.index()]).collect();
    b.finish(&outputs)
}
