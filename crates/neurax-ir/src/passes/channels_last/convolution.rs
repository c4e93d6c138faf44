//! Convolutions that get their features last.

use super::pass::{ChannelsLastPass, LastConvolution};
use crate::composite::{ChannelsLastConvolution, FEATURE_BLOCK, MAX_DEPTHWISE_PLACES};
use crate::op::{Convolution, Reverse, Slide};
use crate::{DType, Eqn, Result, Value, Values};

/// The least features of a result that fill a vector well enough.
const MIN_FEATURES: usize = 8;
/// The most products that one element of a result sums: more are added in parts elsewhere.
pub(in crate::passes) const MAX_SUMMED_DEPTH: usize = 1 << 13;
/// The elements under a window that are worth being read as one run.
const MIN_RUN: usize = 16;
/// The least features of all phases of a transposed convolution.
const MIN_PHASES: usize = 4;
/// The multiplications for each element of an operand that is transposed first, at least.
const MIN_WORK_OF_COPY: usize = 64;

impl ChannelsLastPass<'_> {
    /// Emits a convolution with features last, if it suits.
    pub(super) fn convolution(&mut self, e: &Eqn, op: &Convolution) -> Result<bool> {
        if is_upsampling(op, &self.shape(e.inputs[1])[2..]) {
            return self.upsampling(e, op);
        }
        let (x, w) = (e.inputs[0], e.inputs[1]);
        let (shape, taps) = (self.shape(w), &self.shape(w)[2..]);
        let (results, features) = (shape[0], shape[1]);
        let count: usize = taps.iter().product();
        let depthwise = op.groups > 1 && op.groups == results && features == 1;
        let depth = features.saturating_mul(count);
        let is_plain = op.groups == 1 && results >= MIN_FEATURES && depth <= MAX_SUMMED_DEPTH;
        let is_wide = depthwise && results >= FEATURE_BLOCK && count <= MAX_DEPTHWISE_PLACES;
        let work = if depthwise { count } else { results.saturating_mul(count) };
        // One feature after the other would be few products for each place.
        let has_runs = depthwise || features >= MIN_RUN || count == 1 || has_lines(op, taps);
        let suits = (is_plain || is_wide)
            && has_runs
            && self.has_kernel(e, op)
            && ChannelsLastConvolution::is_usual(&op.slides)
            && (self.layouts.is_last(x) || work >= MIN_WORK_OF_COPY);
        if !suits {
            return Ok(false);
        }
        let (x, weights) = (self.last(x)?, self.first(w)?);
        let new = self.last_convolution(x, weights, op.slides.clone(), depthwise);
        self.set_convolution(e.outputs[0], new)?;
        Ok(true)
    }

    /// Returns true if `e` is a convolution of f32 over one or two space axes, with elements, and
    /// its weights are constant.
    fn has_kernel(&self, e: &Eqn, op: &Convolution) -> bool {
        let (x, w) = (e.inputs[0], e.inputs[1]);
        op.dtype == DType::F32
            && self.graph.ty(x).dtype == DType::F32
            && (1..=2).contains(&op.slides.len())
            && [x, e.outputs[0]].iter().all(|v| self.graph.ty(*v).size() > 0)
            && self.constant[w.index()]
    }

    /// Returns the convolution of `x` with `weights` `[results, features, taps ..]`, both of the
    /// new graph.
    fn last_convolution(
        &mut self,
        x: Value,
        weights: Value,
        slides: Vec<Slide>,
        depthwise: bool,
    ) -> LastConvolution {
        let ty = self.b.ty(weights).clone();
        let results = ty.shape[0];
        let weights = ChannelsLastConvolution::packed(&mut self.b, weights, depthwise);
        let bias = self.b.zeros(ty.with_shape([results]));
        let (low, high) = (f64::NEG_INFINITY.into(), f64::INFINITY.into());
        let op = ChannelsLastConvolution { slides, results, depthwise, low, high };
        LastConvolution { op, operands: Values::from_slice(&[x, weights, bias]) }
    }

    /// Emits a transposed convolution whose windows hold one element each: one product for each
    /// phase of the result, all of them together, instead of sums of mostly inserted zeros.
    ///
    /// ```text
    /// taps w0 w1, stride 2:  result[2 i] = x[i] w1, result[2 i + 1] = x[i] w0
    /// ```
    fn upsampling(&mut self, e: &Eqn, op: &Convolution) -> Result<bool> {
        let (x, w) = (e.inputs[0], e.inputs[1]);
        let (results, features) = (self.shape(w)[0], self.shape(w)[1]);
        let taps = &self.shape(w)[2..];
        let phases = results.saturating_mul(taps.iter().product());
        let is_worth_it = self.layouts.is_last(x) || phases >= MIN_WORK_OF_COPY;
        if phases < MIN_PHASES
            || features > MAX_SUMMED_DEPTH
            || !self.has_kernel(e, op)
            || !is_worth_it
        {
            return Ok(false);
        }
        let space = taps.len();
        let weights = self.first(w)?;
        let reversed = self.b.emit(Reverse { axes: (2..2 + space).collect() }, &[weights]);
        let order: Vec<usize> = (2..2 + space).chain([0, 1]).collect();
        let reversed = self.b.transpose(reversed, &order);
        let flat = [&[phases, features], &vec![1; space][..]].concat();
        let weights = self.b.reshape(reversed, flat);
        let x = self.last(x)?;
        let new = self.last_convolution(x, weights, vec![Slide::default(); space], false);
        let y = self.b.try_emit(new.op, &new.operands)?[0];
        let shape = self.b.ty(y).shape.to_vec();
        let elements = &shape[1..=space];
        let apart = self.b.reshape(y, [&shape[..=space], taps, &[results]].concat());
        // Each element and its phases beside each other.
        let pairs = (1..=space).flat_map(|axis| [axis, axis + space]);
        let order: Vec<usize> = [0].into_iter().chain(pairs).chain([2 * space + 1]).collect();
        let together = self.b.transpose(apart, &order);
        let sizes = elements.iter().zip(taps).map(|(n, taps)| n * taps);
        let shape: Vec<usize> = [shape[0]].into_iter().chain(sizes).chain([results]).collect();
        let new = self.b.reshape(together, shape);
        self.layouts.set_last(e.outputs[0], new);
        self.found = true;
        Ok(true)
    }
}

/// Returns true if the taps of a row are neighbors, and there are several.
fn has_lines(op: &Convolution, taps: &[usize]) -> bool {
    taps.last().is_some_and(|taps| *taps > 1)
        && op.slides.last().is_some_and(|slide| slide.window_dilation == 1)
}

/// Returns true if a convolution is a transposed one whose stride is the number of taps, so that
/// each window holds one element.
fn is_upsampling(op: &Convolution, taps: &[usize]) -> bool {
    let fits = |(slide, &taps): (&Slide, &usize)| {
        let padding = taps as i64 - 1;
        let whole = Slide { low: padding, high: padding, base_dilation: taps, ..Slide::default() };
        taps > 0 && *slide == whole
    };
    op.groups == 1 && taps.iter().any(|&taps| taps > 1) && op.slides.iter().zip(taps).all(fits)
}
