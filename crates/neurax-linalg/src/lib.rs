//! Factorizations of matrices in double precision, real and complex, for the compiler of Neurax.
//!
//! Large matrices are factored by the crate `faer` in blocks; small ones by direct loops, which
//! allocate nothing. All matrices are slices in row-major order. A caller runs the matrices of a
//! batch in parallel, each on one thread, or lets several threads share a large one
//! ([`with_threads`]).
//!
//! ```
//! use neurax_linalg::{Division, Field};
//! let mut a = [4.0, 0.0, 2.0, 10.0];
//! assert!(f64::cholesky(&mut a, 2, Division::Whole).is_some());
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
mod division;
mod eigen;
mod number;

pub use division::{Division, with_threads};
pub use number::{MatrixNumber, TriangularSystem};

use num_complex::Complex;

/// The factorizations of matrices of a kind of numbers.
///
/// A method returns `None` if the matrix has no factorization, or if the method does not
/// converge; the contents of the results are then unspecified. The operands are finite.
pub trait Field: MatrixNumber {
    /// Replaces a Hermitian matrix `[n, n]`, of which the lower triangle is read, by the lower
    /// triangular factor `l` of `l · lᴴ`; `None` if the matrix is not positive definite.
    fn cholesky(a: &mut [Self], n: usize, division: Division) -> Option<()>;

    /// Replaces the right sides `x` `[n, columns]` by the solutions of the triangular systems of
    /// `a` `[n, n]`.
    fn triangular_solve(
        a: &[Self],
        triangle: TriangularSystem,
        x: &mut [Self],
        columns: usize,
        division: Division,
    );

    /// Replaces a matrix of `pivots.len()` columns or rows, the smaller number, by the factors `l`
    /// and `u` of its rows in another order: row `i` was exchanged with row `pivots[i]`, for one
    /// `i` after the other. A column without a pivot is left as it is.
    fn lu(a: &mut [Self], columns: usize, pivots: &mut [usize], division: Division);

    /// Computes the factors `q` `[rows, k]`, with orthonormal columns, and `r` `[k, columns]`,
    /// upper triangular, of a matrix of `rows` rows. `k` is at least the smaller number of rows and
    /// columns.
    fn qr(a: &[Self], rows: usize, q: &mut [Self], r: &mut [Self], division: Division);

    /// Computes the eigenvalues, ascending, and the eigenvectors, the columns of `v` `[n, n]`, of a
    /// Hermitian matrix, of which the lower triangle is read.
    fn eigh(a: &[Self], w: &mut [f64], v: &mut [Self], division: Division) -> Option<()>;

    /// Computes the factors of `a = u · diag(s) · vᴴ` of a matrix of `rows` rows; `s` is
    /// descending. `u` and `vᴴ` are both reduced or both square.
    fn svd(
        a: &[Self],
        rows: usize,
        u: &mut [Self],
        s: &mut [f64],
        vh: &mut [Self],
        division: Division,
    ) -> Option<()>;
}

/// Computes the eigenvalues `w` and the eigenvectors, the columns of `v` `[n, n]`, of a matrix
/// `[n, n]`. The norms of the vectors are those that the method gives. It returns `None` if the
/// method does not converge. The operand is finite.
pub fn eig(
    a: &[Complex<f64>],
    w: &mut [Complex<f64>],
    v: &mut [Complex<f64>],
    division: Division,
) -> Option<()> {
    eigen::eig(a, w, v, division.par())
}

/// Implements [`Field`] by the generic functions.
macro_rules! field {
    ($t:ty) => {
        impl Field for $t {
            fn cholesky(a: &mut [$t], n: usize, division: Division) -> Option<()> {
                match n <= direct::MAX_ROWS {
                    true => direct::cholesky(a, n),
                    false => blocked::cholesky(a, n, division.par()),
                }
            }

            fn triangular_solve(
                a: &[$t],
                triangle: TriangularSystem,
                x: &mut [$t],
                columns: usize,
                division: Division,
            ) {
                match x.len() <= direct::MAX_ROWS * columns {
                    true => direct::triangular_solve(a, triangle, x, columns),
                    false => blocked::triangular_solve(a, triangle, x, columns, division.par()),
                }
            }

            fn lu(a: &mut [$t], columns: usize, pivots: &mut [usize], division: Division) {
                match pivots.len() <= direct::MAX_ROWS {
                    true => direct::lu(a, columns, pivots),
                    false => blocked::lu(a, columns, pivots, division.par()),
                }
            }

            fn qr(a: &[$t], rows: usize, q: &mut [$t], r: &mut [$t], division: Division) {
                blocked::qr(a, rows, q, r, division.par())
            }

            fn eigh(a: &[$t], w: &mut [f64], v: &mut [$t], division: Division) -> Option<()> {
                blocked::eigh(a, w, v, division.par())
            }

            fn svd(
                a: &[$t],
                rows: usize,
                u: &mut [$t],
                s: &mut [f64],
                vh: &mut [$t],
                division: Division,
            ) -> Option<()> {
                blocked::svd(a, rows, u, s, vh, division.par())
            }
        }
    };
}

field!(f64);
field!(Complex<f64>);
