"""Records convolutions, pools, normalizations, resizing and other layers: see common.py.

The inputs of a case are `x` and the parameters of the layer in alphabetical order. What PyTorch
lacks, cubic and Lanczos resizing with the rules of `jax.image.resize`, is recorded from JAX.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import jax
import jax.numpy as jnp
import keras
import torch
import torch.nn.functional as F

from common import Cases

windows = Cases("windows")
cases = Cases("layers")
add = windows.add_function
SPACE = {1: (7,), 2: (5, 4), 3: (3, 4, 3)}
TAPS = {1: 3, 2: 3, 3: 2}
MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def last(x):
    return x.movedim(1, -1)


def first(x):
    return x.movedim(-1, 1)


def kernel_last(k):
    """[outputs, inputs, taps ..] to [taps .., inputs, outputs]."""
    return k.movedim(0, -1).movedim(0, -2)


def kernel_first(k):
    return k.movedim(-2, 0).movedim(-1, 0)


for d in (1, 2, 3):
    conv = [F.conv1d, F.conv2d, F.conv3d][d - 1]
    transpose = [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d][d - 1]
    x = torch.randn(1, 4, *SPACE[d])
    kernel, bias = torch.randn(4, 4, *[TAPS[d]] * d) / 5, torch.randn(4)
    grouped = torch.randn(4, 2, *[TAPS[d]] * d)
    add(f"conv{d}_plain", lambda x, b, k: conv(x, k, b), x, bias, kernel)
    add(f"conv{d}_no_bias", lambda x, k: conv(x, k), x, kernel)
    add(f"conv{d}_strided", lambda x, b, k: conv(x, k, b, stride=2, padding=1), x, bias, kernel)
    add(f"conv{d}_dilated", lambda x, b, k: conv(x, k, b, padding=2, dilation=2), x, bias, kernel)
    add(f"conv{d}_same", lambda x, b, k: conv(x, k, b, padding="same"), x, bias, kernel)
    add(f"conv{d}_groups", lambda x, b, k: conv(x, k, b, groups=2), x, bias, grouped)
    add(
        f"conv{d}_last",
        lambda x, b, k: last(conv(first(x), kernel_first(k), b, stride=2)),
        last(x), bias, kernel_last(kernel),
    )
    for name, mode in MODES.items():
        def padded(x, b, k, mode=mode):
            return conv(F.pad(x, (1, 1) * d, mode=mode), k, b)

        add(f"conv{d}_{name}", padded, x, bias, kernel)
    small = torch.randn(1, 4, *[n - 1 for n in SPACE[d]])
    add(f"transpose{d}_plain", lambda x, b, k: transpose(x, k, b), small, bias, kernel)
    add(
        f"transpose{d}_strided",
        lambda x, b, k: transpose(x, k, b, stride=2, padding=1, output_padding=1),
        small, bias, kernel,
    )
    add(
        f"transpose{d}_dilated",
        lambda x, b, k: transpose(x, k, b, stride=2, dilation=2), small, bias, kernel,
    )
    add(f"transpose{d}_groups", lambda x, b, k: transpose(x, k, b, groups=2), small, bias, grouped)
    depth = torch.randn(8, 1, *[TAPS[d]] * d)
    add(
        f"depthwise{d}", lambda x, b, k: conv(x, k, b, padding=1, groups=4),
        x, torch.randn(8), depth,
    )
    add(
        f"separable{d}", lambda x, b, k, p: conv(conv(x, k, groups=4), p, b),
        x, torch.randn(2), depth, torch.randn(2, 8, *[1] * d),
    )

    max_pool = [F.max_pool1d, F.max_pool2d, F.max_pool3d][d - 1]
    avg_pool = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][d - 1]
    lp_pool = [F.lp_pool1d, F.lp_pool2d, F.lp_pool3d][d - 1]
    x = torch.randn(1, 2, *[n + 1 for n in SPACE[d]])
    add(f"max_pool{d}_plain", lambda x: max_pool(x, 2), x)
    add(f"max_pool{d}_strided", lambda x: max_pool(x, 3, 2, 1), x)
    add(f"max_pool{d}_ceil", lambda x: max_pool(x, 3, 2, 1, ceil_mode=True), x)
    add(f"max_pool{d}_dilated", lambda x: max_pool(x, 2, 1, 0, 2), x)
    options = dict(count_include_pad=False)
    add(f"avg_pool{d}_plain", lambda x: avg_pool(x, 2), x)
    add(f"avg_pool{d}_strided", lambda x: avg_pool(x, 3, 2, 1, **options), x)
    add(f"avg_pool{d}_counted", lambda x: avg_pool(x, 3, 2, 1), x)
    add(f"avg_pool{d}_ceil", lambda x: avg_pool(x, 3, 2, 1, True, **options), x)
    add(f"avg_pool{d}_ceil_counted", lambda x: avg_pool(x, 3, 2, 1, True), x)
    add(f"lp_pool{d}_2", lambda x: lp_pool(x, 2.0, 2), x)
    add(f"lp_pool{d}_4", lambda x: lp_pool(x, 4.0, 3, 2), x)
    adaptive = [F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d][d - 1]
    add(f"adaptive_avg{d}", lambda x: adaptive(x, 3), x)
    adaptive_max = [F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d][d - 1]
    add(f"adaptive_max{d}", lambda x: adaptive_max(x, 3), x)
    mode = ["linear", "bilinear", "trilinear"][d - 1]
    add(
        f"resize{d}_linear",
        lambda x: F.interpolate(x, [5, 9, 4][:d], mode=mode, align_corners=False), x,
    )
    add(f"resize{d}_nearest", lambda x: F.interpolate(x, [5, 9, 4][:d], mode="nearest-exact"), x)
    add(f"up_sampling{d}", lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"), x)
    add(f"batch_norm{d}", lambda x, b, s: F.batch_norm(x, None, None, s, b, True),
        torch.randn(2, 3, *SPACE[d]), torch.randn(3), torch.randn(3))

windows.save()

add = cases.add_function
x = torch.randn(1, 2, 9, 7)
add(
    "resize2_antialias",
    lambda x: F.interpolate(x, [4, 10], mode="bilinear", align_corners=False, antialias=True), x,
)
for method in ("cubic", "lanczos3", "lanczos5"):
    for name, antialias in (("", True), ("_plain", False)):
        def resize(x, method=method, antialias=antialias):
            return jax.image.resize(x, (1, 2, 4, 10), method, antialias=antialias)

        y, pull = jax.vjp(resize, jnp.array(x.numpy()))
        ct = torch.randn(1, 2, 4, 10).numpy()
        grad = pull(jnp.array(ct))[0]
        named = {"in0": x, "out0": y, "ct0": ct, "grad.in0": grad}
        cases.add(f"resize2_{method}{name}", **named)

x, scale, bias = torch.randn(3, 4, 5), torch.randn(5), torch.randn(5)
add("layer_norm", lambda x, b, s: F.layer_norm(x, (5,), s, b), x, bias, scale)
add("layer_norm_plain", lambda x: F.layer_norm(x, (5,)), x)
add(
    "layer_norm_axes", lambda x, b, s: F.layer_norm(x, (4, 5), s, b, 1e-3),
    x, torch.randn(4, 5), torch.randn(4, 5),
)
add("rms_norm", lambda x, s: F.rms_norm(x, (5,), s, 1e-5), x, scale)
add("rms_norm_shift", lambda x, s: F.rms_norm(x, (5,), s + 1.0, 1e-5), x, scale)
add("unit_norm", lambda x: F.normalize(x, dim=-1), x)
x, scale, bias = torch.randn(2, 4, 3, 2), torch.randn(4), torch.randn(4)
add("group_norm", lambda x, b, s: F.group_norm(x, 2, s, b), x, bias, scale)
add("instance_norm", lambda x, b, s: F.instance_norm(x, weight=s, bias=b), x, bias, scale)
add("local_response_norm_3", lambda x: F.local_response_norm(x, 3, 0.5, 0.75, 2.0), x)
add("local_response_norm_2", lambda x: F.local_response_norm(x, 2, 1.0, 0.5), x)


def weight_norm(x, b, k, s):
    return x @ (k / k.norm(dim=0) * s) + b


x, bias, kernel = torch.randn(2, 4), torch.randn(3), torch.randn(4, 3)
add("weight_norm", weight_norm, x, bias, kernel, torch.randn(3))
add("embedding", lambda i, t: F.embedding(i, t), torch.tensor([[0, 3], [3, 1]]), torch.randn(5, 3))
add(
    "embedding_bag_mean", lambda i, t: F.embedding_bag(i, t, mode="mean", padding_idx=0),
    torch.tensor([[0, 3, 2], [3, 0, 0]]), torch.randn(5, 3),
)
add(
    "embedding_bag_sum", lambda i, t: F.embedding_bag(i, t, mode="sum"),
    torch.tensor([[0, 3, 2], [3, 0, 0]]), torch.randn(5, 3),
)
add(
    "embedding_bag_max", lambda i, t: F.embedding_bag(i, t, mode="max"),
    torch.tensor([[4, 3, 2], [3, 0, 1]]), torch.randn(5, 3),
)
add("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), torch.randn(1, 8, 2, 3))
add("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), torch.randn(1, 2, 4, 6))
x = torch.randn(1, 2, 4, 3)
add("pad_value", lambda x: F.pad(x, (1, 2, 0, 1), value=0.5), x)
for name, mode in MODES.items():
    add(f"pad_{name}", lambda x, mode=mode: F.pad(x, (1, 1, 1, 1), mode=mode), x)

x = torch.tensor([[-30.0, -3.5, -1.25, -0.375, 0.25, 0.75, 2.5, 7.0], [1.0] * 7 + [-0.5]])
add("leaky_relu_0.3", lambda x: F.leaky_relu(x, 0.3), x)
add("elu_0.5", lambda x: F.elu(x, 0.5), x)
add("celu_2", lambda x: F.celu(x, 2.0), x)
add("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), x)
add("softmax_0", lambda x: F.softmax(x, 0), x)
add("log_softmax_0", lambda x: F.log_softmax(x, 0), x)
add("softmin_1", lambda x: F.softmin(x, 1), x)
add("log_sum_exp_1", lambda x: torch.logsumexp(x, 1), x)
add("hard_shrink", lambda x: F.hardshrink(x, 0.4), x)
add("soft_shrink", lambda x: F.softshrink(x, 0.4), x)
add("threshold", lambda x: F.threshold(x, 0.5, -2.0), x)
add("softplus_2", lambda x: F.softplus(x, 2.0), x)
add("hard_tanh_2", lambda x: F.hardtanh(x, -2.0, 1.5), x)
add("glu", lambda x: F.glu(x, -1), x)
add("geglu", lambda x: x[:, :4] * F.gelu(x[:, 4:]), x)
add("swiglu", lambda x: x[:, :4] * F.silu(x[:, 4:]), x)
add("reglu", lambda x: x[:, :4] * F.relu(x[:, 4:]), x)
add("prelu", lambda x, a: F.prelu(x, a), x, torch.tensor([0.3]))
add("prelu_channels", lambda x, a: F.prelu(x, a), torch.randn(2, 3, 4), torch.randn(3))
x, y = torch.randn(3, 4), torch.randn(3, 4)
add("cosine_similarity", lambda x, y: F.cosine_similarity(x, y), x, y)
add("pairwise_distance_2", lambda x, y: F.pairwise_distance(x, y), x, y)
add("pairwise_distance_1", lambda x, y: F.pairwise_distance(x, y, 1.0), x, y)

for name, taps, options in [
    ("unfold1", 2, {}),
    ("unfold2_options", (2, 3), dict(stride=(2, 1), padding=(0, 2), dilation=(1, 2))),
]:
    # PyTorch has windows of two space axes.
    both = isinstance(taps, tuple)
    size = taps if both else (1, taps)
    x = torch.randn(2, 2, 4, 3) if both else torch.randn(2, 3, 5)

    def unfold(x, both=both, size=size, options=options):
        return F.unfold(x if both else x[:, :, None], size, **options)

    y = unfold(x)
    space = (4, 3) if both else (1, 5)

    def fold(y, both=both, size=size, space=space, options=options):
        x = F.fold(y, space, size, **options)
        return x if both else x[:, :, 0]

    add(name, unfold, x)
    add(name.replace("unfold", "fold"), fold, torch.randn_like(y))


def spectral_norm(name, module, to_torch, x, kernel, iterations, training=True):
    """Adds a case of a module with spectral normalization, and the state `s.<layer>.kernel_u`."""
    module = torch.nn.utils.parametrizations.spectral_norm(module, n_power_iterations=iterations)
    weight = to_torch(kernel).flatten(1)
    u = F.normalize(torch.randn(weight.shape[0]), dim=0)
    v = F.normalize(weight.T @ u, dim=0)
    module.train(training)

    def f(x, b, k):
        path = "parametrizations.weight"
        state = {f"{path}.0._u": u.clone(), f"{path}.0._v": v.clone()}
        named = {f"{path}.original": to_torch(k), "bias": b} | state
        return torch.func.functional_call(module, named, x)

    add(name, f, x, torch.randn(weight.shape[0]), kernel)
    layer = "conv" if kernel.ndim > 2 else "dense"
    cases.tensors[f"{name}/s.{layer}.kernel_u"] = u.numpy()


same = lambda k: k
linear, x = lambda: torch.nn.Linear(4, 3), torch.randn(2, 4)
spectral_norm("spectral_norm_dense", linear(), lambda k: k.T, x, torch.randn(4, 3), 1)
spectral_norm("spectral_norm_dense_3", linear(), lambda k: k.T, x, torch.randn(4, 3), 3)
spectral_norm("spectral_norm_dense_eval", linear(), lambda k: k.T, x, torch.randn(4, 3), 1, False)
conv, x = torch.nn.Conv1d(2, 4, 3), torch.randn(2, 2, 5)
spectral_norm("spectral_norm_conv", conv, same, x, torch.randn(4, 2, 3), 2)


def activity(x):
    layer = keras.layers.ActivityRegularization(0.5, 0.25)
    layer(x)
    return sum(layer.losses)


add("activity_regularization", activity, torch.randn(3, 4))


def spectral_norm_of(name, module, to_torch, x, kernel, dim, last_channels):
    """Adds a case of a convolution whose spectral norm has its rows along axis `dim`."""
    module = torch.nn.utils.parametrizations.spectral_norm(module())
    weight = to_torch(kernel).movedim(dim, 0).flatten(1)
    u = F.normalize(torch.randn(weight.shape[0]), dim=0)
    v = F.normalize(weight.T @ u, dim=0)

    def f(x, b, k):
        path = "parametrizations.weight"
        state = {f"{path}.0._u": u.clone(), f"{path}.0._v": v.clone()}
        named = {f"{path}.original": to_torch(k), "bias": b} | state
        x = first(x) if last_channels else x
        y = torch.func.functional_call(module, named, x)
        return last(y) if last_channels else y

    add(name, f, x, torch.randn(weight.shape[0]), kernel)
    layer = "conv_transpose" if "transpose" in name else "conv"
    cases.tensors[f"{name}/s.{layer}.kernel_u"] = u.numpy()


def weight_norm_of(name, function, to_torch, x, kernel, dim, last_channels, filters=None):
    """Adds a case of a convolution whose weight norm keeps axis `dim`."""
    count = to_torch(kernel).shape[dim]

    def f(x, b, k, s):
        v = to_torch(k)
        shape = [-1 if i == dim else 1 for i in range(v.ndim)]
        weight = torch._weight_norm(v, s.reshape(shape), dim)
        x = first(x) if last_channels else x
        y = function(x, weight, b)
        return last(y) if last_channels else y

    add(name, f, x, torch.randn(filters or count), kernel, torch.randn(count))


x1, x2 = torch.randn(2, 2, 5), torch.randn(1, 2, 3, 4)
k1, k2 = torch.randn(4, 2, 3), torch.randn(4, 2, 2, 2)
t1, t2 = torch.randn(2, 4, 3), torch.randn(2, 4, 2, 2)
conv2 = lambda: torch.nn.Conv2d(2, 4, 2)
up1, up2 = lambda: torch.nn.ConvTranspose1d(2, 4, 3), lambda: torch.nn.ConvTranspose2d(2, 4, 2)
spectral_norm_of("spectral_norm_last", conv2, kernel_first, last(x2), kernel_last(k2), 0, True)
spectral_norm_of("spectral_norm_transpose1", up1, same, x1, t1, 1, False)
spectral_norm_of("spectral_norm_transpose2", up2, same, x2, t2, 1, False)
spectral_norm_of(
    "spectral_norm_transpose_last", up2, kernel_first, last(x2), kernel_last(t2), 1, True
)
weight_norm_of("weight_norm_conv", F.conv1d, same, x1, k1, 0, False)
weight_norm_of("weight_norm_last", F.conv2d, kernel_first, last(x2), kernel_last(k2), 0, True)
weight_norm_of("weight_norm_transpose", F.conv_transpose1d, same, x1, t1, 1, False)
weight_norm_of("weight_norm_transpose_inputs", F.conv_transpose1d, same, x1, t1, 0, False, 4)
up2 = F.conv_transpose2d
weight_norm_of("weight_norm_transpose_last", up2, kernel_first, last(x2), kernel_last(t2), 1, True)

# The row of the padding index is zeros, as the module initializes it.
tokens, table = torch.tensor([[0, 2], [3, 2]]), torch.randn(5, 3)
padded = table.clone()
padded[2] = 0.0
add("embedding_padding", lambda i, t: F.embedding(i, t, padding_idx=2), tokens, padded)


def embedding_max_norm(i, t):
    """PyTorch rescales the rows of the table in place, outside of the gradient; the result is that
    of the function here, whose gradient includes the factor."""
    factor = (1.0 / (t.norm(dim=1, keepdim=True) + 1e-7)).clamp(max=1.0)
    y = F.embedding(i, t * factor)
    with torch.no_grad():
        torch.testing.assert_close(y, F.embedding(i, t.clone(), max_norm=1.0))
    return y


table[3] /= 10.0
add("embedding_max_norm", embedding_max_norm, tokens, table)

# Resizing with the options of PyTorch: [height, width] from 5, 4 to 8, 3 and back.
small, large = torch.randn(1, 2, 5, 4), torch.randn(1, 2, 8, 3)
for name, x, size in (("up", small, [8, 3]), ("down", large, [5, 4])):
    for mode, method in (("bicubic", "cubic"), ("bilinear", "linear")):
        for corners in ("", "_corners"):
            add(
                f"torch_{method}{corners}_{name}",
                lambda x, mode=mode, size=size, corners=corners: F.interpolate(
                    x, size, mode=mode, align_corners=bool(corners)
                ),
                x,
            )
    add(f"torch_floor_{name}", lambda x, size=size: F.interpolate(x, size, mode="nearest"), x)
add(
    "torch_cubic_antialias",
    lambda x: F.interpolate(x, [5, 4], mode="bicubic", antialias=True), large,
)
up = lambda x: F.interpolate(x, scale_factor=2.0, mode="bicubic", align_corners=False)
add("torch_cubic_up_sampling", up, small)
up1 = lambda x: F.interpolate(x, scale_factor=3.0, mode="linear", align_corners=True)
add("torch_corners_up_sampling", up1, torch.randn(2, 2, 4))

indices, weights = torch.tensor([[0, 3, 2], [3, 0, 0]]), torch.randn(2, 3)


def weighted_bag(i, t):
    return F.embedding_bag(i, t, mode="sum", per_sample_weights=weights, padding_idx=0)


add("embedding_bag_weighted", weighted_bag, indices, torch.randn(5, 3))
cases.tensors["embedding_bag_weighted/weights"] = weights.numpy()
table, long = torch.randn(5, 3), 0.75


def limited(t):
    """The rows that PyTorch writes into the table, here with a gradient."""
    return t * (long / t.norm(dim=1, keepdim=True)).clamp(max=1.0)


for mode in ("mean", "sum"):
    f = lambda i, t, mode=mode: F.embedding_bag(i, limited(t), mode=mode)
    scaled = F.embedding_bag(indices, table.clone(), mode=mode, max_norm=long)
    assert torch.allclose(f(indices, table), scaled, atol=1e-6), mode
    add(f"embedding_bag_{mode}_limited", f, indices, table)
x, bias, kernel = torch.randn(2, 3, 4), torch.randn(2, 3), torch.randn(4, 2, 3)
add("einsum_dense", lambda x, b, k: torch.einsum("...f,fhk->...hk", x, k) + b, x, bias, kernel)
cases.save()
