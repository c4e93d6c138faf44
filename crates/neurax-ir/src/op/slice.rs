//! Windows into an array: at places known in the graph, or at run time.

use crate::graph::attr::attrs;

attrs! {
    /// Elements `start, start + stride, ..` below `limit` of every axis. <https://openxla.org/stablehlo/spec#slice>
    pub struct Slice = "slice" {
        /// First index of every axis.
        start: Vec<usize>,
        /// End of every axis, not included.
        limit: Vec<usize>,
        /// Step of every axis, at least 1.
        stride: Vec<usize>,
    }

    /// A window of those sizes at a place given at run time: operands `(x, start)`, `start` an integer vector with one entry
    /// per axis. The place is clamped so that the window fits. <https://openxla.org/stablehlo/spec#dynamic_slice>
    pub struct DynamicSlice = "dynamic_slice" {
        /// The size of the window along every axis.
        sizes: Vec<usize>,
    }

    /// `x` with the window at a place given at run time replaced: operands `(x, update, start)`, `start` an integer vector.
    /// The place is clamped so that the window fits. <https://openxla.org/stablehlo/spec#dynamic_update_slice>
    pub struct DynamicUpdateSlice = "dynamic_update_slice" {}
}
pending!(Slice, DynamicSlice, DynamicUpdateSlice);
