//! Reordering axes.

use crate::graph::attr::attrs;

attrs! {
    /// Axis `i` of the result is axis `permutation[i]` of the operand. <https://openxla.org/stablehlo/spec#transpose>
    pub struct Transpose = "transpose" {
        /// Which axis comes from where.
        permutation: Vec<usize>,
    }
}
pending!(Transpose);
