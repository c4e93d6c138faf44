//! The verifier, which runs after every pass in debug builds and on request.

use super::Graph;
use crate::{Error, Result, visits::visit};

/// Checks that
/// 1. each value is defined once, before it is read;
/// 2. values are numbered in order: inputs, then the outputs of each equation;
/// 3. the types of results are those that the op's `infer` returns for the operands' types;
/// 4. nested graphs pass the same checks.
///
/// # Errors
/// The first violation, with the op and origin of the equation.
pub fn verify(g: &Graph) -> Result<()> {
    let mut defined = g.input_types().len();
    for (i, e) in g.eqns().iter().enumerate() {
        visit();
        let fail = |m: String| {
            Error::new("verify", format!("equation {i}, {}: {m}", e.op.name())).at_origin(&e.at)
        };
        if let Some(v) = e.inputs.iter().find(|v| v.index() >= defined) {
            return Err(fail(format!("%{} is read before it is defined", v.0)));
        }
        let ins: Vec<_> = e.inputs.iter().map(|&v| g.ty(v).clone()).collect();
        let outs = e.op.infer(&ins).map_err(|e| fail(e.to_string()))?;
        if outs.len() != e.outputs.len() {
            let (want, have) = (outs.len(), e.outputs.len());
            return Err(fail(format!("expected {want} results, got {have}")));
        }
        for (t, v) in outs.iter().zip(&e.outputs) {
            if v.index() != defined {
                return Err(fail(format!("%{} is out of order", v.0)));
            }
            if t != g.ty(*v) {
                return Err(fail(format!("expected result type {t}, got {}", g.ty(*v))));
            }
            defined += 1;
        }
        for inner in e.op.graphs() {
            verify(&inner)?;
        }
    }
    match g.outputs().iter().find(|v| v.index() >= defined) {
        Some(v) => Err(Error::new("verify", format!("output %{} is not defined", v.0))),
        None => Ok(()),
    }
}
