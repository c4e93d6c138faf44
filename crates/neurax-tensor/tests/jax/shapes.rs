//! Shapes, slices and indices.

#![allow(clippy::reversed_empty_ranges, reason = "a range with a negative step runs backwards")]

use crate::harness::mirrors;
use neurax::prelude::*;

mirrors! {
    transpose_reshape(x) => x.square().permute([2, 0, 1]).reshape([4, 6]);
    concatenate(x, y, z) => concat([x * x, y.clone(), z.sin()], 0);
    stack_axis(x, y) => stack([x * y, x.clone(), y * y], 1);
    pad_interior(x, v) => x.square().pad_dilated([(2, 1, 1)], v);
    pad_negative(x, v) => x.square().pad_dilated([(-1, 2, 0), (1, -2, 1)], v);
    pad_edge(x) => concat([x.index((.., ..1)), x * x, x.index((.., -1..)), x.index((.., -1..))], 1);
    slice_strided(x) => x.square().index((1.., step(1..6, 2)));
    slice_backward(x) => x.square().index(step(5..0, -2));
    dynamic_slice(x, i, j) => x.square().dynamic_slice(stack([i, j], 0), [2, 2]);
    dynamic_slice_clamped(x, i) => x.square().dynamic_slice(i.reshape([1]), [3]);
    dynamic_update_slice(x, y, i, j) => {
        x.square().dynamic_update_slice(y.square(), stack([i, j], 0))
    };
    flip(x) => x.square().flip(1);
    roll(x) => x.square().roll(1, 0).roll(-2, 1);
    tile(x) => x.square().tile([2, 2]);
    repeat(x) => x.square().repeat(2, 1);
    squeeze_broadcast(x) => {
        let squeezed = x.square().squeeze(1);
        squeezed.index((.., NewAxis, .., NewAxis)).broadcast_to([2, 2, 3, 2])
    };
    triangles(x) => x.square().tril(0) - x.triu(1);
    diagonal(x) => {
        let d = |x: &Tensor| x.diagonal(0, 0, 1);
        (d(&x.square()), d(x).diag(0))
    };
    take_rows(x, i) => x.take(i, 0).square();
    gather_pairs(x, i, j) => x.index((i, j)).square();
    take_along_axis(x, i) => x.square().take_along_axis(i, 1);
    scatter_add(x, i, y) => x.at(i).add(y.square()).square();
    scatter_set(x, i, y) => x.at(i).set(y.square()) * x;
    scatter_mul(x, i, y) => x.at(i).unique().mul(y).square();
    scatter_add_pairs(x, i, j, y) => x.at((i, j)).add(y).square();
    segment_sum(x, i) => Tensor::zeros_of(x.dtype(), [4, 2]).at(i).add(x.square());
    one_hot_product(x, i) => i.one_hot(4).to(x.dtype()).matmul(x.square());
    embedding_bag(table, i) => table.take(i, 0).mean(1).tanh();
}
