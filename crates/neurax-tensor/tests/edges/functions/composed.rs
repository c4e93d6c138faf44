//! Functions that are composed for derivatives.

use super::functions;
use neurax::prelude::*;

functions! {
    var_1(x) => x.var(.., 1);
    std_1(x) => x.std(.., 1);
    norm_4(x) => x.norm_of_order(4.0, ..);
    outer_with_self(x) => x.outer(x);
    standardized(x) => (x - x.mean(..)) / (x.var(.., 0) + 1e-3).sqrt();
    squared_difference(x) => (x - x.mean(..)).square();
    cov_with_square(x) => stack([x.clone(), x * x], 0).cov(1);
    trapezoid(x) => (x * x).trapezoid(0.5, 0);
    diff_squared(x) => x.diff(1, 0).square();
    square_then_sum(x) => (x * x).sum(..);
    matrix_square(x) => {
        let m = x.reshape([2, 2]);
        m.matmul(&m)
    };
    modulus_squared(x) => complex(x).abs().square();
    product_of_conjugates(x) => complex(x).real() * complex(x).imag();
    exp_of_complex(x) => complex(x).exp().real();
    logsumexp_plus_max(x) => x.logsumexp(..) + x.max(..) * 0.0;
    sort_weighted(x) => (x * x * x).sort(0);
    max_squared(x) => x.max(..).square();
    median_cubed(x) => x.median(..).pow(3);
    take_twice(x) => x.take(tensor([0, 0, 3]), 0).square();
    outer(x, y) => x.outer(y);
    xlogy_of_squares(x, y) => (x * x).xlogy(y * y + 0.5);
    xlog1py_of_squares(x, y) => (x * x).xlog1py(y * y);
    pow_of_positive(x, y) => (x * x + 1.0).pow(y);
    pow_of_zero(x, y) => (x.abs() * 0.0).pow(y * y + 3.0);
    lerp(x, y) => x.lerp(y, 0.25);
    cosine_similarity(x, y) => x.cosine_similarity(y, 0);
    squared_distance(x, y) => (x - y).square().sum(..);
}

/// Returns complex numbers with the first half of `x` as real parts, the second as imaginary ones.
fn complex(x: &Tensor) -> Tensor {
    x.slice(0, ..2).complex(x.slice(0, 2..))
}
