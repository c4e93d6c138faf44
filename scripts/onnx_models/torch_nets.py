"""Networks written in PyTorch: those that torchvision does not have."""

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention with a projection for each of queries, keys and values."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def split(self, x):
        return x.view(x.size(0), x.size(1), self.heads, -1).transpose(1, 2)

    def forward(self, x, mask):
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = q @ k.transpose(-1, -2) / (q.size(-1) ** 0.5) + mask
        y = (scores.softmax(-1) @ v).transpose(1, 2)
        return self.out(y.reshape(x.size(0), x.size(1), -1))


class EncoderLayer(nn.Module):
    """A layer of BERT: normalization follows each sum."""

    def __init__(self, width, heads):
        super().__init__()
        self.attention = Attention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)

    def forward(self, x, mask):
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class MiniLm(nn.Module):
    """The shape of MiniLM-L6: 6 layers of width 384 with 12 heads, and mean pooling."""

    def __init__(self, layers=6, width=384, heads=12, vocabulary=30522, pools=False):
        super().__init__()
        self.pools = pools
        self.word = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(512, width)
        self.kind = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, 1e-12)
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))

    def forward(self, input_ids, attention_mask, token_type_ids):
        positions = torch.arange(input_ids.size(1)).unsqueeze(0)
        x = self.word(input_ids) + self.position(positions) + self.kind(token_type_ids)
        x = self.norm(x)
        kept = attention_mask[:, None, None, :].to(x.dtype)
        mask = (1.0 - kept) * torch.finfo(x.dtype).min
        for layer in self.layers:
            x = layer(x, mask)
        if not self.pools:
            return x
        weights = attention_mask.unsqueeze(-1).to(x.dtype)
        mean = (x * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return F.normalize(mean, dim=1)


def perceptron(*widths, last=None):
    """Returns dense layers of these widths with relu between them, and `last` behind them."""
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    layers[-1:] = [last] if last else []
    return nn.Sequential(*layers)


class GptLayer(nn.Module):
    """A layer of GPT-2: normalization precedes each part. It takes and returns keys and values."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask, past_key, past_value):
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (
            y.view(y.size(0), y.size(1), self.heads, -1).transpose(1, 2) for y in parts
        )
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
        x = x + self.out(y.reshape(x.size(0), x.size(1), -1))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")), k, v


class Gpt(nn.Module):
    """A decoder that continues a sequence: it takes new tokens, and the keys and values of the
    `[batch, heads, past, width]` before them, two for each layer."""

    def __init__(self, layers=2, width=32, heads=4, vocabulary=50):
        super().__init__()
        self.word, self.position = nn.Embedding(vocabulary, width), nn.Embedding(64, width)
        self.layers = nn.ModuleList(GptLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids, *past):
        before = past[0].size(2)
        end = before + ids.size(1)
        places = torch.arange(before, end)
        mask = torch.arange(end)[None, :] <= places[:, None]
        x = self.word(ids) + self.position(places)
        caches = []
        for i, layer in enumerate(self.layers):
            x, k, v = layer(x, mask, past[2 * i], past[2 * i + 1])
            caches += [k, v]
        return (self.norm(x) @ self.word.weight.t(), *caches)


def rotated(x, cos, sin):
    """Returns `x` with a rotary embedding of positions: halves are rotated against each other."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class RmsNorm(nn.Module):
    """`nn.RMSNorm`, which the TorchScript exporter does not know."""

    def __init__(self, width, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.rand(width) + 0.5), epsilon

    def forward(self, x):
        scale = (x.pow(2).mean(-1, keepdim=True) + self.epsilon).rsqrt()
        return self.weight * (x * scale)


class LlamaLayer(nn.Module):
    """A layer of Llama: RMS norms, groups of heads that share keys, gated linear units."""

    def __init__(self, width, heads, shared, norm):
        super().__init__()
        self.heads, self.shared, self.size = heads, shared, width // heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * self.size * shared, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate, self.up = (nn.Linear(width, 3 * width, bias=False) for _ in range(2))
        self.down = nn.Linear(3 * width, width, bias=False)
        self.norm1, self.norm2 = norm(width, 1e-6), norm(width, 1e-6)

    def forward(self, x, cos, sin):
        n, t = x.size(0), x.size(1)
        y = self.norm1(x)
        q = self.q(y).view(n, t, self.heads, self.size).transpose(1, 2)
        k, v = self.kv(y).view(n, t, 2 * self.shared, self.size).transpose(1, 2).chunk(2, 1)
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        k, v = (z.repeat_interleave(self.heads // self.shared, 1) for z in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + self.out(y.reshape(n, t, -1))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """A decoder in the shape of Llama 3."""

    def __init__(self, norm, layers=2, width=32, heads=4, shared=2, vocabulary=50):
        super().__init__()
        self.word = nn.Embedding(vocabulary, width)
        all_layers = (LlamaLayer(width, heads, shared, norm) for _ in range(layers))
        self.layers = nn.ModuleList(all_layers)
        self.norm, self.out = norm(width, 1e-6), nn.Linear(width, vocabulary, bias=False)
        size = width // heads
        self.register_buffer("rates", 1e4 ** (-torch.arange(0, size, 2).float() / size))

    def forward(self, ids):
        angles = torch.arange(ids.size(1))[:, None] * self.rates
        angles = torch.cat([angles, angles], -1)
        x = self.word(ids)
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin())
        return self.out(self.norm(x))
