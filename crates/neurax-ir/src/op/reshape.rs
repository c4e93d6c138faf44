//! The same elements in another shape.

use crate::{Shape, graph::attr::attrs};

attrs! {
    /// The same elements, in row-major order, in another shape. <https://openxla.org/stablehlo/spec#reshape>
    pub struct Reshape = "reshape" {
        /// The new shape.
        shape: Shape,
    }
}
pending!(Reshape);
