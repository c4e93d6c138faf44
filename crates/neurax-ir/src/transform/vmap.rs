//! Vectorization: turns a graph for one example into a graph for a batch of examples.
//!
//! As in JAX's `vmap`, each value carries the position of its batch axis, or none if it is the same
//! for the whole batch, and each op has a batching rule: given the positions for its operands, it
//! emits the batched equation and returns the positions for its results. Equations on unbatched
//! operands are emitted unchanged.
//!
//! ```
//! use neurax_ir::{Axis, Graph, transform};
//! let dot = Graph::parse("graph(%0: f32[3], %1: f32[3]) {
//!   %2: f32[3] = multiply(%0, %1)
//!   %3: f32[] = reduce[kind=sum, axes=[0]](%2)
//!   return %3
//! }")?;
//! // Five rows for the first operand, one for the second.
//! let many = transform::vmap(&dot, &[Some(0), None], &Axis { size: 5, name: None })?;
//! assert_eq!(many.to_string(), "\
//! graph(%0: f32[5, 3], %1: f32[3]) {
//!   %2: f32[5, 3] = broadcast_in_dim[shape=[5, 3], dims=[1]](%1)
//!   %3: f32[5, 3] = multiply(%0, %2)
//!   %4: f32[5] = reduce[kind=sum, axes=[1]](%3)
//!   return %4
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants:
//! - A rule may leave the batch axis of a result at any position; only the outputs of the graph and
//!   the bodies of ops that hold graphs have it at the front. Moving it to the front after each op
//!   was rejected: it would insert two transpositions around each op that keeps it elsewhere.
//! - A collective over a named axis (`all_reduce`, `axis_index`) is resolved by the `vmap` that
//!   binds the name, whether or not its operands are batched.
//! - An op with effects on batched operands runs for one member after the other, and a loop or
//!   branch that holds one does so as a whole. On operands without the axis it runs once.
//! - The rules read the shapes of operands, so the walker stops at the first error of the builder.

use super::Memo;
use crate::error::check_len;
use crate::op::{Axis, Batched, Scan, front_where_batched, select};
use crate::{Builder, Eqn, Error, Graph, Result, Type, Value, Values, visits::visit};
use std::sync::Arc;

/// Returns the batched graph: input `i` has the batch axis at `dims[i]`, or is not batched; each
/// output has it at the front.
///
/// ```
/// use neurax_ir::{Axis, Builder, DType, Type, transform};
/// let mut b = Builder::new();
/// let x = b.input(Type::new(DType::F32, [3]));
/// let y = b.sum(x, &[0]);
/// let many = transform::vmap(&b.finish(&[y])?, &[Some(0)], &Axis { size: 5, name: None })?;
/// assert_eq!(many.output_types()[0].to_string(), "f32[5]");
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// If `dims` has not one element for each input, an op cannot be batched, or an axis is out of
/// range.
pub fn vmap(g: &Graph, dims: &[Option<usize>], axis: &Axis) -> Result<Graph> {
    check_len("vmap", "batch axis or None", "input", g.input_types().len(), dims.len())?;
    let mut b = Builder::new();
    let mut xs = vec![];
    for (ty, &d) in g.input_types().iter().zip(dims) {
        xs.push(b.input(batched_type(ty, d, axis.size)?));
    }
    let (ys, dims) = vmap_into(&mut b, g, axis, &xs, dims)?;
    let outs: Vec<Value> =
        ys.iter().zip(dims).map(|(&y, d)| b.batched_at_front(y, d, axis.size)).collect();
    b.finish(&outs)
}

/// Returns the batched graph with the batch axis of each input and output at the front.
///
/// # Errors
/// If an op cannot be batched.
pub fn vmap_all(g: &Graph, axis: &Axis) -> Result<Graph> {
    vmap(g, &vec![Some(0); g.input_types().len()], axis)
}

/// Emits the batched graph into `b` for the inputs `xs` with batch axes at `dims`. Returns the
/// outputs and the positions of their batch axes.
///
/// # Errors
/// If there is not one argument and position for each input, or an op cannot be batched.
pub fn vmap_into(
    b: &mut Builder,
    g: &Graph,
    axis: &Axis,
    xs: &[Value],
    dims: &[Option<usize>],
) -> Result<Batched> {
    check_len("vmap", "argument", "input", g.input_types().len(), xs.len())?;
    check_len("vmap", "batch axis or None", "input", g.input_types().len(), dims.len())?;
    let mut env: Vec<Value> = xs.to_vec();
    let mut at: Vec<Option<usize>> = dims.to_vec();
    let outer = b.origin().clone();
    for e in g.eqns() {
        visit();
        b.set_origin(e.at.by("vmap"));
        let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
        let ds: Vec<Option<usize>> = e.inputs.iter().map(|v| at[v.index()]).collect();
        let bound = axis.name.as_ref().is_some_and(|n| e.op.uses_axis(Some(n)));
        let is_batched = ds.iter().any(Option::is_some);
        if is_batched && e.op.has_effects() {
            let (ys, ds) = one_by_one(b, axis, e, &xs, &ds).map_err(|err| err.at_origin(&e.at))?;
            env.extend(ys);
            at.extend(ds);
        } else if !bound && !is_batched {
            env.extend(b.emit_n(e.op.clone(), &xs, e.outputs.len()));
            at.extend(e.outputs.iter().map(|_| None));
        } else {
            let (ys, ds) = e.op.batch(b, axis, &xs, &ds).map_err(|err| err.at_origin(&e.at))?;
            env.extend(ys);
            at.extend(ds);
        }
        b.check()?;
    }
    b.set_origin(outer);
    let outs = g.outputs();
    Ok((
        outs.iter().map(|v| env[v.index()]).collect(),
        outs.iter().map(|v| at[v.index()]).collect(),
    ))
}

/// Emits a loop that applies the op of `e` to one member of the new axis after the other: an op
/// with effects has those of each member, in order. Returns the results with the axis at the front.
///
/// # Errors
/// If a collective in the op reads other members of the axis.
fn one_by_one(
    b: &mut Builder,
    axis: &Axis,
    e: &Eqn,
    xs: &[Value],
    dims: &[Option<usize>],
) -> Result<Batched> {
    if let Some(name) = axis.name.as_ref().filter(|n| e.op.uses_axis(Some(n))) {
        let why = format!(
            "it has effects, so it runs once for each member of axis `{name}`, and cannot read \
             the axis; move the collective or `axis_index` out of the loop or branch"
        );
        return Err(Error::new(e.op.name(), why));
    }
    let is_batched: Vec<bool> = dims.iter().map(Option::is_some).collect();
    let is_const: Vec<bool> = is_batched.iter().map(|f| !f).collect();
    let consts = select(xs, &is_const);
    let members = select(&front_where_batched(b, xs, dims, axis.size), &is_batched);
    let mut body = Builder::new();
    body.set_origin(b.origin().clone());
    let mut env = vec![None; xs.len()];
    for (flags, is_stacked) in [(&is_const, false), (&is_batched, true)] {
        for (i, _) in flags.iter().enumerate().filter(|(_, f)| **f) {
            let ty = b.ty(xs[i]).clone();
            let shape = dims[i].filter(|_| is_stacked).map(|d| ty.shape.removed(d));
            let ty = shape.map_or(ty.clone(), |s| ty.with_shape(s));
            env[i] = Some(body.input(ty));
        }
    }
    let args: Values = env.into_iter().flatten().collect();
    let ys = body.emit_n(e.op.clone(), &args, e.outputs.len());
    let body = Arc::new(body.finish(&ys)?);
    let scan = Scan { body, length: axis.size, reverse: false, consts: consts.len(), carries: 0 };
    let ys = b.emit_n(scan, &[consts, members].concat(), e.outputs.len());
    let front = vec![Some(0); ys.len()];
    Ok((ys, front))
}

/// Returns the batched graph for an op that holds `g`, and for each output whether it is batched.
/// Batched inputs and outputs have the axis at the front; outputs in `force` are batched in any
/// case. `memo` has the batched forms of nested graphs.
pub(crate) fn batch_graph(
    memo: &Memo,
    g: &Graph,
    axis: &Axis,
    batched: &[bool],
    force: &[bool],
) -> Result<(Graph, Vec<bool>)> {
    check_len("vmap", "flag", "input", g.input_types().len(), batched.len())?;
    check_len("vmap", "flag", "output", g.outputs().len(), force.len())?;
    let mut b = Builder::with_memo(memo);
    let dims: Vec<Option<usize>> = batched.iter().map(|&y| y.then_some(0)).collect();
    let mut xs = vec![];
    for (ty, &d) in g.input_types().iter().zip(&dims) {
        xs.push(b.input(batched_type(ty, d, axis.size)?));
    }
    let (ys, at) = vmap_into(&mut b, g, axis, &xs, &dims)?;
    let (mut outs, mut marked) = (vec![], vec![]);
    for ((&y, d), &f) in ys.iter().zip(at).zip(force) {
        marked.push(f || d.is_some());
        outs.push(if f || d.is_some() { b.batched_at_front(y, d, axis.size) } else { y });
    }
    Ok((b.finish(&outs)?, marked))
}

fn batched_type(ty: &Type, dim: Option<usize>, size: usize) -> Result<Type> {
    match dim {
        None => Ok(ty.clone()),
        Some(d) if d <= ty.rank() => Ok(ty.with_shape(ty.shape.inserted(d, size))),
        Some(d) => {
            let why = format!("expected a batch axis in 0..={} for {ty}, got {d}", ty.rank());
            Err(Error::new("vmap", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, composite::Softmax, transform};

    /// Creates a graph of two inputs and one output.
    fn product() -> Graph {
        let mut b = Builder::new();
        let x = b.inputs(&[Type::scalar(DType::F32), Type::scalar(DType::F32)]);
        let y = b.mul(x[0], x[1]);
        b.finish(&[y]).unwrap()
    }

    #[test]
    fn lists_of_the_wrong_length_are_errors() {
        let (g, axis) = (product(), Axis { size: 2, name: None });
        let memo = Memo::default();
        let flags = "expected one flag for each of 2 inputs, got ";
        let check = |e: Error, want: &str| assert!(e.to_string().contains(want), "{e}");
        for n in [0, 1, 3] {
            let want = format!("{flags}{n}");
            check(transform::jvp(&g, &vec![true; n]).unwrap_err(), &want);
            check(transform::linearize(&g, &vec![true; n]).unwrap_err(), &want);
            check(transform::vjp(&g, &vec![true; n]).unwrap_err(), &want);
            check(transform::grad(&g, &vec![true; n]).unwrap_err(), &want);
            check(transform::transpose(&g, &vec![true; n]).unwrap_err(), &want);
            check(batch_graph(&memo, &g, &axis, &vec![true; n], &[true]).unwrap_err(), &want);
            let want =
                format!("vmap: expected one batch axis or None for each of 2 inputs, got {n}");
            check(vmap(&g, &vec![Some(0); n], &axis).unwrap_err(), &want);
            let args = vec![crate::Literal::scalar(DType::F32, 1.0); n];
            let want = format!("eval: expected one argument for each of 2 inputs, got {n}");
            check(crate::Eval::default().run(&g, args).unwrap_err(), &want);
        }
        let e = batch_graph(&memo, &g, &axis, &[true; 2], &[]).unwrap_err();
        check(e, "vmap: expected one flag for each of 1 output, got 0");
    }

    #[test]
    fn a_graph_inlined_with_too_few_arguments_is_an_error() {
        let mut b = Builder::new();
        let x = b.input(Type::scalar(DType::F32));
        let y = b.inline(&product(), &[x]);
        assert_eq!(y.len(), 1, "a placeholder");
        let z = b.sin(y[0]);
        let e = b.finish(&[z]).unwrap_err().to_string();
        assert_eq!(e, "inline: expected one argument for each of 2 inputs, got 1");
    }

    #[test]
    fn an_error_stops_the_walker_before_the_next_rule_reads_a_shape() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F32, [2]));
        let y = b.broadcast(x, [1 << 40, 2], &[1]);
        let y = b.emit(Softmax { axis: 1 }, &[y]);
        let g = b.finish(&[y]).unwrap();
        let e = vmap(&g, &[Some(0)], &Axis { size: 1 << 30, name: None }).unwrap_err();
        assert!(e.to_string().contains("larger than the address space"), "{e}");
    }
}
