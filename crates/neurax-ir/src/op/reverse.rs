//! Reversing axes.

use crate::graph::attr::attrs;

attrs! {
    /// Reverses the order of the elements along the axes. <https://openxla.org/stablehlo/spec#reverse>
    pub struct Reverse = "reverse" {
        /// The reversed axes.
        axes: Vec<usize>,
    }
}
pending!(Reverse);
