"""The tasks of neurax-bench in PyTorch, eager or with torch.compile."""

import numpy as np
import torch
import torch._inductor.config
import torch.nn.functional as F

import weights
from common import CONTEXT, HEADS, LAYERS, STAGES, UNITS, WIDTH, arguments, digits, once, run


def affine(p, name, x):
    return F.linear(x, p[name + ".kernel"], p[name + ".bias"])


def norm(p, name, x):
    return F.layer_norm(x, x.shape[-1:], p[name + ".scale"], p[name + ".bias"], 1e-5)


def mlp(p, x):
    return affine(p, "out", affine(p, "hidden", x).relu())


def cnn(p, x):
    for i in range(2):
        x = F.max_pool2d(
            F.conv2d(x, p[f"convs.{i}.kernel"], p[f"convs.{i}.bias"], padding=1).relu(), 2
        )
    return affine(p, "out", affine(p, "hidden", x.flatten(1)).relu())


def transformer(p, x):
    n, s = x.shape
    x = F.embedding(x, p["tokens"]) + p["positions"]
    for i in range(LAYERS):
        b = f"blocks.{i}."
        q, k, v = (
            affine(p, b + "qkv", norm(p, b + "attention_norm", x))
            .view(n, s, 3, HEADS, -1)
            .permute(2, 0, 3, 1, 4)
        )
        a = (
            F.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .reshape(n, s, -1)
        )
        x = x + affine(p, b + "attention_out", a)
        x = x + affine(
            p,
            b + "mlp_down",
            F.gelu(affine(p, b + "mlp_up", norm(p, b + "mlp_norm", x)), approximate="tanh"),
        )
    return affine(p, "out", norm(p, "norm", x))


def conv_norm(p, x, conv, norm, stride=1):
    kernel = p[f"params.{conv}.kernel"]
    y = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    return F.batch_norm(
        y,
        p[f"state.{norm}.mean"],
        p[f"state.{norm}.var"],
        p[f"params.{norm}.scale"],
        p[f"params.{norm}.bias"],
        training=torch.is_grad_enabled(),
    )


def resnet18(p, x):
    x = conv_norm(p, x, "conv1", "bn1").relu()
    for stage in range(len(STAGES)):
        for i in range(2):
            b, stride = f"layer{stage + 1}.{i}.", 2 if stage > 0 and i == 0 else 1
            y = conv_norm(p, x, b + "conv1", b + "bn1", stride).relu()
            y = conv_norm(p, y, b + "conv2", b + "bn2")
            if stride > 1:
                x = conv_norm(p, x, b + "downsample.0", b + "downsample.1", stride)
            x = (x + y).relu()
    return affine(p, "params.fc", x.mean((2, 3)))


def lstm(p, x):
    zeros = x.new_zeros(1, len(x), UNITS)
    kernels = [p["params.lstm.kernel"], p["params.lstm.recurrent_kernel"]]
    # The second bias of `torch.nn.LSTM` is zero and is not trained.
    biases = [p["params.lstm.bias"], torch.zeros(4 * UNITS)]
    training = torch.is_grad_enabled()
    # The function of `torch.nn.LSTM`.
    y, _, _ = torch._VF.lstm(
        x, (zeros, zeros), kernels + biases, True, 1, 0.0, training, False, True
    )
    return affine(p, "params.dense", y[:, -1])


def dense(p, name, x):
    return F.linear(x, p[name + "_kernel"], p[name + "_bias"])


def gpt2_block(p, i, x, attend):
    """Applies a block to `[n, s, width]`; `attend` maps queries, keys and values of the heads."""
    (n, s, _), b = x.shape, f"params.h.{i}."
    qkv = dense(p, b + "attention.qkv", norm(p, b + "attention_norm", x))
    a = attend(*qkv.view(n, s, 3, HEADS, -1).permute(2, 0, 3, 1, 4))
    x = x + dense(p, b + "attention.output", a.transpose(1, 2).reshape(n, s, -1))
    h = dense(p, b + "feed_forward.hidden", norm(p, b + "feed_forward_norm", x))
    return x + dense(p, b + "feed_forward.output", F.gelu(h, approximate="tanh"))


def gpt2_logits(p, x, positions, attend):
    """Returns the logits behind the tokens `x`; `attend` gets the index of a block as well."""
    x = F.embedding(x, p["params.wte.table"]) + p["params.wpe.table"][positions]
    for i in range(LAYERS):
        x = gpt2_block(p, i, x, lambda q, k, v: attend(i, q, k, v))
    return F.linear(norm(p, "params.ln_f", x), p["params.wte.table"])


def gpt2(p, x):
    causal = lambda _, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return gpt2_logits(p, x, slice(x.shape[1]), causal)


def gpt2_next(p, caches, x, position):
    """Returns the logits behind the token `x` at `position`; writes keys and values to `caches`."""
    seen = torch.arange(CONTEXT) <= position

    def attend(i, q, k, v):
        keys, values = caches[i]
        keys.index_copy_(2, position, k)
        values.index_copy_(2, position, v)
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=seen[None])

    return gpt2_logits(p, x, position, attend)


def gpt2_next_of_slices(p, caches, x, position):
    """As `gpt2_next`, for an integer position: reads the used part of the caches only."""

    def attend(i, q, k, v):
        keys, values = caches[i]
        keys[:, :, position : position + 1] = k
        values[:, :, position : position + 1] = v
        return F.scaled_dot_product_attention(
            q, keys[:, :, : position + 1], values[:, :, : position + 1]
        )

    return gpt2_logits(p, x, position, attend)


def fraud(p, x):
    return affine(p, "2", affine(p, "1", affine(p, "0", x).relu()).relu()).sigmoid()


def parameters(p):
    """Returns the parameters as tensors, with kernels in the layout of PyTorch: [out, in]."""
    turned = {name: v.T if v.ndim == 2 and name.endswith("kernel") else v for name, v in p.items()}
    return {
        name: torch.from_numpy(np.array(v, order="C")).requires_grad_(
            not name.startswith("state.")
        )
        for name, v in turned.items()
    }


class Training:
    def __init__(self, a, f, p):
        self.p = parameters(p)
        # torch.compile fuses the plain form with the rest; eagerly, the fused form is faster.
        trained = [v for v in self.p.values() if v.requires_grad]
        opt = torch.optim.Adam(trained, lr=1e-3, fused=not a.compiled)

        def step(x, y):
            opt.zero_grad(set_to_none=True)
            logits = f(self.p, x)
            loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
            loss.backward()
            opt.step()
            return loss

        self.step = torch.compile(step) if a.compiled else step


def start(a, report, name, f, batch):
    """Prints the losses of the first steps; returns a new training and a batch."""
    p, xs, ys = weights.read(a.weights, name, batch)
    p = weights.with_fused_qkv(p) if name == "gpt2" else p
    xs, ys = torch.from_numpy(xs), torch.from_numpy(ys).long()
    training = Training(a, f, p)
    report.losses(name, batch, [training.step(x, y).item() for x, y in zip(xs, ys)])
    return Training(a, f, p), xs[0], ys[0]


def epochs(a, report):
    training, _, _ = start(a, report, "mlp", mlp, a.batch)
    rng = np.random.default_rng(1)
    x = torch.from_numpy(digits(rng, a.samples))
    y = torch.from_numpy(rng.integers(0, 10, a.samples))
    steps = a.samples // a.batch

    def epoch():
        order = torch.randperm(a.samples)
        for i in range(steps):
            rows = order[i * a.batch : (i + 1) * a.batch]
            loss = training.step(x[rows], y[rows])
        return loss.item()

    report.rate("mlp-train", a.batch, "samples/s", steps * a.batch, epoch)
    report.memory(a.batch, x.nbytes + y.nbytes)


def steps(a, report, name, f):
    training, x, y = start(a, report, name, f, a.batch)
    report.millis(f"{name}-train", a.batch, lambda: training.step(x, y).item())
    infer(a, report.millis, f"{name}-infer", lambda x: f(training.p, x), x)


def decode(a, report):
    p, xs, ys = weights.read(a.weights, a.suite, a.batch)
    p = parameters(weights.with_fused_qkv(p))
    position = (lambda i: torch.tensor([i])) if a.compiled else lambda i: i
    step = torch.compile(gpt2_next) if a.compiled else gpt2_next_of_slices
    text = {"length": 0}

    def follow(x):
        if text["length"] % CONTEXT == 0:
            zeros = lambda: torch.zeros(1, HEADS, CONTEXT, WIDTH // HEADS)
            text["caches"], text["length"] = [(zeros(), zeros()) for _ in range(LAYERS)], 0
        text["length"] += 1
        return step(p, text["caches"], x, position(text["length"] - 1))

    with torch.inference_mode():
        x, y = torch.from_numpy(xs[0]), torch.from_numpy(ys[0]).long()
        logits = torch.cat([follow(x[:, i : i + 1])[0] for i in range(8)])
        report.losses(a.suite, 1, F.cross_entropy(logits, y[0, :8], reduction="none").tolist())
        token = torch.tensor([[1]])
        report.micros(a.suite, 1, lambda: follow(token))


def infer(a, show, task, f, x):
    f = torch.compile(f) if a.compiled else f
    with torch.inference_mode():
        show(task, len(x), lambda: f(x))


def latency(a, report):
    rng = np.random.default_rng(0)
    p = {}
    for i, (n, m) in enumerate([(30, 64), (64, 32), (32, 1)]):
        weights.affine(p, rng, str(i), n, m)
    small = parameters({name: v.astype(np.float32) for name, v in p.items()})
    infer(a, report.micros, "fraud-infer", lambda x: fraud(small, x), torch.rand(a.batch or 1, 30))
    large = parameters(weights.read(a.weights, "mlp", weights.USUAL["mlp"])[0])
    infer(
        a,
        report.micros,
        "mlp-infer",
        lambda x: mlp(large, x).softmax(-1),
        torch.rand(a.batch or 1, 784),
    )


def eager(_, report):
    x, y = torch.rand(8, 8), torch.rand(8, 8)
    report.micros("eager-add", 1, lambda: x + y)
    report.micros("eager-exp", 1, lambda: x.exp())
    report.micros("eager-matmul", 1, lambda: x @ y)


def compile_times(a, report):
    if not a.compiled:
        return
    # Without this, code that earlier processes compiled would be loaded from disk.
    torch._inductor.config.force_disable_caches = True
    for name in weights.USUAL:
        f = NETS[name]
        p, xs, ys = weights.read(a.weights, name, weights.USUAL[name])
        x, y = torch.from_numpy(xs[0]), torch.from_numpy(ys[0]).long()
        training = Training(a, f, p)
        report.row(
            f"{name}-compile", len(x), "ms", [once(lambda: training.step(x, y).item()) * 1e3]
        )


def matmul(_, report):
    for n in [64, 128, 256, 512, 1024, 2048]:
        x, y, out = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)
        report.rate(f"matmul-{n}", 1, "GFLOP/s", 2 * n**3 / 1e9, lambda: torch.mm(x, y, out=out))


NETS = {
    "mlp": mlp,
    "cnn": cnn,
    "transformer": transformer,
    "resnet18": resnet18,
    "lstm": lstm,
    "gpt2": gpt2,
}

if __name__ == "__main__":
    a = arguments()
    torch.set_num_threads(a.threads)
    run(a, globals())
