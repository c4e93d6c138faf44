//! Batching: a graph of single elements becomes one of many at once.

use crate::op::{Axis, Batched};
use crate::{Builder, Error, Graph, Result, Type, Value, Values};

/// The graph over a new axis: input `i` has it at `dims[i]`, or not at all; every output has it at
/// the front.
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
/// When an op cannot be batched, or an axis is out of range.
pub fn vmap(g: &Graph, dims: &[Option<usize>], axis: &Axis) -> Result<Graph> {
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

/// The graph with every input and output having the new axis at the front.
///
/// # Errors
/// When an op cannot be batched.
pub fn vmap_all(g: &Graph, axis: &Axis) -> Result<Graph> {
    vmap(g, &vec![Some(0); g.input_types().len()], axis)
}

/// Emits the batched graph into a builder.
///
/// # Errors
/// When an op cannot be batched.
pub fn vmap_into(
    b: &mut Builder,
    g: &Graph,
    axis: &Axis,
    xs: &[Value],
    dims: &[Option<usize>],
) -> Result<Batched> {
    let mut env: Vec<Value> = xs.to_vec();
    let mut at: Vec<Option<usize>> = dims.to_vec();
    let outer = b.origin().clone();
    for e in g.eqns() {
        b.set_origin(e.at.by("vmap"));
        let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
        let ds: Vec<Option<usize>> = e.inputs.iter().map(|v| at[v.index()]).collect();
        let bound = axis.name.as_ref().is_some_and(|n| e.op.uses_axis(Some(n)));
        if !bound && ds.iter().all(Option::is_none) {
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

/// A batched graph for ops that hold one: batched inputs and outputs have the axis at the front,
/// outputs in `force` have it in any case. Answers also which outputs have it.
pub(crate) fn batch_graph(
    g: &Graph,
    axis: &Axis,
    batched: &[bool],
    force: &[bool],
) -> Result<(Graph, Vec<bool>)> {
    let mut b = Builder::new();
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
        Some(d) => Err(Error::new("vmap", format!("axis {d} is out of range for a batch of {ty}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, composite::Softmax};

    #[test]
    fn what_grows_beyond_memory_is_an_error_before_the_next_rule_reads_its_shape() {
        let mut b = Builder::new();
        let x = b.input(Type::new(DType::F32, [2]));
        let y = b.broadcast(x, [1 << 40, 2], &[1]);
        let y = b.emit(Softmax { axis: 1 }, &[y]);
        let g = b.finish(&[y]).unwrap();
        let e = vmap(&g, &[Some(0)], &Axis { size: 1 << 30, name: None }).unwrap_err();
        assert!(e.to_string().contains("larger than the address space"), "{e}");
    }
}
