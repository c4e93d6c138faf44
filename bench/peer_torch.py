"""The tasks of neurax-bench in PyTorch, eager or with torch.compile."""

import numpy as np
import torch
import torch._inductor.config
import torch.nn.functional as F

import weights
from common import HEADS, LAYERS, arguments, digits, once, run


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


def fraud(p, x):
    return affine(p, "2", affine(p, "1", affine(p, "0", x).relu()).relu()).sigmoid()


def parameters(p):
    """Returns the parameters as tensors, with kernels in the layout of PyTorch: [out, in]."""
    turned = {name: v.T if v.ndim == 2 and name.endswith(".kernel") else v for name, v in p.items()}
    return {
        name: torch.from_numpy(np.array(v, order="C")).requires_grad_()
        for name, v in turned.items()
    }


class Training:
    def __init__(self, a, f, p):
        self.p = parameters(p)
        # torch.compile fuses the plain form with the rest; eagerly, the fused form is faster.
        opt = torch.optim.Adam(self.p.values(), lr=1e-3, fused=not a.compiled)

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
    for name, f in NETS.items():
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


NETS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}

if __name__ == "__main__":
    a = arguments()
    torch.set_num_threads(a.threads)
    run(a, globals())
