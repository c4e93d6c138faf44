"""Records parameters after steps of Optax, and rates of its schedules, one row per line.

    python3.13 -m venv venv && venv/bin/pip install optax==0.2.8 jax==0.12.0.1
    venv/bin/python record.py > rows.txt

The row of an optimizer has the parameters after 1, 2, 5 and 20 steps, that of a schedule the rates
after 0 to 40 steps. `src/optim/optax.rs` computes the same.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"

import jax, jax.numpy as jnp, optax

RATE, DECAY = 0.05, 0.1
FACTORED = optax.chain(
    optax.scale_by_factored_rms(min_dim_size_to_factor=2),
    optax.clip_by_block_rms(1.0),
    optax.scale_by_param_block_rms(),
    optax.scale_by_learning_rate(RATE),
)
OPTIMIZERS = {
    "accumulate": optax.MultiSteps(optax.adam(optax.exponential_decay(RATE, 2, 0.5)), 3),
    "adabelief": optax.adabelief(RATE),
    "adadelta": optax.adadelta(1.0),
    "adafactor": optax.adafactor(RATE),
    "adagrad": optax.adagrad(RATE),
    "adam": optax.adam(RATE),
    "adamax": optax.adamax(RATE),
    "adamw": optax.adamw(RATE, weight_decay=DECAY),
    "adaptive": optax.chain(optax.adaptive_grad_clip(0.1), optax.sgd(RATE)),
    "amsgrad": optax.amsgrad(RATE),
    "block_rms": optax.chain(optax.clip_by_block_rms(0.5), optax.sgd(RATE)),
    "centered": optax.rmsprop(RATE, centered=True, momentum=0.9),
    "clip": optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(RATE)),
    "factored": FACTORED,
    "lamb": optax.lamb(RATE, weight_decay=DECAY),
    "lars": optax.lars(10.0, weight_decay=DECAY),
    "lion": optax.lion(RATE, weight_decay=DECAY),
    "masked": optax.chain(
        optax.masked(optax.add_decayed_weights(DECAY), (True, False)), optax.sgd(RATE)
    ),
    "multi_transform": optax.multi_transform(
        {"a": optax.adam(RATE), "b": optax.sgd(RATE, momentum=0.9)}, ("a", "b")
    ),
    "nadam": optax.nadam(RATE),
    "nesterov": optax.sgd(RATE, momentum=0.9, nesterov=True),
    "novograd": optax.novograd(RATE, weight_decay=DECAY),
    "radam": optax.radam(RATE),
    "rmsprop": optax.rmsprop(RATE),
    "schedule_free": optax.contrib.schedule_free_adamw(RATE, weight_decay=DECAY),
    "schedule_free_sgd": optax.contrib.schedule_free_sgd(RATE, b1=0.8),
    "yogi": optax.yogi(RATE),
}
# Those that evaluate the gradient elsewhere, or estimate its changes, get that of one function.
OF_A_FUNCTION = {
    "lbfgs": optax.chain(optax.scale_by_lbfgs(4), optax.scale(-0.5)),
    "sam": optax.contrib.sam(
        optax.adam(RATE),
        optax.chain(optax.contrib.normalize(), optax.sgd(0.5)),
        sync_period=2,
        opaque_mode=True,
    ),
}
SCHEDULES = {
    "cosine_with": optax.cosine_decay_schedule(0.5, 12, 0.1),
    "exponential": optax.exponential_decay(0.5, 6, 0.8),
    "exponential_staircase": optax.exponential_decay(0.5, 6, 0.8, staircase=True),
    "join": optax.join_schedules(
        [optax.linear_schedule(0.0, 1.0, 8), optax.constant_schedule(0.25)], [9]
    ),
    "linear": optax.linear_schedule(0.1, 0.7, 7),
    "one_cycle": optax.cosine_onecycle_schedule(31, 0.5, 0.4, 20.0, 50.0),
    "piecewise_constant": optax.piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.25}),
    "polynomial": optax.polynomial_schedule(0.9, 0.1, 1.5, 20),
    "warmup_cosine": optax.warmup_cosine_decay_schedule(0.1, 0.7, 5, 25, 0.07),
}


def soap(rate, b1=0.95, b2=0.95, epsilon=1e-8, every=5):
    """Returns SOAP, which Optax lacks: algorithm 3 of https://arxiv.org/abs/2409.11321 with the
    conventions of the authors' code, https://github.com/nikhilvyas/SOAP. The first step has no
    update, and vectors move as with Adam."""

    def project(x, bases):
        return x if bases is None else bases[0].T @ x @ bases[1]

    def back(x, bases):
        return x if bases is None else bases[0] @ x @ bases[1].T

    def outer(g):
        return g @ g.T, g.T @ g

    def init(params):
        m, v = ([jnp.zeros_like(p) for p in params] for _ in "mv")
        return {"t": 0, "m": m, "v": v, "averages": [None, None], "bases": [None, None]}

    def update(grads, state, params=None):
        t, updates, new = state["t"], [], init(grads) | {"t": state["t"] + 1}
        for i, g in enumerate(grads):
            m, v, bases = state["m"][i], state["v"][i], state["bases"][i]
            if t > 0:
                m = b1 * m + (1 - b1) * g
                v = b2 * v + (1 - b2) * project(g, bases) ** 2
                root = jnp.sqrt(v / (1 - b2**t)) + epsilon
                direction = project(m, bases) / (1 - b1**t) / root
                updates.append(-rate * back(direction, bases))
            else:
                updates.append(jnp.zeros_like(g))
            if g.ndim == 2:
                old = state["averages"][i] or [0.0, 0.0]
                averages = [b2 * a + (1 - b2) * x for a, x in zip(old, outer(g))]
                if t == 0:
                    bases = [jnp.linalg.eigh(a)[1][:, ::-1] for a in averages]
                elif t % every == 0:
                    sizes = [jnp.diag(q.T @ a @ q) for q, a in zip(bases, averages)]
                    orders = [jnp.argsort(-x) for x in sizes]
                    v = v[orders[0]][:, orders[1]]
                    bases = [
                        jnp.linalg.qr(a @ q[:, order])[0]
                        for q, a, order in zip(bases, averages, orders)
                    ]
                new["averages"][i] = averages
            new["m"][i], new["v"][i], new["bases"][i] = m, v, bases
        return tuple(updates), new

    return optax.GradientTransformation(init, update)


def gradients(params, t):
    """Returns gradients that depend on the parameters and change from step to step."""
    matrix, vector = params
    waves = jnp.cos(3.0 * t + jnp.arange(8.0))
    return 0.5 * matrix + waves[:6].reshape(2, 3), 0.5 * vector + waves[6:]


def function(params):
    """Returns a function with different curvatures."""
    matrix, vector = params
    return jnp.sum(matrix**2 * jnp.arange(1.0, 7.0).reshape(2, 3)) / 8 + jnp.sum(
        jnp.cosh(vector - matrix[:, 0])
    )


def steps(optimizer, of_a_function=False):
    params = jnp.array([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]]), jnp.array([0.5, -0.25])
    state, values = optimizer.init(params), []
    for t in range(1, 21):
        if of_a_function:
            grads = jax.grad(function)(params)
            extra = {"grad_fn": lambda p, _: jax.grad(function)(p)}
        else:
            grads, extra = gradients(params, t), {}
        optimizer = optax.with_extra_args_support(optimizer)
        updates, state = optimizer.update(grads, state, params, **extra)
        params = optax.apply_updates(params, updates)
        if t in (1, 2, 5, 20):
            values += [x for p in params for x in p.ravel().tolist()]
    return values


def row(name, values):
    print(name, *(f"{x:.9g}" for x in values))


for name, optimizer in OPTIMIZERS.items():
    row(name, steps(optimizer))
row("soap", steps(soap(RATE)))
for name, optimizer in OF_A_FUNCTION.items():
    row(name, steps(optimizer, of_a_function=True))
for name, schedule in SCHEDULES.items():
    row(name, [float(schedule(jnp.float64(t))) for t in range(41)])
