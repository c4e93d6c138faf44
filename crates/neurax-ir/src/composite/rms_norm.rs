//! Root mean square normalization.

use super::{Composite, Named, row_norm::RowNorm};
use crate::graph::attr::attrs;
use crate::op::{Bound, Sample, Tangent};
use crate::{Builder, FloatAttr, Result, Type, Value, Values};

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

impl RmsNormalization {
    fn rows(&self) -> RowNorm {
        let RmsNormalization { epsilon, scale } = *self;
        RowNorm { name: Self::NAME, centered: false, epsilon, scale, bias: false }
    }
}

impl Named for RmsNormalization {
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
            (!bias).then(|| RmsNormalization { epsilon: 0.1.into(), scale }.into())
        })
    }
}
