//! Repeating elements along new or unit axes.

use crate::{Shape, graph::attr::attrs};

attrs! {
    /// Axis `i` of the operand becomes axis `dims[i]` of the result; unit axes stretch. `dims` is strictly increasing.
    /// <https://openxla.org/stablehlo/spec#broadcast_in_dim>
    pub struct Broadcast = "broadcast_in_dim" {
        /// The result's shape.
        shape: Shape,
        /// Where the operand's axes go.
        dims: Vec<usize>,
    }
}
pending!(Broadcast);
