//! Activations of networks with their options, and normalization.

use crate::harness::mirrors;
use neurax::prelude::*;

mirrors! {
    relu_of(x) => x.relu() * x;
    relu6(x) => x.relu6() * x;
    hard_tanh(x) => x.hard_tanh() * x;
    selu(x) => x.selu() * x;
    soft_sign(x) => x.softsign() * x;
    squareplus(x) => x.squareplus() * x;
    hard_sigmoid(x) => x.hard_sigmoid() * x;
    hard_silu(x) => x.hard_silu() * x;
    celu(x) => x.celu(1.0) * x;
    celu_alpha(x) => x.celu(0.6) * x;
    elu_alpha(x) => x.elu(0.7) * x;
    leaky_relu_default(x) => x.leaky_relu(0.01) * x;
    squareplus_of(x) => (x + (x.square() + 1.0).sqrt()) * 0.5 * x;
    tanh_shrink(x) => x.tanh_shrink() * x;
    hard_shrink(x) => x.hard_shrink(0.5) * x;
    soft_shrink(x) => x.soft_shrink(0.5) * x;
    threshold(x) => x.gt(0.3).select(x, 7) * x;
    glu_last(x) => x.glu(-1);
    glu_first(x) => x.glu(0);
    softmax_first(x) => x.square().softmax(0);
    softmax_axes(x) => x.square().softmax([0, -1]);
    softmax_all(x) => x.square().softmax(..);
    log_softmax_axes(x) => x.square().log_softmax([1, 2]);
    logsumexp_keepdims(x) => x.square().logsumexp(keep(0));
    logsumexp_all(x) => x.square().logsumexp(..);
    logmeanexp_axis(x) => x.square().logmeanexp(0);
    logmeanexp_all(x) => x.square().logmeanexp(..);
    standardize_axes(x) => x.standardize([0, 2], 0.1);
    standardize_default(x) => x.standardize(-1, 1e-5);
    one_hot_axis(x, y) => x.one_hot(4).to(y.dtype()).move_axis(-1, 1) * y;
    one_hot_outside(x, y) => x.one_hot(3).to(y.dtype()) * y;
    layer_norm_affine(x, y, z) => x.layer_norm(Some(y), Some(z), 1e-3);
    rms_norm_affine(x, y) => x.rms_norm(Some(y), 1e-3);
    batch_norm_inference(x, y, z, w, v) => x.batch_norm_inference(y, z, w, v, 1, 1e-3);
    sparse_cross_entropy(x, y) => x.sparse_cross_entropy(y);
    soft_cross_entropy(x, y) => x.cross_entropy(y.softmax(-1));
    attention_plain(x, y, z) => dot_product_attention(x, y, z, AttentionOptions::new());
    attention_scaled_causal(x, y, z) => {
        dot_product_attention(x, y, z, AttentionOptions::new().scale(0.9).causal())
    };
}
