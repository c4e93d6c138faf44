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

use super::grad::{derivatives, fail_derivatives, non_differentiable};
use crate::{
    Error, Func, Function, Result, Tensor, Tree,
    dispatch::{Outs, apply_graph},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{OutputLeaf, TracedFn, trace_fn},
    tree::{AnyTree, into_vec, leaves, map, placeholders, rebuild},
};
use neurax_ir::transform;
use std::panic::Location;

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
    let (traced, out) = trace_fn(&f, &p, TraceKind::Transform, at);
    let active = traced.active(&non_differentiable("jvp", &p, at));
    let directions = tangents("jvp", &p, &t);
    let (ys, dys) = apply_jvp(&traced, &active, into_vec(p), directions, at);
    (rebuild(&out, ys), rebuild(&out, dys))
}

/// Returns the leaves of the result of a traced function at `leaves`, and of its derivative in the
/// direction `tangents`.
fn apply_jvp(
    traced: &TracedFn,
    active: &[bool],
    leaves: Vec<Tensor>,
    tangents: Result<Vec<Tensor>>,
    at: CallSite,
) -> (Outs, Outs) {
    let done = tangents.and_then(|ts| {
        let j = transform::jvp(traced.graph()?, active)?;
        let operands = traced.operands(leaves).into_iter().chain(ts).collect();
        Ok((apply_graph(&j.graph, operands, at)?, j.outputs))
    });
    match done {
        Ok((outs, marked)) => {
            let (ys, dys) = outs.split_at(marked.len());
            let dys = fill_zeros(ys, dys, &marked, at);
            (traced.fill(ys.iter().cloned().collect()), traced.fill(dys))
        }
        Err(e) => (traced.fail(&e, at), traced.fail(&e, at)),
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
    let (traced, out) = trace_fn(&|p| f.apply(p), &p, TraceKind::Transform, at);
    let active = traced.active(&non_differentiable("linearize", &p, at));
    let like = rebuild(&p, map(&p, &mut Tensor::zeros_like));
    let (y, linear) = PointDerivative::new(traced, &active, into_vec(p), at);
    let y = rebuild(&out, y);
    let derivative = move |t: P| rebuild(&out, linear.apply(&like, &t, at));
    (y, Func::new(derivative))
}

/// A traced function, and its derivative at a point as a function of the direction.
struct PointDerivative {
    traced: TracedFn,
    /// The results, the residuals and the split graph, or the error of one of them.
    linear: Result<(Vec<Tensor>, Vec<Tensor>, transform::Linearized)>,
}

impl PointDerivative {
    /// Returns the leaves of the result of `traced` at `leaves`, and its derivative there.
    fn new(
        traced: TracedFn,
        active: &[bool],
        leaves: Vec<Tensor>,
        at: CallSite,
    ) -> (Outs, PointDerivative) {
        let linear = traced.graph().and_then(|g| transform::linearize(g, active)).and_then(|l| {
            let outs = apply_graph(&l.primal, traced.operands(leaves), at)?;
            let (ys, residuals) = outs.split_at(l.outputs.len());
            Ok((ys.to_vec(), residuals.to_vec(), l))
        });
        let y = match &linear {
            Ok((ys, ..)) => traced.fill(ys.iter().cloned().collect()),
            Err(e) => traced.fail(e, at),
        };
        (y, PointDerivative { traced, linear })
    }

    /// Returns the leaves of the derivative in the direction `t` at a point like `like`.
    fn apply(&self, like: &dyn AnyTree, t: &dyn AnyTree, at: CallSite) -> Outs {
        let outs = self.linear.as_ref().map_err(Clone::clone).and_then(|(ys, residuals, l)| {
            let ts = tangents("linearize", like, t)?;
            let operands = residuals.iter().cloned().chain(ts).collect();
            Ok(fill_zeros(ys, &apply_graph(&l.linear, operands, at)?, &l.outputs, at))
        });
        self.traced.fill_or_fail(outs, at)
    }
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
    let (traced, out) = trace_fn(&|p| f.apply(p), &p, TraceKind::Transform, at);
    let refused = non_differentiable("vjp", &p, at);
    let like = rebuild(&p, placeholders(&p));
    let (y, pullback) = Pullback::new(traced, refused, into_vec(p), at);
    let pull = move |ct: O| rebuild(&like, pullback.apply(&ct, at));
    (rebuild(&out, y), Func::new(pull))
}

/// A traced function, and the map from cotangents of its result to those of its argument.
struct Pullback {
    traced: TracedFn,
    /// For every leaf of the argument the error that replaces its cotangent, if it has none.
    refused: Vec<Option<Error>>,
    /// The results, the residuals and the split graph, or the error of one of them.
    backward: Result<(Vec<Tensor>, Vec<Tensor>, transform::Vjp)>,
}

impl Pullback {
    /// Returns the leaves of the result of `traced` at `leaves`, and the pullback there.
    fn new(
        traced: TracedFn,
        refused: Vec<Option<Error>>,
        leaves: Vec<Tensor>,
        at: CallSite,
    ) -> (Outs, Pullback) {
        let split = traced.graph().and_then(|g| transform::vjp(g, &traced.active(&refused)));
        let backward = split.and_then(|v| {
            let outs = apply_graph(&v.primal, traced.operands(leaves), at)?;
            let (ys, residuals) = outs.split_at(v.outputs.len());
            Ok((ys.to_vec(), residuals.to_vec(), v))
        });
        let y = match &backward {
            Ok((ys, ..)) => traced.fill(ys.iter().cloned().collect()),
            Err(e) => traced.fail(e, at),
        };
        (y, Pullback { traced, refused, backward })
    }

    /// Returns the leaves of the cotangent of the argument, for the cotangent `ct` of the result.
    fn apply(&self, ct: &dyn AnyTree, at: CallSite) -> Outs {
        let outs = self.backward.as_ref().map_err(Clone::clone).and_then(|(ys, residuals, v)| {
            let cts = cotangents("vjp", &self.traced, ys, &v.outputs, ct)?;
            apply_graph(&v.backward, residuals.iter().cloned().chain(cts).collect(), at)
        });
        match outs {
            Ok(outs) => derivatives(&self.refused, outs),
            Err(e) => fail_derivatives(&self.refused, &e, at),
        }
    }
}

/// Returns the tangents of the differentiable leaves of `p`.
///
/// # Errors
/// When `t` has another structure or types than `p`.
fn tangents(op: &str, p: &dyn AnyTree, t: &dyn AnyTree) -> Result<Vec<Tensor>> {
    let (points, ts) = (leaves(p), leaves(t));
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
pub(super) fn cotangents(
    op: &str,
    traced: &TracedFn,
    ys: &[Tensor],
    marked: &[bool],
    ct: &dyn AnyTree,
) -> Result<Vec<Tensor>> {
    let cts = leaves(ct);
    if cts.len() != traced.out.len() {
        return Err(Error::new(
            op,
            "expected cotangents with the structure of the result, got another structure",
        ));
    }
    let wanted = traced.out.iter().zip(cts).filter_map(|(leaf, (path, ct))| match leaf {
        OutputLeaf::Output(i) if marked[*i] => Some(same_type(op, &path, &ys[*i], ct)),
        _ => None,
    });
    wanted.collect()
}

/// Returns a tangent for every result: the next of `dys` where `marked` is true, else zeros.
fn fill_zeros(ys: &[Tensor], dys: &[Tensor], marked: &[bool], at: CallSite) -> Outs {
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
