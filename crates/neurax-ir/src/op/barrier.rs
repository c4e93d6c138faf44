//! A wall that passes do not look through.

use crate::graph::attr::attrs;

attrs! {
    /// All operands, unchanged; passes move nothing across it. Checkpoint recomputes behind one, or CSE would undo it.
    /// <https://openxla.org/stablehlo/spec#optimization_barrier>
    pub struct OptimizationBarrier = "optimization_barrier" {}
}
pending!(OptimizationBarrier);
