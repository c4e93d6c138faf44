//! Convolutions that get their features last.

use super::pass::{ChannelsLastPass, LastConvolution};
use crate::composite::{ChannelsLastConvolution, FEATURE_BLOCK};
use crate::op::Convolution;
use crate::{DType, Eqn, Result, Values};

/// The least features of a result that fill a vector well enough.
const MIN_FEATURES: usize = 8;
/// The most products that one element of a result sums: more are added in parts elsewhere.
const MAX_DEPTH: usize = 1 << 13;
/// The multiplications for each element of an operand that is transposed first, at least.
const MIN_WORK_OF_COPY: usize = 64;

impl ChannelsLastPass<'_> {
    /// Emits a convolution with features last, if it suits.
    pub(super) fn convolution(&mut self, e: &Eqn, op: &Convolution) -> Result<bool> {
        let (x, w) = (e.inputs[0], e.inputs[1]);
        let (shape, taps) = (self.shape(w), &self.shape(w)[2..]);
        let (results, features) = (shape[0], shape[1]);
        let count: usize = taps.iter().product();
        let depthwise = op.groups > 1 && op.groups == results && features == 1;
        let depth = features.saturating_mul(count);
        let is_plain = op.groups == 1 && results >= MIN_FEATURES && depth <= MAX_DEPTH;
        let is_wide = depthwise && results >= FEATURE_BLOCK;
        let work = if depthwise { count } else { results.saturating_mul(count) };
        let suits = (is_plain || is_wide)
            && op.dtype == DType::F32
            && self.graph.ty(x).dtype == DType::F32
            && (1..=2).contains(&taps.len())
            && self.graph.ty(e.outputs[0]).size() > 0
            && self.constant[w.index()]
            && op.slides.iter().all(|slide| slide.base_dilation == 1)
            && (self.layouts.is_last(x) || work >= MIN_WORK_OF_COPY);
        if !suits {
            return Ok(false);
        }
        let weights = self.first(w)?;
        let weights = ChannelsLastConvolution::packed(&mut self.b, weights, depthwise);
        let bias = self.b.zeros(self.graph.ty(w).with_shape([results]));
        let new = LastConvolution {
            op: ChannelsLastConvolution {
                slides: op.slides.clone(),
                results,
                depthwise,
                low: f64::NEG_INFINITY.into(),
                high: f64::INFINITY.into(),
            },
            operands: Values::from_slice(&[self.last(x)?, weights, bias]),
        };
        self.set_convolution(e.outputs[0], new)?;
        Ok(true)
    }
}
