//! Formulas of matrices over the last two axes, for the rules of derivatives.

use super::phase::PIVOT;
use crate::op::{ArgKind, ArgReduce, Direction, DotGeneral, Pad, ReduceKind};
use crate::{Builder, DType, Value};

/// A triangle of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MatrixPart {
    /// The elements on and below the diagonal.
    Lower,
    /// The elements below the diagonal.
    StrictLower,
    /// The elements on and above the diagonal.
    Upper,
    /// The elements of the diagonal.
    Diagonal,
}

/// Emits the product of matrices.
pub(super) fn matmul(b: &mut Builder, x: Value, y: Value) -> Value {
    let (rank, dtype) = (b.ty(x).rank(), b.dtype(x));
    let batch: Vec<usize> = (0..rank - 2).collect();
    let op = DotGeneral {
        lhs_batch: batch.clone(),
        rhs_batch: batch,
        lhs_contract: vec![rank - 1],
        rhs_contract: vec![rank - 2],
        dtype,
    };
    b.emit(op, &[x, y])
}

/// Emits the transpose.
pub(super) fn transposed(b: &mut Builder, x: Value) -> Value {
    let rank = b.ty(x).rank();
    let mut permutation: Vec<usize> = (0..rank).collect();
    permutation.swap(rank - 2, rank - 1);
    b.transpose(x, &permutation)
}

/// Emits the complex conjugate; returns `x` if it is real.
pub(super) fn conjugate(b: &mut Builder, x: Value) -> Value {
    if b.dtype(x).is_complex() { b.conj(x) } else { x }
}

/// Emits the conjugate transpose.
pub(super) fn adjoint(b: &mut Builder, x: Value) -> Value {
    let x = transposed(b, x);
    conjugate(b, x)
}

/// Emits the bools of a triangle, of the shape of `x`.
pub(super) fn in_triangle(b: &mut Builder, x: Value, triangle: MatrixPart) -> Value {
    let ty = b.ty(x).with_dtype(DType::I32);
    let rank = ty.rank();
    let (row, column) = (b.iota(ty.clone(), rank - 2), b.iota(ty, rank - 1));
    let direction = match triangle {
        MatrixPart::Lower => Direction::Ge,
        MatrixPart::StrictLower => Direction::Gt,
        MatrixPart::Upper => Direction::Le,
        MatrixPart::Diagonal => Direction::Eq,
    };
    b.compare(direction, row, column)
}

/// Emits `x` with zeros outside of a triangle.
pub(super) fn triangle(b: &mut Builder, x: Value, which: MatrixPart) -> Value {
    let inside = in_triangle(b, x, which);
    b.select_or_zero(inside, x)
}

/// Emits the lower triangle of `x` with half of its diagonal.
pub(super) fn lower_half(b: &mut Builder, x: Value) -> Value {
    let lower = triangle(b, x, MatrixPart::Lower);
    let half = b.mul_scalar(lower, 0.5);
    let diagonal = in_triangle(b, x, MatrixPart::Diagonal);
    b.select(diagonal, half, lower)
}

/// Emits the Hermitian matrix whose lower triangle is that of `x`; its diagonal is real.
pub(super) fn hermitian_of_lower(b: &mut Builder, x: Value) -> Value {
    let half = lower_half(b, x);
    let other = adjoint(b, half);
    b.add(half, other)
}

/// Emits the diagonals of square matrices, `[.., n]`.
pub(super) fn diagonal(b: &mut Builder, x: Value) -> Value {
    let x = triangle(b, x, MatrixPart::Diagonal);
    let rank = b.ty(x).rank();
    b.sum(x, &[rank - 1])
}

/// Emits the vectors `[.., n]` as the rows of matrices of the type of `like` with other rows.
pub(super) fn as_rows(b: &mut Builder, vector: Value, rows: usize) -> Value {
    let shape = b.ty(vector).shape.clone();
    let rank = shape.rank();
    let dims: Vec<usize> = (0..rank - 1).chain([rank]).collect();
    b.broadcast(vector, shape.inserted(rank - 1, rows), &dims)
}

/// Emits the vectors `[.., n]` as the columns of matrices with `columns` columns.
pub(super) fn as_columns(b: &mut Builder, vector: Value, columns: usize) -> Value {
    let shape = b.ty(vector).shape.clone();
    let rank = shape.rank();
    let dims: Vec<usize> = (0..rank).collect();
    b.broadcast(vector, shape.inserted(rank, columns), &dims)
}

/// Emits `1 / x` where `x` is not 0, else 0.
pub(super) fn reciprocal_or_zero(b: &mut Builder, x: Value) -> Value {
    let zero = b.full_like(x, 0.0);
    let is_zero = b.compare(Direction::Eq, x, zero);
    let one = b.full_like(x, 1.0);
    let safe = b.select(is_zero, one, x);
    let reciprocal = b.div(one, safe);
    b.select(is_zero, zero, reciprocal)
}

/// Emits `x` with its last two axes cropped, or padded with zeros behind, to the given sizes.
pub(super) fn with_sizes(b: &mut Builder, x: Value, rows: usize, columns: usize) -> Value {
    let ty = b.ty(x).clone();
    let rank = ty.rank();
    let mut high = vec![0; rank];
    high[rank - 2] = rows as i64 - ty.shape[rank - 2] as i64;
    high[rank - 1] = columns as i64 - ty.shape[rank - 1] as i64;
    if high.iter().all(|&n| n == 0) {
        return x;
    }
    let zero = b.scalar(ty.dtype, 0.0);
    b.emit(Pad { low: vec![0; rank], high, interior: vec![0; rank] }, &[x, zero])
}

/// Emits `x` with ones in its diagonal instead of the elements there.
pub(super) fn unit_diagonal(b: &mut Builder, x: Value) -> Value {
    let diagonal = in_triangle(b, x, MatrixPart::Diagonal);
    let ones = b.full_like(x, 1.0);
    b.select(diagonal, ones, x)
}

/// Emits the rate of change of the phases of complex columns `v` whose tangents are `dv`: the real
/// factors `[.., n]` of `i · v` that must be added to `dv` so that the pivot of each column, its
/// first element of nearly the largest absolute value, stays real. `None` if there is nothing to
/// do.
pub(super) fn phase_rates(b: &mut Builder, v: Value, dv: Value) -> Option<Value> {
    let ty = b.ty(v).clone();
    if !ty.dtype.is_complex() || ty.size() == 0 {
        return None;
    }
    let rows = ty.rank() - 2;
    let norms = b.abs(v);
    let largest = b.reduce(ReduceKind::Max, norms, &[rows]);
    let bound = b.mul_scalar(largest, PIVOT);
    let bound = as_rows(b, bound, ty.shape[rows]);
    let large = b.compare(Direction::Ge, norms, bound);
    let large = b.convert(large, ty.dtype.real());
    let first = b.emit(ArgReduce { kind: ArgKind::Max, axis: rows }, &[large]);
    let first = as_rows(b, first, ty.shape[rows]);
    let index = b.iota(ty.with_dtype(DType::I32), rows);
    let pivot = b.compare(Direction::Eq, index, first);
    let at_pivot = |b: &mut Builder, x: Value| {
        let x = b.select_or_zero(pivot, x);
        b.sum(x, &[rows])
    };
    let (re, im) = (b.real(v), b.imag(dv));
    let (re, im) = (at_pivot(b, re), at_pivot(b, im));
    let rate = b.div(im, re);
    Some(b.neg(rate))
}

/// Emits `dv + i · rates · v` for columns `v`.
pub(super) fn turned(b: &mut Builder, v: Value, dv: Value, rates: Value) -> Value {
    let rows = b.ty(v).shape[b.ty(v).rank() - 2];
    let rates = as_rows(b, rates, rows);
    let zero = b.full_like(rates, 0.0);
    let factors = b.complex(zero, rates);
    let turn = b.mul(factors, v);
    b.add(dv, turn)
}
