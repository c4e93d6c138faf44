"""Records parameters after steps of Optax, and rates of its schedules, one row per line.

    python3.11 -m venv venv && venv/bin/pip install -r ../torch/record/requirements.txt
    venv/bin/python record.py > rows.txt

The row of an optimizer has the parameters after 1, 2, 5 and 20 steps, that of a schedule the rates
after 0 to 40 steps. `src/optim/optax.rs` computes the same. `references.py` has the
optimizers that Optax does not have.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"

import jax, jax.numpy as jnp, numpy as np, optax
import references

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
    "centralize_at": optax.chain(optax.centralize(), optax.sgd(RATE)),
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
# The same with other options than the usual ones.
OPTIMIZERS |= {
    "adabelief_options": optax.adabelief(RATE, b1=0.8, b2=0.95, eps=1e-4, eps_root=1e-3),
    "adadelta_options": optax.adadelta(1.0, rho=0.8, eps=1e-3),
    "adagrad_options": optax.adagrad(RATE, initial_accumulator_value=1.0, eps=1e-2),
    "adam_options": optax.adam(RATE, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-2),
    "adamax_options": optax.adamax(RATE, b1=0.8, b2=0.95, eps=1e-2),
    "adamw_options": optax.adamw(
        RATE, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-2, weight_decay=DECAY, mask=(True, False)
    ),
    "amsgrad_options": optax.amsgrad(RATE, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-2),
    "centered_options": optax.rmsprop(RATE, decay=0.8, eps=1e-3, initial_scale=4.0, centered=True),
    "lamb_options": optax.chain(
        optax.scale_by_adam(b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-2),
        optax.add_decayed_weights(DECAY),
        optax.scale_by_trust_ratio(min_norm=2.0),
        optax.scale_by_learning_rate(RATE),
    ),
    "lars_options": optax.lars(
        10.0, DECAY, trust_coefficient=0.002, eps=1e-2, momentum=0.8, nesterov=True
    ),
    "lion_options": optax.lion(RATE, b1=0.8, b2=0.9, weight_decay=0.0),
    "nadam_options": optax.nadam(RATE, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-2),
    "novograd_options": optax.novograd(
        RATE, b1=0.8, b2=0.5, eps=1e-3, eps_root=1e-1, weight_decay=DECAY
    ),
    "radam_options": optax.radam(RATE, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-2, threshold=7.0),
    "rmsprop_options": optax.rmsprop(
        RATE, decay=0.8, eps=1e-3, initial_scale=0.5, momentum=0.9, nesterov=True
    ),
    "yogi_options": optax.chain(
        optax.scale_by_yogi(0.8, 0.95, 1e-2, eps_root=1e-2, initial_accumulator_value=0.1),
        optax.scale_by_learning_rate(RATE),
    ),
}


def decayed(direction, rate=RATE, behind=()):
    """Returns a direction with decoupled weight decay, a rate, and links behind it."""
    decay = optax.add_decayed_weights(DECAY)
    return optax.chain(direction, decay, optax.scale_by_learning_rate(rate), *behind)


OPTIMIZERS |= {
    "adabelief_decay": decayed(optax.scale_by_belief()),
    "adadelta_decay": decayed(optax.scale_by_adadelta(), 0.5),
    "adafactor_decay": decayed(
        optax.chain(
            optax.scale_by_factored_rms(decay_rate=0.7, min_dim_size_to_factor=2, epsilon=1e-3),
            optax.clip_by_block_rms(0.5),
            optax.scale_by_param_block_rms(0.7),
        )
    ),
    "adagrad_decay": decayed(optax.scale_by_rss(0.1, 1e-7)),
    "adamax_decay": optax.adamaxw(RATE, weight_decay=DECAY),
    "amsgrad_decay": decayed(optax.scale_by_amsgrad()),
    "momentum_decay": decayed(optax.trace(0.9)),
    "nadam_decay": optax.nadamw(RATE, weight_decay=DECAY),
    "radam_decay": decayed(optax.scale_by_radam()),
    "rmsprop_decay": decayed(optax.scale_by_rms(), behind=(optax.trace(0.9),)),
    "yogi_decay": decayed(optax.scale_by_yogi()),
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
    "cosine_restarts": optax.sgdr_schedule(
        [
            {
                "init_value": 0.5 * (0.1 + 0.9 * 0.8**i),
                "peak_value": 0.5 * (0.1 + 0.9 * 0.8**i),
                "warmup_steps": 0,
                "decay_steps": 5 * 2**i,
                "end_value": 0.05,
            }
            for i in range(4)
        ]
    ),
    "cosine_with": optax.cosine_decay_schedule(0.5, 12, 0.1),
    "cyclic": references.cyclic(0.1, 0.4, 7),
    "exponential": optax.exponential_decay(0.5, 6, 0.8),
    "exponential_staircase": optax.exponential_decay(0.5, 6, 0.8, staircase=True),
    "inverse_sqrt": references.inverse_sqrt(0.3, 5),
    "join": optax.join_schedules(
        [optax.linear_schedule(0.0, 1.0, 8), optax.constant_schedule(0.25)], [9]
    ),
    "linear": optax.linear_schedule(0.1, 0.7, 7),
    "one_cycle": optax.cosine_onecycle_schedule(31, 0.5, 0.4, 20.0, 50.0),
    "piecewise_constant": optax.piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.25}),
    "polynomial": optax.polynomial_schedule(0.9, 0.1, 1.5, 20),
    "warmup": optax.join_schedules(
        [optax.linear_schedule(0.1, 0.5, 4), optax.cosine_decay_schedule(0.5, 20)], [5]
    ),
    "warmup_cosine": optax.warmup_cosine_decay_schedule(0.1, 0.7, 5, 25, 0.07),
}


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


START = jnp.array([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]]), jnp.array([0.5, -0.25])


def recorded(trajectory):
    """Returns the numbers of the steps that a row has, of the parameters after each of 20 steps."""
    chosen = [params for t, params in enumerate(trajectory, 1) if t in (1, 2, 5, 20)]
    return [x for params in chosen for p in params for x in np.ravel(p).tolist()]


def trajectory(optimizer, of_a_function=False):
    """Yields the parameters after each of 20 steps."""
    params, state = START, optimizer.init(START)
    optimizer = optax.with_extra_args_support(optimizer)
    for t in range(1, 21):
        if of_a_function:
            grads = jax.grad(function)(params)
            extra = {"grad_fn": lambda p, _: jax.grad(function)(p)}
        else:
            grads, extra = gradients(params, t), {}
        updates, state = optimizer.update(grads, state, params, **extra)
        params = optax.apply_updates(params, updates)
        yield params


def lookahead(fast, period, rate):
    """Yields the parameters after each of 20 steps of Optax's Lookahead."""
    optimizer = optax.lookahead(fast, period, rate)
    params = optax.LookaheadParams.init_synced(START)
    state = optimizer.init(params)
    for t in range(1, 21):
        updates, state = optimizer.update(gradients(params.fast, t), state, params)
        params = optax.apply_updates(params, updates)
        yield params.fast


def averages(optimizer, decay):
    """Yields the moving averages of the parameters after each of 20 steps."""
    average = START
    for params in trajectory(optimizer):
        average = optax.incremental_update(params, average, 1 - decay)
        yield average


def deviations_of_noise(eta, gamma):
    """Returns the standard deviations of Optax's noise in steps 1 to 20, exactly: each number of
    the normal distribution is replaced by 1, so that the noise is its deviation."""
    normal, zeros = jax.random.normal, jnp.zeros(1)
    jax.random.normal = lambda key, shape, dtype, **_: jnp.ones(shape, dtype)
    optimizer = optax.add_noise(eta, gamma, 0)
    state, found = optimizer.init(zeros), []
    for _ in range(20):
        updates, state = optimizer.update(zeros, state)
        found += updates.tolist()
    jax.random.normal = normal
    return found


def minima_of_lbfgs(f, start):
    """Returns the values of `f` after 0 to 20 steps of Optax's L-BFGS with its line search."""
    optimizer, params = optax.lbfgs(memory_size=5), jnp.array(start)
    state, values = optimizer.init(params), []
    value_and_grad = optax.value_and_grad_from_state(f)
    for _ in range(21):
        value, grad = value_and_grad(params, state=state)
        values.append(float(value))
        updates, state = optimizer.update(
            grad, state, params, value=value, grad=grad, value_fn=f
        )
        params = optax.apply_updates(params, updates)
    return values


def row(name, values):
    print(name, *(f"{x:.9g}" for x in values))


for name, optimizer in OPTIMIZERS.items():
    row(name, recorded(trajectory(optimizer)))
row("soap", recorded(trajectory(references.soap(RATE))))
row("shampoo", recorded(trajectory(references.shampoo(RATE, epsilon=1e-3, every=3))))
row("soap_decay", recorded(trajectory(references.soap(RATE, decay=DECAY))))
shampoo = references.shampoo(RATE, epsilon=1e-3, every=3, weight_decay=DECAY)
row("shampoo_decay", recorded(trajectory(shampoo)))
row("centralize", recorded(trajectory(references.centralize_columns(RATE))))
row("muon", recorded(references.muon(START, gradients, RATE)))
row("muon_options", recorded(references.muon(START, gradients, RATE, 0.02, 0.9, DECAY)))
row("lookahead", recorded(lookahead(optax.adam(RATE), 3, 0.8)))
row("average_weights", recorded(averages(optax.adam(RATE), 0.9)))
row("add_noise", deviations_of_noise(0.5, 0.55))
for name, optimizer in OF_A_FUNCTION.items():
    row(name, recorded(trajectory(optimizer, of_a_function=True)))
for name, (f, start) in references.FUNCTIONS.items():
    row(f"lbfgs_{name}", references.lbfgs(f, start, 5, 20))
    row(f"lbfgs_{name}_optax", minima_of_lbfgs(f, start))
for name, schedule in SCHEDULES.items():
    row(name, [float(schedule(jnp.float64(t))) for t in range(41)])
