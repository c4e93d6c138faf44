//! Changing the dtype.

use crate::{DType, graph::attr::attrs};

attrs! {
    /// The same numbers in another dtype: floats round to nearest even, to integers they truncate (saturating, NaN gives
    /// 0), integers wrap, bool asks for non-zero, complex numbers lose the imaginary part.
    /// <https://openxla.org/stablehlo/spec#convert>
    pub struct Convert = "convert" {
        /// The new dtype.
        dtype: DType,
    }

    /// The same bits under another dtype of the same width. <https://openxla.org/stablehlo/spec#bitcast_convert>
    pub struct BitcastConvert = "bitcast_convert" {
        /// The new dtype.
        dtype: DType,
    }
}
pending!(Convert, BitcastConvert);
