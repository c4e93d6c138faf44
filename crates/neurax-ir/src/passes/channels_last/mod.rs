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

mod convolution;
mod copies;
mod fused;
mod layouts;
mod pass;
mod rules;

pub(super) use convolution::MAX_SUMMED_DEPTH;

use super::dce;
use crate::{Eqn, Graph, Op, Result};
use pass::ChannelsLastPass;

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
    if !pass.found {
        return Ok(None);
    }
    let outputs = graph.outputs().iter().map(|v| pass.first(*v)).collect::<Result<Vec<_>>>()?;
    dce(&pass.b.finish(&outputs)?).map(Some)
}

#[cfg(test)]
mod tests;
