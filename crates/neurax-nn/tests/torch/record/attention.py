"""Records attention and transformer layers of PyTorch, transformers and Keras: see common.py.

The parameters of a layer are inputs, in the layout of Neurax: `p.<path of the layer>.<name>`.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from transformers import LlamaConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func
from transformers.models.whisper.modeling_whisper import sinusoids

from common import Cases

cases = Cases("attention")
randn = torch.randn


# ----- scaled_dot_product_attention -----
def sdpa(name, q, k, v, mask=None, bias=None, **options):
    """Adds a case with axes [batch, length, heads, depth]; a mask is added as `mask`."""

    def f(q, k, v, bias=None):
        attn_mask = bias if mask is None else mask
        q, k, v = (x.transpose(-3, -2) for x in (q, k, v))
        groups = options.pop("enable_gqa", q.shape[-3] != k.shape[-3])
        y = F.scaled_dot_product_attention(q, k, v, attn_mask, enable_gqa=groups, **options)
        return y.transpose(-3, -2)

    named = {} if bias is None else {"bias": bias}
    cases.add_function(name, f, q, k, v, **named)
    if mask is not None:
        cases.tensors[f"{name}/mask"] = mask.numpy()


def qkv(queries=3, keys=4, heads=2, kv_heads=2, depth=4, value_depth=4, batch=(2,)):
    return (
        randn(*batch, queries, heads, depth),
        randn(*batch, keys, kv_heads, depth),
        randn(*batch, keys, kv_heads, value_depth),
    )


def band(queries, keys, before, after):
    i, j = torch.arange(queries)[:, None], torch.arange(keys)
    return (j >= i - before) & (j <= i + after)


sdpa("sdpa_plain", *qkv())
sdpa("sdpa_scale", *qkv(), scale=0.3)
sdpa("sdpa_causal", *qkv(4, 4), is_causal=True)
sdpa("sdpa_causal_long_keys", *qkv(3, 5), is_causal=True)
sdpa("sdpa_causal_long_queries", *qkv(5, 3), is_causal=True)
sdpa("sdpa_grouped", *qkv(heads=4))
sdpa("sdpa_grouped_causal", *qkv(4, 4, heads=4), is_causal=True)
sdpa("sdpa_multi_query", *qkv(heads=4, kv_heads=1))
sdpa("sdpa_value_depth", *qkv(value_depth=3))
sdpa("sdpa_batch_axes", *qkv(batch=(2, 1)))
sdpa("sdpa_one_query", *qkv(queries=1))
sdpa("sdpa_one_key", *qkv(keys=1))
sdpa("sdpa_mask", *qkv(), mask=randn(2, 1, 3, 4) > -0.5)
sdpa("sdpa_mask_of_heads", *qkv(), mask=randn(1, 2, 3, 4) > -0.5)
sdpa("sdpa_mask_without_keys", *qkv(), mask=torch.tensor([[True] * 4, [False] * 4, [True] * 4]))
sdpa("sdpa_bias", *qkv(), bias=randn(2, 2, 3, 4))
sdpa("sdpa_bias_of_heads", *qkv(), bias=randn(2, 3, 4))
sdpa("sdpa_window_1_1", *qkv(5, 5), mask=band(5, 5, 1, 1))
sdpa("sdpa_window_2_0", *qkv(5, 5), mask=band(5, 5, 2, 0))


def capped(q, k, v):
    """The soft cap of Gemma 2, as in `modeling_gemma2.eager_attention_forward`."""
    s = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("bhqk,bkhd->bqhd", torch.softmax(torch.tanh(s / 1.5) * 1.5, -1), v)


cases.add_function("soft_cap", capped, *qkv())
for heads in (4, 6):
    alibi = build_alibi_tensor(torch.ones(1, 5), heads, torch.float32).reshape(1, heads, 1, 5)
    bias = torch.where(band(5, 5, 5, 0), alibi, -torch.inf)
    q, k, v = qkv(5, 5, heads, heads, 2, 2, (1,))
    f = lambda q, k, v, bias=bias: F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias
    ).transpose(1, 2)
    cases.add_function(f"alibi_{heads}", f, q, k, v)


# ----- MultiheadAttention -----
def attention_params(path, width, kdim, vdim, bias):
    sizes = {"query": width, "key": kdim, "value": vdim, "output": width}
    params = {f"p.{path}.{k}_kernel": randn(n, width) * 0.5 for k, n in sizes.items()}
    return params | ({f"p.{path}.{k}_bias": randn(width) for k in sizes} if bias else {})


def attention_state(path, params, prefix=""):
    get = lambda name: params[f"p.{path}.{name}"]
    kernels = [get(f"{k}_kernel").T for k in ("query", "key", "value")]
    state = {f"{prefix}out_proj.weight": get("output_kernel").T}
    if len({k.shape for k in kernels}) == 1:
        state[f"{prefix}in_proj_weight"] = torch.cat(kernels)
    else:
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        state |= {prefix + n: k for n, k in zip(names, kernels)}
    if f"p.{path}.query_bias" in params:
        biases = [get(f"{k}_bias") for k in ("query", "key", "value")]
        state |= {f"{prefix}in_proj_bias": torch.cat(biases)}
        state |= {f"{prefix}out_proj.bias": get("output_bias")}
    return state


def multi_head(name, *xs, heads=2, bias=True, mask=None, additive=None, causal=False):
    """Adds a case; `mask` is true where keys are attended to, as in Neurax."""
    width, kdim, vdim = (xs[min(i, len(xs) - 1)].shape[-1] for i in range(3))
    module = nn.MultiheadAttention(
        width, heads, bias=bias, kdim=kdim, vdim=vdim, batch_first=True
    )
    path = "multi_head_attention"

    def f(*xs, **params):
        q, k, v = (xs[min(i, len(xs) - 1)] for i in range(3))
        options = dict(need_weights=False)
        if causal:
            options["attn_mask"] = ~band(q.shape[1], k.shape[1], 99, 0)
        if mask is not None and mask.dim() == 2:
            options["key_padding_mask"] = ~mask
        elif mask is not None:
            options["attn_mask"] = ~mask.repeat_interleave(heads, 0)
        if additive is not None:
            options["attn_mask"] = additive.repeat_interleave(heads, 0)
        return functional_call(module, attention_state(path, params), (q, k, v), options)[0]

    cases.add_function(name, f, *xs, **attention_params(path, width, kdim, vdim, bias))
    for key, x in {"mask": mask, "bias": additive}.items():
        if x is not None:
            cases.tensors[f"{name}/{key}"] = x.numpy()


x, memory = randn(2, 3, 4), randn(2, 4, 4)
keys = torch.tensor([[True, True, False, True], [True, False, False, True]])
multi_head("mha_self", x)
multi_head("mha_self_without_bias", x, bias=False)
multi_head("mha_self_causal", x, causal=True)
multi_head("mha_four_heads", x, heads=4)
multi_head("mha_cross", x, memory)
multi_head("mha_other_widths", x, randn(2, 4, 5), randn(2, 4, 6))
multi_head("mha_padding", x, memory, mask=keys)
multi_head("mha_mask", x, memory, mask=(randn(2, 3, 4) > -0.8) | band(3, 4, 0, 0))
multi_head("mha_bias", x, memory, additive=randn(2, 3, 4))


# ----- transformer layers -----
def transformer(name, *xs, width=4, hidden=6, activation="relu", norm_first=True):
    decoder = len(xs) == 2
    kind = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    module = kind(
        width, 2, hidden, 0.0, activation=activation, norm_first=norm_first, batch_first=True
    )
    parts = ["attention"] + (["cross_attention"] if decoder else []) + ["feed_forward"]
    params = {}
    for part in parts[:-1]:
        params |= attention_params(f"transformer.{part}", width, width, width, True)
    for part in parts:
        params[f"p.transformer.{part}_norm.scale"] = randn(width)
        params[f"p.transformer.{part}_norm.bias"] = randn(width)
    ff = "p.transformer.feed_forward"
    params |= {f"{ff}.hidden_kernel": randn(width, hidden), f"{ff}.hidden_bias": randn(hidden)}
    params |= {f"{ff}.output_kernel": randn(hidden, width), f"{ff}.output_bias": randn(width)}

    def f(*xs, **params):
        state = {}
        for part, prefix in zip(parts[:-1], ("self_attn.", "multihead_attn.")):
            state |= attention_state(f"transformer.{part}", params, prefix)
        for i, part in enumerate(parts):
            state[f"norm{i + 1}.weight"] = params[f"p.transformer.{part}_norm.scale"]
            state[f"norm{i + 1}.bias"] = params[f"p.transformer.{part}_norm.bias"]
        for linear, part in (("linear1", "hidden"), ("linear2", "output")):
            state[f"{linear}.weight"] = params[f"{ff}.{part}_kernel"].T
            state[f"{linear}.bias"] = params[f"{ff}.{part}_bias"]
        length = xs[0].shape[1]
        causal = ~band(length, length, 99, 0)
        options = {"tgt_mask": causal} if decoder else {}
        return functional_call(module, state, xs, options)

    cases.add_function(name, f, *xs, **params)


for norm_first in (True, False):
    for activation in ("relu", "gelu"):
        suffix = f"{'pre' if norm_first else 'post'}_{activation}"
        options = dict(activation=activation, norm_first=norm_first)
        transformer(f"encoder_{suffix}", randn(2, 3, 4), **options)
        transformer(f"decoder_{suffix}", randn(2, 3, 4), randn(2, 4, 4), **options)


# ----- rotary embeddings -----
def rope(name, dims=8, depth=8, longest=64, **parameters):
    rope_parameters = {"rope_theta": 10000.0, "rope_type": "default"} | parameters
    config = LlamaConfig(
        hidden_size=2 * dims,
        num_attention_heads=2,
        head_dim=dims,
        max_position_embeddings=longest,
        rope_parameters=rope_parameters,
    )
    embedding = modeling_llama.LlamaRotaryEmbedding(config)

    def f(x):
        q = x[..., :dims].transpose(1, 2)
        cos, sin = embedding(q, torch.arange(x.shape[1])[None])
        y, _ = modeling_llama.apply_rotary_pos_emb(q, q, cos, sin)
        return torch.cat([y.transpose(1, 2), x[..., dims:]], -1)

    cases.add_function(name, f, randn(2, 5, 2, depth))


yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
rope("rope_default")
rope("rope_base", rope_theta=500.0)
rope("rope_partial", dims=4, depth=10)
rope("rope_linear", rope_type="linear", factor=3.0)
rope("rope_yarn", **yarn)
rope("rope_yarn_fast_slow", beta_fast=4.0, beta_slow=0.5, **yarn)
rope("rope_llama3", original_max_position_embeddings=32, **llama3)
table = modeling_gptj.create_sinusoidal_positions(5, 8)


def interleaved(x):
    sin, cos = (t[None] for t in table.chunk(2, -1))
    return modeling_gptj.apply_rotary_pos_emb(x, sin, cos)


cases.add_function("rope_interleaved", interleaved, randn(2, 5, 2, 8))


# ----- others -----
def swiglu(x, **p):
    p = {k.rsplit(".", 1)[1]: v for k, v in p.items()}
    return (F.silu(x @ p["gate_kernel"]) * (x @ p["hidden_kernel"])) @ p["output_kernel"]


shapes = {"gate_kernel": (6, 10), "hidden_kernel": (6, 10), "output_kernel": (10, 6)}
params = {f"p.feed_forward.{k}": randn(*s) for k, s in shapes.items()}
cases.add_function("swiglu", swiglu, randn(2, 3, 6), **params)


def experts(top, normalized):
    def f(x, **p):
        p = {k.rsplit(".", 1)[1]: v for k, v in p.items()}
        logits = x @ p["router_kernel"]
        weights, chosen = torch.topk(torch.softmax(logits, -1), top)
        if normalized:
            weights = weights / weights.sum(-1, keepdim=True)
        hidden = F.silu(torch.einsum("nd,edh->neh", x, p["gate_kernel"]))
        hidden = hidden * torch.einsum("nd,edh->neh", x, p["hidden_kernel"])
        all = torch.einsum("neh,ehd->ned", hidden, p["output_kernel"])
        y = (all[torch.arange(len(x))[:, None], chosen] * weights[..., None]).sum(1)
        return y, load_balancing_loss_func((logits,), logits.shape[-1], top)

    return f


shapes = {"gate_kernel": (3, 4, 5), "hidden_kernel": (3, 4, 5), "output_kernel": (3, 5, 4)}
params = {f"p.mixture_of_experts.{k}": randn(*s) for k, s in shapes.items()}
params["p.mixture_of_experts.router_kernel"] = randn(4, 3)
for top, normalized in ((1, False), (2, True), (2, False)):
    name = f"experts_{top}_{'normalized' if normalized else 'plain'}"
    cases.add_function(name, experts(top, normalized), randn(6, 4), **params)

cases.add("sinusoids_halves", out0=sinusoids(5, 8))
half = torch.arange(4) / 4
angles = torch.arange(5)[:, None] * 10000.0**-half
cases.add("sinusoids_pairs", out0=torch.stack([angles.sin(), angles.cos()], -1).reshape(5, 8))

for masked in (False, True):
    layer = keras.layers.AdditiveAttention()
    layer.build([(2, 3, 4), (2, 5, 4)])
    layer.set_weights([randn(4).numpy()])
    mask = torch.tensor([[True, True, False, True, True], [False, True, True, False, True]])
    f = lambda q, v: layer([q, v], mask=[None, mask] if masked else None)
    name = "additive_masked" if masked else "additive"
    cases.add_function(name, f, randn(2, 3, 4), randn(2, 5, 4))
    cases.tensors[f"{name}/p.additive_attention.scale"] = layer.get_weights()[0]
    if masked:
        cases.tensors[f"{name}/mask"] = mask.numpy()

# Five positions are longer than the contexts in training, of four.
rope("rope_ntk", longest=4, rope_type="dynamic", factor=3.0)

rope("rope_dynamic", longest=4, rope_type="dynamic", factor=3.0)
rope("rope_dynamic_short", longest=8, rope_type="dynamic", factor=3.0)
rope("rope_yarn_attention", attention_factor=0.75, **yarn)
rope("rope_yarn_mscale", mscale=0.7, mscale_all_dim=1.2, **yarn)
rope("rope_yarn_exact", truncate=False, **yarn)
factors = dict(short_factor=[1.0, 1.1, 1.25, 1.5], long_factor=[1.0, 2.0, 3.5, 8.0])
longrope = dict(rope_type="longrope", factor=4.0) | factors
rope("rope_long", original_max_position_embeddings=4, **longrope)
rope("rope_long_short", original_max_position_embeddings=8, **longrope)
rope("rope_long_attention", original_max_position_embeddings=4, attention_factor=1.3, **longrope)
cases.save()
