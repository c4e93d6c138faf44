"""Records batch normalization over several training steps and in evaluation: see common.py.

A case has the training batches `x0`, `x1`, `x2` and the evaluation batch `x3`, the results `y0` to
`y3`, and the running statistics `mean0`, `var0` to `mean2`, `var2` after each training step.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

from common import Cases

cases = Cases("running")


def record(name, shape, step, statistics, parameters):
    """Adds a case of `step(x, training)`; the batches have different sizes. Everything is computed
    in f64, because Keras subtracts the square of a mean from a mean of squares."""
    sizes = [shape[0], shape[0] + 3, shape[0] + 1, shape[0]]
    found = dict(parameters)
    for i, size in enumerate(sizes):
        x = (torch.randn(size, *shape[1:]) * (i + 1) + i).double()  # exact in f32
        found |= {f"x{i}": x, f"y{i}": step(x, i < 3)}
        if i < 3:
            mean, var = statistics()
            found |= {f"mean{i}": mean.detach().clone(), f"var{i}": var.detach().clone()}
    cases.add(name, **{key: value.float() for key, value in found.items()})


def of_torch(name, shape, **options):
    modules = {4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}
    norm = modules.get(len(shape), torch.nn.BatchNorm1d)(shape[1], dtype=torch.float64, **options)
    parameters = {}
    if norm.affine:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
        parameters = {"scale": norm.weight, "bias": norm.bias}

    def step(x, training):
        return norm.train(training)(x)

    statistics = lambda: (norm.running_mean, norm.running_var)
    record(f"torch_{name}", shape, step, statistics, parameters)


def of_keras(name, shape, **options):
    norm = keras.layers.BatchNormalization(dtype="float64", **options)
    norm.build((None, *shape[1:]))
    parameters = {}
    for key, variable in (("scale", norm.gamma), ("bias", norm.beta)):
        if variable is not None:
            variable.assign(torch.randn(variable.shape).double())
            parameters[key] = variable.value
    step = lambda x, training: norm(x, training=training)
    statistics = lambda: (norm.moving_mean.value, norm.moving_variance.value)
    record(f"keras_{name}", shape, step, statistics, parameters)


of_torch("default", (4, 3))
of_torch("momentum", (4, 3, 5), momentum=0.3, eps=1e-3)
of_torch("space", (3, 2, 4, 3))
of_torch("volume", (2, 2, 2, 3, 2), momentum=0.5)
of_torch("no_affine", (4, 3), affine=False)
of_keras("default", (4, 3))
of_keras("space", (3, 4, 3, 2), momentum=0.9)
of_keras("axis", (3, 2, 4), axis=1, momentum=0.5, epsilon=1e-5)
of_keras("no_scale", (4, 3), scale=False, momentum=0.7)
of_keras("no_center", (4, 3), center=False, momentum=0.7)
cases.save()
