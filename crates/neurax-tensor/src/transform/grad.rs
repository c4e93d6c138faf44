//! `grad` and `value_and_grad`: gradients in reverse mode.
//!
//! `grad(f)(p)` traces `f` on the types of `p`, builds one graph that returns the loss and the
//! gradient, and applies it to `p`. Inside `jit` the graph is inlined into the outer trace, so the
//! compiler sees forward and backward pass together.
//!
//! # Example
//!
//! `grad(|x| x.sin())` on `f32[]`; the forward value `%1` is dead here and removed by the passes:
//!
//! ```text
//! graph(%0: f32[]) {
//!   %1: f32[] = sine(%0)
//!   %2: f32[] = cosine(%0)
//!   %3: f32[] = constant[value=f32[] 1.0]()
//!   %4: f32[] = multiply(%3, %2)
//!   return %4
//! }
//! ```
//!
//! # Invariants
//!
//! - The loss is the first leaf of the result; other leaves are auxiliary.
//! - A leaf that cannot be differentiated (an integer, an error) carries an error in the gradient;
//!   the gradients of the other leaves stay valid. If no leaf can be differentiated, all carry it.

use crate::{
    Error, Func, Function, Loss, Result, Tensor, Tree,
    dispatch::{Outs, apply_graph},
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{OutputLeaf, TracedFn, trace_fn},
    tree::{AnyTree, into_vec, placeholders, rebuild, visit_leaves},
};
use neurax_ir::{Place, transform};
use std::panic::Location;

/// Returns the gradient of a function whose result is one number, with respect to its whole
/// argument: a tree like the argument.
///
/// Capture a tensor instead of passing it if it is a constant. The gradient of an integer leaf is
/// an error in that leaf. The function is traced, so values cannot be read inside (`item`, `if`):
/// use `select` or `cond`. Outside of `jit` the function is traced in every call.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([1.0, 2.0]);
/// let loss = |w: Tensor| (w * &x).sum(..);
/// let slope = grad(loss);
/// assert_eq!(slope.run(tensor([5.0, 5.0]))?.to_vec::<f32>()?, [1.0, 2.0]);
/// let curvature = grad(|w: Tensor| grad(|w: Tensor| &w * &w * &w)(w));
/// assert_eq!(curvature.run(tensor(2.0))?.item()?, 12.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn grad<'f, P: Tree, F: Function<P, Out = Tensor> + 'f>(f: F) -> Func<'f, P, P> {
    let at = Location::caller();
    Func::new(move |p: P| differentiate(&|p| f.apply(p), p, at).1)
}

/// Returns the value and the gradient: `(loss, gradient)`, or `((loss, aux), gradient)` for a
/// function that returns `(loss, aux)`.
///
/// ```
/// use neurax::prelude::*;
/// let f = value_and_grad(|w: Tensor| { let y = &w * &w; (y.sum(..), y) });
/// let ((loss, squares), gradient) = f.run(tensor([1.0, 2.0]))?;
/// assert_eq!((loss.item()?, squares.to_vec::<f32>()?), (5.0, vec![1.0, 4.0]));
/// assert_eq!(gradient.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn value_and_grad<'f, P: Tree, L: Loss, F: Function<P, Out = L> + 'f>(
    f: F,
) -> Func<'f, P, (L, P)> {
    let at = Location::caller();
    Func::new(move |p: P| differentiate(&|p| f.apply(p), p, at))
}

/// Returns the value and the gradient of `f` at `p`. Because the argument comes first, the closure
/// needs no type annotations.
///
/// ```
/// use neurax::prelude::*;
/// let (x, y) = (tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]));
/// let params = (tensor([[1.0]]), tensor([0.0]));
/// let (loss, (kernel, bias)) =
///     value_and_grad_at(&params, |(k, b)| (x.matmul(&k) + b - &y).square().mean(..));
/// assert_eq!((loss.item()?, kernel.item()?, bias.item()?), (2.5, -5.0, -3.0));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn value_and_grad_at<P: Tree + Clone, L: Loss>(p: &P, f: impl Fn(P) -> L) -> (L, P) {
    differentiate(&f, p.clone(), Location::caller())
}

/// Returns the result of `f` at `p` and the gradient of its loss.
pub(super) fn differentiate<P: Tree, L: Loss>(f: &dyn Fn(P) -> L, p: P, at: CallSite) -> (L, P) {
    let (traced, out) = trace_fn(f, &p, TraceKind::Transform, at);
    let refused = non_differentiable("grad", &p, at);
    let like = rebuild(&p, placeholders(&p));
    let (loss, gradient) = apply_gradient(&traced, &refused, into_vec(p), at);
    (rebuild(&out, loss), rebuild(&like, gradient))
}

/// Returns the leaves of the result of a traced function at `leaves`, and of the gradient.
fn apply_gradient(
    traced: &TracedFn,
    refused: &[Option<Error>],
    leaves: Vec<Tensor>,
    at: CallSite,
) -> (Outs, Outs) {
    let graph = check_loss(traced, refused)
        .and_then(|()| transform::grad(traced.graph()?, &traced.active(refused)));
    let graph = match graph {
        Ok(g) => g,
        Err(e) => return (traced.call(leaves, at), fail_derivatives(refused, &e, at)),
    };
    match apply_graph(&graph, traced.operands(leaves), at) {
        Ok(outs) => {
            let mut outs = outs.into_iter();
            let count = traced.graph().map_or(0, |g| g.outputs().len());
            let loss = traced.fill(outs.by_ref().take(count).collect());
            (loss, derivatives(refused, outs.collect()))
        }
        Err(e) => (traced.fail(&e, at), fail_derivatives(refused, &e, at)),
    }
}

/// Returns for every leaf the error that replaces its derivative, if it has none.
pub(super) fn non_differentiable(op: &str, p: &dyn AnyTree, at: CallSite) -> Vec<Option<Error>> {
    let mut refused = vec![];
    visit_leaves(p, true, &mut |path, x| {
        refused.push(match x.type_ref() {
            Err(e) => Some(e.clone()),
            Ok(t) if t.dtype.is_differentiable() => None,
            Ok(t) => {
                let leaf = if path.is_empty() {
                    "the argument".to_string()
                } else {
                    format!("leaf `{path}` of the argument")
                };
                let why = format!(
                    "{leaf} is {t}: only floats can be differentiated; capture it, convert it to a \
                     float{}",
                    static_hint(path)
                );
                Some(Error::new(op, why).at(&Place::Source(at)))
            }
        });
    });
    refused
}

/// Returns the hint how the leaf at `path` can be a plain number instead: in a tuple as `Static`,
/// in a struct as a static field. The whole argument cannot.
fn static_hint(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        None | Some("") => "",
        Some(key) if key.bytes().all(|b| b.is_ascii_digit()) => {
            ", or pass a plain number as `Static(n)`"
        }
        Some(_) => ", or hold a plain number instead, in a field marked #[tree(static)]",
    }
}

/// Returns the derivative of every leaf of the argument: the error of a refused leaf, else the next
/// of `next`.
pub(super) fn derivatives(refused: &[Option<Error>], next: Outs) -> Outs {
    let mut next = next.into_iter();
    let leaf = |r: &Option<Error>| match r {
        Some(e) => Tensor::from_error(e.clone()),
        None => next.next().unwrap_or_else(Tensor::placeholder),
    };
    refused.iter().map(leaf).collect()
}

/// Returns `e` for every leaf of the argument.
pub(super) fn fail_derivatives(refused: &[Option<Error>], e: &Error, at: CallSite) -> Outs {
    let e = e.clone().at(&Place::Source(at));
    refused.iter().map(|_| Tensor::from_error(e.clone())).collect()
}

impl TracedFn {
    /// Returns for each input of the graph whether it is differentiated: the leaves of the argument
    /// that are neither errors nor refused. Captures are constants.
    pub(super) fn active(&self, refused: &[Option<Error>]) -> Vec<bool> {
        let inputs = refused.iter().zip(&self.is_input).filter(|(_, is_input)| **is_input);
        let leaves = inputs.map(|(r, _)| r.is_none());
        leaves.chain(self.captures.iter().map(|_| false)).collect()
    }
}

/// Checks that the result begins with a loss without error, and that a leaf can be differentiated.
fn check_loss(traced: &TracedFn, refused: &[Option<Error>]) -> Result<()> {
    match traced.out.first() {
        Some(OutputLeaf::Error(e)) => return Err(e.clone()),
        Some(OutputLeaf::Output(_)) => {}
        None => {
            return Err(Error::new(
                "grad",
                "expected a function that returns a loss, got one without results",
            ));
        }
    }
    match refused.iter().flatten().next() {
        Some(e) if refused.iter().all(Option::is_some) => Err(e.clone()),
        _ => Ok(()),
    }
}
