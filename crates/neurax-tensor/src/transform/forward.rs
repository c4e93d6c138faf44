//! `jvp`, `linearize` and `vjp`: directional derivatives, and derivatives as functions.
//!
//! Forward mode pushes a *tangent* through the graph, one pass for each direction. Reverse mode is
//! made of it, as in JAX ("You Only Linearize Once", <https://doi.org/10.1145/3571236>): jvp, then
//! a split into the part that computes residuals and the part that is linear in the tangents, then
//! the transposition of the linear part, which maps *cotangents* of the results to cotangents of
//! the inputs.
//!
//! # Example
//!
//! `jvp(|x| x.sin(), x, t)` on `f32[]` applies this graph; `linearize` splits it into the primal
//! part `%2, %3` and the linear part `%4`, which later calls run on the residual `%3`:
//!
//! ```text
//! graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = sine(%0)
//!   %3: f32[] = cosine(%0)
//!   %4: f32[] = multiply(%1, %3)
//!   return %2, %4
//! }
//! ```
//!
//! # Invariants
//!
//! - Only float leaves without errors are differentiated ([`TracedFn::active`]). In results, leaves
//!   without a derivative get zeros.
//! - A graph that is independent of the inputs is no special case: its tangents are marked as zero
//!   and filled in ([`fill_zeros`]).

use super::grad::{derivatives, non_differentiable};
use crate::{
    Error, Func, Function, Result, Tensor, Tree,
    dispatch::{Outs, apply_graph},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{OutputLeaf, TracedFn, trace_fn},
    tree::{all_errors, into_vec},
};
use neurax_ir::transform;
use std::{panic::Location, sync::Arc};

/// Returns the value of `f` at `p` and its derivative in the direction `t`: forward mode, one pass.
///
/// Leaves that are not floats have no derivative: their direction is ignored, and zero in the
/// result.
///
/// ```
/// use neurax::prelude::*;
/// let (y, dy) = jvp(|x: Tensor| (&x * &x).sum(..), tensor([1.0, 2.0]), tensor([1.0, 0.0]));
/// assert_eq!((y.item()?, dy.item()?), (5.0, 2.0));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jvp<P: Tree, O: Tree>(f: impl Function<P, Out = O>, p: P, t: P) -> (O, O) {
    jvp_at(|p| f.apply(p), p, t, Location::caller())
}

pub(super) fn jvp_at<P: Tree, O: Tree>(f: impl Fn(P) -> O, p: P, t: P, at: CallSite) -> (O, O) {
    let traced = trace_fn(&f, &p, TraceKind::Transform, at);
    let active = traced.active(&non_differentiable("jvp", &p, at));
    let done = tangents("jvp", &p, &t).and_then(|ts| {
        let j = transform::jvp(traced.graph()?, &active)?;
        let operands = traced.operands(into_vec(p)).into_iter().chain(ts).collect();
        Ok((apply_graph(&j.graph, operands, at)?, j.outputs))
    });
    match done {
        Ok((outs, marked)) => {
            let (ys, dys) = outs.split_at(marked.len());
            (traced.out.fill(ys.to_vec()), traced.out.fill(fill_zeros(ys, dys, &marked, at)))
        }
        Err(e) => (traced.out.fail(&e, at), traced.out.fail(&e, at)),
    }
}

/// Returns the value of `f` at `p`, and the derivative there as a linear function of the direction.
/// The function may be called many times; the value is computed once.
///
/// ```
/// use neurax::prelude::*;
/// let (y, slope) = linearize(|x: Tensor| &x * &x, tensor([1.0, 2.0]));
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 4.0]);
/// assert_eq!(slope.run(tensor([1.0, 1.0]))?.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn linearize<P: Tree, O: Tree>(f: impl Function<P, Out = O>, p: P) -> (O, Func<'static, P, O>) {
    linearize_at(f, p, Location::caller())
}

pub(super) fn linearize_at<P: Tree, O: Tree>(
    f: impl Function<P, Out = O>,
    p: P,
    at: CallSite,
) -> (O, Func<'static, P, O>) {
    let traced = Arc::new(trace_fn(&|p| f.apply(p), &p, TraceKind::Transform, at));
    let active = traced.active(&non_differentiable("linearize", &p, at));
    let like = p.map_leaves(Tensor::zeros_like);
    let done = traced.graph().and_then(|g| transform::linearize(g, &active)).and_then(|l| {
        let outs = apply_graph(&l.primal, traced.operands(into_vec(p)), at)?;
        Ok((outs, l))
    });
    let (outs, l) = match done {
        Ok(x) => x,
        Err(e) => return (traced.out.fail(&e, at), Func::new(move |_| traced.out.fail(&e, at))),
    };
    let (ys, residuals) = outs.split_at(l.outputs.len());
    let (ys, residuals) = (ys.to_vec(), residuals.to_vec());
    let y = traced.out.fill(ys.clone());
    let derivative = move |t: P| {
        let outs = tangents("linearize", &like, &t).and_then(|ts| {
            apply_graph(&l.linear, residuals.iter().cloned().chain(ts).collect(), at)
        });
        let outs: Result<Outs> = outs.map(|dys| fill_zeros(&ys, &dys, &l.outputs, at).into());
        traced.out.fill_or_fail(outs, at)
    };
    (y, Func::new(derivative))
}

/// Returns the value of `f` at `p`, and the function that maps a cotangent of the result to the
/// cotangent of `p`: reverse mode. The cotangent of the result is a weight for each element; the
/// cotangent of `p` is the derivative of the weighted sum.
///
/// ```
/// use neurax::prelude::*;
/// let (y, pull) = vjp(|x: Tensor| &x * &x, tensor([1.0, 2.0]));
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 4.0]);
/// assert_eq!(pull.run(tensor([1.0, 10.0]))?.to_vec::<f32>()?, [2.0, 40.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn vjp<P: Tree, O: Tree>(f: impl Function<P, Out = O>, p: P) -> (O, Func<'static, O, P>) {
    vjp_at(f, p, Location::caller())
}

pub(super) fn vjp_at<P: Tree, O: Tree>(
    f: impl Function<P, Out = O>,
    p: P,
    at: CallSite,
) -> (O, Func<'static, O, P>) {
    let traced = trace_fn(&|p| f.apply(p), &p, TraceKind::Transform, at);
    let refused = non_differentiable("vjp", &p, at);
    let like = p.map_leaves(|_| Tensor::placeholder());
    let done =
        traced.graph().and_then(|g| transform::vjp(g, &traced.active(&refused))).and_then(|v| {
            let outs = apply_graph(&v.primal, traced.operands(into_vec(p)), at)?;
            Ok((outs, v))
        });
    let (outs, v) = match done {
        Ok(x) => x,
        Err(e) => return (traced.out.fail(&e, at), Func::new(move |_| all_errors(&like, &e, at))),
    };
    let (ys, residuals) = outs.split_at(v.outputs.len());
    let (ys, residuals) = (ys.to_vec(), residuals.to_vec());
    let y = traced.out.fill(ys.clone());
    let pull = move |ct: O| {
        let cts = cotangents(&traced, &ys, &v.outputs, &ct);
        match cts.and_then(|cts| {
            apply_graph(&v.backward, residuals.iter().cloned().chain(cts).collect(), at)
        }) {
            Ok(outs) => derivatives(&like, &refused, outs.into_iter()),
            Err(e) => all_errors(&like, &e, at),
        }
    };
    (y, Func::new(pull))
}

/// Returns the tangents of the differentiable leaves of `p`.
///
/// # Errors
/// When `t` has another structure or types than `p`.
fn tangents<P: Tree>(op: &str, p: &P, t: &P) -> Result<Vec<Tensor>> {
    let (points, ts) = (p.leaves(), t.leaves());
    if !points.iter().map(|x| &x.0).eq(ts.iter().map(|x| &x.0)) {
        return Err(Error::new(
            op,
            "expected directions with the structure of the point, got another structure",
        ));
    }
    let active = points
        .into_iter()
        .zip(ts)
        .filter(|((_, x), _)| x.type_ref().is_ok_and(|x| x.dtype.is_differentiable()));
    active.map(|((path, x), (_, t))| same_type(op, &path, x, t)).collect()
}

/// Returns `t` if it has the type of `x`, the leaf at `path`.
fn same_type(op: &str, path: &str, x: &Tensor, t: &Tensor) -> Result<Tensor> {
    let (want, have) = (x.ty()?, t.ty()?);
    if want == have {
        return Ok(t.clone());
    }
    let leaf = if path.is_empty() { String::new() } else { format!("leaf `{path}`: ") };
    Err(Error::new(op, format!("{leaf}expected {want}, got {have}")))
}

/// Returns the cotangents in `ct` of the results that have a derivative, those with `marked`.
///
/// # Errors
/// When `ct` has another structure or types than the result.
fn cotangents<O: Tree>(
    traced: &TracedFn<O>,
    ys: &[Tensor],
    marked: &[bool],
    ct: &O,
) -> Result<Vec<Tensor>> {
    let cts = ct.leaves();
    if cts.len() != traced.out.leaves.len() {
        return Err(Error::new(
            "vjp",
            "expected cotangents with the structure of the result, got another structure",
        ));
    }
    let wanted = traced.out.leaves.iter().zip(cts).filter_map(|(leaf, (path, ct))| match leaf {
        OutputLeaf::Output(i) if marked[*i] => Some(same_type("vjp", &path, &ys[*i], ct)),
        _ => None,
    });
    wanted.collect()
}

/// Returns a tangent for every result: the next of `dys` where `marked` is true, else zeros.
fn fill_zeros(ys: &[Tensor], dys: &[Tensor], marked: &[bool], at: CallSite) -> Vec<Tensor> {
    let mut dys = dys.iter().cloned();
    ys.iter()
        .zip(marked)
        .map(
            |(y, m)| {
                if *m { dys.next().unwrap_or_else(Tensor::placeholder) } else { y.zeros_at(at) }
            },
        )
        .collect()
}
