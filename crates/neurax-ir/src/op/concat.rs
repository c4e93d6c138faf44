//! Joining arrays.

use crate::graph::attr::attrs;

attrs! {
    /// Joins any number of operands along an axis. <https://openxla.org/stablehlo/spec#concatenate>
    pub struct Concatenate = "concatenate" {
        /// The axis they are joined along.
        axis: usize,
    }
}
pending!(Concatenate);
