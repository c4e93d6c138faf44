//! Layers, losses and updates of neural networks.

use crate::harness::mirrors;
use neurax::{AttentionOptions, dot_product_attention, einsum, prelude::*};

/// Returns windows of an axis with their taps on a new first axis: `count` windows of `size` taps.
fn taps(x: &Tensor, axis: i64, size: i64, dilation: i64, stride: i64, count: i64) -> Tensor {
    let tap = |k: i64| {
        x.move_axis(axis, 0)
            .index(step(k * dilation..k * dilation + (count - 1) * stride + 1, stride))
            .move_axis(0, axis)
    };
    stack((0..size).map(tap).collect::<Vec<_>>(), 0)
}

fn scores(q: &Tensor, k: &Tensor, root: f64) -> Tensor {
    q.matmul(k.swap_axes(-1, -2)) / root
}

mirrors! {
    softmax(x) => x.softmax(1);
    log_softmax(x) => x.log_softmax(0);
    layer_norm(x, scale, bias) => {
        let c = x - x.mean(keep(-1));
        &c * (c.square().mean(keep(-1)) + 1e-5).rsqrt() * scale + bias
    };
    rms_norm(x, scale) => x * (x.square().mean(keep(-1)) + 1e-6).rsqrt() * scale;
    batch_norm(x, scale, bias, running_mean, running_var) => {
        let (mean, var) = (x.mean(0), x.var(0, 0));
        let y = (x - &mean) / (&var + 1e-3).sqrt() * scale + bias;
        (y, running_mean * 0.9 + mean * 0.1, running_var * 0.9 + var * 0.1)
    };
    cross_entropy(logits, labels) => {
        -logits.log_softmax(1).take_along_axis(&labels.expand_dims(1), 1).mean(..)
    };
    label_smoothing(logits, labels) => {
        let target = labels.one_hot(3).to(logits.dtype()) * 0.9 + 0.1 / 3.0;
        -(target * logits.log_softmax(1)).sum(1)
    };
    binary_cross_entropy(logits, labels) => {
        (logits.softplus() - labels.to(logits.dtype()) * logits).mean(..)
    };
    huber(x) => x.abs().lt(1.0).select(x.square() * 0.5, x.abs() - 0.5);
    cosine_similarity(x, y) => (x * y).sum(1) / (x.square().sum(1) * y.square().sum(1)).sqrt();
    kl_divergence(x, y) => {
        let (p, q) = (x.log_softmax(1), y.log_softmax(1));
        (p.exp() * (&p - q)).sum(1)
    };
    attention_causal(q, k, v) => {
        let causal = Tensor::tri(3, 3, 0).to(BOOL);
        causal.select(scores(q, k, 2.0), -1e9).softmax(-1).matmul(v)
    };
    attention_causal_grouped(q, k, v) => {
        dot_product_attention(q, k, v, AttentionOptions::new().causal())
    };
    attention_window_mask_bias(q, k, v, bias, mask) => {
        let mask = mask.logical_or(Tensor::eye(4).slice(0, ..3));
        let options = AttentionOptions::new().scale(0.7).window(2, 1).mask(&mask).bias(bias);
        dot_product_attention(q, k, v, options)
    };
    multi_head_attention(x, w_qkv, w_out) => {
        let qkv = x.matmul(w_qkv).reshape([3, 3, 2, 2]).permute([1, 2, 0, 3]);
        let weights = scores(&qkv.get(0), &qkv.get(1), std::f64::consts::SQRT_2).softmax(-1);
        let a = weights.matmul(qkv.get(2));
        a.permute([1, 0, 2]).reshape([3, 4]).matmul(w_out)
    };
    mlp_loss(x, w1, b1, w2, b2, y) => {
        let hidden = (x.matmul(w1) + b1).tanh();
        (hidden.matmul(w2) + b2 - y).square().mean(..)
    };
    lstm_cell(x, w, u, b, h, c) => {
        let gates = (x.matmul(w) + h.matmul(u) + b).split(4, 0);
        let [i, f, g, o] = &gates[..] else { panic!("four gates") };
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        (o.sigmoid() * c.tanh(), c)
    };
    adam_update(p, g, m, v, i) => {
        let t = (i + 1).to(p.dtype());
        let (m, v) = (m * 0.9 + g * 0.1, v * 0.999 + g * g * 0.001);
        let power = |b: f64| 1.0 - t.full_like(b).pow(&t);
        (p - (&m / power(0.9)) * 0.01 / ((&v / power(0.999)).sqrt() + 1e-8), m, v)
    };
    dropout_mask(x, kept) => kept.select(x.square() / 0.75, 0.0);
    rotary(x) => {
        let periods = Tensor::from_vec(vec![1.0, 10.0], [2]).to(x.dtype());
        let angle = Tensor::arange(4).to(x.dtype()).expand_dims(1) / periods;
        let (a, b) = (x.index((.., ..2)).square(), x.index((.., 2..)));
        concat([&a * angle.cos() - &b * angle.sin(), &a * angle.sin() + &b * angle.cos()], 1)
    };
    conv1d(x, w) => {
        let padded = x.pad([(0, 0), (0, 0), (1, 1)], 0.0);
        einsum("kncp,ock->nop", [&taps(&padded, 2, 3, 1, 1, 5), w])
    };
    conv2d_strided_dilated_grouped(x, w) => {
        let padded = x.pad([(0, 0), (0, 0), (1, 0), (1, 1)], 0.0).reshape([1, 2, 2, 6, 7]);
        let windows = taps(&taps(&padded, 3, 2, 2, 2, 2), 5, 2, 1, 1, 6);
        einsum("lkngcij,gockl->ngoij", [windows, w.reshape([2, 1, 2, 2, 2])]).reshape([1, 2, 2, 6])
    };
    max_pool(x) => x.reshape([1, 2, 2, 2, 2, 2]).max([2, 4]).square();
    sum_pool(x) => {
        let padded = x.square().pad([(0, 0), (1, 1), (1, 1), (0, 0)], 0.0);
        taps(&taps(&padded, 1, 3, 1, 2, 3), 3, 3, 1, 2, 3).sum([0, 1])
    };
    ragged_dot(x, w) => x.ragged_dot(w, &tensor([3, 0, 4]));
    ragged_dot_contracted(x, y) => x.ragged_dot_contracted(y, &tensor([2, 0, 5]));
}
