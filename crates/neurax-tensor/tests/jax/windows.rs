//! Convolution and pooling.

use crate::harness::mirrors;
use neurax::prelude::*;

fn windows() -> Windows {
    Windows::new()
}

mirrors! {
    conv1d_same_strided(x, w) => x.conv(w, windows().strides(2).padding(Padding::Same));
    conv2d_valid(x, w) => x.conv(w, windows());
    conv2d_channels_last(x, w) => {
        x.conv(w, windows().strides([2, 1]).padding(Padding::Same).channels_last())
    };
    conv2d_dilated(x, w) => {
        x.conv(w, windows().strides([1, 2]).padding([(2, 1), (1, 1)]).dilation([3, 1]))
    };
    conv3d(x, w) => x.conv(w, windows().strides([1, 2, 1]).padding([(1, 0), (0, 0), (1, 1)]));
    conv2d_depthwise(x, w) => {
        let options = windows().strides([1, 2]).padding(Padding::Same);
        x.conv(w, options.groups(3).channels_last())
    };
    conv1d_grouped_cut(x, w) => x.conv(w, windows().strides(2).padding([(-1, 2)]).groups(2));
    conv_transpose_valid(x, w) => x.conv_transpose(w, windows().strides(2));
    conv_transpose_same(x, w) => {
        x.conv_transpose(w, windows().strides([2, 3]).padding(Padding::Same).channels_last())
    };
    max_pool_same(x) => {
        let options = windows().strides([2, 1]).padding(Padding::Same).channels_last();
        x.max_pool([3, 2], options).square()
    };
    max_pool_padded(x) => x.max_pool(3, windows().strides(2).padding([(2, 1)])).square();
    avg_pool_same(x) => {
        x.square().avg_pool([3, 2], windows().strides([2, 1]).padding(Padding::Same))
    };
    avg_pool_valid(x) => x.square().avg_pool(2, windows().channels_last());
    small_cnn_loss(x, w, dense, labels) => {
        let y = x.conv(w, windows()).softplus().avg_pool(2, windows()).reshape([2, 8]);
        -y.matmul(dense).log_softmax(1).take_along_axis(&labels.expand_dims(1), 1).mean(..)
    };
    window_sum_all_axes(x) => {
        let options = windows().strides([1, 2, 1]).padding([(1, 0), (0, 0), (0, 1)]);
        x.square().window_sum([2, 2, 3], options.dilation([1, 2, 1]))
    };
    window_max_min(x) => {
        let options = windows().strides([1, 2]).padding([(0, 1), (1, 0)]);
        (x.square().window_max([2, 3], options), x.window_min([3, 2], windows().strides([2, 1])))
    };
    conv_local(x, w) => x.conv_local(w, 2, windows().strides(2).padding([(1, 0)]));
    conv_local_dilated(x, w) => x.conv_local(w, 2, windows().dilation([1, 2]));
}
