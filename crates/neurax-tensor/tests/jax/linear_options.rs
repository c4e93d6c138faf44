//! Functions of linear algebra with options.

use crate::harness::mirrors;
use neurax::{MatrixNorm, Triangle, prelude::*};

/// Returns options with a relative bound.
fn bound() -> RankOptions {
    RankOptions::new().relative(1e-3)
}

/// Returns the default options of triangular systems.
fn form() -> TriangularOptions {
    TriangularOptions::new()
}

const ORDERS: [MatrixNorm; 8] = [
    MatrixNorm::One,
    MatrixNorm::NegativeOne,
    MatrixNorm::Spectral,
    MatrixNorm::SmallestSingularValue,
    MatrixNorm::Infinity,
    MatrixNorm::NegativeInfinity,
    MatrixNorm::Frobenius,
    MatrixNorm::Nuclear,
];

mirrors! {
    pinv_options(x, y) => {
        let (a, h) = (x.matmul(y), y.t().matmul(y));
        (
            a.pinv_with(bound()),
            h.pinv_with(bound().hermitian()),
            a.matrix_rank_with(bound()),
            h.matrix_rank_with(bound().hermitian()),
        )
    };
    lstsq_results(a, b) => {
        let a = a + Tensor::eye_of(4, 3, 0) * 4;
        let (x, rest, rank, s) = a.lstsq_with(b, bound());
        let (first, last, _, _) = a.lstsq_with(b.at((.., 0)).get(), RankOptions::new());
        (x, rest, rank, s, first, last)
    };
    cond_orders(x) => {
        let x = x + Tensor::eye(3) * 4;
        ORDERS.map(|order| x.cond_with(order))
    };
    triangular_solve_options(a, b) => {
        use Triangle::{Lower, Upper};
        let a = a + Tensor::eye(3) * 3;
        let left = a.solve_triangular_with(b, Lower, form().transpose());
        let right = form().right_side();
        (
            left * a.solve_triangular_with(b, Upper, form().unit_diagonal()),
            a.solve_triangular_with(b.t(), Lower, right),
            a.solve_triangular_with(b.t(), Upper, right.transpose().unit_diagonal()),
        )
    };
    triangular_solve_conjugated(re, im, b) => {
        use Triangle::{Lower, Upper};
        let a = (re + Tensor::eye(3) * 3).complex(im);
        let c = b.complex(b.square());
        let right = form().right_side().conjugate();
        let results = [
            a.solve_triangular_with(&c, Lower, form().transpose().conjugate()),
            a.solve_triangular_with(&c, Upper, form().conjugate()),
            a.solve_triangular_with(c.t(), Lower, right),
            a.solve_triangular_with(c.t(), Upper, right.transpose()),
        ];
        results.iter().flat_map(|x| [x.real(), x.imag()]).collect::<Vec<_>>()
    };
    cho_solve_upper(x, b) => {
        let u = (x.matmul(x.t()) + Tensor::eye(3)).cholesky().adjoint();
        u.cho_solve_with(b, Triangle::Upper)
    };
    solve_of_batch(a, b) => (a + Tensor::eye(3) * 4).solve(b);
    polyfit_weights(x, y, w) => {
        let x = x + Tensor::arange(6) * 2;
        let options = PolyfitOptions::new().weights(w.clone());
        let (p, rest, rank, s) = x.polyfit_full(y, 2, options.clone());
        (p, rest, rank, s, x.polyfit_cov(y, 2, options).1)
    };
    polyfit_columns(x, y) => {
        let x = x + Tensor::arange(6) * 2;
        let (p, scaled) = x.polyfit_cov(y, 1, PolyfitOptions::new().relative(1e-3));
        (p, scaled, x.polyfit_cov(y, 1, PolyfitOptions::new().unscaled()).1)
    };
}
