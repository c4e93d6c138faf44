"""Models whose speed is measured: fixed sizes, one data set.

    python scripts/onnx_models/speed.py FOLDER [PART OF A NAME]
"""

import sys

import torch
import torchvision
from onnxruntime.quantization import QuantFormat, quantize_static

from common import Data, Writer, before
from quantized import Batches, quantum
from torch_export import export, settle
from torch_nets import MiniLm, perceptron


def image_net(build, seed, **options):
    """Returns the maker of a network of torchvision for one image of 224 x 224."""

    def make(path):
        torch.manual_seed(seed)
        net = settle(build(weights=None), torch.randn(4, 3, 224, 224))
        return export(net, path, ["x"], [(torch.randn(1, 3, 224, 224),)], **options)

    return make


def resnet_int8(path):
    """ResNet-50, quantized by ONNX Runtime with a scale for each channel.

    With random weights, 53 layers amplify what is rounded differently: evaluations in f64, by
    PyTorch in f32, and by ONNX Runtime with and without its optimizer differ from each other by 1.5
    to 2.2 quanta of the output in the mean, and by 6 to 10 at most.
    """
    float_path = before(path)
    sets = image_net(torchvision.models.resnet50, 1)(float_path).sets
    quantize_static(
        float_path, path, Batches(sets), quant_format=QuantFormat.QDQ, per_channel=True)
    float_path.unlink()
    return Data([(inputs, None) for inputs, _ in sets], 10 * quantum(path), optimizes=False)


def minilm(path):
    """An encoder of sentences: batch 1, 128 tokens."""
    torch.manual_seed(4)
    ids = torch.randint(0, 30522, (1, 128))
    args = (ids, torch.ones_like(ids), torch.zeros_like(ids))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    return export(MiniLm(), path, names, [args])


def fraud(path):
    """A perceptron of 30 features and one score."""
    torch.manual_seed(5)
    net = perceptron(30, 64, 32, 1, last=torch.nn.Sigmoid())
    return export(net, path, ["x"], [(torch.randn(1, 30),)])


def mnist(path):
    """A perceptron of 784 pixels and 10 classes."""
    torch.manual_seed(6)
    return export(perceptron(784, 128, 10), path, ["x"], [(torch.rand(1, 784),)])


MAKERS = [
    ("fraud", fraud),
    ("mnist", mnist),
    ("resnet50", image_net(torchvision.models.resnet50, 1)),
    ("mobilenetv2", image_net(torchvision.models.mobilenet_v2, 2)),
    ("squeezenet", image_net(torchvision.models.squeezenet1_1, 3)),
    ("minilm", minilm),
    ("resnet50_unfolded", image_net(torchvision.models.resnet50, 1, preserve=True)),
    ("mobilenetv2_unfolded", image_net(torchvision.models.mobilenet_v2, 2, preserve=True)),
    ("resnet50_int8", resnet_int8),
]

if __name__ == "__main__":
    writer = Writer(*sys.argv[1:3])
    writer.make_all(MAKERS)
    sys.exit(bool(writer.failed))
