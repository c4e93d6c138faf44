//! Every custom derivative: a linear function given with its transpose.

use crate::{Graph, graph::attr::attrs};
use std::sync::Arc;

attrs! {
    /// Operands `(residuals.., xs..)`: a function that is linear in `xs`. `forward(residuals.., xs..)` is its value;
    /// `backward(residuals.., cts..)`, with one cotangent per result, is its transpose and gives one cotangent per `xs`.
    pub struct Linear = "linear" {
        /// The name, e.g. `softmax`; for readers, backends and export.
        callee: Arc<str>,
        /// How many residuals.
        residuals: usize,
        /// The value; without one, forward mode is an error (`custom_vjp`).
        forward: Option<Arc<Graph>>,
        /// The transpose; without one, reverse mode is an error.
        backward: Option<Arc<Graph>>,
        /// The types of `xs`: what `backward` gives.
        from: Vec<crate::Type>,
        /// The types of the results: what `forward` gives.
        to: Vec<crate::Type>,
    }
}
pending!(Linear);
pending_region!(Linear);
