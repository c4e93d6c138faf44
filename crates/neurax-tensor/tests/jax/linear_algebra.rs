//! Factorizations, systems of linear equations and functions of matrices.

use crate::harness::mirrors;
use neurax::{MatrixNorm, Triangle, block_diag, multi_dot, prelude::*, toeplitz};

/// Returns the identity matrix of the size and dtype of `x`.
fn identity(x: &Tensor) -> Tensor {
    Tensor::eye(x.dim(-1)).to(x.dtype())
}

/// Returns a positive definite matrix, a smooth function of a square one.
fn positive_definite(x: &Tensor) -> Tensor {
    x.matmul(x.t()) + identity(x) * 2.0
}

/// Returns a matrix that is far from singular.
fn regular(x: &Tensor) -> Tensor {
    x + identity(x) * 4.0
}

/// Returns a symmetric matrix with different eigenvalues.
fn graded(x: &Tensor) -> Tensor {
    x + x.t() + (Tensor::arange(x.dim(-1)) * 6).to(x.dtype()).diag(0)
}

/// Returns the product of singular vectors with the sines of the singular values.
fn sine(x: &Tensor) -> Tensor {
    let (u, s, vh) = x.svd();
    (u * s.sin()).matmul(vh)
}

/// Returns the complex matrix of real and imaginary parts, far from singular.
fn complex(x: &Tensor, y: &Tensor) -> Tensor {
    regular(x).complex(y)
}

/// Returns the Hermitian matrix of a complex one.
fn hermitian(x: &Tensor, y: &Tensor) -> Tensor {
    let a = complex(x, y);
    &a + a.adjoint()
}

/// Returns the parts of complex numbers.
fn parts(z: Tensor) -> (Tensor, Tensor) {
    (z.real(), z.imag())
}

mirrors! {
    cholesky(x) => positive_definite(x).cholesky();
    cho_solve(x, b) => positive_definite(x).cholesky().cho_solve(b);
    lu_compact(x) => {
        let (lu, _, permutation) = x.lu_factor();
        (lu, permutation)
    };
    lu_tall(x) => x.lu_factor().0;
    lu_wide(x) => x.lu_factor().0;
    solve_vector(x, b) => regular(x).solve(b);
    solve_matrix(x, b) => regular(x).solve(b);
    solve_lower(x, b) => regular(x).solve_triangular(b, Triangle::Lower);
    solve_upper(x, b) => regular(x).solve_triangular(b, Triangle::Upper);
    inverse(x) => regular(x).inv();
    determinant_2(x) => x.det();
    determinant_3(x) => x.det();
    determinant_5(x) => regular(x).det();
    slogdet(x) => {
        let (sign, log) = regular(x).slogdet();
        (log, sign)
    };
    qr_tall(x) => x.qr();
    qr_square(x) => regular(x).qr();
    eigenvalues(x) => graded(x).eigvalsh();
    eigenvectors(x) => {
        let (w, v) = graded(x).eigh();
        (&v * w.tanh()).matmul(v.t())
    };
    singular_values(x) => x.svdvals();
    singular_vectors_tall(x) => sine(x);
    singular_vectors_wide(x) => sine(x);
    pseudo_inverse(x) => x.pinv();
    least_squares(x, b) => x.lstsq(b);
    matrix_exponential(x) => x.expm();
    matrix_norms(x) => stack(
        [
            MatrixNorm::Frobenius,
            MatrixNorm::Nuclear,
            MatrixNorm::Spectral,
            MatrixNorm::SmallestSingularValue,
            MatrixNorm::One,
            MatrixNorm::NegativeOne,
            MatrixNorm::Infinity,
            MatrixNorm::NegativeInfinity,
        ]
        .map(|order| x.matrix_norm(order)),
        0,
    );
    condition_number(x) => regular(x).cond();
    matrix_power_negative(x) => regular(x).matrix_power(-2);
    complex_cholesky(x, y) => {
        let a = complex(x, y);
        parts(a.matmul(a.adjoint()).cholesky())
    };
    complex_solve(x, y, b) => parts(complex(x, y).solve(b));
    complex_inverse(x, y) => parts(complex(x, y).inv());
    complex_determinant(x, y) => parts(complex(x, y).det());
    complex_slogdet(x, y) => {
        let (sign, log) = complex(x, y).slogdet();
        (log, sign.real(), sign.imag())
    };
    complex_qr(x, y) => {
        let (q, r) = complex(x, y).qr();
        (q.real(), q.imag(), r.real(), r.imag())
    };
    complex_eigenvalues(x, y) => hermitian(x, y).eigvalsh();
    complex_eigenvectors(x, y) => {
        let (w, v) = hermitian(x, y).eigh();
        parts((&v * w.sin()).matmul(v.adjoint()))
    };
    complex_singular_values(x, y) => complex(x, y).svdvals();
    complex_singular_vectors(x, y) => parts(sine(&complex(x, y)));
    complex_pseudo_inverse(x, y) => parts(complex(x, y).pinv());
    complex_exponential(x, y) => parts((complex(x, y) * 0.2).expm());
    general_eigenvalues(x) => {
        let w = (x + (Tensor::arange(4) * 6).to(x.dtype()).diag(0)).eigvals();
        w.real().sort(0)
    };
    tensor_solve(x, b) => regular(x).reshape([2, 2, 4]).tensorsolve(b);
    tensor_inverse(x) => regular(x).reshape([2, 2, 4]).tensorinv(2);
    toeplitz(x, y) => toeplitz(x, y);
    block_diagonal(x, y, z) => block_diag([x, y, z]);
    multi_dot(x, y, z) => multi_dot([x, y, z]);
    tridiagonal_solve(lower, diagonal, upper, b) => {
        tridiagonal_solve(lower, &(diagonal + 4), upper, b)
    };
    tridiagonal_solve_with_pivots(lower, diagonal, upper, b) => {
        tridiagonal_solve(&(lower + 4), diagonal, &(upper + 3), b)
    };
    roots(x) => (x + (Tensor::arange(3) * 6).to(x.dtype())).poly().roots().real().sort(0).square();
}
