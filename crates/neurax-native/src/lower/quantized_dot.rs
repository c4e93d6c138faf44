//! Lowering of quantized products: those with native code stay.

use super::state::{Lowering, LoweringEqn};
use crate::support::is_native_quantized_dot;
use neurax_ir::{Op, Result, Values, composite::Composite};

/// Copies a quantized product with elements; the body of all others is inlined.
pub fn quantized_dot(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Composite(Composite::QuantizedDot(op)) = &e.eqn.op else { return Ok(None) };
    let is_native = is_native_quantized_dot(op, l.b.ty(e.xs[0]));
    Ok(is_native.then(|| [l.b.emit(op.clone(), &e.xs)].into_iter().collect()))
}
