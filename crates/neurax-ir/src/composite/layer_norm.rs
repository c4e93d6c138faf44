//! Layer normalization.

use super::row_norm::{NormalizesRows, RowNorm};
use crate::FloatAttr;
use crate::graph::attr::attrs;

attrs! {
    /// `(x - mean) / sqrt(var + epsilon) * scale + bias` with mean and variance over the last axis;
    /// operands `x`, then `scale` and `bias` if the attributes say so. Ba, Kiros and Hinton, Layer
    /// Normalization (<https://arxiv.org/abs/1607.06450>).
    ///
    /// Scale and bias are `[n]` for the last axis of size `n`, or `[axes .., n]` with leading axes
    /// of the operand, for which they differ. They have its dtype or, if that is narrower, f32.
    pub struct LayerNormalization = "layer_norm" {
        /// The constant that is added to the variance. In computation, it is at least the smallest
        /// normal number, so that a constant row is not divided by 0.
        epsilon: FloatAttr,
        /// True if there is a scale.
        scale: bool,
        /// True if there is a bias.
        bias: bool,
    }
}

impl NormalizesRows for LayerNormalization {
    fn rows(&self) -> RowNorm {
        let LayerNormalization { epsilon, scale, bias } = *self;
        RowNorm { name: Self::NAME, centered: true, epsilon, scale, bias }
    }

    fn with(epsilon: FloatAttr, scale: bool, bias: bool) -> Option<Self> {
        Some(LayerNormalization { epsilon, scale, bias })
    }
}
