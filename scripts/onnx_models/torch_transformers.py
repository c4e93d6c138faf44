"""Transformers: written in PyTorch, and those of the package `transformers`."""

import torch
import transformers as hf
from torch import nn

from torch_export import export
from torch_nets import Gpt, Llama, MiniLm, RmsNorm

TOKENS = {0: "batch", 1: "length"}
SIZES = [(2, 9), (1, 12), (3, 3)]


def sentence(n, length, vocabulary):
    """Returns tokens, a mask whose later rows are shorter, and the kinds of tokens."""
    ids = torch.randint(0, vocabulary, (n, length))
    ends = length - torch.arange(n)[:, None].clamp(max=length - 1)
    return ids, (torch.arange(length)[None] < ends).long(), torch.zeros_like(ids)


def encoder(layers, width, heads, vocabulary, pools, **options):
    """Returns the maker of an encoder of sentences."""

    def make(path):
        torch.manual_seed(41)
        net = MiniLm(layers, width, heads, vocabulary, pools)
        examples = [sentence(n, length, vocabulary) for n, length in SIZES]
        names = ["input_ids", "attention_mask", "token_type_ids"]
        return export(net, path, names, examples, axes={name: TOKENS for name in names}, **options)

    return make


def gpt(**options):
    """Returns the maker of a decoder with a cache of keys and values."""

    def make(path):
        torch.manual_seed(42)
        names = [f"past_{i}" for i in range(4)]

        def example(n, past, new):
            caches = [torch.randn(n, 4, past, 8) for _ in names]
            return torch.randint(0, 50, (n, new)), *caches

        examples = [example(2, 5, 3), example(1, 9, 2), example(3, 2, 4)]
        if not options.get("dynamo"):
            # The first step has an empty cache, and later ones one token.
            examples += [example(2, 0, 4), example(1, 7, 1)]
        axes = {name: {0: "batch", 2: "past"} for name in names} | {"ids": TOKENS}
        outputs = ["logits", *(f"present_{i}" for i in range(4))]
        return export(Gpt(), path, ["ids", *names], examples, outputs=outputs, axes=axes, **options)

    return make


def gpt_dynamo(path):
    """`torch.export` has no dynamic axes for variable arguments."""

    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Gpt()

        def forward(self, ids, past_0, past_1, past_2, past_3):
            return self.net(ids, past_0, past_1, past_2, past_3)

    torch.manual_seed(43)
    names = [f"past_{i}" for i in range(4)]
    examples = [
        (torch.randint(0, 50, (n, new)), *(torch.randn(n, 4, past, 8) for _ in names))
        for n, past, new in ((2, 5, 3), (3, 9, 2))
    ]
    axes = {name: {0: "batch", 2: "past"} for name in names} | {"ids": TOKENS}
    outputs = ["logits", *(f"present_{i}" for i in range(4))]
    return export(Listed(), path, ["ids", *names], examples, outputs=outputs, axes=axes,
                  dynamo=True, opset=23)


def llama(**options):
    """Returns the maker of a decoder with rotary embeddings."""

    def make(path):
        torch.manual_seed(44)
        examples = [(torch.randint(0, 50, size),) for size in ((2, 7), (3, 12), (4, 2))]
        norm = nn.RMSNorm if options.get("dynamo") else RmsNorm
        return export(Llama(norm), path, ["ids"], examples, axes={"ids": TOKENS}, **options)

    return make


def torch_encoder(**options):
    """Returns the maker of PyTorch's own encoder, with a mask of padding."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
            self.net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

        def forward(self, x, padding):
            return self.net(x, src_key_padding_mask=padding)

    def make(path):
        torch.manual_seed(45)

        def example(n, length):
            lengths = length - torch.arange(n)[:, None]
            return torch.randn(n, length, 16), torch.arange(length)[None] >= lengths

        # The TorchScript exporter writes the sizes of the example into the model.
        is_fixed = not options.get("dynamo")
        examples = [example(2, 6), example(2, 6) if is_fixed else example(3, 9)]
        axes = None if is_fixed else {"x": TOKENS, "padding": TOKENS}
        return export(Encoder(), path, ["x", "padding"], examples, axes=axes, **options)

    return make


# The package `transformers`.


class Returns(nn.Module):
    """A model of `transformers` by positional arguments, and one of its results."""

    def __init__(self, net, names, result):
        super().__init__()
        self.net, self.names, self.result = net, names, result

    def forward(self, *args):
        return getattr(self.net(**dict(zip(self.names, args))), self.result)


def package(build, names, example, sizes, result="last_hidden_state", axes=None, **options):
    """Returns the maker of a model of `transformers`; `example` makes arguments of a size."""

    def make(path):
        torch.manual_seed(46)
        net = Returns(build().eval(), names, result)
        for p in net.parameters():
            # Weights are initialized so small that attention would be uniform.
            if p.dim() > 1:
                nn.init.normal_(p, 0.0, p.size(-1) ** -0.5)
        shown = axes or {name: TOKENS for name in names}
        examples = [example(*size) for size in sizes]
        return export(net, path, names, examples, axes=shown, **options)

    return make


SMALL = dict(vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
             intermediate_size=64, max_position_embeddings=40)
MASKED = ["input_ids", "attention_mask"]


def masked(n, length):
    return sentence(n, length, 60)[:2]


def bert():
    return hf.BertModel(hf.BertConfig(**SMALL, attn_implementation="eager"))


def roberta():
    return hf.RobertaForSequenceClassification(
        hf.RobertaConfig(**SMALL, attn_implementation="sdpa", num_labels=3))


def distilbert():
    return hf.DistilBertModel(hf.DistilBertConfig(
        vocab_size=60, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=40))


def deberta():
    return hf.DebertaV2Model(hf.DebertaV2Config(
        **SMALL, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm", share_att_key=True))


def t5():
    return hf.T5EncoderModel(hf.T5Config(
        vocab_size=60, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4))


def whisper():
    config = hf.WhisperConfig(
        vocab_size=60, num_mel_bins=8, d_model=32, encoder_layers=2, encoder_attention_heads=4,
        decoder_layers=1, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64,
        max_source_positions=20, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1)
    return hf.WhisperModel(config).encoder


def wav2vec():
    return hf.Wav2Vec2Model(hf.Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        conv_dim=(16, 16), conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2))


def clip():
    return hf.CLIPVisionModel(hf.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        image_size=32, patch_size=8))


def dinov2():
    return hf.Dinov2Model(hf.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=56, patch_size=14))


def segformer():
    return hf.SegformerForSemanticSegmentation(hf.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16],
        patch_sizes=[7, 3], strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
        decoder_hidden_size=16, num_labels=4))


def images(n, size):
    return (torch.randn(n, 3, size, size),)


def qwen():
    return hf.Qwen3ForCausalLM(hf.Qwen3Config(
        **SMALL, num_key_value_heads=2, head_dim=8, use_cache=False))


def gpt2():
    return hf.GPT2LMHeadModel(hf.GPT2Config(
        vocab_size=60, n_positions=40, n_embd=32, n_layer=2, n_head=4, use_cache=False))


PIXELS = {"pixel_values": {0: "batch"}}
SIGNAL = {"input_values": {0: "batch", 1: "length"}}

MAKERS = [
    ("minilm", encoder(6, 384, 12, 1000, True, opset=14)),
    ("minilm_dynamo", encoder(6, 384, 12, 1000, True, dynamo=True, opset=18)),
    ("gpt_cache", gpt(opset=17)),
    ("gpt_cache_dynamo", gpt_dynamo),
    ("llama", llama(opset=18)),
    ("llama_dynamo", llama(dynamo=True, opset=23)),
    ("torch_encoder", torch_encoder(opset=16)),
    ("torch_encoder_dynamo", torch_encoder(dynamo=True, opset=22)),
    ("hf_bert", package(bert, MASKED, masked, SIZES, opset=14)),
    ("hf_roberta", package(roberta, MASKED, masked, SIZES, "logits", opset=17)),
    ("hf_distilbert", package(distilbert, MASKED, masked, SIZES, opset=18)),
    ("hf_deberta", package(deberta, MASKED, masked, SIZES, opset=17)),
    ("hf_t5", package(t5, MASKED, masked, SIZES, opset=17)),
    ("hf_qwen", package(qwen, MASKED, masked, SIZES, "logits", opset=18)),
    ("hf_gpt2", package(gpt2, MASKED, masked, SIZES, "logits", opset=18)),
    ("hf_whisper", package(
        whisper, ["input_features"], lambda n: (torch.randn(n, 8, 40),), [(2,), (1,)],
        axes={"input_features": {0: "batch"}}, opset=17)),
    ("hf_wav2vec", package(
        wav2vec, ["input_values"], lambda n, size: (torch.randn(n, size),), [(2, 400), (1, 333)],
        axes=SIGNAL, opset=17)),
    ("hf_clip", package(
        clip, ["pixel_values"], images, [(2, 32), (1, 32)], "pooler_output", PIXELS, opset=14)),
    ("hf_dinov2", package(
        dinov2, ["pixel_values"], images, [(2, 56), (1, 56)], axes=PIXELS, opset=17)),
    ("hf_segformer", package(
        segformer, ["pixel_values"], images, [(2, 64), (1, 64)], "logits", PIXELS, opset=17)),
]
