//! `lu`: the triangular factors of a matrix, by Gaussian elimination with partial pivoting.

use super::emit::{self, MatrixPart, matmul, triangle, with_sizes};
use super::evaluate::for_each_matrix;
use super::matrix::{Complex64, Matrix, ZERO};
use super::triangular_solve::{MatrixForm, TriangularSolve};
use super::{Sizes, batched, matrices, resized, samples_of};
use crate::op::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, rules::*};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The factors of `a[permutation] = l · u` for matrices `a` `[.., m, n]`, with `k = min(m, n)`.
    /// The results are one matrix `[.., m, n]`, which has `u` on and above the diagonal and `l`,
    /// whose diagonal is 1, below it; the pivots, i32 `[.., k]`: step `i` exchanged the rows `i`
    /// and `pivots[i]`; and the permutation, i32 `[.., m]`. The pivot is the element whose
    /// `|re| + |im|` is the largest, as in LAPACK, the first of equals. A singular matrix has a
    /// zero in the diagonal of `u`. A matrix with NaN or infinities has factors of NaN, and rows
    /// that stay in their order.
    ///
    /// With `x = l⁻¹ · da[permutation] · u⁻¹`, the tangent of `l` is `l · tril(x, -1)`, and that of
    /// `u` is `triu(x) · u`.
    pub struct Lu = "lu" {}
}

impl Primitive for Lu {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 1)?;
        let sizes = matrices(Self::NAME, &xs[0])?;
        let indices = xs[0].with_dtype(DType::I32);
        let vector = |n| resized(&indices, n, None);
        Ok(vec![xs[0].clone(), vector(sizes.smaller()), vector(sizes.rows)])
    }

    fn eval(&self, _: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let types = self.infer(&[xs[0].ty().clone()])?;
        Ok(for_each_matrix(&xs, &types, |a| {
            let (lu, pivots, permutation) = factors(&a[0]);
            let indices = |of: Vec<usize>| {
                Matrix::column_of(
                    of.into_iter().map(|i| Complex64 { re: i as f64, ..ZERO }).collect(),
                )
            };
            vec![lu, indices(pivots), indices(permutation)]
        }))
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let Some(da) = dxs[0] else { return Ok(no_tangents(at)) };
        let Sizes { rows, columns } = matrices(Self::NAME, b.ty(da))?;
        let (l, u) = (lower(b, at.ys[0]), upper(b, at.ys[0]));
        let permuted = rows_in_order(b, da, at.ys[2]);
        let op =
            TriangularSolve { unit_diagonal: true, ..TriangularSolve::lower(MatrixForm::Plain) };
        let x = b.emit(op, &[l, permuted]);
        // x · u⁻¹ is the transpose of u⁻ᵀ · xᵀ.
        let x = emit::transposed(b, x);
        let x = b.emit(TriangularSolve::upper(MatrixForm::Transposed), &[u, x]);
        let x = emit::transposed(b, x);
        let below = triangle(b, x, MatrixPart::StrictLower);
        let above = triangle(b, x, MatrixPart::Upper);
        let below = with_sizes(b, below, rows, rows);
        let dl = matmul(b, l, below);
        let dl = with_sizes(b, dl, rows, columns);
        let dl = triangle(b, dl, MatrixPart::StrictLower);
        let above = with_sizes(b, above, columns, columns);
        let du = matmul(b, above, u);
        let du = with_sizes(b, du, rows, columns);
        Ok(vec![Some(b.add(dl, du)), None, None])
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        batched(b, self.clone(), axis, xs, dims, 3)
    }

    fn samples() -> Vec<Sample> {
        let shapes: [&[usize]; 8] =
            [&[3, 3], &[4, 2], &[2, 4], &[1, 1], &[2, 2, 2], &[0, 0], &[0, 2, 2], &[2, 0]];
        samples_of(Lu {}, &shapes, 0.5)
    }
}

/// Emits `l`, `[.., m, m]`, from the first result: the columns from `k` on are those of the
/// identity.
fn lower(b: &mut Builder, lu: Value) -> Value {
    let rows = b.ty(lu).shape[b.ty(lu).rank() - 2];
    let below = triangle(b, lu, MatrixPart::StrictLower);
    let below = with_sizes(b, below, rows, rows);
    emit::unit_diagonal(b, below)
}

/// Emits `u`, `[.., n, n]`, from the first result: the rows from `k` on are those of the identity.
fn upper(b: &mut Builder, lu: Value) -> Value {
    let shape = b.ty(lu).shape.clone();
    let (rows, columns) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
    let above = triangle(b, lu, MatrixPart::Upper);
    if rows >= columns {
        return with_sizes(b, above, columns, columns);
    }
    let above = with_sizes(b, above, columns, columns);
    let ty = b.ty(above).with_dtype(DType::I32);
    let row = b.iota(ty.clone(), ty.rank() - 2);
    let first = b.full(ty, rows as f64);
    let is_missing = b.compare(crate::op::Direction::Ge, row, first);
    let identity = emit::unit_diagonal(b, above);
    let identity = triangle(b, identity, MatrixPart::Diagonal);
    b.select(is_missing, identity, above)
}

/// Emits the solution of `a · x = right` for square matrices `a` and right sides `[.., n, m]`.
pub(super) fn solve(b: &mut Builder, a: Value, right: Value) -> Value {
    let factors = b.emit_n(Lu {}, &[a], 3);
    let right = rows_in_order(b, right, factors[2]);
    let lower = TriangularSolve::lower(MatrixForm::Plain);
    let lower = TriangularSolve { unit_diagonal: true, ..lower };
    let right = b.emit(lower, &[factors[0], right]);
    b.emit(TriangularSolve::upper(MatrixForm::Plain), &[factors[0], right])
}

/// Emits the rows of matrices in the order of a permutation, `[.., m]`.
fn rows_in_order(b: &mut Builder, x: Value, permutation: Value) -> Value {
    let shape = b.ty(x).shape.clone();
    let rank = shape.rank();
    let indices = emit::as_columns(b, permutation, shape[rank - 1]);
    b.take_along_axis(x, indices, rank - 2)
}

/// Returns both factors in one matrix, the pivots, and the permutation of the rows.
fn factors(a: &Matrix) -> (Matrix, Vec<usize>, Vec<usize>) {
    let mut lu = a.clone();
    let mut permutation: Vec<usize> = (0..a.rows).collect();
    let mut pivots = Vec::new();
    for step in 0..a.rows.min(a.columns) {
        let mut pivot = step;
        for i in step + 1..a.rows {
            if lu[(i, step)].l1_norm() > lu[(pivot, step)].l1_norm() {
                pivot = i;
            }
        }
        lu.swap_rows(step, pivot);
        permutation.swap(step, pivot);
        pivots.push(pivot);
        for i in step + 1..a.rows {
            if lu[(step, step)] != ZERO {
                let head = lu[(step, step)];
                lu[(i, step)] /= head;
            }
            let factor = lu[(i, step)];
            for j in step + 1..a.columns {
                let x = lu[(step, j)];
                lu[(i, j)] -= factor * x;
            }
        }
    }
    if !lu.is_finite() {
        let order = |n: usize| (0..n).collect();
        return (Matrix::nan(a.rows, a.columns), order(pivots.len()), order(a.rows));
    }
    (lu, pivots, permutation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(shape: [usize; 2], a: &[f64]) -> [Vec<f64>; 3] {
        let a = Literal::from_slice(shape, a).unwrap();
        let out = Lu {}.eval(&mut Eval::default(), vec![a]).unwrap();
        [0, 1, 2].map(|i| out[i].to_f64s())
    }

    #[test]
    fn rows_are_exchanged_for_the_largest_pivot() {
        let [lu, pivots, permutation] = run([2, 2], &[1.0, 3.0, 4.0, 8.0]);
        assert_eq!(lu, [4.0, 8.0, 0.25, 1.0]);
        assert_eq!((pivots, permutation), (vec![1.0, 1.0], vec![1.0, 0.0]));
    }

    #[test]
    fn a_singular_matrix_has_a_zero_in_the_diagonal() {
        let [lu, ..] = run([2, 2], &[1.0, 2.0, 2.0, 4.0]);
        assert_eq!(lu, [2.0, 4.0, 0.5, 0.0]);
        assert_eq!(run([2, 2], &[0.0; 4])[0], [0.0; 4]);
    }

    #[test]
    fn matrices_need_not_be_square() {
        let [lu, pivots, permutation] = run([3, 1], &[1.0, -4.0, 2.0]);
        assert_eq!(
            (lu, pivots, permutation),
            (vec![-4.0, -0.25, -0.5], vec![1.0], vec![1.0, 0.0, 2.0])
        );
    }
}
