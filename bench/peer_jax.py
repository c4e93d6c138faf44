"""The tasks of neurax-bench in JAX with optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.experimental.sparse import BCOO

import peer_numpy
import weights
from common import (
    CONTEXT,
    DENSE_COLUMNS,
    HEADS,
    LAYERS,
    SPARSE_ROWS,
    STAGES,
    UNITS,
    WIDTH,
    arguments,
    digits,
    once,
    run,
)

ADAM = optax.adam(1e-3)


def affine(p, name, x):
    return x @ p[name + ".kernel"] + p[name + ".bias"]


def norm(p, name, x):
    centred = x - x.mean(-1, keepdims=True)
    return (
        centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p[name + ".scale"]
        + p[name + ".bias"]
    )


def mlp(p, x):
    return affine(p, "out", jax.nn.relu(affine(p, "hidden", x)))


def cnn(p, x):
    for i in range(2):
        y = lax.conv_general_dilated(
            x, p[f"convs.{i}.kernel"], (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")
        )
        y = jax.nn.relu(y + p[f"convs.{i}.bias"][:, None, None])
        x = lax.reduce_window(y, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return affine(p, "out", jax.nn.relu(affine(p, "hidden", x.reshape(len(x), -1))))


def transformer(p, x):
    n, s = x.shape
    seen = jnp.tril(jnp.ones((s, s), bool))
    x = p["tokens"][x] + p["positions"]
    for i in range(LAYERS):
        b = f"blocks.{i}."
        q, k, v = jnp.moveaxis(
            affine(p, b + "qkv", norm(p, b + "attention_norm", x)).reshape(n, s, 3, HEADS, -1), 2, 0
        )
        scores = jnp.where(seen, jnp.einsum("bshd,bthd->bhst", q, k) / np.sqrt(q.shape[-1]), -1e9)
        x = x + affine(
            p,
            b + "attention_out",
            jnp.einsum("bhst,bthd->bshd", jax.nn.softmax(scores), v).reshape(n, s, -1),
        )
        x = x + affine(
            p, b + "mlp_down", jax.nn.gelu(affine(p, b + "mlp_up", norm(p, b + "mlp_norm", x)))
        )
    return affine(p, "out", norm(p, "norm", x))


def conv_norm(p, x, conv, norm, new, stride=1):
    """Convolves and normalizes. With `new`, uses the batch's statistics, and sets the new state."""
    kernel = p[f"params.{conv}.kernel"]
    pad = kernel.shape[-1] // 2
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NCHW", "OIHW", "NCHW")
    )
    mean, var = p[f"state.{norm}.mean"], p[f"state.{norm}.var"]
    if new is not None:
        now = y.mean((0, 2, 3)), y.var((0, 2, 3))
        n = y.size // y.shape[1]
        new[f"state.{norm}.mean"] = 0.9 * mean + 0.1 * now[0]
        new[f"state.{norm}.var"] = 0.9 * var + 0.1 * now[1] * n / (n - 1)
        mean, var = now
    scale = p[f"params.{norm}.scale"] * lax.rsqrt(var + 1e-5)
    bias = p[f"params.{norm}.bias"] - mean * scale
    return y * scale[:, None, None] + bias[:, None, None]


def resnet18(p, x, new=None):
    x = jax.nn.relu(conv_norm(p, x, "conv1", "bn1", new))
    for stage in range(len(STAGES)):
        for i in range(2):
            b, stride = f"layer{stage + 1}.{i}.", 2 if stage > 0 and i == 0 else 1
            y = jax.nn.relu(conv_norm(p, x, b + "conv1", b + "bn1", new, stride))
            y = conv_norm(p, y, b + "conv2", b + "bn2", new)
            if stride > 1:
                x = conv_norm(p, x, b + "downsample.0", b + "downsample.1", new, stride)
            x = jax.nn.relu(x + y)
    return affine(p, "params.fc", x.mean((2, 3)))


def lstm(p, x):
    xs = jnp.swapaxes(affine(p, "params.lstm", x), 0, 1)

    def step(state, x):
        h, c = state
        i, f, g, o = jnp.split(x + h @ p["params.lstm.recurrent_kernel"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), UNITS))
    (h, _), _ = lax.scan(step, (zeros, zeros), xs)
    return affine(p, "params.dense", h)


def dense(p, name, x):
    return x @ p[name + "_kernel"] + p[name + "_bias"]


def attention(q, k, v, seen):
    scores = jnp.einsum("bshd,bthd->bhst", q, k) / np.sqrt(q.shape[-1])
    weights = jax.nn.softmax(jnp.where(seen, scores, -1e9))
    return jnp.einsum("bhst,bthd->bshd", weights, v)


def gpt2_block(p, i, x, attend):
    (n, s, _), b = x.shape, f"params.h.{i}."
    qkv = dense(p, b + "attention.qkv", norm(p, b + "attention_norm", x))
    a = attend(*jnp.moveaxis(qkv.reshape(n, s, 3, HEADS, -1), 2, 0))
    x = x + dense(p, b + "attention.output", a.reshape(n, s, -1))
    h = dense(p, b + "feed_forward.hidden", norm(p, b + "feed_forward_norm", x))
    return x + dense(p, b + "feed_forward.output", jax.nn.gelu(h))


def gpt2_logits(p, x, positions, attend):
    """Returns the logits behind the tokens `x`; `attend` gets the index of a block as well."""
    x = p["params.wte.table"][x] + p["params.wpe.table"][positions]
    for i in range(LAYERS):
        x = gpt2_block(p, i, x, lambda q, k, v: attend(i, q, k, v))
    return norm(p, "params.ln_f", x) @ p["params.wte.table"].T


def gpt2(p, x):
    s = x.shape[1]
    seen = jnp.tril(jnp.ones((s, s), bool))
    return gpt2_logits(p, x, slice(s), lambda _, q, k, v: attention(q, k, v, seen))


def gpt2_next(p, caches, x, position):
    """Returns the caches with the token `x` at `position`, and the logits behind it."""
    seen, new = jnp.arange(CONTEXT) <= position, []

    def attend(i, q, k, v):
        keys, values = (
            lax.dynamic_update_slice(cache, part, (0, position, 0, 0))
            for cache, part in zip(caches[i], (k, v))
        )
        new.append((keys, values))
        return attention(q, keys, values, seen)

    return new, gpt2_logits(p, x, position, attend)


def fraud(p, x):
    return jax.nn.sigmoid(
        affine(p, "2", jax.nn.relu(affine(p, "1", jax.nn.relu(affine(p, "0", x)))))
    )


def stepped(f):
    """Returns the training step of `f`: `(state, batch)` to `(state, loss)`."""

    def loss(p, fixed, x, y):
        new = {}
        logits = f(p | fixed, x, new) if fixed else f(p, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), new

    def step(state, batch):
        p, fixed, opt = state
        (value, new), grads = jax.value_and_grad(loss, has_aux=True)(p, fixed, *batch)
        updates, opt = ADAM.update(grads, opt, p)
        return (optax.apply_updates(p, updates), new, opt), value

    return step


def begin(p):
    """Returns the state of a training: what is trained, the rest, and the optimizer's state."""
    p = jax.tree.map(jnp.asarray, p)
    fixed = {name: p.pop(name) for name in list(p) if name.startswith("state.")}
    return p, fixed, ADAM.init(p)


def start(a, report, name, f, batch):
    """Prints the losses of the first steps; returns the compiled step, the weights and a batch."""
    p, xs, ys = weights.read(a.weights, name, batch)
    p = weights.with_fused_qkv(p) if name == "gpt2" else p
    step = jax.jit(stepped(f), donate_argnums=0)
    state, losses = begin(p), []
    for batch_of_step in zip(xs, ys):
        state, loss = step(state, batch_of_step)
        losses.append(float(loss))
    report.losses(name, batch, losses)
    return step, p, jnp.asarray(xs[0]), jnp.asarray(ys[0])


def epochs(a, report):
    step, p, _, _ = start(a, report, "mlp", mlp, a.batch)
    rng = np.random.default_rng(1)
    x, y = (
        jnp.asarray(digits(rng, a.samples)),
        jnp.asarray(rng.integers(0, 10, a.samples).astype(np.int32)),
    )
    steps = a.samples // a.batch

    @jax.jit
    def epoch(state, x, y, order):
        return lax.scan(lambda s, rows: stepped(mlp)(s, (x[rows], y[rows])), state, order)

    now = {"state": begin(p), "key": jax.random.key(1)}

    def order():
        now["key"], key = jax.random.split(now["key"])
        return jax.random.permutation(key, a.samples)[: steps * a.batch].reshape(steps, a.batch)

    def whole():
        now["state"], losses = epoch(now["state"], x, y, order())
        return float(losses[-1])

    report.rate("mlp-train", a.batch, "samples/s", steps * a.batch, whole)
    report.memory(a.batch, x.nbytes + y.nbytes)
    now["state"] = begin(p)
    # NumPy gathers the rows, which is faster here than a call of JAX for each batch.
    hx, hy = np.asarray(x), np.asarray(y)

    def by_steps():
        for rows in np.asarray(order()):
            now["state"], loss = step(now["state"], (hx[rows], hy[rows]))
        return float(loss)

    report.rate("mlp-train-steps", a.batch, "samples/s", steps * a.batch, by_steps)


def steps(a, report, name, f):
    step, p, x, y = start(a, report, name, f, a.batch)
    now = {"state": begin(p)}

    def train():
        now["state"], loss = step(now["state"], (x, y))
        return float(loss)

    report.millis(f"{name}-train", a.batch, train)
    infer(report.millis, f"{name}-infer", f, p, x)


def decode(a, report):
    p, xs, ys = weights.read(a.weights, a.suite, a.batch)
    p = jax.tree.map(jnp.asarray, weights.with_fused_qkv(p))
    step = jax.jit(lambda caches, x, position: gpt2_next(p, caches, x, position), donate_argnums=0)
    text = {"length": 0}

    def follow(x):
        if text["length"] % CONTEXT == 0:
            zeros = lambda: jnp.zeros((1, CONTEXT, HEADS, WIDTH // HEADS))
            text["caches"], text["length"] = [(zeros(), zeros()) for _ in range(LAYERS)], 0
        text["caches"], logits = step(text["caches"], x, text["length"])
        text["length"] += 1
        return logits.block_until_ready()

    logits = jnp.stack([follow(xs[0][:, i : i + 1])[0, 0] for i in range(8)])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, ys[0][0, :8])
    report.losses(a.suite, 1, losses.tolist())
    token = jnp.ones((1, 1), jnp.int32)
    report.micros(a.suite, 1, lambda: follow(token))


def infer(show, task, f, p, x):
    p = jax.tree.map(jnp.asarray, p)
    compiled = jax.jit(lambda x: f(p, x))
    show(task, len(x), lambda: compiled(x).block_until_ready())


def latency(a, report):
    rng = np.random.default_rng(0)
    small = {}
    for i, (n, m) in enumerate([(30, 64), (64, 32), (32, 1)]):
        weights.affine(small, rng, str(i), n, m)
    small = {name: v.astype(np.float32) for name, v in small.items()}
    infer(
        report.micros,
        "fraud-infer",
        fraud,
        small,
        jnp.asarray(rng.random((a.batch or 1, 30), dtype=np.float32)),
    )
    large = weights.read(a.weights, "mlp", weights.USUAL["mlp"])[0]
    infer(
        report.micros,
        "mlp-infer",
        lambda p, x: jax.nn.softmax(mlp(p, x)),
        large,
        jnp.asarray(rng.random((a.batch or 1, 784), dtype=np.float32)),
    )


def eager(_, report):
    x, y = jnp.ones((8, 8)), jnp.ones((8, 8))
    report.micros("eager-add", 1, lambda: (x + y).block_until_ready())
    report.micros("eager-exp", 1, lambda: jnp.exp(x).block_until_ready())
    report.micros("eager-matmul", 1, lambda: (x @ y).block_until_ready())
    call = jax.jit(lambda x, y: x + y)
    report.micros("jit-call", 1, lambda: call(x, y).block_until_ready())


def compile_times(a, report):
    for name in weights.USUAL:
        f = NETS[name]
        p, xs, ys = weights.read(a.weights, name, weights.USUAL[name])
        like = (begin(p), (xs[0], ys[0]))
        step = jax.jit(stepped(f), donate_argnums=0)
        report.row(
            f"{name}-compile", len(xs[0]), "ms", [once(lambda: step.lower(*like).compile()) * 1e3]
        )


def sparse(_, report):
    values, rows, columns = peer_numpy.matrix()
    n = SPARSE_ROWS
    indices = jnp.stack([jnp.asarray(rows), jnp.asarray(columns)], axis=1)
    a = BCOO((jnp.asarray(values), indices), shape=(n, n), indices_sorted=True)
    x = jnp.asarray(np.random.default_rng(4).random((n, DENSE_COLUMNS), dtype=np.float32))
    vector, product = x[:, 0], jax.jit(lambda a, x: a @ x)
    report.millis("sparse-matvec", 1, lambda: product(a, vector).block_until_ready())
    report.millis("sparse-matmul", 1, lambda: product(a, x).block_until_ready())


def matmul(_, report):
    product = jax.jit(jnp.matmul)
    for n in [64, 128, 256, 512, 1024, 2048]:
        x, y = (jnp.asarray(np.random.rand(n, n).astype(np.float32)) for _ in range(2))
        report.rate(
            f"matmul-{n}", 1, "GFLOP/s", 2 * n**3 / 1e9, lambda: product(x, y).block_until_ready()
        )


def functions(report, name, f, *xs):
    call = jax.jit(f)
    report.millis(name, 1, lambda: jax.block_until_ready(call(*xs)))


def linalg(_, report):
    jax.config.update("jax_enable_x64", True)
    for n in [200, 1000]:
        a = jnp.asarray(np.random.rand(n, n) * 2 - 1)
        functions(report, f"eigh-{n}", jnp.linalg.eigh, a + a.T)
        functions(
            report, f"svd-{n}", lambda x: jnp.linalg.svd(x, full_matrices=False), a
        )
    functions(report, "solve-1000", jnp.linalg.solve, a, a[0])
    a = jnp.asarray(np.random.rand(100_000, 4, 4) * 2 - 1)
    a = a @ a.transpose(0, 2, 1) + jnp.eye(4)
    functions(report, "cholesky-4", jnp.linalg.cholesky, a)


def fft(_, report):
    for n in [2**16, 2**16 + 1]:
        x = jnp.asarray(np.random.rand(n).astype(np.complex64))
        functions(report, f"fft-{n}", jnp.fft.fft, x)
    x = jnp.asarray(np.random.rand(1000, 1000).astype(np.complex64))
    functions(report, "fft2-1000", jnp.fft.fft2, x)


def sort(_, report):
    x = jnp.asarray(np.random.rand(1_000_000).astype(np.float32))
    functions(report, "sort-1000000", jnp.sort, x)


def random(_, report):
    draw = lambda key: jax.random.normal(key, (10_000_000,))
    functions(report, "normal-10000000", draw, jax.random.PRNGKey(1))


NETS = {
    "mlp": mlp,
    "cnn": cnn,
    "transformer": transformer,
    "resnet18": resnet18,
    "lstm": lstm,
    "gpt2": gpt2,
}

if __name__ == "__main__":
    run(arguments(), globals())
