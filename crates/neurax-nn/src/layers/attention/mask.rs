//! The layouts of masks and biases that are inputs of attention layers.

use crate::layers::axes::describe;
use neurax_tensor::{Error, Tensor};

/// Returns a mask or bias of the layer `name` with the axes `[batch .., heads, queries, keys]`, for
/// inputs of `rank` axes `[batch .., length, features]`. It may lack the heads, or the heads and
/// the queries.
#[track_caller]
pub(super) fn with_heads(x: &Tensor, rank: usize, name: &str, what: &str) -> Tensor {
    match x.rank().checked_sub(rank) {
        Some(1) => x.clone(),
        Some(0) => x.expand_dims(-3),
        None if x.rank() + 1 == rank => x.expand_dims(-2).expand_dims(-2),
        _ => {
            let got = describe(x);
            let why = format!(
                "expected a {what} [batch .., keys], [batch .., queries, keys] or \
                 [batch .., heads, queries, keys] for inputs of {rank} axes, got {got}"
            );
            Tensor::from_error(Error::new(name, why))
        }
    }
}

/// Returns the conjunction of two masks, of which `None` is true.
pub(super) fn both(x: Option<Tensor>, y: Option<Tensor>) -> Option<Tensor> {
    match (x, y) {
        (Some(x), Some(y)) => Some(x.logical_and(y)),
        (x, y) => x.or(y),
    }
}
