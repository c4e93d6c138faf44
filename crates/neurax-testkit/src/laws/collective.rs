//! Laws of collectives, which have a value only after `vmap` has bound their axis.

use super::transposition::same_product;
use super::*;
use crate::close::close;
use neurax_ir::op::{Reduce, ReduceKind};
use neurax_ir::{Axis, DType, passes, transform};

const AXIS_SIZE: usize = 3;

/// Checks that, bound by `vmap`, each example has the value of the reduction over all examples (or
/// all of them, or its own index); that batching over another axis first changes nothing; and that
/// derivatives before and after `vmap`, and in forward and reverse mode, agree.
///
/// # Errors
/// The violation.
pub fn named_axes_are_bound(s: &Sample) -> Result<(), String> {
    let name = match &s.op {
        Op::AllReduce(x) => x.axis.clone(),
        Op::AllGather(x) => x.axis.clone(),
        Op::AxisIndex(x) => x.axis.clone(),
        _ => return Ok(()),
    };
    let axis = Axis { size: AXIS_SIZE, name: Some(name) };
    let graph = graph_of(s)?;
    let args: Vec<Literal> = s.inputs.iter().map(|x| examples(x, AXIS_SIZE)).collect();
    let want = expected(s, &args)?;
    let bound = bind(&graph, &axis)?;
    let have = run(&bound, &args)?.remove(0);
    close(&have, &want)?;
    passes::optimize(&bound, &mut |_, _| {})
        .map_err(message)
        .and_then(|g| close(&run(&g, &args)?[0], &want))?;
    check_batched_first(&graph, &axis, &args, &want)?;
    check_either_order(s, &bound, &axis, &args)
}

fn examples(x: &Literal, n: usize) -> Literal {
    let all: Vec<Literal> = (0..n).map(|k| varied(x, k)).collect();
    stack(x.ty(), &all.iter().collect::<Vec<_>>(), 0)
}

fn bind(g: &Graph, axis: &Axis) -> Result<Graph, String> {
    transform::vmap_all(g, axis).map_err(|e| format!("vmap: {e}"))
}

fn expected(s: &Sample, args: &[Literal]) -> Result<Literal, String> {
    let one = match &s.op {
        Op::AllReduce(op) => {
            eval_op(&Reduce { kind: op.kind, axes: vec![0] }.into(), args)?.remove(0)
        }
        Op::AllGather(_) => args[0].clone(),
        _ => return Ok(Literal::from_f64s(DType::I32, [AXIS_SIZE], &[0.0, 1.0, 2.0])),
    };
    Ok(stack(one.ty(), &[&one, &one, &one], 0))
}

/// Checks batching over an unnamed axis of two equal examples, then over the named axis.
fn check_batched_first(
    graph: &Graph,
    axis: &Axis,
    args: &[Literal],
    want: &Literal,
) -> Result<(), String> {
    let inner = bind(graph, &Axis { size: 2, name: None })?;
    let args: Vec<Literal> = args.iter().map(|x| stack(x.ty(), &[x, x], 1)).collect();
    let have = run(&bind(&inner, axis)?, &args)?.remove(0);
    close(&have, &stack(want.ty(), &[want, want], 1))
        .map_err(|e| format!("batched over another axis first: {e}"))
}

fn check_either_order(
    s: &Sample,
    bound_graph: &Graph,
    axis: &Axis,
    args: &[Literal],
) -> Result<(), String> {
    let (graph, rng) = (&graph_of(s)?, &mut rng_for(s));
    let active: Vec<bool> = args.iter().map(|x| x.dtype().is_differentiable()).collect();
    let first = transform::jvp(graph, &active);
    if is_product(&s.op) && active.contains(&true) {
        return refused_before_bound(first);
    }
    let first = first.map_err(|e| format!("jvp before vmap: {e}"))?;
    if !active.contains(&true) || !first.outputs.contains(&true) {
        return Ok(());
    }
    let v: Vec<Literal> = args.iter().map(|x| direction(rng, x.ty())).collect();
    let both = [args, &v].concat();
    let before = run(&bind(&first.graph, axis)?, &both)?;
    let after = transform::jvp(bound_graph, &active).map_err(|e| format!("jvp: {e}"))?;
    crate::close::all_close(&before, &run(&after.graph, &both)?, 4.0)
        .map_err(|e| format!("jvp before and after vmap: {e}"))?;
    let back = transform::vjp(graph, &active).map_err(|e| format!("vjp: {e}"))?;
    let known = run(&bind(&back.primal, axis)?, args)?;
    let w = direction(rng, before[1].ty());
    let cts = run(&bind(&back.backward, axis)?, &[&known[1..], std::slice::from_ref(&w)].concat())?;
    same_product(&before[1..], &[w], &v, &cts)
}

fn is_product(op: &Op) -> bool {
    matches!(op, Op::AllReduce(x) if x.kind == ReduceKind::Prod)
}

/// Checks that a product over examples has no derivative before the axis is bound, and that the
/// error explains what to do.
fn refused_before_bound(first: neurax_ir::Result<transform::Jvp>) -> Result<(), String> {
    match first {
        Err(e)
            if e.to_string()
                .starts_with("all_reduce: it has no derivative; differentiate outside vmap") =>
        {
            Ok(())
        }
        Err(e) => Err(format!("jvp of a product before vmap: {e}")),
        Ok(_) => Err("a product over members was differentiated before its axis was bound".into()),
    }
}
