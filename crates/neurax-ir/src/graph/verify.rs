//! Checks a graph: run after every pass in debug builds, and on request.

use super::Graph;
use crate::{Error, Result};

/// Checks that
/// 1. every value is defined once, before it is read;
/// 2. values are numbered in order: inputs, then the outputs of each equation;
/// 3. each op's `infer`, on the operands' types, gives the types that the graph says;
/// 4. nested graphs pass the same checks.
///
/// # Errors
/// The first equation that fails, with its op and origin.
pub fn verify(g: &Graph) -> Result<()> {
    let mut defined = g.input_types().len();
    for (i, e) in g.eqns().iter().enumerate() {
        let fail = |m: String| {
            Error::new("verify", format!("equation {i}, {}: {m}", e.op.name())).at_origin(&e.at)
        };
        if let Some(v) = e.inputs.iter().find(|v| v.index() >= defined) {
            return Err(fail(format!("%{} is read before it is defined", v.0)));
        }
        let ins: Vec<_> = e.inputs.iter().map(|&v| g.ty(v).clone()).collect();
        let outs = e.op.infer(&ins).map_err(|e| fail(e.to_string()))?;
        if outs.len() != e.outputs.len() {
            return Err(fail(format!(
                "it gives {} values, the graph has {}",
                outs.len(),
                e.outputs.len()
            )));
        }
        for (t, v) in outs.iter().zip(&e.outputs) {
            if v.index() != defined {
                return Err(fail(format!("%{} is out of order", v.0)));
            }
            if t != g.ty(*v) {
                return Err(fail(format!("it gives {t}, the graph says {}", g.ty(*v))));
            }
            defined += 1;
        }
        for inner in e.op.graphs() {
            verify(&inner)?;
        }
    }
    match g.outputs().iter().find(|v| v.index() >= defined) {
        Some(v) => Err(Error::new("verify", format!("the output %{} is not defined", v.0))),
        None => Ok(()),
    }
}
