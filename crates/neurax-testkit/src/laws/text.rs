//! Law 5.

use super::*;
use std::sync::Arc;

/// Law 5: the text of the op parses back to the same graph, and that graph verifies.
///
/// # Errors
/// When it does not hold.
pub fn text_parses_back(s: &Sample) -> Result<(), String> {
    let graph = graph_of(s)?;
    graph_parses_back(&graph)
}

/// Law 5 of a whole graph.
///
/// # Errors
/// When it does not hold.
pub fn graph_parses_back(graph: &Graph) -> Result<(), String> {
    neurax_ir::verify(graph).map_err(|e| format!("verify: {e}\n{graph}"))?;
    let text = graph.to_string();
    let back =
        Graph::parse_with(&text, &customs(graph)).map_err(|e| format!("parse: {e}\n{text}"))?;
    if back == *graph {
        Ok(())
    } else {
        Err(format!("parsing gives another graph:\n{back}\ninstead of\n{text}"))
    }
}

/// The ops from outside that a graph uses: the parser asks for them.
fn customs(graph: &Graph) -> Vec<Arc<dyn neurax_ir::op::CustomOp>> {
    let of = |op: &Op| match op {
        Op::Custom(c) => vec![c.0.clone()],
        op => op.graphs().iter().flat_map(|g| customs(g)).collect(),
    };
    graph.eqns().iter().flat_map(|e| of(&e.op)).collect()
}
