//! One of several graphs.

use crate::{Graph, graph::attr::attrs};
use std::sync::Arc;

attrs! {
    /// Operands `(index, args..)`: applies branch `index` (an i32 scalar, clamped into range) to `args`. All branches have
    /// the same signature. StableHLO's `case`: <https://openxla.org/stablehlo/spec#case>
    pub struct Cond = "case" {
        /// The branches.
        branches: Vec<Arc<Graph>>,
    }
}
pending!(Cond);
pending_region!(Cond);
