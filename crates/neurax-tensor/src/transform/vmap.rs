//! `vmap`: batching, by rewriting the graph.
//!
//! The function is traced on the types of one member. Then each equation is replaced by one that
//! works on all members simultaneously, by the batch rule of its op (`neurax_ir::transform::vmap`).
//! No loop is made: a matrix-vector product becomes a matrix product. Values that no mapped input
//! reaches stay unbatched and are computed once.
//!
//! # Example
//!
//! `|(x, y)| (x * y).sum(..)` on one row, mapped over axis 0 of `x: f32[8, 3]` with `y: f32[3]`
//! shared:
//!
//! ```text
//! graph(%0: f32[8, 3], %1: f32[3]) {
//!   %2: f32[8, 3] = broadcast_in_dim[shape=[8, 3], dims=[1]](%1)
//!   %3: f32[8, 3] = multiply(%0, %2)
//!   %4: f32[8] = reduce[kind=sum, axes=[1]](%3)
//!   return %4
//! }
//! ```
//!
//! # Invariants
//!
//! - All mapped axes have one size, the number of members; the error names the leaves.
//! - In the graph the batch axis of results is axis 0; `outputs` moves it afterwards.
//! - Captures are shared by all members, even if they are tensors of an outer `vmap`.

use super::exchange::NamedAxis;
use crate::{
    Error, Func, Function, Result, Tensor, Tree, Type,
    args::axis_of,
    dispatch::{Outs, apply_graph},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{TracedFn, trace_fn_as},
    tree::{AnyTree, errors, first_error, into_vec, leaves, map as map_tree, rebuild},
};
use neurax_ir::{Axis, transform};
use std::panic::Location;

/// The options of [`vmap_with`]: the mapped axes of the argument, the position of the batch axis in
/// the result, and the name of the axis for collectives.
#[derive(Clone, Debug, Default)]
pub struct Axes {
    /// The mapped axis of each part of the argument; axis 0 of every tensor by default.
    pub inputs: Mapped,
    /// The position of the batch axis in each part of the result; 0 by default. `None` drops the
    /// axis of a part that is equal for all members.
    pub outputs: Mapped,
    /// The name of the axis, for `psum`, `pmean`, `pmax`, `pmin` and `axis_index`.
    pub name: Option<&'static str>,
}

/// The axis of each part of an argument or result.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// The same axis of every tensor.
    All(i64),
    /// One entry for each part: element of a tuple or vector, field of a struct. `None` is not
    /// mapped.
    Each(Vec<Option<i64>>),
}

impl Default for Mapped {
    fn default() -> Mapped {
        Mapped::All(0)
    }
}

impl From<i64> for Mapped {
    fn from(axis: i64) -> Mapped {
        Mapped::All(axis)
    }
}

impl<const N: usize> From<[Option<i64>; N]> for Mapped {
    fn from(axes: [Option<i64>; N]) -> Mapped {
        Mapped::Each(axes.into())
    }
}

/// Returns the function that maps `f` over axis 0 of every leaf and stacks the results. Tensors
/// that `f` captures are shared by all members.
///
/// ```
/// use neurax::prelude::*;
/// let w = tensor([1.0, 10.0]);
/// let dot = vmap(|x: Tensor| (x * &w).sum(..));
/// assert_eq!(dot.run(tensor([[1.0, 2.0], [3.0, 4.0]]))?.to_vec::<f32>()?, [21.0, 43.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn vmap<'f, A: Tree, O: Tree, F: Function<A, Out = O> + 'f>(f: F) -> Func<'f, A, O> {
    let at = Location::caller();
    Func::new(move |a: A| map(&|a| f.apply(a), a, &Axes::default(), at))
}

/// Returns the function that maps `f` as [`vmap`] does, over the given axes.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { inputs: [Some(1), None].into(), outputs: 1.into(), ..Axes::default() };
/// let f = vmap_with(|(x, y): (Tensor, Tensor)| x * y, axes);
/// let y = f.run((tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 10.0])))?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 30.0, 40.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn vmap_with<'f, A: Tree, O: Tree, F: Function<A, Out = O> + 'f>(
    f: F,
    axes: Axes,
) -> Func<'f, A, O> {
    let at = Location::caller();
    Func::new(move |a: A| map(&|a| f.apply(a), a, &axes, at))
}

/// Maps `f` over the axes of `a`.
pub(super) fn map<A: Tree, O: Tree>(f: &dyn Fn(A) -> O, a: A, axes: &Axes, at: CallSite) -> O {
    let mapped = mapped_axes(&a, &axes.inputs);
    let known = match (axes.name, &mapped) {
        (Some(name), Ok((size, _))) => Some(NamedAxis::bind(name, *size)),
        _ => None,
    };
    let (traced, out) =
        trace_fn_as(f, &a, TraceKind::Transform, at, &mut |i, t| member(&mapped, i, t));
    drop(known);
    let is_moved = mapped.is_ok() && axes.outputs != Mapped::All(0);
    let out = rebuild(&out, apply_mapped(&traced, mapped, into_vec(a), axes.name, at));
    if is_moved { rebuild(&out, move_batch_axis(&out, &axes.outputs, at)) } else { out }
}

/// The size of the mapped axes, and the mapped axis of each leaf.
type MappedAxes = (usize, Vec<Option<usize>>);

/// Returns the type of leaf `i` in one member, for its type `t` in all of them.
fn member(mapped: &Result<MappedAxes>, i: usize, t: &Type) -> Result<Type> {
    let (_, dims) = mapped.as_ref().map_err(Clone::clone)?;
    Ok(dims[i].map_or_else(|| t.clone(), |d| t.with_shape(t.shape.removed(d))))
}

/// Applies a function of one member to all members in `leaves`. Returns the leaves of the result.
fn apply_mapped(
    traced: &TracedFn,
    mapped: Result<MappedAxes>,
    leaves: Vec<Tensor>,
    name: Option<&'static str>,
    at: CallSite,
) -> Outs {
    let outs = mapped.and_then(|(size, dims)| {
        let captures = traced.captures.iter().map(|_| None);
        let dims: Vec<Option<usize>> = dims.into_iter().chain(captures).collect();
        let axis = Axis { size, name: name.map(Into::into) };
        let graph = transform::vmap(traced.graph()?, &dims, &axis)?;
        apply_graph(&graph, traced.operands(leaves), at)
    });
    traced.fill_or_fail(outs, at)
}

/// Returns the common size of the mapped axes, and the mapped axis of each leaf.
///
/// # Errors
/// The first error that a leaf carries; when there is no mapped axis, or several sizes.
fn mapped_axes(a: &dyn AnyTree, mapped: &Mapped) -> Result<MappedAxes> {
    if let Some(e) = first_error(a) {
        return Err(e);
    }
    let mut size: Option<(usize, String)> = None;
    let mut dims = vec![];
    for ((path, x), axis) in leaves(a).into_iter().zip(axis_of_leaves(a, mapped)?) {
        let Some(axis) = axis else {
            dims.push(None);
            continue;
        };
        let (ty, leaf) = (x.ty()?, named(&path));
        let d = axis_of(axis, ty.rank())
            .map_err(|why| Error::new("vmap", format!("{leaf} is {ty}: {why}")))?;
        match &size {
            Some((n, other)) if *n != ty.shape[d] => {
                return Err(Error::new(
                    "vmap",
                    format!(
                        "expected mapped axes of one size, got {n} for {other} and {} for axis \
                         {d} of {leaf}, {ty}",
                        ty.shape[d]
                    ),
                ));
            }
            _ => size = Some((ty.shape[d], leaf)),
        }
        dims.push(Some(d));
    }
    match size {
        Some((n, _)) => Ok((n, dims)),
        None => Err(Error::new(
            "vmap",
            "expected a leaf of the argument with a mapped axis, got none: the number of members \
             is unknown",
        )),
    }
}

/// Returns the name of a leaf in messages.
fn named(path: &str) -> String {
    if path.is_empty() { "the argument".into() } else { format!("leaf `{path}`") }
}

/// Returns the axis of each leaf: the entry of `mapped` for the first part of its path.
fn axis_of_leaves(a: &dyn AnyTree, mapped: &Mapped) -> Result<Vec<Option<i64>>> {
    let each = match mapped {
        Mapped::All(axis) => return Ok(leaves(a).iter().map(|_| Some(*axis)).collect()),
        Mapped::Each(each) => each,
    };
    let mut parts: Vec<String> = vec![];
    let index = leaves(a).into_iter().map(|(path, _)| {
        let part = path.split('.').next().unwrap_or_default().to_string();
        // The parts of tuples and vectors are numbers; fields are numbered in their order.
        part.parse::<usize>().unwrap_or_else(|_| match parts.iter().position(|p| *p == part) {
            Some(i) => i,
            None => {
                parts.push(part);
                parts.len() - 1
            }
        })
    });
    let missing = |i: usize| {
        Error::new(
            "vmap",
            format!("expected an axis for each part, got {} axes and a part {i}", each.len()),
        )
    };
    index.map(|i| each.get(i).copied().ok_or_else(|| missing(i))).collect()
}

/// Returns the leaves of `out`, each with its batch axis moved from the front to its position in
/// `mapped`.
fn move_batch_axis(out: &dyn AnyTree, mapped: &Mapped, at: CallSite) -> Outs {
    let axes = match axis_of_leaves(out, mapped) {
        Ok(axes) => axes,
        Err(e) => return errors(out, &e, at),
    };
    let mut axes = axes.into_iter();
    map_tree(out, &mut |t| match axes.next().flatten() {
        Some(axis) => t.move_axis_at(0, axis, at),
        None => t.get_at(0, at),
    })
}
