"""Fitted models as JAX functions, re-expressed in ``jax.numpy`` from the file: with gradients, ``vmap`` and ``jit``.

The objectives take any score or log density of one point, and give the loss of each row: take their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ._base import ModelEstimator
from ._compat import optional
from ._graph import Described, Library, evaluate
from .errors import GradlogpError, SettingError

with optional("jax"):
    import jax
    import jax.numpy as jnp

Array: TypeAlias = Any
PointFunction: TypeAlias = Callable[[Array], Array]
"""A function of one point: a score gives d numbers, a log density one."""

_LIBRARY = Library(
    concatenate=lambda parts: jnp.concatenate(list(parts), axis=-1),
    functions={
        "softplus": jax.nn.softplus,
        "tanh": jnp.tanh,
        "silu": jax.nn.silu,
        "gelu": lambda a: jax.nn.gelu(a, approximate=False),
        "sin": jnp.sin,
        "relu": jax.nn.relu,
        "exp": jnp.exp,
    },
)


def log_density(estimator: ModelEstimator) -> Callable[..., Array]:
    """log p up to a constant as a function of points (... x d), and of the condition if the model has one."""
    described = Described.of(estimator)
    if not described.is_log_density:
        raise GradlogpError("a score field has no density")
    network = _network(described)
    log_det = described.scaling.log_det

    def of(x: Array, given: Array = None) -> Array:
        return network(x, given)[..., 0] + log_det

    return of


def score(estimator: ModelEstimator) -> Callable[..., Array]:
    """grad log p as a function of points (... x d), and of the condition if the model has one."""
    described = Described.of(estimator)
    if not described.is_log_density:
        network, matrix = _network(described), jnp.asarray(described.scaling.matrix)
        return lambda x, given=None: network(x, given) @ matrix
    density = log_density(estimator)

    def of(x: Array, given: Array = None) -> Array:
        # Each point's log density depends on that point alone.
        return jax.grad(lambda at: density(at, given).sum())(jnp.asarray(x))

    return of


def _network(described: Described) -> Callable[[Array, Array], Array]:
    """The output of the network at points in the user's units."""
    parameters = [jnp.asarray(p) for p in described.parameters]
    mean, matrix = jnp.asarray(described.scaling.mean), jnp.asarray(described.scaling.matrix)
    given_scaling = described.given

    def of(x: Array, given: Array) -> Array:
        context = None
        if given_scaling is not None:
            if given is None:
                raise SettingError("given: the model is conditional")
            context = (jnp.asarray(given) - given_scaling.mean) @ given_scaling.matrix.T
        return evaluate(described.nodes, parameters, (jnp.asarray(x) - mean) @ matrix.T, context, _LIBRARY)

    return of


def _with_products(score: PointFunction, x: Array, v: Array) -> tuple[Array, Array]:
    """s, n x d, and (grad s) v for each slice, slices x n x d, in forward mode."""

    def of_row(at: Array, directions: Array) -> tuple[Array, Array]:
        s, products = jax.vmap(lambda w: jax.jvp(score, (at,), (w,)))(directions)
        return s[0], products

    found: tuple[Array, Array] = jax.vmap(of_row, in_axes=(0, 1), out_axes=(0, 1))(x, v)
    return found


def ssm_loss(score: PointFunction, x: Array, v: Array) -> Array:
    """Sliced score matching: the mean over slices (slices x n x d) of v.(grad s) v + (v.s)^2 / 2, for each row."""
    s, products = _with_products(score, x, v)
    return ((products * v).sum(-1) + 0.5 * (s * v).sum(-1) ** 2).mean(0)


def ssm_vr_loss(score: PointFunction, x: Array, v: Array) -> Array:
    """Sliced score matching with variance reduction: the mean over slices of v.(grad s) v, and |s|^2 / 2."""
    s, products = _with_products(score, x, v)
    return (products * v).sum(-1).mean(0) + 0.5 * (s**2).sum(-1)


def exact_loss(score: PointFunction, x: Array) -> Array:
    """Implicit score matching: tr grad s + |s|^2 / 2. Its cost grows with the number of columns."""
    v = jnp.broadcast_to(jnp.eye(x.shape[1])[:, None, :], (x.shape[1], *x.shape))
    s, products = _with_products(score, x, v)
    return (products * v).sum(-1).sum(0) + 0.5 * (s**2).sum(-1)


def fd_ssm_loss(log_density: PointFunction, x: Array, v: Array, eps: float) -> Array:
    """Sliced score matching of a log density by finite differences, without derivatives."""
    f = jax.vmap(log_density)
    up, down = jax.vmap(f)(x + eps * v), jax.vmap(f)(x - eps * v)
    return ((up + down - 2 * f(x) + (up - down) ** 2 / 8) / eps**2).mean(0)


def fd_ssm_field_loss(score: PointFunction, x: Array, v: Array, eps: float) -> Array:
    """The same of a score, with the whole score in place of its projection."""
    f = jax.vmap(jax.vmap(score))
    up, down = f(x + eps * v), f(x - eps * v)
    curvature = (v * (up - down)).sum(-1) / (2 * eps)
    return (curvature + 0.5 * (((up + down) / 2) ** 2).sum(-1)).mean(0)


def dsm_loss(score: PointFunction, x: Array, noise: Array, sigma: Any) -> Array:
    """Denoising score matching: |s(x + sigma z) + z / sigma|^2 / 2 for noise z ~ N(0, I).

    Its optimum is the score of the density with the noise. ``sigma`` may differ from row to row (n x 1).
    """
    return 0.5 * ((jax.vmap(score)(x + sigma * noise) + noise / sigma) ** 2).sum(-1)


def noise_conditional_loss(score: Callable[[Array, Array], Array], x: Array, noise: Array, sigma: Array) -> Array:
    """Denoising score matching at a noise level for each row (n x 1), weighted by sigma^2; ``score(x, sigma)``."""
    return 0.5 * ((sigma * jax.vmap(score)(x + sigma * noise, sigma) + noise) ** 2).sum(-1)
