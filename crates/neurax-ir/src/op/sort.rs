//! Sorting.

use crate::graph::attr::attrs;

attrs! {
    /// Sorts any number of operands of one shape together along an axis: ascending by the first `keys` operands in turn, NaN
    /// last, equals in their order (stable). <https://openxla.org/stablehlo/spec#sort>
    pub struct Sort = "sort" {
        /// The axis.
        axis: usize,
        /// How many operands are keys.
        keys: usize,
    }
}
pending!(Sort);
