//! Layout assignment: convolutional networks with their features last.
//!
//! The problem: in arrays `[batch, features, space ..]`, the features of one place are far apart,
//! so that a convolution packs patches before it multiplies, and one of each feature by itself has
//! nothing to multiply in vectors. With features last, `[batch, space .., features]`, a vector
//! holds features of one place, and the operand is read where it is. The method is *layout
//! assignment* by propagation, as XLA's pass of that name and the blocked layouts of oneDNN and
//! ONNX Runtime do it: convolutions with constant weights become
//! [`ChannelsLastConvolution`](crate::composite::ChannelsLastConvolution), and elementwise ops,
//! windows, sums and concatenations behind them stay in the same layout. Anything else reads a
//! transposed copy.
//!
//! ```text
//! y = conv(x, w); z = max(y + bias, 0); u = conv(z, v); mean over space of u
//!   xt = transpose(x)                            one copy
//!   zt = channels_last_convolution(xt, w', bias), low = 0
//!   ut = channels_last_convolution(zt, v', 0);   the mean over axes 1, 2 of ut
//! ```
//!
//! The addition of a bias, that of another array of the same shape and the limits of an activation
//! become part of the convolution ([`fused`]). The order of weights is changed by constant
//! equations, which `freeze` moves out of the program.
//!
//! # Invariants
//!
//! - The value is kept up to the order of the sums in a convolution.
//! - A value has a copy in the other layout only where a reader needs it.

mod fused;
mod layouts;
mod rules;

use super::{dce, freeze::constant_values};
use crate::composite::ChannelsLastConvolution;
use crate::{Builder, DType, Eqn, Graph, Op, Result, Value, Values};
use layouts::Layouts;

/// The least features of a result that fill a vector well enough.
const MIN_FEATURES: usize = 8;
/// The most products that one element of a result sums: more are added in parts elsewhere.
const MAX_DEPTH: usize = 1 << 13;
/// The multiplications for each element of an operand that is transposed first, at least.
const MIN_WORK_OF_COPY: usize = 64;

/// Gives the convolutions whose weights are constant their features last; `is_constant` has an
/// element for each input. Returns `None` if there are none.
///
/// # Errors
/// If the graph is invalid; not the case for a graph that verifies.
pub fn channels_last(graph: &Graph, is_constant: &[bool]) -> Result<Option<Graph>> {
    let is_convolution = |e: &Eqn| matches!(e.op, Op::Convolution(_));
    if !graph.eqns().iter().any(is_convolution) {
        return Ok(None);
    }
    let mut pass = ChannelsLastPass::new(graph, is_constant);
    for e in graph.eqns() {
        pass.b.set_origin(e.at.clone());
        if !pass.rewrite(e)? {
            pass.copy(e)?;
        }
    }
    if pass.convolutions.iter().all(Option::is_none) {
        return Ok(None);
    }
    let outputs = graph.outputs().iter().map(|v| pass.first(*v)).collect::<Result<Vec<_>>>()?;
    dce(&pass.b.finish(&outputs)?).map(Some)
}

/// The state of the pass. Values are those of the source, unless said otherwise.
struct ChannelsLastPass<'g> {
    graph: &'g Graph,
    producers: Vec<Option<usize>>,
    constant: Vec<bool>,
    uses: Vec<usize>,
    b: Builder,
    layouts: Layouts,
    /// For each value that a convolution computes alone, that convolution.
    convolutions: Vec<Option<LastConvolution>>,
}

/// A convolution of the new graph.
#[derive(Clone)]
struct LastConvolution {
    op: ChannelsLastConvolution,
    /// Its operands in the new graph.
    operands: Values,
}

impl<'g> ChannelsLastPass<'g> {
    fn new(graph: &'g Graph, is_constant: &[bool]) -> ChannelsLastPass<'g> {
        let count = graph.types().len();
        let mut uses = vec![0; count];
        let reads = graph.eqns().iter().flat_map(|e| &e.inputs).chain(graph.outputs());
        reads.for_each(|v| uses[v.index()] += 1);
        let mut b = Builder::new();
        let inputs = b.inputs(graph.input_types());
        ChannelsLastPass {
            graph,
            producers: graph.producers(),
            constant: constant_values(graph, is_constant),
            uses,
            b,
            layouts: Layouts::new(count, &inputs),
            convolutions: vec![None; count],
        }
    }

    fn producer(&self, v: Value) -> Option<&'g Eqn> {
        self.producers[v.index()].map(|i| &self.graph.eqns()[i])
    }

    /// Returns the sizes of a value.
    fn shape(&self, v: Value) -> &'g [usize] {
        &self.graph.ty(v).shape
    }

    /// Copies an equation, with operands in their order.
    fn copy(&mut self, e: &Eqn) -> Result<()> {
        let operands = e.inputs.iter().map(|v| self.first(*v)).collect::<Result<Values>>()?;
        let outputs = self.b.try_emit(e.op.clone(), &operands)?;
        e.outputs.iter().zip(outputs).for_each(|(v, new)| self.layouts.set_first(*v, new));
        Ok(())
    }

    /// Emits `e` with features last, if it is a convolution or one of its operands has them last
    /// and the op is among those that keep the layout. Returns false if nothing was emitted.
    fn rewrite(&mut self, e: &'g Eqn) -> Result<bool> {
        if e.inputs.iter().all(|v| self.constant[v.index()]) {
            return Ok(false);
        }
        if let Op::Convolution(op) = &e.op {
            return self.convolution(e, op);
        }
        if !e.inputs.iter().any(|v| self.layouts.is_last(*v)) {
            return Ok(false);
        }
        Ok(self.fuse(e)? || self.keep_layout(e)?)
    }

    /// Emits a convolution with features last, if it suits.
    fn convolution(&mut self, e: &Eqn, op: &crate::op::Convolution) -> Result<bool> {
        let (x, w) = (e.inputs[0], e.inputs[1]);
        let (shape, taps) = (self.shape(w), &self.shape(w)[2..]);
        let (results, features) = (shape[0], shape[1]);
        let count: usize = taps.iter().product();
        let depthwise = op.groups > 1 && op.groups == results && features == 1;
        let depth = features.saturating_mul(count);
        let is_plain = op.groups == 1 && results >= MIN_FEATURES && depth <= MAX_DEPTH;
        let is_wide = depthwise && results >= crate::composite::FEATURE_BLOCK;
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

    /// Emits a convolution and makes it the one that computes `v`.
    fn set_convolution(&mut self, v: Value, new: LastConvolution) -> Result<()> {
        let outputs = self.b.try_emit(new.op.clone(), &new.operands)?;
        self.layouts.set_last(v, outputs[0]);
        self.convolutions[v.index()] = Some(new);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
