"""Optimizers and schedules that Optax lacks, or has in another form, from the sources that each of
them names."""

import jax, jax.numpy as jnp, numpy as np, optax, torch
from transformers import get_inverse_sqrt_schedule


def soap(rate, b1=0.95, b2=0.95, epsilon=1e-8, every=5, decay=0.0):
    """Returns SOAP, which Optax lacks: algorithm 3 of https://arxiv.org/abs/2409.11321 with the
    conventions of the authors' code, https://github.com/nikhilvyas/SOAP. The first step has no
    direction, and vectors move as with Adam. Weight decay is decoupled, in every step."""

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
                updates.append(-rate * (back(direction, bases) + decay * params[i]))
            else:
                updates.append(-rate * decay * params[i])
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


def shampoo(rate, epsilon, every, decay=0.999, weight_decay=0.0):
    """Returns Shampoo, https://arxiv.org/abs/1802.09568, with averages in place of sums, a momentum
    of 0.9, and each direction scaled to the norm of that of Adam, as in section 3 of
    https://arxiv.org/abs/2002.09018. The inverse roots are those of NumPy's eigenvalues. Weight
    decay is decoupled."""
    adam = optax.scale_by_adam()

    def inverse_fourth_root(a):
        a = a + epsilon * np.trace(a) / len(a) * np.eye(len(a))
        values, vectors = np.linalg.eigh(a)
        return vectors @ np.diag(values**-0.25) @ vectors.T

    def init(params):
        averages = [[np.zeros((n, n)) for n in p.shape] for p in params]
        return {"t": 0, "adam": adam.init(params), "averages": averages, "roots": None}

    def update(grads, state, params=None):
        directions, adam_state = adam.update(grads, state["adam"])
        averages, roots, updates = [], [], []
        for i, (g, m, d) in enumerate(zip(grads, adam_state.mu, directions)):
            g = np.asarray(g)
            if g.ndim == 1:
                averages.append(None), roots.append(None), updates.append(-rate * d)
                continue
            old = state["averages"][i]
            new = [decay * a + (1 - decay) * x for a, x in zip(old, (g @ g.T, g.T @ g))]
            is_due = state["t"] % every == 0
            root = [inverse_fourth_root(a) for a in new] if is_due else state["roots"][i]
            u = root[0] @ np.asarray(m) @ root[1]
            u *= np.linalg.norm(d) / np.linalg.norm(u)
            averages.append(new), roots.append(root), updates.append(-rate * jnp.array(u))
        updates = [u - rate * weight_decay * p for u, p in zip(updates, params)]
        state = {"t": state["t"] + 1, "adam": adam_state, "averages": averages, "roots": roots}
        return tuple(updates), state

    return optax.GradientTransformation(init, update)


def centralize_columns(rate):
    """Returns gradient descent with Optax's `centralize` of the transposed gradients: our kernels
    of dense layers are `[inputs, units]`."""
    transposed = lambda tree: jax.tree.map(jnp.transpose, tree)
    inner = optax.centralize()
    update = lambda g, s, p=None: (transposed(inner.update(transposed(g), s)[0]), s)
    return optax.chain(optax.GradientTransformation(inner.init, update), optax.sgd(rate))


def muon(params, gradients, rate, adam_rate=None, momentum=0.95, decay=0.0):
    """Yields the parameters after 20 steps of PyTorch's Muon for the matrix, and of its AdamW for
    the vector. PyTorch's matrices are `[outputs, inputs]`, and it iterates in bf16, which is
    replaced by f64. Optax's Muon, unlike PyTorch's and its author's, corrects averages for their
    bias."""
    matrix, vector = (torch.nn.Parameter(torch.tensor(np.array(p.T))) for p in params)
    optimizers = [
        torch.optim.Muon([matrix], lr=rate, momentum=momentum, weight_decay=decay),
        torch.optim.AdamW([vector], lr=adam_rate or rate, weight_decay=decay),
    ]
    as_bf16, torch.Tensor.bfloat16 = torch.Tensor.bfloat16, torch.Tensor.double
    for t in range(1, 21):
        params = tuple(jnp.array(p.detach().numpy().T) for p in (matrix, vector))
        for p, g in zip((matrix, vector), gradients(params, t)):
            p.grad = torch.tensor(np.array(g.T))
        for optimizer in optimizers:
            optimizer.step()
        yield [p.detach().numpy().T.copy() for p in (matrix, vector)]
    torch.Tensor.bfloat16 = as_bf16


# Functions to minimize, and the parameters to start from.
FUNCTIONS = {
    "quadratic": (
        lambda p: 50 * (p[0] - 1) ** 2 + 5 * (p[1] + 2) ** 2 + (p[0] + p[1] + p[2] - 3) ** 2 / 2,
        [4.0, -1.0, 0.5],
    ),
    "rosenbrock": (lambda p: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2, [-1.2, 1.0]),
}


def lbfgs(f, start, history, steps):
    """Returns the parameters after each step of L-BFGS: algorithm 7.4 of Nocedal and Wright,
    Numerical Optimization, 2006, with the line search of section 3 of Lewis and Overton,
    https://doi.org/10.1007/s10107-012-0514-2, for the weak Wolfe conditions (1e-4 and 0.9)."""
    value_and_grad = jax.jit(jax.value_and_grad(f))
    x, pairs, found = np.array(start), [], []
    value, g = value_and_grad(x)
    for _ in range(steps):
        q, products = np.array(g), []
        for s, y in reversed(pairs):
            products.append(s @ q / (s @ y))
            q -= products[-1] * y
        s, y = pairs[-1] if pairs else (np.array(g), np.array(g) * max(1, np.linalg.norm(g)))
        q *= s @ y / (y @ y)
        for (s, y), product in zip(pairs, reversed(products)):
            q += s * (product - y @ q / (s @ y))
        low, high, size = 0.0, np.inf, 1.0
        while True:
            new_value, new_g = value_and_grad(x - size * q)
            if new_value > value - 1e-4 * size * (g @ q):
                high = size
            elif -(new_g @ q) < -0.9 * (g @ q):
                low = size
            else:
                break
            size = (low + high) / 2 if np.isfinite(high) else 2 * low
        s, y = -size * q, np.array(new_g - g)
        x, value, g = x + s, new_value, new_g
        if s @ y > 0:
            pairs = [*pairs, (s, y)][-history:]
        found += x.tolist()
    return found


def cyclic(low, high, half):
    """Returns the rates of PyTorch's `CyclicLR`."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=low)
    schedule = torch.optim.lr_scheduler.CyclicLR(optimizer, low, high, half)
    return rates_of(optimizer, schedule)


def inverse_sqrt(peak, warmup):
    """Returns the rates of the `transformers` library, whose first step has the rate 0; the first
    one of the paper, and ours, is the second one there."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    schedule = get_inverse_sqrt_schedule(optimizer, warmup)
    rates = rates_of(optimizer, schedule)
    return lambda t: rates(t + 1)


def rates_of(optimizer, schedule):
    """Returns the rates of a schedule of PyTorch as a function of the step, which is called with
    ascending steps."""
    step = 0

    def rate(t):
        nonlocal step
        while step < t:
            optimizer.step()
            schedule.step()
            step += 1
        return schedule.get_last_lr()[0]

    return rate
