"""Records the moments of initializers of Keras and of JAX: see common.py.

A case `<library>_<kind of layer>.<initializer>` has the tensor `moments`: the mean, the variance
and the largest magnitude of the elements of several kernels.
"""

import os

# The truncated normal numbers of Keras on PyTorch are in rare cases beyond the cut.
os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np

from common import Cases

cases = Cases("initializers")
SAMPLES = 8
SCALED = [
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal",
]
MODES = ["fan_in", "fan_out", "fan_avg"]
DISTRIBUTIONS = ["uniform", "normal", "truncated_normal"]


def record(name, sample):
    """Adds the moments of the arrays `sample(0)`, `sample(1)`, .."""
    values = np.stack([np.asarray(sample(seed)) for seed in range(SAMPLES)]).astype(np.float64)
    cases.add(name, moments=np.array([values.mean(), values.var(), np.abs(values).max()]))


def of_keras(kind, shape, plain=False):
    """Adds the cases of a kernel in the layout of Keras, inputs and outputs last."""
    camel = lambda name: "".join(part.capitalize() for part in name.split("_"))
    makers = {name: lambda seed, name=name: getattr(keras.initializers, camel(name))(seed=seed)
              for name in SCALED}
    for mode in MODES:
        for distribution in DISTRIBUTIONS:
            # Keras calls the normal distribution that is not cut off `untruncated_normal`.
            theirs = "untruncated_normal" if distribution == "normal" else distribution
            makers[f"variance_scaling_{mode}_{distribution}"] = (
                lambda seed, mode=mode, theirs=theirs: keras.initializers.VarianceScaling(
                    1.5, mode, theirs, seed=seed)
            )
    makers["orthogonal"] = lambda seed: keras.initializers.Orthogonal(1.5, seed=seed)
    if plain:
        init = keras.initializers
        makers["uniform"] = lambda seed: init.RandomUniform(-0.05, 0.1, seed=seed)
        makers["normal"] = lambda seed: init.RandomNormal(0.0, 0.3, seed=seed)
        makers["truncated_normal"] = lambda seed: init.TruncatedNormal(0.0, 0.5, seed=seed)
        makers["constant"] = lambda seed: init.Constant(0.75)
        makers["zeros"] = lambda seed: init.Zeros()
        makers["ones"] = lambda seed: init.Ones()
        makers["identity"] = lambda seed: init.Identity(2.0)
    for name, make in makers.items():
        record(f"keras_{kind}.{name}", lambda seed: make(seed)(shape))


def of_jax(kind, shape, **axes):
    """Adds the cases of a kernel with these axes; by default inputs and outputs are last."""
    for name in SCALED:
        init = getattr(jax.nn.initializers, name)(**axes)
        record(f"jax_{kind}.{name}", lambda seed: init(jax.random.key(seed), shape))


of_keras("dense", (80, 120), plain=True)
of_keras("conv1", (5, 64, 80))
of_keras("conv2", (3, 3, 48, 64))
of_keras("conv3", (2, 3, 2, 48, 48))
of_keras("lstm", (60, 4 * 80))
of_jax("dense", (80, 120))
of_jax("conv2", (3, 3, 48, 64))
# As Flax: the kernel has the inputs of one group.
of_jax("conv2_groups", (3, 3, 64 // 4, 192))
of_jax("depthwise2", (3, 3, 1, 2048))
of_jax("pointwise2", (1, 1, 160, 128))
of_jax("transpose2", (3, 3, 48, 64))
of_jax("attention", (80, 128))
of_jax("feed_forward", (80, 128))
of_jax("einsum", (80, 8, 16), in_axis=0, out_axis=(1, 2))
of_jax("bilinear", (20, 30, 40), in_axis=1, out_axis=0)
of_jax("experts", (6, 80, 64), batch_axis=0)
cases.save()
