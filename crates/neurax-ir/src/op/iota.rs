//! Counting.

use crate::{Type, graph::attr::attrs};

attrs! {
    /// Each element is its index along `axis`. <https://openxla.org/stablehlo/spec#iota>
    pub struct Iota = "iota" {
        /// The type of the result: integers, floats or complex.
        ty: Type,
        /// The axis that is counted.
        axis: usize,
    }
}
pending!(Iota);
