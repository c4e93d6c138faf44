//! Convolutions of quantized numbers: products of patches.
//!
//! The numbers under a window, tap by tap, are a row of a product, as in `im2col`. In bytes, the
//! rows are a quarter of those of f32. Padding holds the zero point.
//!
//! ```text
//! x: u8[1, 56, 56, 64], 3 x 3 taps  ->  rows: u8[1, 56, 56, 576]
//! ```

use super::form::ConvolutionForm;
use super::search::{ProductResult, ProductSearch, QuantizedProduct, QuantizedRows, is_exact};
use crate::composite::{ChannelsLastConvolution, FEATURE_BLOCK};
use crate::op::Transpose;
use crate::{DType, Eqn, Op, Value};

/// The least features that are worth being copied for each tap. Not measured.
const MIN_COPIED_FEATURES: usize = 16;
/// The most bytes of all patches, which are one array. Not measured.
const MAX_PATCH_BYTES: usize = 1 << 24;
/// The most taps whose elements are copied. Not measured.
const MAX_COPIED_TAPS: usize = 49;

impl ProductSearch<'_> {
    /// Returns the convolution `e` with features last, if it is one of quantized numbers.
    pub fn convolution(&self, e: &Eqn, op: &ChannelsLastConvolution) -> Option<QuantizedProduct> {
        let weights = self.before_packing(e.inputs[1], op)?;
        let shape = &self.facts.ty(weights).shape;
        let (features, taps) = (shape[1], shape[2..].to_vec());
        let count: usize = taps.iter().product();
        let depth = count.saturating_mul(features);
        let windows = self.facts.ty(e.outputs[0]).size() / op.results.max(1);
        let suits = !op.depthwise
            && self.facts.ty(e.outputs[0]).dtype == DType::F32
            && is_exact(depth, DType::F32)
            && windows.saturating_mul(depth) <= MAX_PATCH_BYTES
            && (1..=MAX_COPIED_TAPS).contains(&count)
            && (features >= MIN_COPIED_FEATURES || count == 1);
        if !suits {
            return None;
        }
        let (x, order) = match self.facts.producer(e.inputs[0]) {
            Some(Eqn { op: Op::Transpose(Transpose { permutation }), inputs, .. }) => {
                (inputs[0], Some(permutation.clone()))
            }
            _ => (e.inputs[0], None),
        };
        let x = QuantizedRows { order, ..self.dequantized_rows(x)? };
        let (weights, weight_scale) = self.dequantized_weights(weights, 0)?;
        let form = ConvolutionForm {
            slides: op.slides.clone(),
            taps,
            added: e.inputs.get(3).copied(),
            low: op.low.get(),
            high: op.high.get(),
        };
        Some(QuantizedProduct {
            x,
            weights,
            depth_axis: 0,
            weight_scale,
            bias: Some(e.inputs[2]),
            form: Some(form),
            result: ProductResult::Floats,
        })
    }

    /// Returns the weights `[results, features, taps ..]` that were packed for a convolution: see
    /// [`ChannelsLastConvolution::packed`].
    fn before_packing(&self, v: Value, op: &ChannelsLastConvolution) -> Option<Value> {
        let packed = self.facts.ty(v);
        let (rank, results) = (packed.rank(), op.results);
        let taps = op.taps(packed);
        let transpose = self.facts.producer(v).filter(|e| matches!(e.op, Op::Transpose(_)))?;
        let split = self.facts.producer(transpose.inputs[0]);
        let mut weights = split.filter(|e| matches!(e.op, Op::Reshape(_)))?.inputs[0];
        if !results.is_multiple_of(FEATURE_BLOCK) {
            // The last block has features beyond the results.
            let pad = self.facts.producer(weights).filter(|e| matches!(e.op, Op::Pad(_)))?;
            weights = pad.inputs[0];
        }
        let shape = [&[results, packed.shape[rank - 2]], taps].concat();
        (self.facts.ty(weights).shape[..] == shape[..]).then_some(weights)
    }
}
