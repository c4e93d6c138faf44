"""Records the activations of PyTorch: see common.py."""

import torch
import torch.nn.functional as F

from common import Cases

ACTIVATIONS = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "relu6": F.relu6,
    "selu": F.selu,
    "celu": F.celu,
    "mish": F.mish,
    "softsign": F.softsign,
    "log_sigmoid": F.logsigmoid,
    "hard_tanh": F.hardtanh,
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "exp": torch.exp,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}

cases = Cases("activations")
x = torch.tensor([[-30.0, -3.5, -1.25, -0.5, 0.25, 0.75, 2.5, 7.0, 20.0]])
for name, f in ACTIVATIONS.items():
    cases.add_function(name, f, x)
cases.save()
