//! Transforms composed of others: Hessian-vector products, gradients of holomorphic functions, the
//! transpose of a linear function, loops of bounded length.

use super::{
    control::{cond, fori},
    forward::{cotangents, jvp_at},
    grad::{differentiate, fail_derivatives, non_differentiable},
};
use crate::{
    Error, Func, Function, Result, Tensor, Tree,
    dispatch::{Outs, apply_graph},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{TracedFn, trace_fn},
    tree::{AnyTree, all_errors, placeholders, rebuild, to_vec},
    vjp,
};
use neurax_ir::{Graph, transform};
use std::panic::Location;

/// Returns the product of the Hessian of `f` at `p` and the direction `v`, in forward mode over the
/// gradient: the Hessian itself is not computed. Follows the recipe of JAX's documentation, `jvp`
/// of `grad`.
///
/// ```
/// use neurax::prelude::*;
/// let f = |x: Tensor| (&x * &x * &x).sum(..);
/// let product = hvp(f, tensor([1.0, 2.0]), tensor([1.0, 10.0]));
/// assert_eq!(product.to_vec::<f32>()?, [6.0, 120.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn hvp<P: Tree>(f: impl Function<P, Out = Tensor>, p: P, v: P) -> P {
    let at = Location::caller();
    jvp_at(|p| differentiate(&|p| f.apply(p), p, at).1, p, v, at).1
}

/// Returns the complex derivative of a holomorphic function of complex tensors whose result is one
/// complex number, with respect to its whole argument. Follows `jax.grad` with `holomorphic=True`.
///
/// [`crate::grad`] differentiates functions with a real result, also of complex arguments. The
/// derivative of a function that is not holomorphic has no meaning, and this is not checked.
///
/// # Errors
///
/// The gradient carries an error if the result is not one complex number, or a leaf of the argument
/// is not complex.
///
/// ```
/// use neurax::prelude::*;
/// let z = tensor(1.0).complex(tensor(2.0));
/// let slope = grad_holomorphic(|z: Tensor| &z * &z).run(z)?;
/// assert_eq!((slope.real().item()?, slope.imag().item()?), (2.0, 4.0));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn grad_holomorphic<'f, P: Tree, F: Function<P, Out = Tensor> + 'f>(f: F) -> Func<'f, P, P> {
    let at = Location::caller();
    Func::new(move |p: P| {
        if let Some(ty) = to_vec(&p).iter().flat_map(Tensor::ty).find(|t| !t.dtype.is_complex()) {
            let why = format!("expected leaves of complex numbers, got {ty}; grad takes real ones");
            return all_errors(&p, &Error::new("grad_holomorphic", why), at);
        }
        let (y, pull) = vjp(|p| complex_scalar(f.apply(p), at), p);
        pull.apply(y.ones_like())
    })
}

/// Returns `y` if it is one complex number, else an error.
fn complex_scalar(y: Tensor, at: CallSite) -> Tensor {
    match y.type_ref() {
        Ok(ty) if ty.dtype.is_complex() && ty.size() == 1 => y,
        Ok(ty) => {
            let why = format!("expected a result of one complex number, got {ty}");
            Tensor::fail("grad_holomorphic", why, at)
        }
        Err(_) => y,
    }
}

/// Returns the transpose of the linear function `f` of arguments like `like`, whose values are not
/// read: it maps a cotangent of the result to the cotangent of the argument. Follows
/// `jax.linear_transpose`.
///
/// # Errors
///
/// The result carries an error if `f` is not linear, if leaves of the argument are not floats, or
/// if the cotangent is not like the result.
///
/// ```
/// use neurax::prelude::*;
/// let sums = linear_transpose(|x: Tensor| x.sum(0), &Tensor::zeros([2, 3]));
/// let ct = sums.run(tensor([1.0, 2.0, 3.0]))?;
/// assert_eq!(ct.to_vec::<f32>()?, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn linear_transpose<P: Tree, O: Tree>(
    f: impl Function<P, Out = O>,
    like: &P,
) -> Func<'static, O, P> {
    let at = Location::caller();
    let (traced, _) = trace_fn(&|p| f.apply(p), like, TraceKind::Transform, at);
    let refused = non_differentiable("linear_transpose", like, at);
    let result = rebuild(like, placeholders(like));
    let graph = traced.graph().and_then(|g| transform::transpose(g, &traced.active(&refused)));
    Func::new(move |ct: O| {
        let ct = graph.clone().and_then(|g| transposed(&g, &traced, &refused, &ct, at));
        rebuild(&result, ct.unwrap_or_else(|e| fail_derivatives(&refused, &e, at)))
    })
}

/// Applies the transposed graph of a traced function to the cotangents of its results.
fn transposed(
    graph: &Graph,
    traced: &TracedFn,
    refused: &[Option<Error>],
    ct: &dyn AnyTree,
    at: CallSite,
) -> Result<Outs> {
    if let Some(e) = refused.iter().flatten().next() {
        return Err(e.clone());
    }
    let types = traced.graph()?.output_types();
    let ys: Vec<Tensor> = types.iter().map(|t| Tensor::zeros_of(t.dtype, &t.shape)).collect();
    let cts = cotangents("linear_transpose", traced, &ys, &vec![true; ys.len()], ct)?;
    apply_graph(graph, traced.captures.iter().cloned().chain(cts).collect(), at)
}

/// Loops while `condition(&carry)` is true, at most `limit` times: `carry = body(carry)`. Unlike
/// [`crate::while_loop`] it has derivatives in reverse mode, since the number of steps is bounded;
/// a derivative stores the carries of `limit` steps. Steps after the end of the loop run neither
/// `body` nor its derivative.
///
/// # Errors
///
/// The result carries an error if the body returns another structure or other types than `init`.
///
/// ```
/// use neurax::prelude::*;
/// let f = |x: Tensor| while_loop_bounded(x, 10, |x| x.lt(100.0), |x| &x * &x);
/// assert_eq!(f(tensor(3.0)).item()?, 6561.0);
/// assert_eq!(grad(f).run(tensor(3.0))?.item()?, 17496.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn while_loop_bounded<C: Tree + Clone>(
    init: C,
    limit: usize,
    condition: impl Fn(&C) -> Tensor,
    body: impl Fn(C) -> C,
) -> C {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    fori(0..limit, init, |_, carry: C| {
        cond(&condition(&carry), || body(carry.clone()), || carry.clone())
    })
}
