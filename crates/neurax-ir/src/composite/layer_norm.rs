//! Layer normalization.

use super::{Composite, Named, row_norm::RowNorm};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent};
use crate::{Builder, FloatAttr, Result, Type, Value, Values};

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

impl LayerNormalization {
    fn rows(&self) -> RowNorm {
        let LayerNormalization { epsilon, scale, bias } = *self;
        RowNorm { name: Self::NAME, centered: true, epsilon, scale, bias }
    }
}

impl Named for LayerNormalization {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.rows().infer(xs)
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        self.rows().body(b, xs)
    }

    fn derivative(
        &self,
        b: &mut Builder,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Option<Result<Vec<Tangent>>> {
        Some(self.rows().derivative(b, at, dxs))
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        Some(self.clone().into())
    }

    fn samples() -> Vec<Sample> {
        RowNorm::samples(|scale, bias| {
            Some(LayerNormalization { epsilon: 0.1.into(), scale, bias }.into())
        })
    }
}
