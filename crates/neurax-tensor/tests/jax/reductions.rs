//! Reductions, cumulative reductions, products and sorts.

use crate::harness::mirrors;
use neurax::prelude::*;

/// Returns `1, 2, .. n` in the dtype of `like`.
fn counting(n: usize, like: &Tensor) -> Tensor {
    (Tensor::arange(n) + 1).to(like.dtype())
}

mirrors! {
    sum_axes(x) => x.square().sum([0, 2]);
    mean_keepdims(x) => (x - x.mean(keep(1))).square();
    prod_axis(x) => x.prod(1);
    max_axis(x) => x.max(0).square();
    min_all(x) => x.min(..).pow(3);
    variance(x) => x.var(1, 0);
    std_ddof1(x) => x.std(0, 1);
    logsumexp(x) => x.logsumexp(1);
    norm_frobenius(x) => x.norm(..);
    normalize_rows(x) => x / x.square().sum(keep(1)).sqrt();
    argmax_argmin(x) => (x.argmax(1), x.argmin(0));
    all_any(x) => (x.gt(-1.5).all(1), x.gt(1.0).any(0), x.gt(0.0).sum(1));
    max_at_argmax(x) => {
        let i = x.argmax(1);
        (x.square().take_along_axis(&i.expand_dims(1), 1).squeeze(1), i)
    };
    cumsum(x) => x.square().cumsum(1);
    cumsum_reverse(x) => x.square().cumsum_with(0, CumulativeOptions::new().reverse());
    cumprod_reverse(x) => x.cumprod_with(1, CumulativeOptions::new().reverse());
    cummax_cummin_reverse(x) => {
        let reverse = CumulativeOptions::new().reverse();
        (x.square().cummax_with(0, reverse.clone()), x.cummin_with(1, reverse))
    };
    cumlogsumexp_reverse(x) => {
        x.square().cumlogsumexp_with(1, CumulativeOptions::new().reverse())
    };
    bit_reductions(i) => vec![i.reduce_and(1), i.reduce_or(1), i.reduce_xor(1)];
    packed_bits(i, j) => vec![i.packbits(1).to(I32), j.to(U8).unpackbits(0).to(I32)];
    cumprod(x) => x.cumprod(1);
    cummax(x) => x.cummax(1).square();
    cummin(x) => x.cummin(0).square();
    cumlogsumexp(x) => x.cumlogsumexp(1);
    matmul(x, y) => x.matmul(y);
    matmul_batched(x, y) => x.matmul(y);
    matvec(x, y) => x.matmul(y);
    dot(x, y) => x.dot(y);
    vecmat_batched(x, y) => x.matmul(y);
    outer(x, y) => x.outer(y.sin());
    einsum_bilinear(x, w, y) => einsum("bi,ijk,bk->bj", [x, w, y]);
    einsum_trace(x, y) => einsum("ii->", [x.matmul(y)]) + einsum("ij,ji->i", [x, y]);
    tensordot(x, y) => x.tensordot(y, [1, 2], [1, 0]);
    quadratic_form(a, x) => x.matmul(a).matmul(x);
    matrix_cube(x) => x.matrix_power(3);
    sort(x) => x.sort(1).square();
    sort_descending(x) => {
        x.sort_with(0, SortOptions::new().descending()) * counting(5, x).expand_dims(1)
    };
    argsort(x) => x.argsort(1);
    sort_by_key(k, x, y) => {
        let (x, y) = (x.square().sort_by_key(k, 0), y.sort_by_key(k, 0));
        (k.sort(0) * &x * &y, stack([x, y], 0))
    };
    sort_stable_two_keys(k, x) => {
        let i = Tensor::arange(8);
        let x = x.sort_by_keys([k, &i], 0);
        (x.square() * counting(8, &x), i.sort_by_keys([k, &i], 0))
    };
    lexsort(k, l, x) => {
        let i = lexsort([l, k], 0);
        (x.square().take(&i, 0) * counting(8, x), i)
    };
    argsort_stable_descending(k, x) => {
        let i = k.argsort_with(0, SortOptions::new().descending());
        (x.square().take(&i, 0) * counting(8, x), i)
    };
    top_k(x) => {
        let (values, indices) = x.top_k(3);
        (values * x.take_along_axis(&indices, 1), indices)
    };
    median(x) => x.pow(3).median(1);
}
