"""Common code of the scripts that record cases from PyTorch and others.

    python3.13 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python activations.py      # and so on, one script for each family

Each script writes the file `../<family>.safetensors`, whose tensors are called `<case>/<tensor>`.
"""

import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

torch.manual_seed(0)
torch.set_num_threads(1)


class Cases:
    """The cases of a family."""

    def __init__(self, family):
        self.path = pathlib.Path(__file__).parent.parent / f"{family}.safetensors"
        self.tensors = {}
        self.names = set()

    def add(self, name, **tensors):
        """Adds a case with its tensors: torch tensors, NumPy arrays or numbers."""
        assert name not in self.names, name
        self.names.add(name)
        for key, x in tensors.items():
            if isinstance(x, torch.Tensor):
                x = x.detach().numpy()
            # `ascontiguousarray` makes a vector of a scalar.
            self.tensors[f"{name}/{key}"] = np.ascontiguousarray(x).reshape(np.shape(x))

    def add_function(self, name, f, *inputs, **named):
        """Adds a case of a function of tensors: its inputs `in0`, `in1`, .., further inputs by
        name, the outputs `out0`, .., random cotangents `ct0`, .., and the gradients of the sum of
        the products of outputs and cotangents: `grad.in0`, .., `grad.<name>`."""
        leaves = {f"in{i}": x for i, x in enumerate(inputs)} | named
        leaves = {k: x.detach().clone() for k, x in leaves.items()}
        floats = {k: x.requires_grad_() for k, x in leaves.items() if x.is_floating_point()}
        positional = [leaves[f"in{i}"] for i in range(len(inputs))]
        outputs = f(*positional, **{k: leaves[k] for k in named})
        outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
        cotangents = [torch.randn_like(y) for y in outputs]
        total = sum((y * c).sum() for y, c in zip(outputs, cotangents))
        grads = torch.autograd.grad(total, list(floats.values()), allow_unused=True)
        found = {f"grad.{k}": g for k, g in zip(floats, grads) if g is not None}
        outs = {f"out{i}": y for i, y in enumerate(outputs)}
        cts = {f"ct{i}": c for i, c in enumerate(cotangents)}
        self.add(name, **leaves, **outs, **cts, **found)

    def save(self):
        """Writes the file."""
        save_file(self.tensors, self.path)
        print(f"{self.path.name}: {len(self.names)} cases, {self.path.stat().st_size:,} bytes")
