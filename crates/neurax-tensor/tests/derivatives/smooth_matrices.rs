//! Functions of linear algebra that are smooth wherever they are defined: rows as in `smooth.rs`.

use crate::{
    law::halves,
    smooth::{MATRICES, MATRIX, POSITIVE_DEFINITE, SYSTEM, m, smooth},
};
use neurax::{MatrixNorm, Triangle, block_diag, multi_dot, prelude::*, toeplitz};

smooth! {
    "x.cholesky", POSITIVE_DEFINITE, |x| m(x).cholesky();
    "x.adjoint", MATRIX, |x| m(x).adjoint().square();
    "x.cho_solve", SYSTEM, |x, y| m(x).cholesky().cho_solve(y.slice(0, ..2));
    "x.det", MATRIX, |x| m(x).det();
    "x.inv", POSITIVE_DEFINITE, |x| m(x).inv();
    "x.solve", SYSTEM, |x, y| m(x).solve(m(y));
    "x.lu_solve", SYSTEM, |x, y| {
        let (lu, _, permutation) = m(x).lu_factor();
        lu.lu_solve(&permutation, m(y))
    };
    "x.solve_triangular", SYSTEM, |x, y| m(x).solve_triangular(m(y), Triangle::Upper);
    "x.solve_triangular_with", SYSTEM, |x, y| {
        let options = TriangularOptions::new().right_side().transpose();
        m(x).solve_triangular_with(m(y), Triangle::Upper, options)
    };
    "x.cho_solve_with", SYSTEM, |x, y| {
        m(x).cholesky().t().cho_solve_with(m(y), Triangle::Upper)
    };
    "x.lu_factor", POSITIVE_DEFINITE, |x| m(x).lu_factor().0;
    "x.lu", POSITIVE_DEFINITE, |x| {
        let (p, l, u) = m(x).lu();
        p + l * u
    };
    "x.slogdet", POSITIVE_DEFINITE, |x| m(x).slogdet().1;
    "x.qr", POSITIVE_DEFINITE, |x| {
        let (q, r) = m(x).qr();
        q * r
    };
    "x.qr_full", POSITIVE_DEFINITE, |x| m(x).qr_full().1;
    "x.eigh", POSITIVE_DEFINITE, |x| {
        let (w, v) = m(x).eigh();
        v * w
    };
    "x.eig", POSITIVE_DEFINITE, |x| {
        let (w, v) = m(x).eig();
        v * w
    };
    "x.eigvals", POSITIVE_DEFINITE, |x| m(x).eigvals();
    "x.tensorsolve", SYSTEM, |x, y| m(x).reshape([2, 1, 2]).tensorsolve(m(y).slice(0, ..1).t());
    "x.tensorinv", POSITIVE_DEFINITE, |x| m(x).reshape([2, 1, 2]).tensorinv(2);
    "toeplitz", MATRICES, |x, y| toeplitz(x, y);
    "block_diag", MATRICES, |x, y| block_diag([m(x), m(y)]);
    "x.eigvalsh", POSITIVE_DEFINITE, |x| m(x).eigvalsh();
    "x.svd", POSITIVE_DEFINITE, |x| {
        let (u, s, vh) = m(x).svd();
        u * s + vh
    };
    "x.svd_full", POSITIVE_DEFINITE, |x| m(x).svd_full().0;
    "x.svdvals", POSITIVE_DEFINITE, |x| m(x).svdvals();
    "x.cond", POSITIVE_DEFINITE, |x| m(x).cond();
    "x.pinv", POSITIVE_DEFINITE, |x| m(x).pinv();
    "x.cond_with", POSITIVE_DEFINITE, |x| m(x).cond_with(MatrixNorm::Frobenius);
    "x.pinv_with", MATRIX, |x| m(x).pinv_with(RankOptions::new().hermitian());
    "x.lstsq_with", SYSTEM, |x, y| {
        let (x, rest, _, s) = m(x).lstsq_with(y.slice(0, ..2), RankOptions::new());
        (x + rest) * s
    };
    "x.lstsq", SYSTEM, |x, y| m(x).lstsq(y.slice(0, ..2));
    "x.expm", MATRIX, |x| m(x).expm();
    "x.matrix_norm", POSITIVE_DEFINITE, |x| m(x).matrix_norm(MatrixNorm::Nuclear);
    "multi_dot", MATRICES, |x, y| multi_dot([m(x), m(y), m(x)]);
}
