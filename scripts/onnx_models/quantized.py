"""Models that ONNX Runtime quantizes: static with quantize/dequantize pairs or integer operators,
and dynamic.

Results of ONNX Runtime are those of the nodes as they are: its optimizer replaces dequantized
operators by integer ones, which round elsewhere. A test allows one quantum of the output.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn
from torchvision import models

from common import ABSOLUTE, Data, before
from torch_export import export, settle
from torch_nets import Gpt, MiniLm, perceptron
from torch_transformers import TOKENS, sentence

IMAGES = {"x": {0: "batch"}}


class Batches(CalibrationDataReader):
    """The inputs of data sets, for calibration."""

    def __init__(self, sets):
        self.inputs = iter([inputs for inputs, _ in sets])

    def get_next(self):
        return next(self.inputs, None)


class SmallNet(nn.Module):
    """Convolutions with a residual connection, pooling, a concatenation and a dense layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=4), nn.BatchNorm2d(8))
        self.third = nn.Conv2d(8, 8, 1)
        self.out = nn.Linear(16, 10)

    def forward(self, x):
        x = self.first(x)
        x = torch.relu(x + self.second(x))
        y = torch.cat([torch.sigmoid(self.third(x)), nn.functional.avg_pool2d(x, 3, 1, 1)], 1)
        return self.out(y.amax((2, 3)))


def small_net(path):
    torch.manual_seed(61)
    net = settle(SmallNet(), torch.randn(8, 3, 16, 16))
    return export(net, path, ["x"], [(torch.randn(n, 3, 16, 16),) for n in (4, 1)], axes=IMAGES)


def mobile_net(path):
    torch.manual_seed(62)
    net = settle(models.mobilenet_v2(num_classes=10, width_mult=0.25), torch.randn(8, 3, 64, 64))
    return export(net, path, ["x"], [(torch.randn(n, 3, 64, 64),) for n in (2, 1)], axes=IMAGES)


def mlp(path):
    torch.manual_seed(63)
    net = perceptron(30, 64, 32, 1, last=nn.Sigmoid())
    return export(net, path, ["x"], [(torch.randn(n, 30),) for n in (16, 1)], axes=IMAGES)


def encoder(path):
    torch.manual_seed(64)
    examples = [sentence(n, length, 60) for n, length in ((2, 9), (1, 12))]
    names = ["input_ids", "attention_mask", "token_type_ids"]
    net = MiniLm(2, 48, 4, 60, True)
    return export(net, path, names, examples, axes={name: TOKENS for name in names})


def decoder(path):
    torch.manual_seed(65)
    names = [f"past_{i}" for i in range(4)]
    examples = [
        (torch.randint(0, 50, (n, 3)), *(torch.randn(n, 4, past, 8) for _ in names))
        for n, past in ((2, 5), (1, 0))
    ]
    axes = {name: {0: "batch", 2: "past"} for name in names} | {"ids": TOKENS}
    outputs = ["logits", *(f"present_{i}" for i in range(4))]
    return export(Gpt(), path, ["ids", *names], examples, outputs=outputs, axes=axes)


def lstm(path):
    torch.manual_seed(66)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(8, 16, batch_first=True, bidirectional=True)
            self.out = nn.Linear(32, 4)

        def forward(self, x):
            return self.out(self.lstm(x)[0])

    examples = [(torch.randn(2, 7, 8),), (torch.randn(1, 4, 8),)]
    return export(Net(), path, ["x"], examples, axes={"x": TOKENS})


def quantum(path):
    """Returns the largest scale in a model that its outputs may be quantized with."""
    graph = onnx.load(path).graph
    makers = {y: node for node in graph.node for y in node.output}
    constants = {t.name: t for t in graph.initializer}
    scales = [ABSOLUTE]
    for output in graph.output:
        node = makers[output.name]
        if node.op_type == "DequantizeLinear":
            scales.append(float(np.max(numpy_helper.to_array(constants[node.input[1]]))))
    return max(scales)


def static(build, quanta=1, **options):
    """Returns the maker of a model that is calibrated and quantized."""

    def make(path):
        float_path, ready = before(path), path.with_name("ready.onnx")
        sets = build(float_path).sets
        quant_pre_process(str(float_path), str(ready), skip_symbolic_shape=True)
        quantize_static(ready, path, Batches(sets), **options)
        float_path.unlink()
        ready.unlink()
        return Data([(x, None) for x, _ in sets], quanta * quantum(path), optimizes=False)

    return make


def dynamic(build, absolute=ABSOLUTE, **options):
    """Returns the maker of a model with quantized weights, whose activations are quantized when it
    runs."""

    def make(path):
        float_path = before(path)
        sets = build(float_path).sets
        quantize_dynamic(float_path, path, **options)
        float_path.unlink()
        return Data([(x, None) for x, _ in sets], absolute)

    return make


U8, S8, U16, S16 = QuantType.QUInt8, QuantType.QInt8, QuantType.QUInt16, QuantType.QInt16
QDQ, INTEGER = QuantFormat.QDQ, QuantFormat.QOperator

MAKERS = [
    ("qdq_conv", static(small_net, quant_format=QDQ)),
    ("qdq_conv_channels", static(
        small_net, quant_format=QDQ, per_channel=True, activation_type=U8, weight_type=S8)),
    ("qdq_conv_16", static(
        small_net, quant_format=QDQ, activation_type=U16, weight_type=S8,
        extra_options={"UseQDQContribOps": True})),
    ("qdq_mobilenet", static(mobile_net, quant_format=QDQ, per_channel=True)),
    ("qdq_mlp", static(mlp, quant_format=QDQ, extra_options={"ActivationSymmetric": True})),
    ("qdq_encoder", static(encoder, quant_format=QDQ, op_types_to_quantize=["MatMul", "Add"])),
    ("qoperator_conv", static(
        small_net, quant_format=INTEGER, activation_type=U8, weight_type=U8)),
    ("qoperator_conv_channels", static(
        small_net, quant_format=INTEGER, per_channel=True, activation_type=U8, weight_type=S8)),
    ("qoperator_mlp", static(mlp, quant_format=INTEGER, activation_type=S8, weight_type=S8)),
    ("dynamic_encoder", dynamic(encoder, weight_type=S8)),
    ("dynamic_decoder", dynamic(decoder, weight_type=U8, per_channel=True)),
    ("dynamic_lstm", dynamic(lstm, op_types_to_quantize=["LSTM", "MatMul"])),
    ("dynamic_conv", dynamic(small_net, weight_type=U8)),
]
