//! Writing windows at many places.

use super::OutOfBounds;
use crate::graph::attr::{attrs, names};

names! {
    /// How an update meets what is there.
    pub enum ScatterKind {
        /// It replaces it; the last of several wins.
        Set = "set",
        /// It is added.
        Add = "add",
        /// It is multiplied.
        Mul = "mul",
        /// The smaller stays.
        Min = "min",
        /// The larger stays.
        Max = "max",
    }
}

attrs! {
    /// Operands `(x, indices, updates)`: `x` with the windows of `updates` written at the places of `indices`. The mirror image
    /// of [`super::Gather`]: `updates` has the shape that gathering with the same numbers would give.
    /// <https://openxla.org/stablehlo/spec#scatter>, with the index vector always last.
    pub struct Scatter = "scatter" {
        /// How an update meets what is there.
        kind: ScatterKind,
        /// Where the window axes stand in the updates.
        window_dims: Vec<usize>,
        /// Axes of the operand that windows do not have, increasing.
        inserted: Vec<usize>,
        /// Batch axes of the operand, increasing.
        operand_batch: Vec<usize>,
        /// The axes of the indices that go along with them.
        indices_batch: Vec<usize>,
        /// Which axis each entry of an index vector moves.
        index_map: Vec<usize>,
        /// What happens to windows that do not fit.
        mode: OutOfBounds,
        /// Does the caller promise that no place is written twice?
        unique: bool,
    }
}
pending!(Scatter);
