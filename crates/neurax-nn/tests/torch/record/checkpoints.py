"""Records state dicts of recurrent layers and others of PyTorch, and their outputs: see common.py.

Tensors called `file.<name>` are the entries of the state dict.
"""

import torch
from torch import nn

from common import Cases

cases = Cases("checkpoints")
BATCH, TIME, FEATURES, UNITS = 2, 4, 3, 2


def add(name, module, *shape):
    """Adds a case of a module with random parameters, called `layer` in the state dict."""
    for x in module.parameters():
        with torch.no_grad():
            x.normal_(0, 0.6)
    x = torch.randn(*shape)
    y = module(x)
    y = y[0] if isinstance(y, tuple) else y
    state = {f"file.layer.{key}": value for key, value in module.state_dict().items()}
    cases.add(name, in0=x, out0=y, **state)


for name, module in [("lstm", nn.LSTM), ("gru", nn.GRU), ("simple_rnn", nn.RNN)]:
    for suffix, options in [
        ("", {}),
        ("_bidirectional", {"bidirectional": True}),
        ("_no_bias", {"bias": False}),
    ]:
        layer = module(FEATURES, UNITS, batch_first=True, **options)
        add(name + suffix, layer, BATCH, TIME, FEATURES)
add("prelu", nn.PReLU(), BATCH, FEATURES)
add("prelu_channels", nn.PReLU(FEATURES), BATCH, FEATURES, TIME)
for name, module, options in [
    ("lstm_stacked", nn.LSTM, {}),
    ("gru_stacked_bidirectional", nn.GRU, {"bidirectional": True}),
]:
    layer = module(FEATURES, UNITS, num_layers=2, batch_first=True, **options)
    add(name, layer, BATCH, TIME, FEATURES)
cases.save()
