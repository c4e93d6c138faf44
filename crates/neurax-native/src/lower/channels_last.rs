//! Lowering of convolutions with features last: those with native code stay.

use super::state::{Lowering, LoweringEqn};
use crate::support::is_native_channels_last;
use neurax_ir::{Op, Result, Values, composite::Composite};

/// Copies a convolution with native code; the body of all others is inlined.
pub fn channels_last(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Composite(Composite::ChannelsLastConvolution(op)) = &e.eqn.op else { return Ok(None) };
    let b = &mut l.b;
    let is_native = is_native_channels_last(op, b.ty(e.xs[0]), b.ty(e.xs[1]));
    Ok(is_native.then(|| [b.emit(op.clone(), &e.xs)].into_iter().collect()))
}
