//! Directional derivatives, and derivatives as functions.

use super::grad::{derivatives, refused_leaves};
use crate::{
    Error, Func, Function, Result, Tensor, Tree,
    dispatch::{Outs, apply_graph},
    tensor::CallSite,
    traced_fn::{Constants, OutputLeaf, TracedFn, trace_fn},
    tree::{all_errors, into_vec},
};
use neurax_ir::transform;
use std::{panic::Location, sync::Arc};

/// The value of `f` at `p` and its derivative in the direction `t`: forward mode, one pass.
///
/// Leaves that are not floats have no derivative: their direction is ignored, and in the result it
/// is zero.
///
/// ```
/// use neurax::prelude::*;
/// let (y, dy) = jvp(|x: Tensor| (&x * &x).sum(..), tensor([1.0, 2.0]), tensor([1.0, 0.0]));
/// assert_eq!((y.item()?, dy.item()?), (5.0, 2.0));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jvp<P: Tree, O: Tree>(f: impl Function<P, Out = O>, p: P, t: P) -> (O, O) {
    let at = Location::caller();
    let closed = trace_fn(&|p| f.apply(p), &p, Constants::Capture, at);
    let active = closed.active(&refused_leaves("jvp", &p, at));
    let done = directions("jvp", &p, &t).and_then(|ts| {
        let j = transform::jvp(closed.graph()?, &active)?;
        let operands = closed.operands(into_vec(p)).into_iter().chain(ts).collect();
        Ok((apply_graph(&j.graph, operands, at)?, j.outputs))
    });
    match done {
        Ok((outs, marked)) => {
            let (ys, dys) = outs.split_at(marked.len());
            (closed.out.fill(ys.to_vec()), closed.out.fill(spread(ys, dys, &marked, at)))
        }
        Err(e) => (closed.out.fail(&e, at), closed.out.fail(&e, at)),
    }
}

/// The value of `f` at `p`, and its derivative there as a linear function of directions, which may
/// be called many times.
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
    let closed = Arc::new(trace_fn(&|p| f.apply(p), &p, Constants::Capture, at));
    let active = closed.active(&refused_leaves("linearize", &p, at));
    let like = p.map_leaves(Tensor::zeros_like);
    let done = closed.graph().and_then(|g| transform::linearize(g, &active)).and_then(|l| {
        let outs = apply_graph(&l.primal, closed.operands(into_vec(p)), at)?;
        Ok((outs, l))
    });
    let (outs, l) = match done {
        Ok(x) => x,
        Err(e) => return (closed.out.fail(&e, at), Func::new(move |_| closed.out.fail(&e, at))),
    };
    let (ys, residuals) = outs.split_at(l.outputs.len());
    let (ys, residuals) = (ys.to_vec(), residuals.to_vec());
    let y = closed.out.fill(ys.clone());
    let derivative = move |t: P| {
        let outs = directions("linearize", &like, &t).and_then(|ts| {
            apply_graph(&l.linear, residuals.iter().cloned().chain(ts).collect(), at)
        });
        let outs: Result<Outs> = outs.map(|dys| spread(&ys, &dys, &l.outputs, at).into());
        closed.out.fill_or_fail(outs, at)
    };
    (y, Func::new(derivative))
}

/// The value of `f` at `p`, and the function from a weight for each result to the derivative of the
/// weighted sum: reverse mode.
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
    let closed = trace_fn(&|p| f.apply(p), &p, Constants::Capture, at);
    let refused = refused_leaves("vjp", &p, at);
    let like = p.map_leaves(|_| Tensor::placeholder());
    let done =
        closed.graph().and_then(|g| transform::vjp(g, &closed.active(&refused))).and_then(|v| {
            let outs = apply_graph(&v.primal, closed.operands(into_vec(p)), at)?;
            Ok((outs, v))
        });
    let (outs, v) = match done {
        Ok(x) => x,
        Err(e) => return (closed.out.fail(&e, at), Func::new(move |_| all_errors(&like, &e, at))),
    };
    let (ys, residuals) = outs.split_at(v.outputs.len());
    let (ys, residuals) = (ys.to_vec(), residuals.to_vec());
    let y = closed.out.fill(ys.clone());
    let pull = move |ct: O| {
        let cts = weights(&closed, &ys, &v.outputs, &ct);
        match cts.and_then(|cts| {
            apply_graph(&v.backward, residuals.iter().cloned().chain(cts).collect(), at)
        }) {
            Ok(outs) => derivatives(&like, &refused, outs.into_iter()),
            Err(e) => all_errors(&like, &e, at),
        }
    };
    (y, Func::new(pull))
}

/// The directions of the good, differentiable leaves.
fn directions<P: Tree>(op: &str, p: &P, t: &P) -> Result<Vec<Tensor>> {
    let (points, ts) = (p.leaves(), t.leaves());
    if !points.iter().map(|x| &x.0).eq(ts.iter().map(|x| &x.0)) {
        return Err(Error::new(
            op,
            "the directions are a tree of another structure than the point",
        ));
    }
    let active = points
        .into_iter()
        .zip(ts)
        .filter(|((_, x), _)| x.type_ref().is_ok_and(|x| x.dtype.is_differentiable()));
    active.map(|((path, x), (_, t))| fitting(op, &path, x, t)).collect()
}

fn fitting(op: &str, path: &str, x: &Tensor, t: &Tensor) -> Result<Tensor> {
    let (want, have) = (x.ty()?, t.ty()?);
    if want == have {
        return Ok(t.clone());
    }
    let leaf = if path.is_empty() { String::new() } else { format!("leaf `{path}`: ") };
    Err(Error::new(op, format!("{leaf}{want} is needed here, not {have}")))
}

/// The weights of those results that have a derivative.
fn weights<O: Tree>(
    closed: &TracedFn<O>,
    ys: &[Tensor],
    marked: &[bool],
    ct: &O,
) -> Result<Vec<Tensor>> {
    let cts = ct.leaves();
    if cts.len() != closed.out.leaves.len() {
        return Err(Error::new(
            "vjp",
            "the weights are a tree of another structure than the result",
        ));
    }
    let wanted = closed.out.leaves.iter().zip(cts).filter_map(|(slot, (path, ct))| match slot {
        OutputLeaf::Output(i) if marked[*i] => Some(fitting("vjp", &path, &ys[*i], ct)),
        _ => None,
    });
    wanted.collect()
}

/// A derivative for every result: zero where there is none.
fn spread(ys: &[Tensor], dys: &[Tensor], marked: &[bool], at: CallSite) -> Vec<Tensor> {
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
