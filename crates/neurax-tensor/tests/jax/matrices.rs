//! Linear algebra with batches and options, of real and complex matrices.

use crate::harness::mirrors;
use neurax::{Triangle, prelude::*};

/// Returns the identity matrix of the size and dtype of `x`.
fn identity(x: &Tensor) -> Tensor {
    Tensor::eye(x.dim(-1)).to(x.dtype())
}

/// Returns a matrix that is far from singular.
fn regular(x: &Tensor) -> Tensor {
    x + identity(x) * 4.0
}

/// Returns a positive definite matrix.
fn definite(x: &Tensor) -> Tensor {
    x.matmul(x.adjoint()) + identity(x) * 2.0
}

mirrors! {
    cholesky_batched(x) => definite(x).cholesky();
    cholesky_upper(x) => definite(x).cholesky().adjoint();
    solve_batched(x, y) => regular(x).solve(y);
    solve_broadcast(x, y) => regular(x).solve(y);
    inverse_batched(x) => regular(x).inv();
    determinant_batched(x) => x.det();
    determinant_1(x) => x.det();
    slogdet_batched(x) => {
        let (s, log) = regular(x).slogdet();
        (log, s)
    };
    singular_values_batched(x) => x.svdvals();
    singular_values_wide(x) => x.svdvals().square();
    pseudo_inverse_wide(x) => x.pinv();
    qr_batched(x) => regular(x).qr();
    qr_triangle(x) => x.qr().1.abs();
    qr_full(x) => {
        let (q, r) = stop_gradient(x).qr_full();
        (x.square(), q.matmul(r).square(), q.matmul(q.t()))
    };
    svd_full(x) => {
        let (u, s, vh) = stop_gradient(x).svd_full();
        let whole = (u.index((.., ..2)) * &s).matmul(&vh);
        (x.square(), s, u.matmul(u.t()), vh.t().matmul(vh), whole)
    };
    lu_batched(x) => regular(x).lu_factor().0;
    lu_parts(x) => {
        let (_, l, u) = regular(x).lu();
        (l, u)
    };
    lu_solve(x, y) => {
        let (lu, _, permutation) = regular(x).lu_factor();
        lu.lu_solve(&permutation, y)
    };
    cho_solve_matrix(x, y) => definite(x).cholesky().cho_solve(y);
    triangular_transposed(x, y) => regular(x).tril(0).t().solve_triangular(y, Triangle::Upper);
    triangular_unit(x, y) => (x.tril(-1) + identity(x)).solve_triangular(y, Triangle::Lower);
    triangular_right(x, y) => regular(x).tril(0).t().solve_triangular(y.t(), Triangle::Upper).t();
    triangular_batched(x, y) => regular(x).solve_triangular(y, Triangle::Upper);
}
