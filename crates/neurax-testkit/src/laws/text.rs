//! The law of the text form.

use super::*;
use std::sync::Arc;

/// Checks that the text of the op parses to the same graph, and that the graph verifies.
///
/// # Errors
/// The violation.
pub fn text_parses_back(s: &Sample) -> Result<(), String> {
    let graph = graph_of(s)?;
    graph_parses_back(&graph)
}

/// Checks that the text of `graph` parses to the same graph, and that `graph` verifies.
///
/// # Errors
/// The violation.
pub fn graph_parses_back(graph: &Graph) -> Result<(), String> {
    neurax_ir::verify(graph).map_err(|e| format!("verify: {e}\n{graph}"))?;
    let text = graph.to_string();
    let back =
        Graph::parse_with(&text, &customs(graph)).map_err(|e| format!("parse: {e}\n{text}"))?;
    if back == *graph {
        Ok(())
    } else {
        Err(format!("the text parses to another graph: expected\n{text}\ngot\n{back}"))
    }
}

/// Returns the custom ops of a graph, which the parser needs.
fn customs(graph: &Graph) -> Vec<Arc<dyn neurax_ir::op::CustomOp>> {
    let of = |op: &Op| match op {
        Op::Custom(c) => vec![c.0.clone()],
        op => op.graphs().iter().flat_map(|g| customs(g)).collect(),
    };
    graph.eqns().iter().flat_map(|e| of(&e.op)).collect()
}
