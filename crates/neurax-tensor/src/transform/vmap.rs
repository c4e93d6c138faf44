//! Batching.

use crate::{
    Error, Func, Function, Result, Tree, Type,
    args::axis_of,
    dispatch::apply_graph,
    tensor::CallSite,
    traced_fn::{Constants, trace_fn_as},
    tree::{first_error, into_vec},
};
use neurax_ir::{Axis, transform};
use std::panic::Location;

/// How [`vmap_with`] maps: which axes of the argument, where the new axis goes in the result, and
/// the axis' name for collectives.
#[derive(Clone, Debug, Default)]
pub struct Axes {
    /// Which axis of each part of the argument is mapped; axis 0 of everything by default.
    pub inputs: Mapped,
    /// Where the new axis stands in each part of the result; in front by default. `None` means that
    /// all members give the same.
    pub outputs: Mapped,
    /// The name of the axis, for `psum`, `pmean`, `pmax`, `pmin` and `axis_index`.
    pub name: Option<&'static str>,
}

/// An axis for each part of an argument or result.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// The same axis of every tensor.
    All(i64),
    /// One entry for each part of a tuple (or field of a struct, element of a vector); `None` is
    /// not mapped.
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

/// The function over axis 0 of every leaf at once, with the results stacked. What it captures is
/// shared by all members.
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

/// Like [`vmap`], over the axes that are named.
///
/// ```
/// use neurax::prelude::*;
/// let f = vmap_with(|(x, y): (Tensor, Tensor)| x * y, Axes { inputs: [Some(1), None].into(), outputs: 1.into(), ..Axes::default() });
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

pub(super) fn map<A: Tree, O: Tree>(f: &dyn Fn(A) -> O, a: A, axes: &Axes, at: CallSite) -> O {
    let mapped = mapped_axes(&a, &axes.inputs);
    let bad = first_error(&a).map_or(Ok(()), Err);
    let (size, dims) = match bad.and(mapped) {
        Ok(x) => x,
        Err(e) => {
            return trace_fn_as(f, &a, Constants::Capture, at, &mut |_, _| Err(e.clone()))
                .out
                .fail(&e, at);
        }
    };
    let member = |i: usize, t: &Type| {
        Ok(dims[i].map_or_else(|| t.clone(), |d| t.with_shape(t.shape.removed(d))))
    };
    let closed = trace_fn_as(f, &a, Constants::Capture, at, &mut { member });
    let all: Vec<Option<usize>> =
        dims.iter().copied().chain(closed.captures.iter().map(|_| None)).collect();
    let axis = Axis { size, name: axes.name.map(Into::into) };
    let outs = closed
        .graph()
        .and_then(|g| transform::vmap(g, &all, &axis))
        .and_then(|g| apply_graph(&g, closed.operands(into_vec(a)), at));
    let out = closed.out.fill_or_fail(outs, at);
    if axes.outputs == Mapped::All(0) { out } else { placed(&out, &axes.outputs, at) }
}

/// The common size of the mapped axes, and which axis is mapped in each leaf.
fn mapped_axes<A: Tree>(a: &A, mapped: &Mapped) -> Result<(usize, Vec<Option<usize>>)> {
    let mut size: Option<(usize, String)> = None;
    let mut dims = vec![];
    for ((path, x), axis) in a.leaves().into_iter().zip(axis_of_leaves(a, mapped)?) {
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
                        "{other} has {n} members, {leaf}, a {ty}, has {} along axis {d}",
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
            "no leaf of the argument has a mapped axis, so the number of members is unknown",
        )),
    }
}

fn named(path: &str) -> String {
    if path.is_empty() { "the argument".into() } else { format!("leaf `{path}`") }
}

/// The axis that `mapped` gives each leaf: by the first part of its path.
fn axis_of_leaves<A: Tree>(a: &A, mapped: &Mapped) -> Result<Vec<Option<i64>>> {
    let each = match mapped {
        Mapped::All(axis) => return Ok(a.leaves().iter().map(|_| Some(*axis)).collect()),
        Mapped::Each(each) => each,
    };
    let mut parts: Vec<String> = vec![];
    let index = a.leaves().into_iter().map(|(path, _)| {
        let part = path.split('.').next().unwrap_or_default().to_string();
        // Tuples and vectors are numbered; fields count in their order.
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
            format!("there are axes for {} parts, but there is a part number {i}", each.len()),
        )
    };
    index.map(|i| each.get(i).copied().ok_or_else(|| missing(i))).collect()
}

/// The results with their new axis moved from the front to where it is wanted.
fn placed<O: Tree>(out: &O, mapped: &Mapped, at: CallSite) -> O {
    let axes = match axis_of_leaves(out, mapped) {
        Ok(axes) => axes,
        Err(e) => return crate::tree::all_errors(out, &e, at),
    };
    let mut axes = axes.into_iter();
    out.map_leaves(|t| match axes.next().flatten() {
        Some(axis) => t.move_axis_at(0, axis, at),
        None => t.get_at(0, at),
    })
}
