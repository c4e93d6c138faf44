//! Lowering of scatters: sums and products of narrow floats are computed in f32, sums of many
//! updates in f64, and rounded once.

use super::state::{Lowering, LoweringEqn};
use crate::{
    kernel::computed_in,
    support::{has_machine_code, is_half},
};
use neurax_ir::{DType, Op, Result, Values, op::ScatterKind};

/// Computes a scatter in a wider dtype, if an element may be combined with more than one update.
pub fn scatter(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Scatter(op) = &e.eqn.op else { return Ok(None) };
    let b = &mut l.b;
    let types = b.types_of(&e.xs);
    let dtype = types[0].dtype;
    let rounds = matches!(op.kind, ScatterKind::Add | ScatterKind::Mul);
    if !rounds || !dtype.is_float() || !has_machine_code(dtype) {
        return Ok(None);
    }
    let within = if op.adds_many(&types) {
        DType::F64
    } else if is_half(dtype) && op.updates_of_an_element(&types) > 1 {
        computed_in(dtype)
    } else {
        dtype
    };
    if within == dtype {
        return Ok(None);
    }
    let (x, updates) = (b.convert(e.xs[0], within), b.convert(e.xs[2], within));
    let y = b.emit(op.clone(), &[x, e.xs[1], updates]);
    Ok(Some([b.convert(y, dtype)].into_iter().collect()))
}
