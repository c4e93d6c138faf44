"""Exports modules of PyTorch by both of its exporters."""

import warnings

import numpy as np
import torch

from common import Data

warnings.simplefilter("ignore")


def settle(module, *example):
    """Gives batch normalization the statistics of the data, and all its parameters random values,
    as after training: with fresh statistics it would be the identity."""
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, 0.0, 0.2)
        norm.momentum = None  # Averages over all batches.
    if norms:
        module.train()
        with torch.no_grad():
            for _ in range(2):
                module(*example)
    return module.eval()


def export(module, path, names, examples, *, outputs=("y",), dynamo=False, opset=17, axes=None,
           preserve=False):
    """Exports a module, and returns the data sets.

    `examples` are tuples of arguments, the first of which the exporter sees. `axes` are the names
    of the dynamic axes by input: `{"x": {0: "batch"}}`. If `preserve` is set, the exporter
    does not fold batch normalization into convolutions.
    """
    module.eval()
    common = dict(input_names=list(names), output_names=list(outputs), opset_version=opset)
    if dynamo:
        shapes = tuple(dynamic(axes, name) for name in names) if axes else None
        torch.onnx.export(module, examples[0], str(path), dynamo=True, verbose=False,
                          external_data=False, dynamic_shapes=shapes, **common)
    else:
        mode = torch.onnx.TrainingMode.PRESERVE if preserve else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(module, examples[0], str(path), dynamo=False, dynamic_axes=axes,
                          training=mode, **common)
    inputs = [dict(zip(names, map(array, flat(args)))) for args in examples]
    return Data([(x, results(module, args)) for x, args in zip(inputs, examples)])


def dynamic(axes, name):
    """Returns the dynamic axes of an input in the form of `torch.export`."""
    return {axis: torch.export.Dim.DYNAMIC for axis in axes.get(name, {})} or None


def results(module, args):
    """Returns the outputs of a module as arrays."""
    with torch.no_grad():
        return [array(y) for y in flat(module(*clones(args)))]


def clones(args):
    """Returns copies, so that a module that writes into its arguments changes no test."""
    if isinstance(args, (tuple, list)):
        return type(args)(clones(x) for x in args)
    return args.clone() if isinstance(args, torch.Tensor) else args


def flat(values):
    """Returns the tensors of a tuple, tuples inside of it included, in order."""
    if isinstance(values, (tuple, list)):
        return [x for value in values for x in flat(value)]
    return [values]


def array(x):
    """Returns a tensor or number as an array."""
    return x.detach().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
