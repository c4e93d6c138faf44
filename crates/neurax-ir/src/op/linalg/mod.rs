//! Linear algebra: factorizations of matrices and the solution of triangular systems.
//!
//! The last two axes of every operand are those of a matrix; the axes before them are batch axes.
//! Matrices are real or complex, in single or double precision. All other functions of linear
//! algebra (`solve`, `inv`, `det`, `pinv`, ..) are composed of these ops.
//!
//! | op | of a matrix `a` |
//! |---|---|
//! | [`Cholesky`] | `a = l · lᴴ` with a lower triangular `l` |
//! | [`TriangularSolve`] | `x` of `a · x = b` for a triangular `a` |
//! | [`Lu`] | `a[permutation] = l · u` with partial pivoting |
//! | [`Qr`] | `a = q · r` with orthonormal columns of `q` |
//! | [`Eigh`] | `a = v · diag(w) · vᴴ` of a Hermitian matrix |
//! | [`Eig`] | `a = v · diag(w) · v⁻¹` |
//! | [`Schur`] | `a = z · t · zᴴ` with an upper triangular `t` and a unitary `z` |
//! | [`Svd`] | `a = u · diag(s) · vᴴ` |
//!
//! # Invariants
//!
//! - A matrix without a factorization (indefinite, or with NaN) has results that are all NaN, and
//!   so have its gradients; other matrices of the batch are not affected.
//! - Factors that are only determined up to a sign or phase have a fixed one, which each op states,
//!   so that backends agree and derivatives are those of one function.
//! - The reference computes in complex double precision and rounds once.

mod cholesky;
mod eig;
mod eigh;
mod emit;
mod evaluate;
mod lu;
mod matrix;
mod phase;
mod qr;
mod schur;
mod schur_form;
mod svd;
mod triangular_solve;

pub use cholesky::Cholesky;
pub use eig::{Eig, eigenvalue_order};
pub use eigh::Eigh;
pub use lu::Lu;
pub use phase::column_phase;
pub use qr::Qr;
pub use schur::Schur;
pub use svd::Svd;
pub use triangular_solve::{MatrixForm, TriangularSolve};

use super::rules::*;
use super::{Axis, Batched, Sample};
use crate::{Builder, DType, Literal, Op, Result, Type, Value};

/// The sizes of the matrices of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    rows: usize,
    columns: usize,
}

impl Sizes {
    fn smaller(self) -> usize {
        self.rows.min(self.columns)
    }
}

/// Returns the sizes of the matrices of type `x`.
///
/// # Errors
/// If it has fewer than two axes, or another dtype than f32, f64, c64, c128.
fn matrices(op: &str, x: &Type) -> Result<Sizes> {
    let is_computed = matches!(x.dtype.real(), DType::F32 | DType::F64);
    match x.shape[..] {
        [.., rows, columns] if is_computed => Ok(Sizes { rows, columns }),
        _ => refuse(
            op,
            format!("expected matrices [.., rows, columns] of f32, f64, c64 or c128, got {x}"),
        ),
    }
}

/// Returns the number of rows of the square matrices of type `x`.
///
/// # Errors
/// If they are not square, and those of [`matrices`].
fn square(op: &str, x: &Type) -> Result<usize> {
    let Sizes { rows, columns } = matrices(op, x)?;
    match rows == columns {
        true => Ok(rows),
        false => refuse(op, format!("expected square matrices, got {x}")),
    }
}

/// Returns the type of matrices of other sizes; of vectors if `columns` is `None`.
fn resized(x: &Type, rows: usize, columns: Option<usize>) -> Type {
    let batch = &x.shape[..x.rank() - 2];
    x.with_shape([batch, &[rows], columns.as_slice()].concat())
}

/// Emits an op of matrices with a new batch axis at the front.
fn batched(
    b: &mut Builder,
    op: impl Into<Op>,
    axis: &Axis,
    xs: &[Value],
    dims: &[Option<usize>],
    results: usize,
) -> Result<Batched> {
    let xs = batch_front(b, axis, xs, dims);
    Ok(at_front(b.emit_n(op, &xs, results)))
}

/// The dtypes of matrices.
const MATRIX_DTYPES: [DType; 4] = [DType::F32, DType::F64, DType::C64, DType::C128];

/// Returns a sample matrix of type `ty`, to whose diagonal `diagonal` is added.
fn sample_matrix(ty: Type, diagonal: f64) -> Literal {
    let columns = ty.shape[ty.rank() - 1];
    let rows = ty.shape[ty.rank() - 2];
    let mut x = sample(ty, -1.0, 1.5);
    let dtype = x.dtype();
    let is_diagonal = |i: usize| i / columns % rows == i % columns;
    crate::with_compute!(any dtype, C => {
        x = x.edit(|x: &mut [C]| for (i, x) in x.iter_mut().enumerate() {
            let (re, im) = crate::Compute::parts(*x);
            if is_diagonal(i) { *x = <C as crate::Compute>::from_parts(re + diagonal, im) }
        }).0;
    });
    x
}

/// Returns sample rows of an op of one matrix for all dtypes, in double precision also for
/// `shapes`.
fn samples_of(op: impl Into<Op> + Clone, shapes: &[&[usize]], diagonal: f64) -> Vec<Sample> {
    let row = |dtype: DType, shape: &[usize]| Sample {
        op: op.clone().into(),
        inputs: vec![sample_matrix(Type::new(dtype, shape), diagonal)],
        smooth: dtype.real() == DType::F64,
    };
    let first = shapes.first().copied().unwrap_or(&[2, 2]);
    let all = MATRIX_DTYPES.into_iter().map(|dtype| row(dtype, first));
    let more = shapes.iter().flat_map(|s| [row(DType::F64, s), row(DType::C128, s)]);
    all.chain(more).collect()
}
