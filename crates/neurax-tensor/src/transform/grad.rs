//! Gradients.

use crate::{
    Error, Func, Function, Loss, Result, Tensor, Tree,
    dispatch::apply_graph,
    tensor::CallSite,
    traced_fn::{Constants, OutputLeaf, TracedFn, trace_fn},
    tree::{all_errors, into_vec},
};
use neurax_ir::{Place, transform};
use std::panic::Location;

/// The gradient of a function whose result is one number, with respect to its whole argument: a
/// tree like the argument.
///
/// What should stay constant is captured instead of passed. An integer leaf gives an error in that
/// leaf. The function is traced, so values cannot be looked at inside (`item`, `if`): use `select`
/// or `cond`. Outside `jit` it is traced in every call.
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

/// The value and the gradient: `(loss, gradient)`, or `((loss, anything), gradient)` of a function
/// that returns `(loss, anything)`.
///
/// ```
/// use neurax::prelude::*;
/// let f = value_and_grad(|w: Tensor| { let y = &w * &w; (y.sum(..), y) });
/// let ((loss, squares), gradient) = f.run(tensor([1.0, 2.0]))?;
/// assert_eq!((loss.item()?, squares.to_vec::<f32>()?, gradient.to_vec::<f32>()?), (5.0, vec![1.0, 4.0], vec![2.0, 4.0]));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn value_and_grad<'f, P: Tree, L: Loss, F: Function<P, Out = L> + 'f>(
    f: F,
) -> Func<'f, P, (L, P)> {
    let at = Location::caller();
    Func::new(move |p: P| differentiate(&|p| f.apply(p), p, at))
}

/// The value and the gradient at `p`, at once. With the argument first, the closure needs no types.
///
/// ```
/// use neurax::prelude::*;
/// let (x, y) = (tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]));
/// let params = (tensor([[1.0]]), tensor([0.0]));
/// let (loss, (kernel, bias)) = value_and_grad_at(&params, |(k, b)| (x.matmul(&k) + b - &y).square().mean(..));
/// assert_eq!((loss.item()?, kernel.item()?, bias.item()?), (2.5, -5.0, -3.0));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn value_and_grad_at<P: Tree + Clone, L: Loss>(p: &P, f: impl Fn(P) -> L) -> (L, P) {
    differentiate(&f, p.clone(), Location::caller())
}

fn differentiate<P: Tree, L: Loss>(f: &dyn Fn(P) -> L, p: P, at: CallSite) -> (L, P) {
    let closed = trace_fn(f, &p, Constants::Capture, at);
    let refused = refused_leaves("grad", &p, at);
    let like = p.map_leaves(|_| Tensor::placeholder());
    let leaves = into_vec(p);
    let graph = loss_is_good(&closed, &refused)
        .and_then(|()| transform::grad(closed.graph()?, &closed.active(&refused)));
    let graph = match graph {
        Ok(g) => g,
        Err(e) => return (closed.call(leaves, at), all_errors(&like, &e, at)),
    };
    match apply_graph(&graph, closed.operands(leaves), at) {
        Ok(outs) => {
            let mut outs = outs.into_iter();
            let count = closed.graph().map_or(0, |g| g.outputs().len());
            let loss = closed.out.fill(outs.by_ref().take(count));
            (loss, derivatives(&like, &refused, outs))
        }
        Err(e) => (closed.out.fail(&e, at), all_errors(&like, &e, at)),
    }
}

/// For every leaf, the error that stands in for its derivative if it has none.
pub(super) fn refused_leaves<P: Tree>(op: &str, p: &P, at: CallSite) -> Vec<Option<Error>> {
    let mut refused = vec![];
    p.each(|path, x| {
        refused.push(match x.type_ref() {
            Err(e) => Some(e.clone()),
            Ok(t) if t.dtype.is_differentiable() => None,
            Ok(t) => {
                let leaf = if path.is_empty() { "the argument".to_string() } else { format!("leaf `{path}` of the argument") };
                let why = format!("{leaf} is {t}: only floats can be differentiated; capture it, convert it to a float{}", as_number(path));
                Some(Error::new(op, why).at(&Place::Source(at)))
            }
        });
    });
    refused
}

/// How a leaf of that path can be a plain number instead: the whole argument cannot, a number in a
/// tuple stands in `Static`.
fn as_number(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        None | Some("") => "",
        Some(key) if key.bytes().all(|b| b.is_ascii_digit()) => {
            ", or pass a plain number as `Static(n)`"
        }
        Some(_) => ", or hold a plain number instead, in a field marked #[tree(static)]",
    }
}

/// The derivatives as a tree like the argument: the next one for every leaf that is not refused.
pub(super) fn derivatives<P: Tree>(
    like: &P,
    refused: &[Option<Error>],
    mut next: impl Iterator<Item = Tensor>,
) -> P {
    let leaf = |r: &Option<Error>| match r {
        Some(e) => Tensor::from_error(e.clone()),
        None => next.next().unwrap_or_else(Tensor::placeholder),
    };
    like.with_leaves(refused.iter().map(leaf).collect::<Vec<_>>())
}

impl<O: Tree> TracedFn<O> {
    /// Which inputs of the graph are differentiated: the good leaves that are not refused.
    pub(super) fn active(&self, refused: &[Option<Error>]) -> Vec<bool> {
        let leaves =
            refused.iter().zip(&self.is_input).filter(|(_, good)| **good).map(|(r, _)| r.is_none());
        leaves.chain(self.captures.iter().map(|_| false)).collect()
    }
}

fn loss_is_good<L: Loss>(closed: &TracedFn<L>, refused: &[Option<Error>]) -> Result<()> {
    match closed.out.leaves.first() {
        Some(OutputLeaf::Error(e)) => return Err(e.clone()),
        Some(OutputLeaf::Output(_)) => {}
        None => return Err(Error::new("grad", "the function gives nothing; it must give a loss")),
    }
    match refused.iter().flatten().next() {
        Some(e) if refused.iter().all(Option::is_some) => Err(e.clone()),
        _ => Ok(()),
    }
}
