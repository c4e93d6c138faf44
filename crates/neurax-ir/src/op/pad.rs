//! Padding.

use crate::graph::attr::attrs;

attrs! {
    /// Operands `(x, value)`: `value` is put before, after and between the elements of every axis; negative edges cut.
    /// <https://openxla.org/stablehlo/spec#pad>
    pub struct Pad = "pad" {
        /// How many before each axis; negative cuts.
        low: Vec<i64>,
        /// How many after each axis; negative cuts.
        high: Vec<i64>,
        /// How many between neighbours of each axis.
        interior: Vec<usize>,
    }
}
pending!(Pad);
