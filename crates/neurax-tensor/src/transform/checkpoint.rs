//! `checkpoint` (rematerialization) and `stop_gradient`.
//!
//! The problem: reverse mode reads intermediate values of the function in the backward pass, so all
//! of them stay in memory until then. `checkpoint(f)` keeps only the arguments and captures of `f`
//! and computes the intermediate values again when the backward pass needs them (Griewank and
//! Walther, Algorithm 799, <https://doi.org/10.1145/347837.347846>; `jax.checkpoint`).
//!
//! A call is traced and recorded as one op, [`op::Checkpoint`], which holds the graph of `f`.
//! Forward mode and evaluation see its body. Reverse mode replaces it by two ops: one computes the
//! results without residuals, the other the tangents from the operands, and is transposed. The
//! second one recomputes the part of the body that the tangents read. It reads the operands behind
//! an `optimization_barrier`: common subexpression elimination would otherwise find the first
//! computation and keep its values.
//!
//! # Example
//!
//! `checkpoint(|x| x.sin().sin())` on `f32[]`, before the tangents are transposed, with `dx` for
//! the tangent of `x`:
//!
//! ```text
//! y  = checkpoint[body=graph(x) { sine(sine(x)) }](x)
//! dy = checkpoint[body=graph(x, dx) {
//!   b = optimization_barrier(x)
//!   cosine(sine(b)) * cosine(b) * dx
//! }](x, dx)
//! ```
//!
//! Without `checkpoint`, `cosine(sine(x))` and `cosine(x)` would be stored.
//!
//! # Invariants
//!
//! - Captures are operands, in front of the arguments: a gradient with respect to them is found,
//!   too.
//! - The values of `checkpoint(f)` and their derivatives are those of `f`.

use crate::{
    Func, Function, Tensor, Tree,
    dispatch::{Outs, dispatch_multi},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{TracedFn, trace_fn, unify_captures},
    tree::{into_vec, rebuild},
};
use neurax_ir::op;
use std::{panic::Location, sync::Arc};

/// Returns the same function, but its intermediate values are recomputed in the backward pass
/// instead of being kept: memory is traded for time.
///
/// Griewank and Walther, Algorithm 799 (<https://doi.org/10.1145/347837.347846>).
///
/// ```
/// use neurax::prelude::*;
/// let layer = checkpoint(|x: Tensor| x.sin().sin());
/// assert_eq!(grad(&layer).run(tensor(0.0))?.item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn checkpoint<'f, A: Tree, O: Tree, F: Function<A, Out = O> + 'f>(f: F) -> Func<'f, A, O> {
    let at = Location::caller();
    Func::new(move |a: A| {
        let (traced, out) = trace_fn(&|a| f.apply(a), &a, TraceKind::Body, at);
        rebuild(&out, apply_checkpoint(&traced, into_vec(a), at))
    })
}

/// Dispatches the checkpoint of a traced function at `leaves`. Returns the leaves of the result.
fn apply_checkpoint(traced: &TracedFn, leaves: Vec<Tensor>, at: CallSite) -> Outs {
    let outs = traced.capturing_graph().and_then(|p| unify_captures(&[p])).and_then(|unified| {
        let [body] =
            unified.graphs.try_into().map_err(|_| crate::Error::bug("expected one graph"))?;
        let leaves = traced.operands(leaves).into_iter().take(traced.arg_count());
        dispatch_multi(
            op::Checkpoint { body: Arc::new(body) },
            unified.captures.into_iter().chain(leaves),
            at,
        )
    });
    traced.fill_or_fail(outs, at)
}

/// Returns the same values behind a barrier: the compiler computes all of them before it computes
/// what reads the result, and merges nothing across. Follows `jax.lax.optimization_barrier`.
///
/// ```
/// use neurax::prelude::*;
/// let (x, y) = neurax::optimization_barrier(&(tensor(2.0), tensor(3.0)));
/// assert_eq!((x * y).item()?, 6.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn optimization_barrier<T: Tree>(x: &T) -> T {
    let at = Location::caller();
    let leaves: Vec<Tensor> = x.leaves().into_iter().map(|(_, leaf)| leaf.clone()).collect();
    if leaves.is_empty() {
        return x.map_leaves(Tensor::clone);
    }
    match dispatch_multi(op::OptimizationBarrier {}, leaves, at) {
        Ok(ys) => x.with_leaves(ys),
        Err(e) => x.map_leaves(|_| Tensor::error_at(e.clone(), at)),
    }
}

/// Returns the same values with a derivative of zero.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(grad(|x: Tensor| &x * stop_gradient(&x)).run(tensor(3.0))?.item()?, 3.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn stop_gradient<T: Tree>(x: &T) -> T {
    let at = Location::caller();
    x.map_leaves(
        |t| if t.is_traced() { super::custom::without_derivative(t, at) } else { t.clone() },
    )
}
