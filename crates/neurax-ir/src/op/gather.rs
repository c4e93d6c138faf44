//! Reading windows at many places.

use crate::graph::attr::{attrs, names};

names! {
    /// What happens to a window that does not fit.
    pub enum OutOfBounds {
        /// It is moved until it fits.
        Clip = "clip",
        /// Reading gives zero; writing is dropped.
        Drop = "drop",
    }
}

attrs! {
    /// Operands `(x, indices)`: for every index vector (the last axis of `indices`) the window of `sizes` of `x` at that place.
    ///
    /// The result has the batch axes of `indices` (all but the last) and the window axes, at `offset_dims`. Window axes that
    /// are in `collapsed` (size 1) or `operand_batch` do not appear. Entry `i` of an index vector moves axis `index_map[i]`.
    /// Axis `operand_batch[i]` of `x` goes along with axis `indices_batch[i]` of `indices`.
    /// <https://openxla.org/stablehlo/spec#gather>, with the index vector always last.
    pub struct Gather = "gather" {
        /// Where the window axes stand in the result.
        offset_dims: Vec<usize>,
        /// Window axes of size 1 that are left out, increasing.
        collapsed: Vec<usize>,
        /// Batch axes of the operand, increasing.
        operand_batch: Vec<usize>,
        /// The axes of the indices that go along with them.
        indices_batch: Vec<usize>,
        /// Which axis each entry of an index vector moves.
        index_map: Vec<usize>,
        /// The size of the window along every axis of the operand.
        sizes: Vec<usize>,
        /// What happens to windows that do not fit.
        mode: OutOfBounds,
    }
}
pending!(Gather);
