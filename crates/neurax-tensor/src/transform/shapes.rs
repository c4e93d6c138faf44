//! Shape inference without computing: `eval_shape`.

use crate::{
    Tensor, Tree,
    dispatch::Outs,
    tensor::CallSite,
    trace::TraceKind,
    traced_fn::{TracedFn, trace_fn},
    tree::rebuild,
};
use std::panic::Location;

/// Returns the types of `f(like)`: `f` is traced, nothing is computed, and the leaves of the result
/// are zeros of the right types, which take memory only when they are read.
///
/// ```
/// use neurax::prelude::*;
/// let x = Tensor::zeros([100_000, 100_000]);
/// let y = eval_shape(|x: Tensor| x.matmul(&Tensor::zeros([100_000, 3])), &x);
/// assert_eq!(y.shape(), [100_000, 3]);
/// let bad = eval_shape(|x: Tensor| x.matmul(&Tensor::zeros([4, 3])), &Tensor::zeros([2, 5]));
/// assert!(bad.error().is_some());
/// ```
#[track_caller]
pub fn eval_shape<A: Tree, O: Tree>(f: impl Fn(A) -> O, like: &A) -> O {
    eval_shape_at(f, like, Location::caller())
}

pub(super) fn eval_shape_at<A: Tree, O: Tree>(f: impl Fn(A) -> O, like: &A, at: CallSite) -> O {
    let (traced, out) = trace_fn(&f, like, TraceKind::Jit, at);
    rebuild(&out, traced.zeros(at))
}

impl TracedFn {
    /// Returns zeros of the types of the leaves of the result.
    fn zeros(&self, at: CallSite) -> Outs {
        let outs = self.graph().map(|g| {
            let types = g.outputs().iter().map(|&v| g.ty(v));
            types.map(|t| Tensor::zeros_of(t.dtype, &t.shape)).collect()
        });
        self.fill_or_fail(outs, at)
    }
}
