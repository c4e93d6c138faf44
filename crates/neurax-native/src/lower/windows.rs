//! Lowering of convolutions and sliding windows: narrow floats are computed in f32.

use super::state::{Lowering, LoweringEqn};
use crate::{kernel::computed_in, support::has_machine_code};
use neurax_ir::{DType, Op, OrBug, Result, Values, op::Convolution};

/// Computes a convolution of narrow floats in f32, with both operands in the dtype of the sums.
pub fn convolution(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Convolution(op) = &e.eqn.op else { return Ok(None) };
    let b = &mut l.b;
    let is_supported = has_machine_code(b.dtype(e.xs[0])) && has_machine_code(op.dtype);
    if !is_supported || op.dtype == DType::Bool {
        return Ok(None);
    }
    let within = computed_in(op.dtype);
    let xs: Values = e.xs.iter().map(|&x| b.convert(x, within)).collect();
    let y = b.emit(Convolution { dtype: within, ..op.clone() }, &xs);
    Ok(Some([b.convert(y, op.dtype)].into_iter().collect()))
}

/// Computes windows over narrow floats in f32.
pub fn windows(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let (Op::ReduceWindow(_) | Op::SelectAndGather(_) | Op::SelectAndScatter(_)) = &e.eqn.op else {
        return Ok(None);
    };
    let b = &mut l.b;
    let dtypes: Vec<DType> = e.xs.iter().map(|&x| b.dtype(x)).collect();
    let wide = |d: DType| if d.is_float() && has_machine_code(d) { computed_in(d) } else { d };
    let xs: Values = e.xs.iter().zip(&dtypes).map(|(&x, &d)| b.convert(x, wide(d))).collect();
    let y = b.emit_n(e.eqn.op.clone(), &xs, 1)[0];
    let dtype = *dtypes.last().or_bug("windows have an operand")?;
    Ok(Some([b.convert(y, dtype)].into_iter().collect()))
}
