//! Lowering of sparse products: those of floats stay, with operands that the task takes.

use super::state::{Lowering, LoweringEqn};
use crate::{
    kernel::computed_in,
    support::{has_machine_code, is_native_sparse_dot},
};
use neurax_ir::{DType, Op, Result, Type, Values, composite::Composite};

/// Converts narrow floats to f32 and indices to i32; products of other numbers are inlined, and so
/// are those without elements.
pub fn sparse_dot(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Composite(Composite::SparseDot(op)) = &e.eqn.op else { return Ok(None) };
    let b = &mut l.b;
    let types = b.types_of(&e.xs);
    let dtype = types[0].dtype;
    let has_indices = |t: &Type| t.dtype == DType::I32 || t.dtype.bits() < 32;
    if !has_machine_code(dtype) || !types[1..3].iter().all(has_indices) {
        return Ok(None);
    }
    let as_read = |(t, d): (&Type, DType)| t.with_dtype(d);
    let within = computed_in(dtype);
    let dtypes = [within, DType::I32, DType::I32, within];
    let read: Vec<Type> = types.iter().zip(dtypes).map(as_read).collect();
    let [values, to, from, dense] = &read[..] else { return Ok(None) };
    if !is_native_sparse_dot(op, [values, to, from, dense]) {
        return Ok(None);
    }
    let xs: Values = e.xs.iter().zip(dtypes).map(|(&x, d)| b.convert(x, d)).collect();
    let y = b.emit(op.clone(), &xs);
    Ok(Some([b.convert(y, dtype)].into_iter().collect()))
}
