//! Replacement of equations by others.

use super::dce;
use crate::{Builder, Graph, Result, Value, Values};

/// Copies a graph, with the result of equation `i` where `replace(b, i, env)` emits one instead;
/// `env` has the new value of each value so far. What nothing reads any more is dropped.
///
/// # Errors
/// The error of `replace`, or of an equation that does not fit its new operands.
pub(super) fn replace_equations(
    graph: &Graph,
    mut replace: impl FnMut(&mut Builder, usize, &[Value]) -> Result<Option<Value>>,
) -> Result<Graph> {
    let mut b = Builder::new();
    let mut env: Vec<Value> = b.inputs(graph.input_types());
    for (i, e) in graph.eqns().iter().enumerate() {
        b.set_origin(e.at.clone());
        match replace(&mut b, i, &env)? {
            Some(y) => env.push(y),
            None => {
                let inputs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
                env.extend(b.try_emit(e.op.clone(), &inputs)?);
            }
        }
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| env[v.index()]).collect();
    dce(&b.finish(&outputs)?)
}
