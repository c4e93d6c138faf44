//! The laws of an op as a graph: transposition through all transforms, and passes.

use super::transposition::same_product;
use super::*;
use neurax_ir::{passes, transform};

/// Checks the public transforms: `vjp` is the transpose of `jvp`, and all graphs verify.
/// An op whose jvp is an error needs no vjp, but its row must not be `smooth`.
///
/// # Errors
/// The violation.
pub fn vjp_is_transposed_jvp(s: &Sample) -> Result<(), String> {
    let active: Vec<bool> = s.inputs.iter().map(|x| x.dtype().is_differentiable()).collect();
    if needs_axis(&s.op) || !active.contains(&true) {
        return Ok(());
    }
    let graph = graph_of(s)?;
    match transform::jvp(&graph, &active) {
        Ok(d) => check_duality(&graph, &d, &active, &s.inputs, &mut rng_for(s)),
        Err(e) if s.smooth => Err(format!("jvp of a smooth row: {e}")),
        Err(_) => Ok(()),
    }
}

fn check_duality(
    graph: &Graph,
    d: &transform::Jvp,
    active: &[bool],
    xs: &[Literal],
    rng: &mut Rng,
) -> Result<(), String> {
    let v: Vec<Literal> =
        xs.iter().zip(active).filter(|(_, a)| **a).map(|(x, _)| direction(rng, x.ty())).collect();
    let outs = graph.output_types();
    neurax_ir::verify(&d.graph).map_err(|e| format!("jvp: {e}\n{}", d.graph))?;
    let jv = run(&d.graph, &[xs, &v].concat())?;
    let (ys, jv) = jv.split_at(outs.len());

    let back = match transform::vjp(graph, active) {
        Ok(back) => back,
        Err(e) if is_forward_only(graph, &e) => return Ok(()),
        Err(e) => return Err(format!("vjp: {e}")),
    };
    neurax_ir::verify(&back.primal).map_err(|e| format!("vjp's primal: {e}\n{}", back.primal))?;
    neurax_ir::verify(&back.backward)
        .map_err(|e| format!("vjp's backward: {e}\n{}", back.backward))?;
    let known = run(&back.primal, xs)?;
    let (again, residuals) = known.split_at(outs.len());
    crate::close::all_close(again, ys, 1.0).map_err(|e| format!("vjp changes the value: {e}"))?;
    let w: Vec<Literal> = outs.iter().map(|t| direction(rng, t)).collect();
    let of = |marks: &[bool]| {
        w.iter().zip(marks).filter(|(_, m)| **m).map(|(w, _)| w.clone()).collect::<Vec<_>>()
    };
    let cts = run(&back.backward, &[residuals, &of(&back.outputs)].concat())?;
    same_product(jv, &of(&d.outputs), &v, &cts)
}

/// Returns true if `e` reports that a `while` loop has no reverse mode, and says what to do.
fn is_forward_only(graph: &Graph, e: &Error) -> bool {
    holds_while(graph) && e.to_string().contains("use scan")
}

fn holds_while(graph: &Graph) -> bool {
    graph
        .eqns()
        .iter()
        .any(|e| matches!(e.op, Op::While(_)) || e.op.graphs().iter().any(|g| holds_while(g)))
}

/// Checks that each pass and the whole pipeline preserve the value, and that their results verify.
///
/// # Errors
/// The violation.
pub fn passes_keep_the_value(s: &Sample) -> Result<(), String> {
    let graph = graph_of(s)?;
    for step in passes::PIPELINE {
        let small = step.apply(&graph).map_err(|e| format!("{}: {e}", step.name))?;
        neurax_ir::verify(&small).map_err(|e| format!("after {}: {e}", step.name))?;
    }
    let small = passes::optimize(&graph, &mut |_, _| {}).map_err(message)?;
    if needs_axis(&s.op) {
        return Ok(());
    }
    crate::close::all_close(&run(&small, &s.inputs)?, &run(&graph, &s.inputs)?, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_while_loops_may_lack_reverse_mode() {
        let graphs = |name: &str| {
            Op::samples()
                .into_iter()
                .filter(|s| s.op.name() == name)
                .map(|s| graph_of(&s).unwrap())
                .collect::<Vec<_>>()
        };
        let (use_scan, other) = (
            Error::new("while", "it has no reverse mode; use scan"),
            Error::new("scan", "its body is broken"),
        );
        assert!(
            graphs("while")
                .iter()
                .all(|g| is_forward_only(g, &use_scan) && !is_forward_only(g, &other))
        );
        assert!(
            !graphs("scan").iter().any(|g| !holds_while(g)
                && (is_forward_only(g, &use_scan) || is_forward_only(g, &other)))
        );
    }
}
