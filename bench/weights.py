"""Initial weights and batches for all frameworks, one safetensors file per network and batch size.

Weights have the paths of the trees in neurax-bench; `x` and `y` have a leading axis for the steps.
The variables of models of `neurax::nn` are called `params.` and `state.` and the path.
"""

import numpy as np
from safetensors.numpy import load_file, save_file

from common import CONTEXT, LAYERS, STAGES, TOKENS, UNITS, VOCABULARY, WIDTH

# Adam's first steps follow the sign of gradients that may be rounding noise: the losses of the
# third step of ResNet-18 differ by 1e-3 between PyTorch and JAX.
STEPS = {
    "mlp": 10,
    "cnn": 5,
    "transformer": 5,
    "resnet18": 2,
    "lstm": 5,
    "gpt2": 5,
    "gpt2-decode": 1,
}
USUAL = {"mlp": 128, "cnn": 128, "transformer": 8}
OF_TOKENS = {"transformer", "gpt2", "gpt2-decode"}


def affine(p, rng, name, n, m):
    p[name + ".kernel"] = rng.uniform(-1, 1, (n, m)) / np.sqrt(n)
    p[name + ".bias"] = rng.uniform(-1, 1, m) / np.sqrt(n)


def norm(p, rng, name):
    p[name + ".scale"] = rng.uniform(0.5, 1.5, WIDTH)
    p[name + ".bias"] = rng.uniform(-0.1, 0.1, WIDTH)


def mlp(rng, batch):
    p = {}
    affine(p, rng, "hidden", 784, 128)
    affine(p, rng, "out", 128, 10)
    return (
        p,
        rng.uniform(-1, 1, (STEPS["mlp"], batch, 784)),
        rng.integers(0, 10, (STEPS["mlp"], batch)),
    )


def cnn(rng, batch):
    p = {}
    for i, (n, m) in enumerate([(1, 32), (32, 64)]):
        p[f"convs.{i}.kernel"] = rng.uniform(-1, 1, (m, n, 3, 3)) / np.sqrt(9 * n)
        p[f"convs.{i}.bias"] = rng.uniform(-1, 1, m) / np.sqrt(9 * n)
    affine(p, rng, "hidden", 64 * 49, 128)
    affine(p, rng, "out", 128, 10)
    return (
        p,
        rng.random((STEPS["cnn"], batch, 1, 28, 28)),
        rng.integers(0, 10, (STEPS["cnn"], batch)),
    )


def transformer(rng, batch):
    p = {
        "tokens": rng.uniform(-1, 1, (VOCABULARY, WIDTH)),
        "positions": rng.uniform(-0.1, 0.1, (TOKENS, WIDTH)),
    }
    for i in range(LAYERS):
        b = f"blocks.{i}."
        norm(p, rng, b + "attention_norm")
        affine(p, rng, b + "qkv", WIDTH, 3 * WIDTH)
        affine(p, rng, b + "attention_out", WIDTH, WIDTH)
        norm(p, rng, b + "mlp_norm")
        affine(p, rng, b + "mlp_up", WIDTH, 4 * WIDTH)
        affine(p, rng, b + "mlp_down", 4 * WIDTH, WIDTH)
    norm(p, rng, "norm")
    affine(p, rng, "out", WIDTH, VOCABULARY)
    shape = (STEPS["transformer"], batch, TOKENS)
    return p, rng.integers(0, VOCABULARY, shape), rng.integers(0, VOCABULARY, shape)


def resnet18(rng, batch):
    p = {}

    def conv(name, norm, n, m, size):
        p[f"params.{name}.kernel"] = rng.normal(0, np.sqrt(2 / (n * size**2)), (m, n, size, size))
        p[f"params.{norm}.scale"] = rng.uniform(0.5, 1.5, m)
        p[f"params.{norm}.bias"] = rng.uniform(-0.1, 0.1, m)
        p[f"state.{norm}.mean"] = np.zeros(m)
        p[f"state.{norm}.var"] = np.ones(m)

    conv("conv1", "bn1", 3, STAGES[0], 3)
    n = STAGES[0]
    for stage, m in enumerate(STAGES):
        for i in range(2):
            b = f"layer{stage + 1}.{i}."
            conv(b + "conv1", b + "bn1", n, m, 3)
            conv(b + "conv2", b + "bn2", m, m, 3)
            if n != m:
                conv(b + "downsample.0", b + "downsample.1", n, m, 1)
            n = m
    affine(p, rng, "params.fc", n, 10)
    shape = (STEPS["resnet18"], batch)
    return p, rng.uniform(-1, 1, (*shape, 3, 32, 32)), rng.integers(0, 10, shape)


def lstm(rng, batch):
    size = 1 / np.sqrt(UNITS)
    p = {
        "params.lstm.kernel": rng.uniform(-size, size, (UNITS, 4 * UNITS)),
        "params.lstm.recurrent_kernel": rng.uniform(-size, size, (UNITS, 4 * UNITS)),
        "params.lstm.bias": rng.uniform(-size, size, 4 * UNITS),
    }
    affine(p, rng, "params.dense", UNITS, 10)
    shape = (STEPS["lstm"], batch)
    return p, rng.uniform(-1, 1, (*shape, 100, UNITS)), rng.integers(0, 10, shape)


def gpt2(rng, batch):
    p = {
        "params.wte.table": rng.normal(0, 0.1, (VOCABULARY, WIDTH)),
        "params.wpe.table": rng.normal(0, 0.1, (CONTEXT, WIDTH)),
    }

    def product(name, n, m):
        p[name + "_kernel"] = rng.uniform(-1, 1, (n, m)) / np.sqrt(n)
        p[name + "_bias"] = rng.uniform(-1, 1, m) / np.sqrt(n)

    for i in range(LAYERS):
        b = f"params.h.{i}."
        norm(p, rng, b + "attention_norm")
        for part in ["query", "key", "value", "output"]:
            product(b + "attention." + part, WIDTH, WIDTH)
        norm(p, rng, b + "feed_forward_norm")
        product(b + "feed_forward.hidden", WIDTH, 4 * WIDTH)
        product(b + "feed_forward.output", 4 * WIDTH, WIDTH)
    norm(p, rng, "params.ln_f")
    shape = (STEPS["gpt2"], batch, TOKENS)
    return p, rng.integers(0, VOCABULARY, shape), rng.integers(0, VOCABULARY, shape)


def with_fused_qkv(p):
    """Returns the parameters of GPT-2 with one kernel for queries, keys and values.

    The peers compute one product with it, which is faster there.
    """
    p = dict(p)
    for i in range(LAYERS):
        name = f"params.h.{i}.attention."
        for kind in ["kernel", "bias"]:
            parts = [p.pop(f"{name}{part}_{kind}") for part in ["query", "key", "value"]]
            p[f"{name}qkv_{kind}"] = np.concatenate(parts, -1)
    return p


NETS = {
    "mlp": mlp,
    "cnn": cnn,
    "transformer": transformer,
    "resnet18": resnet18,
    "lstm": lstm,
    "gpt2": gpt2,
    "gpt2-decode": gpt2,
}


def path(folder, net, batch):
    return folder / f"{net}-{batch}.safetensors"


def write(folder, net, batch):
    p, x, y = NETS[net](np.random.default_rng(0), batch)
    x = x.astype(np.int32 if net in OF_TOKENS else np.float32)
    tensors = {name: value.astype(np.float32) for name, value in p.items()} | {
        "x": x,
        "y": y.astype(np.int32),
    }
    save_file(tensors, path(folder, net, batch))


def read(folder, net, batch):
    p = load_file(path(folder, net, batch))
    return p, p.pop("x"), p.pop("y")
