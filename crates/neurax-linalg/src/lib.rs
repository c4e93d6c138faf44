//! Factorizations of matrices in double precision, real and complex, for the compiler of Neurax.
//!
//! Large matrices are factored by the crate `faer` in blocks; small ones by direct loops, which
//! allocate nothing. All matrices are slices in row-major order, and all work is done on the
//! calling thread, so that a caller can run the matrices of a batch in parallel.
//!
//! ```
//! use neurax_linalg::Field;
//! let mut a = [4.0, 0.0, 2.0, 10.0];
//! assert!(f64::cholesky(&mut a, 2).is_some());
//! assert_eq!(a, [2.0, 0.0, 1.0, 3.0]);
//! ```
//!
//! The generic code of `faer` is slow to compile, and is compiled in this crate alone: the methods
//! of [`Field`] are not generic themselves.
//!
//! Invariant: signs and phases of vectors are those that the method gives; a caller that needs
//! certain ones chooses them afterwards.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod blocked;
mod direct;
mod eigen;
mod number;

pub use number::{MatrixNumber, TriangularSystem};

use num_complex::Complex;

/// The factorizations of matrices of a kind of numbers.
///
/// A method returns `None` if the matrix has no factorization, or if the method does not
/// converge; the contents of the results are then unspecified. The operands are finite.
pub trait Field: MatrixNumber {
    /// Replaces a Hermitian matrix `[n, n]`, of which the lower triangle is read, by the lower
    /// triangular factor `l` of `l · lᴴ`; `None` if the matrix is not positive definite.
    fn cholesky(a: &mut [Self], n: usize) -> Option<()>;

    /// Replaces the right sides `x` `[n, columns]` by the solutions of the triangular systems of
    /// `a` `[n, n]`.
    fn triangular_solve(a: &[Self], triangle: TriangularSystem, x: &mut [Self], columns: usize);

    /// Replaces a matrix of `pivots.len()` columns or rows, the smaller number, by the factors `l`
    /// and `u` of its rows in another order: row `i` was exchanged with row `pivots[i]`, for one
    /// `i` after the other. A column without a pivot is left as it is.
    fn lu(a: &mut [Self], columns: usize, pivots: &mut [usize]);

    /// Computes the factors `q` `[rows, k]`, with orthonormal columns, and `r` `[k, columns]`,
    /// upper triangular, of a matrix of `rows` rows. `k` is at least the smaller number of rows and
    /// columns.
    fn qr(a: &[Self], rows: usize, q: &mut [Self], r: &mut [Self]);

    /// Computes the eigenvalues, ascending, and the eigenvectors, the columns of `v` `[n, n]`, of a
    /// Hermitian matrix, of which the lower triangle is read.
    fn eigh(a: &[Self], w: &mut [f64], v: &mut [Self]) -> Option<()>;

    /// Computes the factors of `a = u · diag(s) · vᴴ` of a matrix of `rows` rows; `s` is
    /// descending. `u` and `vᴴ` are both reduced or both square.
    fn svd(a: &[Self], rows: usize, u: &mut [Self], s: &mut [f64], vh: &mut [Self]) -> Option<()>;
}

/// Computes the eigenvalues `w` and the eigenvectors, the columns of `v` `[n, n]`, of a matrix
/// `[n, n]`. The norms of the vectors are those that the method gives. It returns `None` if the
/// method does not converge. The operand is finite.
pub fn eig(a: &[Complex<f64>], w: &mut [Complex<f64>], v: &mut [Complex<f64>]) -> Option<()> {
    eigen::eig(a, w, v)
}

/// Implements [`Field`] by the generic functions.
macro_rules! field {
    ($t:ty) => {
        impl Field for $t {
            fn cholesky(a: &mut [$t], n: usize) -> Option<()> {
                match n <= direct::MAX_ROWS {
                    true => direct::cholesky(a, n),
                    false => blocked::cholesky(a, n),
                }
            }

            fn triangular_solve(
                a: &[$t],
                triangle: TriangularSystem,
                x: &mut [$t],
                columns: usize,
            ) {
                match x.len() <= direct::MAX_ROWS * columns {
                    true => direct::triangular_solve(a, triangle, x, columns),
                    false => blocked::triangular_solve(a, triangle, x, columns),
                }
            }

            fn lu(a: &mut [$t], columns: usize, pivots: &mut [usize]) {
                match pivots.len() <= direct::MAX_ROWS {
                    true => direct::lu(a, columns, pivots),
                    false => blocked::lu(a, columns, pivots),
                }
            }

            fn qr(a: &[$t], rows: usize, q: &mut [$t], r: &mut [$t]) {
                blocked::qr(a, rows, q, r)
            }

            fn eigh(a: &[$t], w: &mut [f64], v: &mut [$t]) -> Option<()> {
                blocked::eigh(a, w, v)
            }

            fn svd(
                a: &[$t],
                rows: usize,
                u: &mut [$t],
                s: &mut [f64],
                vh: &mut [$t],
            ) -> Option<()> {
                blocked::svd(a, rows, u, s, vh)
            }
        }
    };
}

field!(f64);
field!(Complex<f64>);
