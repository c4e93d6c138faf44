//! Comparison.

use crate::graph::attr::{attrs, names};

names! {
    /// What is asked of two operands. NaN is not equal to anything, and neither less nor greater.
    pub enum Direction {
        /// `x == y`
        Eq = "EQ",
        /// `x != y`
        Ne = "NE",
        /// `x < y`
        Lt = "LT",
        /// `x <= y`
        Le = "LE",
        /// `x > y`
        Gt = "GT",
        /// `x >= y`
        Ge = "GE",
    }
}

attrs! {
    /// Compares two operands of the same type, element by element; gives bool. Complex numbers only for equality.
    /// <https://openxla.org/stablehlo/spec#compare>
    pub struct Compare = "compare" {
        /// What is asked.
        direction: Direction,
    }
}
pending!(Compare);
