"""Records architectures of torchvision and transformers with random weights: see common.py.

The cases are the inputs and outputs; the checkpoints are in `../models/`, each in the format and
with the names of its library. Weights are random but for their scale, so that every layer matters.
"""

import pathlib

import torch
import torchvision
import transformers
from safetensors.torch import save_file
from torch import nn

from common import Cases

FOLDER = pathlib.Path(__file__).parent.parent / "models"
cases = Cases("models")


def randomized(model):
    """Gives all weights and running statistics random values, and selects evaluation."""
    running = [(n, x) for n, x in model.named_buffers() if "running_" in n]
    for name, x in list(model.named_parameters()) + running:
        with torch.no_grad():
            if name.endswith("running_var"):
                x.uniform_(0.5, 1.5)
            elif x.dim() > 1:
                fan = x[0].numel() if x.dim() > 2 else x.shape[1]
                x.normal_(0, fan**-0.5)
            elif name.endswith("weight"):
                x.normal_(1, 0.2)
            else:
                x.normal_(0, 0.2)
    return model.eval()


def narrowed(model, factor, channels, classes):
    """Divides the channels of a convolutional network, but those of the image and the classes."""
    size = lambda n: n if n in [channels, classes] else n // factor
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                new = nn.Conv2d(
                    size(child.in_channels), size(child.out_channels), child.kernel_size,
                    child.stride, child.padding, bias=False,
                )
            elif isinstance(child, nn.BatchNorm2d):
                new = nn.BatchNorm2d(size(child.num_features))
            elif isinstance(child, nn.Linear):
                new = nn.Linear(size(child.in_features), size(child.out_features))
            else:
                continue
            setattr(module, name, new)
    return model


def outputs(name, model, *inputs):
    """Adds a case of the outputs of a model, and returns the sum of the products of the first one
    and random numbers."""
    ys = model(*inputs)
    ys = ys if isinstance(ys, (list, tuple)) else [ys]
    ins = {f"in{i}": x for i, x in enumerate(inputs)}
    outs = {f"out{i}": y for i, y in enumerate(ys)}
    ct = torch.randn_like(ys[0])
    cases.add(name, **ins, **outs, ct0=ct)
    return (ys[0] * ct).sum()


def gradients(name, model, total):
    """Writes the gradients of a number as a checkpoint."""
    named = dict(model.named_parameters())
    grads = torch.autograd.grad(total, list(named.values()))
    grads = {path: grad.contiguous() for path, grad in zip(named, grads)}
    save_file(grads, FOLDER / f"{name}_gradients.safetensors")


FOLDER.mkdir(exist_ok=True)

resnet = randomized(narrowed(torchvision.models.resnet18(num_classes=7), 16, 3, 7))
save_file(resnet.state_dict(), FOLDER / "resnet18.safetensors")
total = outputs("resnet18", resnet, torch.randn(2, 3, 40, 36))
gradients("resnet18", resnet, total)

mobilenet = randomized(torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=5))
torch.save(mobilenet.state_dict(), FOLDER / "mobilenet_v2.pt")
outputs("mobilenet_v2", mobilenet, torch.randn(2, 3, 48, 40))


def two_convolutions(inputs, width):
    return {
        "conv1": nn.Conv2d(inputs, width, 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(width),
        "conv2": nn.Conv2d(width, width, 3, padding=1, bias=False),
        "bn2": nn.BatchNorm2d(width),
    }


def apply_two(m, x):
    x = m["bn1"](m["conv1"](x)).relu()
    return m["bn2"](m["conv2"](x)).relu()


class UNet(nn.Module):
    def __init__(self, channels, widths, classes):
        super().__init__()
        pairs = list(zip([channels, *widths], widths))
        self.down = nn.ModuleList(nn.ModuleDict(two_convolutions(*pair)) for pair in pairs)
        self.up = nn.ModuleList(
            nn.ModuleDict(
                {"up": nn.ConvTranspose2d(wide, width, 2, stride=2)}
                | two_convolutions(2 * width, width)
            )
            for width, wide in pairs[1:]
        )
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x):
        skips = []
        for i, m in enumerate(self.down):
            x = apply_two(m, x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for m, skip in zip(reversed(self.up), skips[-2::-1]):
            x = apply_two(m, torch.cat([skip, m["up"](x)], 1))
        return self.head(x)


unet = randomized(UNet(2, [4, 6, 8], 3))
torch.save({"epoch": 3, "model": unet.state_dict()}, FOLDER / "unet.ckpt")
outputs("unet", unet, torch.randn(2, 2, 12, 8))

vit = randomized(
    torchvision.models.VisionTransformer(
        image_size=24, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24,
        num_classes=5,
    )
)
save_file(vit.state_dict(), FOLDER / "vit.safetensors")
outputs("vit", vit, torch.randn(2, 3, 24, 24))

bert = randomized(
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=40, max_position_embeddings=12, hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=24,
        )
    )
)
# As a part of a classifier.
save_file({f"bert.{k}": x for k, x in bert.state_dict().items()}, FOLDER / "bert.safetensors")
tokens = torch.tensor([[2, 35, 7, 9, 11, 3], [2, 8, 39, 3, 0, 0]])
outputs(
    "bert",
    lambda tokens, kinds, mask: bert(tokens, mask, kinds).to_tuple(),
    tokens, torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]]), tokens != 0,
)

gpt2 = randomized(
    transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=40, n_positions=10, n_embd=16, n_layer=2, n_head=2, bos_token_id=0,
            eos_token_id=0,
        )
    )
)
weights = {k: x for k, x in gpt2.state_dict().items() if k != "lm_head.weight"}
save_file(weights, FOLDER / "gpt2.safetensors")
tokens = torch.randint(40, (2, 8))
gradients("gpt2", gpt2, outputs("gpt2", lambda tokens: gpt2(tokens).logits, tokens))

llama = randomized(
    transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=24, rms_norm_eps=1e-5, bos_token_id=0,
            eos_token_id=0,
            rope_parameters={
                "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0,
                "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        )
    )
)
llama.save_pretrained(FOLDER / "llama", max_shard_size="16KB")
for options in (FOLDER / "llama").glob("*config.json"):
    options.unlink()
outputs("llama", lambda tokens: llama(tokens).logits, tokens)

whisper = randomized(
    transformers.WhisperModel(
        transformers.WhisperConfig(
            vocab_size=20, d_model=16, encoder_layers=2, encoder_attention_heads=2,
            encoder_ffn_dim=24, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=8,
            num_mel_bins=8, max_source_positions=10, max_target_positions=4, pad_token_id=0,
            bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
        )
    )
)
save_file(whisper.state_dict(), FOLDER / "whisper.safetensors")
outputs("whisper", lambda x: whisper.encoder(x).last_hidden_state, torch.randn(2, 8, 20))

cases.save()
