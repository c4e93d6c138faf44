"""Initial weights and batches for all frameworks, one safetensors file per network and batch size.

Weights have the paths of the trees in neurax-bench; `x` and `y` have a leading axis for the steps.
"""

import numpy as np
from safetensors.numpy import load_file, save_file

from common import LAYERS, TOKENS, VOCABULARY, WIDTH

STEPS = {"mlp": 10, "cnn": 5, "transformer": 5}
USUAL = {"mlp": 128, "cnn": 128, "transformer": 8}


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


def path(folder, net, batch):
    return folder / f"{net}-{batch}.safetensors"


def write(folder, net, batch):
    p, x, y = {"mlp": mlp, "cnn": cnn, "transformer": transformer}[net](
        np.random.default_rng(0), batch
    )
    x = x.astype(np.int32 if net == "transformer" else np.float32)
    tensors = {name: value.astype(np.float32) for name, value in p.items()} | {
        "x": x,
        "y": y.astype(np.int32),
    }
    save_file(tensors, path(folder, net, batch))


def read(folder, net, batch):
    p = load_file(path(folder, net, batch))
    return p, p.pop("x"), p.pop("y")
