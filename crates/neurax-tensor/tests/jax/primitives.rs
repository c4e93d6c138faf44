//! Primitives of `jax.lax`: windows, products, gathers, scatters and sorts with all options.

use crate::harness::mirrors;
use neurax::prelude::*;

fn windows() -> Windows {
    Windows::new()
}

mirrors! {
    window_sum_same(x) => {
        x.square().window_sum([3, 2], windows().strides([2, 1]).padding(Padding::Same))
    };
    window_sum_dilated(x) => x.square().window_sum([2, 2], windows().strides(1).dilation([1, 2]));
    window_sum_base_dilated(x) => {
        x.square().window_sum([2, 3], windows().strides(1).input_dilation([2, 1]))
    };
    window_max_dilated(x) => x.window_max([2, 2], windows().strides(1).dilation([1, 2])).square();
    window_min_same(x) => {
        x.window_min([3, 2], windows().strides([2, 2]).padding(Padding::Same)).square()
    };
    conv_input_dilated(x, y) => x.conv(y, windows().padding([(1, 2)]).input_dilation(2));
    conv_all_options(x, y) => {
        let options = windows().strides([2, 1]).padding([(1, 2), (0, 1)]).groups(2);
        x.conv(y, options.input_dilation([1, 2]).dilation([2, 1]))
    };
    conv_same_even(x, y) => x.conv(y, windows().padding(Padding::Same));
    conv_with_padding(x, y) => x.conv(y, windows().strides([1, 2]).padding([(1, 1), (2, 0)]));
    conv_causal(x, y) => x.conv(y, windows().padding(Padding::Causal));
    conv_without_space(x, y) => x.matmul(y.t());
    conv1d_channels_last(x, y) => x.conv(y, windows().strides(2).channels_last());
    conv3d_channels_last(x, y) => x.conv(y, windows().strides([1, 1, 2]).channels_last());
    conv_transpose_2d(x, y) => x.conv_transpose(y, windows().strides([2, 1]));
    patches_plain(x) => x.square().patches(3, windows());
    dot_general_batched(x, y) => x.matmul(y);
    dot_general_two_batches(x, y) => einsum("abij,baj->abi", [x, y]);
    dot_general_contracted_pair(x, y) => einsum("bij,ibjk->bk", [x, y]);
    dot_general_outer(x, y) => x.outer(y);
    batch_matmul(x, y) => x.matmul(y);
    einsum_ellipsis(x, y) => einsum("...i,ij->...j", [x, y]);
    einsum_diagonal(x) => einsum("ii->i", [x.square()]);
    einsum_implicit(x, y) => einsum("ba,ac->bc", [x, y]);
    einsum_attention(x, y) => einsum("bthd,bshd->bhts", [x, y]);
    matmul_preferred(x, y) => x.matmul_as(y, F64).to(x.dtype());
    gather_windows(x, y) => {
        let rows = y.expand_dims(1) + Tensor::arange(2);
        x.square().take(rows, 0)
    };
    gather_fill(x, y) => {
        let i = where_(&y.lt(0), 99, y);
        x.square().at(&i).get_or(7)
    };
    take_negative(x, y) => x.take(y, 0).square();
    take_wrap(x, y) => x.square().take_with(y, 0, IndexMode::Wrap);
    take_matrix(x, y) => x.square().take(y, 1);
    index_mixed(x, y, z) => x.index((y, 1.., z)).square();
    index_mask(x, y) => y.select(x, 0).square() + x.get(1);
    index_new_axes(x) => x.square().index((NewAxis, 1, Ellipsis, NewAxis));
    scatter_min(x, y, z) => x.at(y).min(z).square();
    scatter_max(x, y, z) => x.at(y).max(z).square();
    scatter_sub(x, y, z) => x.at(y).add(-z.square()).square();
    scatter_drop(x, y, z) => x.at(y).mode(IndexMode::Drop).add(z).square();
    scatter_clip(x, y, z) => x.at(y).mode(IndexMode::Clip).add(z).square();
    scatter_columns(x, y, z) => x.at((.., y)).set(z.square()) * x;
    scatter_slice(x, y) => x.at(step(1..6, 2)).add(y.square()).square();
    scatter_scalar_index(x, y, z) => x.at(y).set(z.square()).square();
    scatter_mask(x) => x.index((.., 0)).gt(0).expand_dims(1).select(x * 2, x).square();
    dynamic_index(x, y) => x.square().take(y, 0);
    dynamic_slice_in_dim(x, y) => x.square().dynamic_slice(stack([&tensor(0), y], 0), [3, 2]);
    dynamic_update_in_dim(x, y, z) => {
        x.square().dynamic_update_slice(y.square(), stack([&tensor(0), z], 0))
    };
    dynamic_update_clamped(x, y, z) => x.square().dynamic_update_slice(y.square(), z.reshape([1]));
    slice_in_dim(x) => (x.square().index(step(1..6, 2)), x.get(2));
    sort_operands(x, y) => (y.square().sort_by_key(x, 0), x.sort(0));
    round_ways(x) => x.square() * (x * 3).round();
    integer_powers(x) => x.pow(5) + x.pow(-3);
    barrier(x) => optimization_barrier(&x.square()) * x;
    reduce_with_function(x) => x.prod(1);
    window_scatter_max(x, y) => {
        stop_gradient(x).window_scatter_max(y, 0, [1, 1, 2], windows().strides([1, 1, 2])) * x
    };
    window_scatter_min(x, y) => {
        stop_gradient(x).window_scatter_min(y, 0, [1, 1, 2], windows().strides([1, 1, 2])) * x
    };
    max_pool_places(x) => (x.max_pool(2, windows()).square(), x.max_pool_indices(2, windows()));
}
