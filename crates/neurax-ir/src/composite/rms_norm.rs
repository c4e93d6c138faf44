//! Root mean square normalization.

use super::row_norm::{NormalizesRows, RowNorm};
use crate::FloatAttr;
use crate::graph::attr::attrs;

attrs! {
    /// `x / sqrt(mean(x^2) + epsilon) * scale` with the mean over the last axis; operands `x`, then
    /// `scale` if the attribute says so. Zhang and Sennrich, Root Mean Square Layer Normalization
    /// (<https://arxiv.org/abs/1910.07467>).
    ///
    /// The scale is `[n]` for the last axis of size `n`, or `[axes .., n]` with leading axes of the
    /// operand, for which it differs. It has its dtype or, if that is narrower, f32.
    pub struct RmsNormalization = "rms_norm" {
        /// The constant that is added to the mean square. In computation, it is at least the
        /// smallest normal number, so that a row of zeros is not divided by 0.
        epsilon: FloatAttr,
        /// True if there is a scale.
        scale: bool,
    }
}

impl NormalizesRows for RmsNormalization {
    fn rows(&self) -> RowNorm {
        let RmsNormalization { epsilon, scale } = *self;
        RowNorm { name: Self::NAME, centered: false, epsilon, scale, bias: false }
    }

    fn with(epsilon: FloatAttr, scale: bool, bias: bool) -> Option<Self> {
        (!bias).then_some(RmsNormalization { epsilon, scale })
    }
}
