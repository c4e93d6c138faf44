//! Functions of constants that a program computes, instead of having their values.

use crate::{Tensor, dispatch::apply_graph_lazily, trace::TraceKind, traced_fn::trace_fn};
use std::panic::Location;

/// Returns `f` of tensors as a lazy constant, unless one of them is traced: a function that is
/// being traced records the operations where it uses the result, instead of capturing the value.
/// Passes then see what a weight was made from, such as integers and scales.
///
/// ```
/// use neurax::{lazy_function, prelude::*};
/// let weights = Tensor::from_slice(&[1i8, -2], 2);
/// let scaled = jit(|x: Tensor| {
///     let w = lazy_function(vec![weights.clone()], |xs| xs[0].to(F32) * 0.5);
///     x * w
/// });
/// assert_eq!(scaled.run(tensor([2.0, 3.0]))?.to_vec::<f32>()?, [1.0, -3.0]);
/// # Ok::<(), Error>(())
/// ```
#[doc(hidden)]
#[track_caller]
pub fn lazy_function(xs: Vec<Tensor>, f: impl Fn(Vec<Tensor>) -> Tensor) -> Tensor {
    let at = Location::caller();
    if let Some(e) = xs.iter().find_map(Tensor::error) {
        return Tensor::error_at(e.clone(), at);
    }
    let (traced, _) = trace_fn(&f, &xs, TraceKind::Jit, at);
    match traced.graph {
        Ok(graph) => apply_graph_lazily(graph, [xs, traced.captures].concat(), at),
        Err(e) => Tensor::error_at(e, at),
    }
}
