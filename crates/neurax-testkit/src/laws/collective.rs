//! Laws of the ops that talk along a named axis: they have a value only after `vmap` has bound it.

use super::transposition::same_product;
use super::*;
use crate::close::close;
use neurax_ir::op::{Reduce, ReduceKind};
use neurax_ir::{Axis, DType, passes, transform};

const SIZE: usize = 3;

/// Bound by `vmap`, every member has the value of the reduction over all members (or its own
/// index); batching over another axis first changes nothing; derivatives may be taken before or
/// after, and forward and reverse mode agree.
///
/// # Errors
/// When it does not hold.
pub fn named_axes_are_bound(s: &Sample) -> Result<(), String> {
    let name = match &s.op {
        Op::AllReduce(x) => x.axis.clone(),
        Op::AxisIndex(x) => x.axis.clone(),
        _ => return Ok(()),
    };
    let axis = Axis { size: SIZE, name: Some(name) };
    let graph = graph_of(s)?;
    let args: Vec<Literal> = s.inputs.iter().map(|x| members(x, SIZE)).collect();
    let want = expected(s, &args)?;
    let bound = bound(&graph, &axis)?;
    let have = run(&bound, &args)?.remove(0);
    close(&have, &want)?;
    passes::optimise(&bound, &mut |_, _| {})
        .map_err(told)
        .and_then(|g| close(&run(&g, &args)?[0], &want))?;
    batched_first(&graph, &axis, &args, &want)?;
    either_order(s, &bound, &axis, &args)
}

fn members(x: &Literal, n: usize) -> Literal {
    let all: Vec<Literal> = (0..n).map(|k| varied(x, k)).collect();
    stack(x.ty(), &all.iter().collect::<Vec<_>>(), 0)
}

fn bound(g: &Graph, axis: &Axis) -> Result<Graph, String> {
    transform::vmap_all(g, axis).map_err(|e| format!("vmap: {e}"))
}

fn expected(s: &Sample, args: &[Literal]) -> Result<Literal, String> {
    let Op::AllReduce(op) = &s.op else {
        return Ok(Literal::from_f64s(DType::I32, [SIZE], &[0.0, 1.0, 2.0]));
    };
    let one = eval_op(&Reduce { kind: op.kind, axes: vec![0] }.into(), args)?.remove(0);
    Ok(stack(one.ty(), &[&one, &one, &one], 0))
}

/// Over an axis without a name, of two members that are the same, then over the named one.
fn batched_first(
    graph: &Graph,
    axis: &Axis,
    args: &[Literal],
    want: &Literal,
) -> Result<(), String> {
    let inner = bound(graph, &Axis { size: 2, name: None })?;
    let args: Vec<Literal> = args.iter().map(|x| stack(x.ty(), &[x, x], 1)).collect();
    let have = run(&bound(&inner, axis)?, &args)?.remove(0);
    close(&have, &stack(want.ty(), &[want, want], 1))
        .map_err(|e| format!("batched over another axis first: {e}"))
}

fn either_order(
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
    let before = run(&bound(&first.graph, axis)?, &both)?;
    let after = transform::jvp(bound_graph, &active).map_err(|e| format!("jvp: {e}"))?;
    crate::close::all_close(&before, &run(&after.graph, &both)?, 4.0)
        .map_err(|e| format!("jvp before and after vmap: {e}"))?;
    let back = transform::vjp(graph, &active).map_err(|e| format!("vjp: {e}"))?;
    let known = run(&bound(&back.primal, axis)?, args)?;
    let w = direction(rng, before[1].ty());
    let cts =
        run(&bound(&back.backward, axis)?, &[&known[1..], std::slice::from_ref(&w)].concat())?;
    same_product(&before[1..], &[w], &v, &cts)
}

fn is_product(op: &Op) -> bool {
    matches!(op, Op::AllReduce(x) if x.kind == ReduceKind::Prod)
}

/// A product over members has no derivative before the axis is bound, and the error says what to
/// do.
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
