"""Records recurrent layers of PyTorch and, where it lacks an option, of Keras: see common.py.

Tensors called `<layer>.<name>` are parameters, in the layout of Neurax.
"""

import functools
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common import Cases

cases = Cases("recurrent")
BATCH, TIME, FEATURES, UNITS = 2, 4, 3, 2
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}
MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "simple_rnn": torch.nn.RNN}


def inputs(*shape):
    return torch.randn(*shape)


def params(kind, path, features, bias=True):
    """Returns random parameters of a dense cell."""
    outputs = GATES[kind] * UNITS
    found = {"kernel": (features, outputs), "recurrent_kernel": (UNITS, outputs)}
    if bias:
        found["bias"] = (outputs,)
        if kind == "gru":
            found["recurrent_bias"] = (outputs,)
    return {f"{path}.{name}": torch.randn(*shape) * 0.6 for name, shape in found.items()}


def to_torch(kind, path, suffix, named):
    """Returns the parameters of a module of PyTorch."""

    def in_order(x):
        if kind != "gru":
            return x
        z, r, n = x.chunk(3, -1)
        return torch.cat([r, z, n], -1)

    found = {
        f"weight_ih_{suffix}": in_order(named[f"{path}.kernel"]).T,
        f"weight_hh_{suffix}": in_order(named[f"{path}.recurrent_kernel"]).T,
    }
    if f"{path}.bias" in named:
        bias = in_order(named[f"{path}.bias"])
        recurrent = named.get(f"{path}.recurrent_bias")
        found[f"bias_ih_{suffix}"] = bias
        found[f"bias_hh_{suffix}"] = (
            torch.zeros_like(bias) if recurrent is None else in_order(recurrent)
        )
    return found


def flat(state):
    """Returns the tensors of a state of PyTorch, `[layers, batch, units]`, one for each layer in
    the order of Neurax: (h, c) of the first one, and so on."""
    parts = state if isinstance(state, tuple) else (state,)
    return [part[i] for i in range(parts[0].shape[0]) for part in parts]


def with_torch(
    name,
    kind,
    *,
    bias=True,
    bidirectional=False,
    layers=1,
    states=0,
    returns="sequence",
    lengths=None,
    reverse=False,
    shape=(BATCH, TIME, FEATURES),
    **options,
):
    """Adds a case of a module of PyTorch. `states` is the number of initial states, the output is
    the `sequence`, the `last` output, or the sequence and the `state`."""
    module = MODULES[kind](
        shape[2],
        UNITS,
        num_layers=layers,
        bias=bias,
        batch_first=True,
        bidirectional=bidirectional,
        **options,
    )
    paths = {}
    for i in range(layers):
        path = kind if i == 0 else f"{kind}_{i}"
        if bidirectional:
            paths |= {"bidirectional.forward": "l0", "bidirectional.backward": "l0_reverse"}
        else:
            paths[path] = f"l{i}"
    named = {}
    for path, suffix in paths.items():
        named |= params(kind, path, shape[2] if suffix[1] == "0" else UNITS, bias)

    def f(x, *rest, **named):
        weights = {}
        for path, suffix in paths.items():
            weights |= to_torch(kind, path, suffix, named)
        rest = [r for r in rest if r.dtype != torch.bool]
        state = None
        if rest and kind == "lstm":
            state = (torch.stack(rest[0::2]), torch.stack(rest[1::2]))
        elif rest:
            state = torch.stack(rest)
        if reverse:
            x = x.flip(1)
        if lengths is not None:
            x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, last = functional_call(module, weights, (x, state))
        if lengths is not None:
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=shape[1])
        if returns == "last":
            return y[:, -1]
        if reverse:
            y = y.flip(1)
        return [y, *flat(last)] if returns == "state" else y

    given = [torch.randn(shape[0], UNITS) for _ in range(states)]
    if lengths is not None:
        given.insert(0, torch.arange(shape[1])[None, :] < torch.tensor(lengths)[:, None])
    cases.add_function(name, f, inputs(*shape), *given, **named)


for kind in ["lstm", "gru", "simple_rnn"]:
    states = 2 if kind == "lstm" else 1
    with_torch(f"{kind}", kind)
    with_torch(f"{kind}_no_bias", kind, bias=False)
    with_torch(f"{kind}_initial", kind, states=states, returns="state")
    with_torch(f"{kind}_state", kind, returns="state")
    with_torch(f"{kind}_last", kind, returns="last")
    with_torch(f"{kind}_reverse", kind, reverse=True)
    with_torch(f"{kind}_stacked", kind, layers=2)
    with_torch(f"{kind}_bidirectional", kind, bidirectional=True, returns="state")
    with_torch(f"{kind}_packed", kind, lengths=[2, 4], returns="state")
    with_torch(
        f"{kind}_bidirectional_packed", kind, bidirectional=True, lengths=[4, 1], returns="state"
    )
with_torch("lstm_bidirectional_initial", "lstm", bidirectional=True, states=4)
with_torch("lstm_one_step", "lstm", shape=(1, 1, 2))
with_torch("gru_one_step", "gru", shape=(1, 1, 2))
with_torch("simple_rnn_relu", "simple_rnn", nonlinearity="relu")


def kernel_of_keras(x, rank):
    """Returns a kernel in the layout of Keras, `[taps .., inputs, outputs]`."""
    return x.permute(*range(2, 2 + rank), 1, 0)


def with_keras(name, layer, x, params, *, mask=None, states=(), reverse=False):
    """Adds a case of a layer of Keras. `params` are the parameters by name, and the function that
    computes those of Keras from them."""
    named, to_keras = params
    layer(x)
    shapes = [tuple(v.shape) for v in to_keras(named)]
    assert shapes == [tuple(v.shape) for v in layer.trainable_variables], (name, shapes)

    def f(x, *rest, **named):
        state = [r for r in rest if r.dtype != torch.bool]
        mask = next((r for r in rest if r.dtype == torch.bool), None)
        extra = {"initial_state": state} if state else {}
        seeds = [v.value for v in layer.non_trainable_variables]
        outputs, _ = layer.stateless_call(to_keras(named), seeds, x, mask=mask, **extra)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        if reverse:
            outputs = [outputs[0].flip(1), *outputs[1:]]
        return outputs

    masks = [] if mask is None else [mask]
    cases.add_function(name, f, x, *masks, *states, **named)


def dense_cell(kind, paths=None, bias=True, reset_after=True):
    """Returns random parameters, and the function to those of Keras."""
    paths = paths or [kind]
    named = {}
    for path in paths:
        named |= params(kind, path, FEATURES, bias)
        if not reset_after:
            named.pop(f"{path}.recurrent_bias", None)

    def to_keras(named):
        found = []
        for path in paths:
            found += [named[f"{path}.kernel"], named[f"{path}.recurrent_kernel"]]
            if not bias:
                continue
            both = kind == "gru" and reset_after
            rows = [named[f"{path}.bias"]]
            if both:
                rows.append(named[f"{path}.recurrent_bias"])
            found.append(torch.stack(rows) if both else rows[0])
        return found

    return named, to_keras


LAYERS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "simple_rnn": keras.layers.SimpleRNN,
}
MASK = torch.tensor([[True, False, True, False], [False, True, True, True]])
STARTS = torch.tensor([[True, False, True, False], [True, True, False, True]])
SEQUENCE = {"return_sequences": True}


def with_cell(name, kind, *, mask=None, initial=False, bias=True, reset_after=True, **options):
    states = [torch.randn(BATCH, UNITS) for _ in range(2 if kind == "lstm" else 1)]
    extra = {"reset_after": reset_after} if kind == "gru" else {}
    options = SEQUENCE | options
    layer = LAYERS[kind](UNITS, use_bias=bias, **extra, **options)
    reverse = options.get("go_backwards", False) and options["return_sequences"]
    with_keras(
        name,
        layer,
        inputs(BATCH, TIME, FEATURES),
        dense_cell(kind, bias=bias, reset_after=reset_after),
        mask=mask,
        states=states if initial else (),
        reverse=reverse,
    )


for kind in ["lstm", "gru", "simple_rnn"]:
    with_cell(f"{kind}_masked", kind, mask=MASK, return_state=True)
    with_cell(f"{kind}_masked_last", kind, mask=MASK, return_sequences=False)
    with_cell(f"{kind}_masked_reverse", kind, mask=MASK, go_backwards=True)
    with_cell(f"{kind}_masked_initial", kind, mask=STARTS, initial=True, return_state=True)
with_cell("lstm_zero_output", "lstm", mask=MASK, zero_output_for_mask=True)
with_cell("lstm_activations", "lstm", activation="relu", recurrent_activation="hard_sigmoid")
with_cell("gru_activations", "gru", activation="softsign", recurrent_activation="hard_sigmoid")
with_cell("simple_rnn_softplus", "simple_rnn", activation="softplus")
with_cell("gru_reset_before", "gru", reset_after=False, return_state=True)
with_cell("gru_reset_before_no_bias", "gru", reset_after=False, bias=False)
with_cell("gru_reset_before_masked", "gru", reset_after=False, mask=MASK)

for merge in ["sum", "mul", "ave", None]:
    layer = keras.layers.Bidirectional(keras.layers.GRU(UNITS, **SEQUENCE), merge_mode=merge)
    paths = ["bidirectional.forward", "bidirectional.backward"]
    x = inputs(BATCH, TIME, FEATURES)
    name = f"bidirectional_{merge or 'unmerged'}"
    with_keras(name, layer, x, dense_cell("gru", paths), mask=MASK)
layer = keras.layers.Bidirectional(keras.layers.LSTM(UNITS))
x = inputs(BATCH, TIME, FEATURES)
with_keras("bidirectional_last", layer, x, dense_cell("lstm", paths), mask=MASK)


def conv_cell(channels, taps, channels_last, bias):
    """Returns random parameters of a ConvLSTM, and the function to those of Keras."""
    shapes = {"kernel": channels, "recurrent_kernel": UNITS}
    named = {}
    for name, count in shapes.items():
        shape = (*taps, count, 4 * UNITS) if channels_last else (4 * UNITS, count, *taps)
        named[f"conv_lstm.{name}"] = torch.randn(*shape) * 0.4
    if bias:
        named["conv_lstm.bias"] = torch.randn(4 * UNITS) * 0.4

    def to_keras(named):
        found = [named[f"conv_lstm.{name}"] for name in shapes]
        if not channels_last:
            found = [kernel_of_keras(x, len(taps)) for x in found]
        return found + ([named["conv_lstm.bias"]] if bias else [])

    return named, to_keras


CONV = {1: keras.layers.ConvLSTM1D, 2: keras.layers.ConvLSTM2D, 3: keras.layers.ConvLSTM3D}


def with_conv(name, space, taps, *, channels_last=False, bias=True, mask=None, **options):
    channels, time = 2, 3
    shape = (*space, channels) if channels_last else (channels, *space)
    layer = CONV[len(space)](
        UNITS,
        taps,
        data_format="channels_last" if channels_last else "channels_first",
        use_bias=bias,
        **(SEQUENCE | options),
    )
    x = inputs(2, time, *shape)
    with_keras(name, layer, x, conv_cell(channels, taps, channels_last, bias), mask=mask)


with_conv("conv_lstm_1d", (5,), (3,))
with_conv("conv_lstm_1d_last", (5,), (2,), return_sequences=False)
with_conv("conv_lstm_2d", (4, 3), (3, 2), padding="same", return_state=True)
with_conv("conv_lstm_2d_no_bias", (4, 3), (2, 2), bias=False)
with_conv("conv_lstm_2d_strides", (5, 4), (2, 2), strides=(2, 1))
with_conv("conv_lstm_2d_dilation", (5, 4), (2, 2), dilation_rate=(2, 1))
with_conv("conv_lstm_2d_channels_last", (4, 3), (3, 2), channels_last=True, padding="same")
with_conv("conv_lstm_3d", (2, 3, 2), (2, 2, 1))
with_conv("conv_lstm_1d_masked", (4,), (3,), padding="same", mask=MASK[:, :3])
with_conv(
    "conv_lstm_1d_activations", (4,), (3,), activation="elu", recurrent_activation="hard_sigmoid"
)


def conv_gru(x, *, reset_after, channels_last=False, **named):
    """Computes a convolutional GRU with convolutions of PyTorch, which has no such layer."""

    def conv(x, kernel, bias, padding):
        if channels_last:
            kernel, x = kernel.permute(2, 1, 0), x.transpose(1, 2)
        y = torch.nn.functional.conv1d(x, kernel, bias, padding=padding)
        return y.transpose(1, 2) if channels_last else y

    kernel, recurrent = named["conv_gru.kernel"], named["conv_gru.recurrent_kernel"]
    bias, recurrent_bias = named["conv_gru.bias"], named.get("conv_gru.recurrent_bias")
    axis, outputs = (2, -1) if channels_last else (1, 0)
    h, outs = None, []
    for t in range(x.shape[1]):
        xz, xr, xn = conv(x[:, t], kernel, bias, 0).chunk(3, axis)
        h = torch.zeros_like(xz) if h is None else h
        if reset_after:
            hz, hr, hn = conv(h, recurrent, recurrent_bias, "same").chunk(3, axis)
        else:
            gates = recurrent.narrow(outputs, 0, 2 * UNITS)
            hz, hr = conv(h, gates, None, "same").chunk(2, axis)
        z, r = torch.sigmoid(xz + hz), torch.sigmoid(xr + hr)
        if reset_after:
            n = torch.tanh(xn + r * hn)
        else:
            new = recurrent.narrow(outputs, 2 * UNITS, UNITS)
            n = torch.tanh(xn + conv(r * h, new, None, "same"))
        h = z * h + (1 - z) * n
        outs.append(h)
    return torch.stack(outs, 1)


for name, reset_after, channels_last in [
    ("conv_gru", True, False),
    ("conv_gru_channels_last", True, True),
    ("conv_gru_reset_before", False, False),
    ("conv_gru_reset_before_channels_last", False, True),
]:
    shapes = {"kernel": (3 * UNITS, 2, 2), "recurrent_kernel": (3 * UNITS, UNITS, 2)}
    if channels_last:
        shapes = {key: shape[::-1] for key, shape in shapes.items()}
    shapes |= {"bias": (3 * UNITS,)} | ({"recurrent_bias": (3 * UNITS,)} if reset_after else {})
    named = {f"conv_gru.{key}": torch.randn(*shape) * 0.4 for key, shape in shapes.items()}
    f = functools.partial(conv_gru, reset_after=reset_after, channels_last=channels_last)
    cases.add_function(name, f, inputs(2, 3, *((4, 2) if channels_last else (2, 4))), **named)


def mean_of_keras(x, mask):
    return keras.layers.GlobalAveragePooling1D()(x, mask=mask)


cases.add_function("masked_mean", mean_of_keras, inputs(BATCH, TIME, FEATURES), MASK)
x = inputs(BATCH, TIME, FEATURES)
x[0, 1], x[1, 2], x[1, 3, 0] = 0.5, 0.5, 0.5
cases.add_function("masking", lambda x: keras.layers.Masking(0.5)(x), x)


def at_each_step(x, **named):
    kernel, bias = named["time_distributed.kernel"], named["time_distributed.bias"]
    conv = [torch.nn.functional.conv1d(x[:, i], kernel, bias) for i in range(x.shape[1])]
    return torch.stack(conv, 1)


cases.add_function(
    "time_distributed",
    at_each_step,
    inputs(BATCH, TIME, FEATURES, 5),
    **{
        "time_distributed.kernel": torch.randn(UNITS, FEATURES, 2),
        "time_distributed.bias": torch.randn(UNITS),
    },
)


def bilinear(a, b, **named):
    bias = named.get("bilinear.bias")
    return torch.nn.functional.bilinear(a, b, named["bilinear.kernel"], bias)


for name, lead, bias in [("bilinear", (2, 3), True), ("bilinear_no_bias", (2,), False)]:
    named = {"bilinear.kernel": torch.randn(2, 3, 4)} | (
        {"bilinear.bias": torch.randn(2)} if bias else {}
    )
    cases.add_function(name, bilinear, torch.randn(*lead, 3), torch.randn(*lead, 4), **named)

# Masks that start with masked steps, and one of masked steps alone. The backends of Keras differ
# here: the outputs before the first step are zeros with PyTorch and TensorFlow, and the initial
# state with JAX.
LATE = torch.tensor([[False, False, True, False], [False] * 4])
for kind in ["lstm", "gru", "simple_rnn"]:
    late = {"mask": LATE, "initial": True, "return_state": True}
    with_cell(f"{kind}_masked_initial_late", kind, **late)
    with_cell(f"{kind}_masked_initial_late_last", kind, return_sequences=False, **late)
with_cell("lstm_masked_initial_late_reverse", "lstm", mask=LATE, initial=True, go_backwards=True)
last = {"return_sequences": False, "zero_output_for_mask": True}
with_cell("lstm_zero_output_last", "lstm", mask=MASK, **last)
cases.save()
