//! Talking along an axis that `vmap` named.

use super::ReduceKind;
use crate::graph::attr::attrs;
use std::sync::Arc;

attrs! {
    /// Joins the operand over all members of a named axis; every member gets the result.
    /// <https://openxla.org/stablehlo/spec#all_reduce>
    pub struct AllReduce = "all_reduce" {
        /// How members are joined.
        kind: ReduceKind,
        /// The name of the axis.
        axis: Arc<str>,
    }

    /// This member's index along a named axis: an i32 scalar.
    pub struct AxisIndex = "axis_index" {
        /// The name of the axis.
        axis: Arc<str>,
    }
}
pending!(AllReduce, AxisIndex);
