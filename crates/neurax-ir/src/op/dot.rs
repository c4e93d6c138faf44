//! Products of arrays.

use crate::{DType, graph::attr::attrs};

attrs! {
    /// Multiplies and sums over the contracted axes, for every index of the batch axes. Axes of the result: batch, the rest
    /// of the left operand, the rest of the right one. Both operands have one dtype; products are summed in f64 (integers in their
    /// own width) and stored as `dtype`. <https://openxla.org/stablehlo/spec#dot_general>
    pub struct DotGeneral = "dot_general" {
        /// Batch axes of the left operand.
        lhs_batch: Vec<usize>,
        /// Batch axes of the right operand, in the same order.
        rhs_batch: Vec<usize>,
        /// Contracted axes of the left operand.
        lhs_contract: Vec<usize>,
        /// Contracted axes of the right operand, in the same order.
        rhs_contract: Vec<usize>,
        /// The dtype of the result: the operands' own, or a wider one of the same family.
        dtype: DType,
    }
}
pending!(DotGeneral);
