"""The tasks of neurax-bench in JAX with optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

import weights
from common import HEADS, LAYERS, arguments, digits, once, run

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


def fraud(p, x):
    return jax.nn.sigmoid(
        affine(p, "2", jax.nn.relu(affine(p, "1", jax.nn.relu(affine(p, "0", x)))))
    )


def stepped(f):
    """Returns the training step of `f`: `(state, batch)` to `(state, loss)`."""

    def loss(p, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(f(p, x), y).mean()

    def step(state, batch):
        p, opt = state
        value, grads = jax.value_and_grad(loss)(p, *batch)
        updates, opt = ADAM.update(grads, opt, p)
        return (optax.apply_updates(p, updates), opt), value

    return step


def begin(p):
    p = jax.tree.map(jnp.asarray, p)
    return p, ADAM.init(p)


def start(a, report, name, f, batch):
    """Prints the losses of the first steps; returns the compiled step, the weights and a batch."""
    p, xs, ys = weights.read(a.weights, name, batch)
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
    for name, f in NETS.items():
        p, xs, ys = weights.read(a.weights, name, weights.USUAL[name])
        like = (begin(p), (xs[0], ys[0]))
        step = jax.jit(stepped(f), donate_argnums=0)
        report.row(
            f"{name}-compile", len(xs[0]), "ms", [once(lambda: step.lower(*like).compile()) * 1e3]
        )


def matmul(_, report):
    product = jax.jit(jnp.matmul)
    for n in [64, 128, 256, 512, 1024, 2048]:
        x, y = (jnp.asarray(np.random.rand(n, n).astype(np.float32)) for _ in range(2))
        report.rate(
            f"matmul-{n}", 1, "GFLOP/s", 2 * n**3 / 1e9, lambda: product(x, y).block_until_ready()
        )


NETS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}

if __name__ == "__main__":
    run(arguments(), globals())
