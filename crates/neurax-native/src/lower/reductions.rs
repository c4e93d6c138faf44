//! Lowering of reductions: large ones in two steps, and the index of an extremum.
//!
//! A reduction of many elements to few has too few results for threads to share. It is split along
//! one axis: partial results first, which run in parallel, then the reduction of these.
//!
//! ```text
//! reduce(f32[1048576]) -> f32[]    becomes    reduce(f32[32, 32768]) -> f32[32], reduce -> f32[]
//! ```
//!
//! The split follows from the shapes alone, so that sums have the same bits for any number of
//! threads.

use super::state::{Lowering, LoweringEqn};
use crate::{
    kernel::computed_in,
    support::has_machine_code,
    tuning::{
        SPLIT_REDUCTION_MAX_RESULTS, SPLIT_REDUCTION_MIN_ELEMENTS, SPLIT_REDUCTION_MIN_PER_PART,
        SPLIT_REDUCTION_PARTS,
    },
};
use neurax_ir::{
    Builder, DType, Op, Result, Shape, Value, Values,
    op::{
        ArgKind,
        Direction::{Eq, Ne},
        Reduce, ReduceKind,
    },
};

/// Splits a large reduction along one axis.
pub fn split(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Reduce(op) = &e.eqn.op else { return Ok(None) };
    let (b, x) = (&mut l.b, e.xs[0]);
    let ty = b.ty(x).clone();
    let axis = split_axis(&ty.shape, &op.axes).filter(|_| has_machine_code(ty.dtype));
    let Some(axis) = axis else { return Ok(None) };
    // Narrow floats are rounded once, at the end: a partial sum may be too large for them.
    let x = b.convert(x, computed_in(ty.dtype));
    let y = with_remainder(b, op, x, axis);
    Ok(Some([b.convert(y, ty.dtype)].into_iter().collect()))
}

/// Finds the extremum first, and then the least index at which it stands. NaN counts as equal to
/// itself, as the first NaN wins.
pub fn arg_reduce(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::ArgReduce(op) = &e.eqn.op else { return Ok(None) };
    let (b, x) = (&mut l.b, e.xs[0]);
    let ty = b.ty(x).clone();
    if ty.size() == 0 || ty.dtype.is_complex() {
        return Ok(None);
    }
    let kind = if op.kind == ArgKind::Max { ReduceKind::Max } else { ReduceKind::Min };
    let y = b.reduce(kind, x, &[op.axis]);
    let y = b.unreduce(y, ty.shape.clone(), &[op.axis]);
    let mut is_extremum = b.compare(Eq, x, y);
    if ty.dtype.is_float() {
        let (p, q) = (b.compare(Ne, x, x), b.compare(Ne, y, y));
        let both = b.mul(p, q);
        is_extremum = b.add(is_extremum, both);
    }
    let index = b.iota(ty.with_dtype(DType::I32), op.axis);
    let never = b.full_like(index, i32::MAX as f64);
    let found = b.select(is_extremum, index, never);
    Ok(Some([b.reduce(ReduceKind::Min, found, &[op.axis])].into_iter().collect()))
}

/// Returns the axis to split, if the reduction is large: the outermost one that is long enough, so
/// that parts are far apart in memory.
fn split_axis(shape: &Shape, axes: &[usize]) -> Option<usize> {
    // The parts are one more axis.
    if shape.rank() >= Shape::MAX_RANK {
        return None;
    }
    let reduced: usize = axes.iter().map(|&a| shape[a]).product();
    let is_large = reduced >= SPLIT_REDUCTION_MIN_PER_PART * SPLIT_REDUCTION_PARTS
        && shape.size() >= SPLIT_REDUCTION_MIN_ELEMENTS
        && shape.size() / reduced <= SPLIT_REDUCTION_MAX_RESULTS;
    axes.iter().copied().filter(|&a| is_large && shape[a] >= SPLIT_REDUCTION_PARTS).min()
}

/// Reduces the multiple of the number of parts along `axis`, and combines it with the remainder.
fn with_remainder(b: &mut Builder, op: &Reduce, x: Value, axis: usize) -> Value {
    let n = b.ty(x).shape[axis];
    let whole = n / SPLIT_REDUCTION_PARTS * SPLIT_REDUCTION_PARTS;
    let main = b.slice_axis(x, axis, 0, whole);
    let main = in_parts(b, op, main, axis);
    if whole == n {
        return main;
    }
    let rest = b.slice_axis(x, axis, whole, n);
    let rest = b.emit(op.clone(), &[rest]);
    b.emit(op.kind.binary(), &[main, rest])
}

/// Reduces an array whose axis `axis` is a multiple of the number of parts: each part, then these.
fn in_parts(b: &mut Builder, op: &Reduce, x: Value, axis: usize) -> Value {
    let mut shape = b.ty(x).shape.to_vec();
    let parts = SPLIT_REDUCTION_PARTS;
    shape.splice(axis..=axis, [parts, shape[axis] / parts]);
    let x = b.reshape(x, shape);
    // The axes behind the new one move on by one; the new one stays for now.
    let axes: Vec<usize> = op.axes.iter().map(|&a| if a >= axis { a + 1 } else { a }).collect();
    let partial = b.reduce(op.kind, x, &axes);
    let parts_axis = axis - axes.iter().filter(|&&a| a < axis).count();
    b.reduce(op.kind, partial, &[parts_axis])
}
