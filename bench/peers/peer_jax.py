"""Training steps in JAX: one jitted function draws slices, differentiates, clips and updates."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from reference import BETA1, BETA2, CLIP, EPSILON, RATE, initial_parameters


def network(parameters, x):
    for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
        x = jax.nn.softplus(x @ w.T + b)
    return x @ parameters[-2].T + parameters[-1]


def field(work, parameters):
    if work.model == "score":
        return lambda x: network(parameters, x)
    return jax.grad(lambda x: network(parameters, x).sum())


def sliced(work, parameters, x, v):
    """Slices through the score by forward mode."""
    score = field(work, parameters)
    if work.slices == 1:
        s, slope = jax.jvp(score, (x,), (v[0],))
        slope = slope[None]
    else:
        s, slope = jax.vmap(lambda u: jax.jvp(score, (x,), (u,)), out_axes=(None, 0))(v)
    curvature = (v * slope).sum(-1).mean(0)
    square = ((v * s).sum(-1) ** 2).mean(0) if work.objective == "ssm" else (s * s).sum(-1)
    return (curvature + 0.5 * square).mean()


def exact(work, parameters, x, _):
    """Forward mode along every column, vectorised by vmap."""
    score = field(work, parameters)

    def along(e):
        s, slope = jax.jvp(score, (x,), (jnp.broadcast_to(e, x.shape),))
        return s, slope @ e

    s, diagonal = jax.vmap(along, out_axes=(None, 0))(jnp.eye(work.dim))
    return (diagonal.sum(0) + 0.5 * (s * s).sum(-1)).mean()


def forward_laplacian(work, parameters, x, _):
    """folx: value, gradient and Laplacian in one forward pass, per row under vmap."""
    import folx

    operator = folx.forward_laplacian(lambda row: network(parameters, row)[0])

    def row(x):
        out = operator(x)
        gradient = out.jacobian.dense_array
        return out.laplacian + 0.5 * (gradient * gradient).sum()

    return jax.vmap(row)(x).mean()


def choose(who, work):
    if who == "folx":
        return partial(forward_laplacian, work)
    return partial(exact if work.objective == "exact" else sliced, work)


def adamw(state, gradient):
    """One clipped AdamW step; state is (parameters, first moments, second moments, steps)."""
    parameters, first, second, t = state
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradient))
    scale = jnp.minimum(1.0, CLIP / norm)
    gradient = [g * scale for g in gradient]
    t = t + 1
    c1, c2 = 1 - BETA1**t, 1 - BETA2**t
    first = [BETA1 * m + (1 - BETA1) * g for m, g in zip(first, gradient)]
    second = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(second, gradient)]
    parameters = [
        p - RATE * (m / c1) / (jnp.sqrt(v / c2) + EPSILON)
        for p, m, v in zip(parameters, first, second)
    ]
    return parameters, first, second, t


class Peer:
    """One JAX training step on resident rows."""

    def __init__(self, who, work):
        self.work, self.loss = work, choose(who, work)
        self.value_and_gradient = jax.jit(jax.value_and_grad(self.loss))
        self.jitted_update = jax.jit(self._update)
        self.jitted_step = jax.jit(self._step, donate_argnums=(0, 1))
        self.jitted_draw = jax.jit(self._draw)
        rng = np.random.default_rng(3)
        self.rng, self.order = rng, np.empty(0, np.int32)
        self.data = jnp.asarray(rng.normal(size=(4 * work.batch, work.dim)), jnp.float32)
        self.key = jax.random.key(0)
        self.set_parameters(initial_parameters(work))

    def set_parameters(self, arrays):
        zeros = lambda: [jnp.zeros(a.shape) for a in arrays]
        self.state = ([jnp.array(a) for a in arrays], zeros(), zeros(), jnp.float32(0))

    def parameters(self):
        return [np.asarray(p) for p in self.state[0]]

    def loss_and_gradient(self, x, v):
        value, gradient = self.value_and_gradient(self.state[0], x, v)
        return float(value), [np.asarray(g) for g in gradient]

    def update(self, x, v):
        self.state = self.jitted_update(self.state, x, v)[0]

    def draw(self):
        slices, self.key = self.jitted_draw(self.key)
        return np.asarray(slices)

    def _draw(self, key):
        key, now = jax.random.split(key)
        w = self.work
        if w.objective == "exact":
            return jnp.zeros(()), key
        return jax.random.rademacher(now, (w.slices, w.batch, w.dim), jnp.float32), key

    def _update(self, state, x, v):
        value, gradient = jax.value_and_grad(self.loss)(state[0], x, v)
        return adamw(state, gradient), value

    def _step(self, state, key, data, chosen):
        v, key = self._draw(key)
        state, value = self._update(state, data[chosen], v)
        return state, key, value

    def _rows(self):
        # On the host: a permutation inside jit is a sort, which is slow on a CPU.
        if not len(self.order):
            self.order = self.rng.permutation(len(self.data)).astype(np.int32)
        chosen, self.order = self.order[: self.work.batch], self.order[self.work.batch :]
        return chosen

    def steps(self, count):
        """`count` full training steps, dispatched without waiting between them; the last loss."""
        for _ in range(count):
            out = self.jitted_step(self.state, self.key, self.data, self._rows())
            self.state, self.key, value = out
        jax.block_until_ready(self.state)
        return float(value)
