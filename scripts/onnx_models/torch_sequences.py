"""Recurrent networks, control flow and single operators of PyTorch."""

from functools import partial
from typing import List

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torch_export import export, settle

SEQUENCES = {"x": {0: "batch", 1: "time"}}


class Last(nn.Module):
    """A recurrent network over `[batch, time, features]`, and a score of each step."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.out = nn.Linear(net.hidden_size * (1 + net.bidirectional), 3)

    def forward(self, x):
        y, state = self.net(x)
        return self.out(y), state


class Packed(nn.Module):
    """A recurrent network over sequences of the given lengths."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=True)
        y, state = self.net(packed)
        return pad_packed_sequence(y, batch_first=True)[0], state


def recurrent(kind, sizes=((2, 5), (1, 1), (3, 8)), options=None, **how):
    """Returns the maker of a recurrent network for sequences of any number and length."""

    def make(path):
        torch.manual_seed(31)
        net = Last(kind(6, 8, batch_first=True, **(options or {})))
        examples = [(torch.randn(n, time, 6),) for n, time in sizes]
        names = ["y", "h", "c"] if kind is nn.LSTM else ["y", "h"]
        return export(net, path, ["x"], examples, outputs=names, axes=SEQUENCES, **how)

    return make


def packed(kind):
    """Returns the maker of a bidirectional network over sequences of different lengths."""

    def make(path):
        torch.manual_seed(32)
        net = Packed(kind(6, 8, batch_first=True, bidirectional=True))
        lengths = [[5, 3, 1], [7, 7, 2]]
        examples = [(torch.randn(3, max(l), 6), torch.tensor(l)) for l in lengths]
        names = ["y", "h", "c"] if kind is nn.LSTM else ["y", "h"]
        return export(net, path, ["x", "lengths"], examples, outputs=names, axes=SEQUENCES,
                      opset=14)

    return make


class Speech(nn.Module):
    """Convolutions over time, a bidirectional LSTM and scores for CTC."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(8, 16, 5, 2, 2), nn.BatchNorm1d(16), nn.Hardtanh(0, 20))
        self.lstm = nn.LSTM(16, 12, num_layers=2, bidirectional=True, batch_first=True)
        self.out = nn.Linear(24, 7)

    def forward(self, x):
        y = self.conv(x).transpose(1, 2)
        return self.out(self.lstm(y)[0]).log_softmax(-1)


def speech(path):
    torch.manual_seed(33)
    examples = [(torch.randn(2, 8, 20),), (torch.randn(1, 8, 33),)]
    return export(Speech(), path, ["x"], examples, axes={"x": {0: "batch", 2: "time"}})


# Control flow.


class Decoder(nn.Module):
    """A greedy decoder: a recurrent cell that is called until it writes the token 0."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell = nn.Embedding(9, 8), nn.Linear(16, 8)
        self.out = nn.Linear(8, 9)

    def forward(self, h, limit: int):
        token = torch.ones(h.size(0), dtype=torch.long)
        tokens: List[torch.Tensor] = []
        i = 0
        is_open = True
        while is_open and i < limit:
            h = torch.tanh(self.cell(torch.cat([self.embed(token), h], 1)))
            token = self.out(h).argmax(1)
            tokens.append(token)
            is_open = bool((token != 0).any())
            i += 1
        return torch.stack(tokens), h


class Branches(nn.Module):
    """A condition that depends on data, with a loop in one of its branches."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, steps):
        if bool(x.sum() > 0):
            y = self.small(x)
            for i in range(int(steps)):
                y = torch.tanh(self.large(y)) + float(i)
        else:
            y = self.large(x).relu()
        return y


class Chosen(nn.Module):
    """`torch.cond` under `torch.export`."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: self.a(x).relu(), lambda x: self.b(x).tanh(), (x,))


def decoder(path):
    torch.manual_seed(34)
    net = torch.jit.script(Decoder())
    examples = [(torch.randn(2, 8), torch.tensor(n)) for n in (6, 1, 20)]
    return export(net, path, ["h", "limit"], examples, outputs=["tokens", "state"],
                  axes={"h": {0: "batch"}})


def branches(path):
    torch.manual_seed(35)
    net = torch.jit.script(Branches())
    ones = torch.ones(2, 4)
    examples = [(ones, torch.tensor(3)), (-ones, torch.tensor(3)), (ones, torch.tensor(0))]
    return export(net, path, ["x", "steps"], examples, axes={"x": {0: "batch"}})


def cond(path):
    torch.manual_seed(36)
    examples = [(torch.ones(2, 4),), (-torch.ones(3, 4),)]
    return export(Chosen(), path, ["x"], examples, axes={"x": {0: "batch"}}, dynamo=True, opset=20)


# Operators.


class Shapes(nn.Module):
    """Indices, masks and sizes that depend on data."""

    def forward(self, x, index):
        mask = x > 0
        chosen = x[mask]
        rows = x[index]
        written = torch.zeros_like(x).index_put((index,), rows, accumulate=True)
        top, places = x.topk(2, dim=-1)
        ordered = x.sort(dim=-1, descending=True)[0]
        scattered = torch.zeros_like(x).scatter_add(1, places, top)
        return (chosen, rows.cumsum(0), written, top, places, ordered, scattered,
                x.tril(), mask.nonzero(), x.masked_fill(mask, -1.0).roll(1, 0))


class Numbers(nn.Module):
    """Products along named axes, norms and statistics."""

    def forward(self, a, b):
        product = torch.einsum("bij,bjk->bik", a, b)
        return (product, product.logsumexp(-1), product.var(-1, keepdim=True), a.norm(dim=1),
                torch.baddbmm(product, a, b, beta=0.5), product.amax((1, 2)),
                torch.where(product > 0, product.erf(), product.sin()),
                torch.nn.functional.cosine_similarity(a, a.flip(1), dim=-1),
                (a * 10).abs().round().to(torch.int64) // 3, torch.remainder(a * 10, 3.0),
                torch.nn.functional.unfold(a[:, None], 2))


class Warp(nn.Module):
    """Resampling of images at computed points."""

    def forward(self, x, theta):
        grid = torch.nn.functional.affine_grid(theta, [x.size(0), 3, 8, 10], align_corners=False)
        sampled = torch.nn.functional.grid_sample(x, grid, "bilinear", "zeros", False)
        larger = torch.nn.functional.interpolate(x, scale_factor=1.7, mode="bicubic")
        return sampled, larger, torch.nn.functional.pixel_shuffle(x.repeat(1, 4, 1, 1), 2)


def shapes(dynamo, opset):
    def make(path):
        torch.manual_seed(37)
        examples = [(torch.randn(n, 5), torch.randperm(n)[:k]) for n, k in ((6, 4), (7, 2))]
        axes = {"x": {0: "rows"}, "index": {0: "chosen"}}
        names = [f"y{i}" for i in range(10)]
        return export(Shapes(), path, ["x", "index"], examples, outputs=names, axes=axes,
                      dynamo=dynamo, opset=opset)

    return make


def numbers(dynamo, opset):
    def make(path):
        torch.manual_seed(38)
        examples = [(torch.randn(n, 4, 4), torch.randn(n, 4, 4)) for n in (3, 2)]
        names = [f"y{i}" for i in range(11)]
        return export(Numbers(), path, ["a", "b"], examples, outputs=names,
                      axes={"a": {0: "batch"}, "b": {0: "batch"}}, dynamo=dynamo, opset=opset)

    return make


def warp(path):
    torch.manual_seed(39)
    theta = torch.tensor([[[0.9, 0.2, 0.1], [-0.1, 1.1, -0.2]]])
    examples = [(torch.randn(n, 3, 9, 7), theta.repeat(n, 1, 1)) for n in (1, 2)]
    return export(Warp(), path, ["x", "theta"], examples, outputs=["sampled", "larger", "shuffled"],
                  axes={"x": {0: "batch"}, "theta": {0: "batch"}}, opset=20)


class Layers(nn.Module):
    """One of each of many layers over signals and images."""

    def __init__(self):
        super().__init__()
        self.signal = nn.Sequential(
            nn.Conv1d(4, 6, 3, padding=2, dilation=2), nn.InstanceNorm1d(6, affine=True), nn.GLU(1),
            nn.ConvTranspose1d(3, 4, 4, 2, 1, groups=1), nn.GroupNorm(2, 4), nn.Mish(),
            nn.AvgPool1d(3, 2, 1, ceil_mode=True), nn.Softplus(), nn.ReflectionPad1d(1))
        self.image = nn.Sequential(
            nn.Conv2d(3, 8, (3, 5), (2, 1), padding="valid", groups=1), nn.PReLU(8), nn.CELU(),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Hardswish(),
            nn.ReplicationPad2d((1, 2, 0, 1)), nn.PixelUnshuffle(1),
            nn.AdaptiveAvgPool2d(1), nn.Softsign(), nn.Hardsigmoid())
        self.volume = nn.Sequential(
            nn.Conv3d(2, 4, 3, 2, 1), nn.BatchNorm3d(4), nn.SELU(), nn.MaxPool3d(2),
            nn.ConvTranspose3d(4, 2, 2, 2), nn.LogSigmoid(), nn.AdaptiveMaxPool3d(1))
        self.out = nn.Linear(6, 3)

    def forward(self, signal, image, volume):
        s, i, v = self.signal(signal), self.image(image), self.volume(volume).flatten(1)
        s = nn.functional.lp_pool1d(s, 2, 2) + nn.functional.hardtanh(s[:, :, : s.size(2) // 2])
        return s, i, v, self.out(torch.cat([s.mean(2), v], 1))


class Dtypes(nn.Module):
    """Integers, bits, and floats of several widths."""

    def forward(self, x, n):
        double = x.double().cumsum(1)
        half = (x.half() * 3).float()
        bits = (n & 6) + (n << 1)
        small = n.to(torch.uint8) + n.to(torch.int16)
        parity = n.to(torch.int32) % 2 == 0
        ordered = (torch.where(parity, n, -n) * 4 + torch.arange(4)).sort(dim=1)
        histogram = torch.nn.functional.one_hot(n.clamp(0, 5), 6).sum(1)
        return (double, half, bits, small, ordered[0], ordered[1], histogram, x.isnan() | parity,
                x.to(torch.int32).float().sign(), double.argmin(1), (n > 3).any(1), n.prod(1))


def settled_layers(path, **options):
    torch.manual_seed(45)

    def example(n, length, height):
        return (torch.randn(n, 4, length), torch.randn(n, 3, height, 11),
                torch.randn(n, 2, 9, 8, 8))

    axes = {"signal": {0: "batch"}, "image": {0: "batch"}, "volume": {0: "batch"}}
    net = settle(Layers(), *example(4, 13, 12))
    examples = [example(2, 13, 12), example(3, 13, 12)]
    return export(net, path, list(axes), examples, outputs=["s", "i", "v", "b"], axes=axes,
                  **options)


def dtypes(path, **options):
    torch.manual_seed(46)
    examples = [(torch.randn(n, 4) * 3, torch.randint(0, 9, (n, 4))) for n in (3, 2)]
    return export(Dtypes(), path, ["x", "n"], examples, outputs=[f"y{i}" for i in range(12)],
                  axes={"x": {0: "rows"}, "n": {0: "rows"}}, **options)


class Spectrum(nn.Module):
    """The logarithm of a mel-like spectrum of a signal."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.bands = nn.Linear(33, 10, bias=False)

    def forward(self, x):
        spectrum = torch.stft(x, 64, 16, window=self.window, return_complex=False, center=True)
        power = spectrum.pow(2).sum(-1).transpose(1, 2)
        return self.bands(power).abs().clamp(min=1e-5).log()


def spectrum(path):
    torch.manual_seed(40)
    examples = [(torch.randn(2, 400),), (torch.randn(2, 400),)]
    return export(Spectrum(), path, ["x"], examples, opset=17)


MAKERS = [
    ("lstm", recurrent(nn.LSTM)),
    ("lstm_bidirectional", recurrent(
        nn.LSTM, options={"num_layers": 2, "bidirectional": True}, opset=11)),
    ("lstm_dynamo", recurrent(nn.LSTM, [(2, 5), (3, 5)], dynamo=True, opset=18)),
    ("gru", recurrent(nn.GRU, options={"num_layers": 2}, opset=13)),
    ("gru_bidirectional_dynamo", recurrent(
        nn.GRU, [(2, 5), (3, 5)], options={"bidirectional": True}, dynamo=True, opset=18)),
    ("rnn", recurrent(nn.RNN, options={"nonlinearity": "relu"}, opset=16)),
    ("lstm_packed", packed(nn.LSTM)),
    ("gru_packed", packed(nn.GRU)),
    ("speech", speech),
    ("greedy_decoder", decoder),
    ("branches", branches),
    ("cond_dynamo", cond),
    ("shapes", shapes(False, 17)),
    ("shapes_dynamo", shapes(True, 18)),
    ("numbers", numbers(False, 18)),
    ("numbers_dynamo", numbers(True, 23)),
    ("warp", warp),
    ("spectrum", spectrum),
    ("layers", partial(settled_layers, opset=17)),
    ("layers_dynamo", partial(settled_layers, dynamo=True, opset=22)),
    ("dtypes", partial(dtypes, opset=18)),
    ("dtypes_dynamo", partial(dtypes, dynamo=True, opset=19)),
]
