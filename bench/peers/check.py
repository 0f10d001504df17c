"""A peer is timed only if it computes the same thing: loss, gradient, update and slices."""

from dataclasses import replace

import numpy as np

import reference

ROWS = 6  # enough for a wrong average over rows to show


class Wrong(Exception):
    """A peer that does not compute what it should."""


def check(build, work):
    """`build(work)` makes the peer; raises Wrong unless it agrees with the reference."""
    work = replace(work, batch=min(work.batch, ROWS))
    peer = build(work)
    rng = np.random.default_rng(7)
    x = rng.normal(size=(2, work.batch, work.dim)).astype(np.float32)
    v = rng.choice([-1.0, 1.0], (2, work.slices, work.batch, work.dim)).astype(np.float32)
    parameters = reference.initial_parameters(work)
    figures = compare_loss(work, peer, parameters, x[0], v[0])
    figures["gradient_error"] = compare_gradient(work, peer, parameters, x[0], v[0], rng)
    figures["update_error"] = compare_update(peer, parameters, x, v)
    compare_slices(work, peer)
    return figures


def compare_loss(work, peer, parameters, x, v):
    peer.set_parameters(parameters)
    found, expected = peer.loss_and_gradient(x, v)[0], reference.loss(work, parameters, x, v)
    error = abs(found - expected) / max(1.0, abs(expected))
    require(error <= 1e-4, f"loss {found:.7g}, reference {expected:.7g}")
    return {"loss": found, "reference": expected, "loss_error": error}


def compare_gradient(work, peer, parameters, x, v, rng):
    """Along two random directions u, against central differences: |g.u - du| <= 1e-3 |g|."""
    gradient = peer.loss_and_gradient(x, v)[1]
    size, worst = norm(gradient), 0.0
    for _ in range(2):
        u = [rng.normal(size=p.shape) for p in parameters]
        found = sum(np.sum(g * d) for g, d in zip(gradient, u))
        worst = max(worst, abs(found - slope_along(work, parameters, u, x, v)) / size)
    require(worst <= 1e-3, f"gradient off by {worst:.2g} of its norm")
    return worst


def norm(gradient):
    return np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradient))


def slope_along(work, parameters, u, x, v, h=1e-5):
    at = lambda t: reference.loss(work, [p + t * d for p, d in zip(parameters, u)], x, v)
    return (at(h) - at(-h)) / (2 * h)


def compare_update(peer, parameters, x, v):
    """Two updates against AdamW by hand: 90% of parameters within 0.1% of the rate.

    Not all: where a gradient is rounding error, its sign and so the step is arbitrary.
    """
    # Doubled until the first gradient is long enough to be clipped, and the second is not like it.
    for _ in range(20):
        peer.set_parameters(parameters)
        if norm(peer.loss_and_gradient(x[0], v[0])[1]) > 2 * reference.CLIP:
            break
        parameters = [2 * p for p in parameters]
    x = np.stack([x[0], 0.1 * x[1]])
    gradients = []
    for rows, slices in zip(x, v):
        gradients.append(peer.loss_and_gradient(rows, slices)[1])
        peer.update(rows, slices)
    require(norm(gradients[0]) > reference.CLIP, "no gradient long enough to test clipping")
    found = np.concatenate([p.ravel() for p in peer.parameters()])
    error = np.quantile(np.abs(found - reference.adamw(parameters, gradients)), 0.9)
    error /= reference.RATE
    require(error <= 1e-3, f"AdamW update off by {error:.2g} of the rate")
    return float(error)


def compare_slices(work, peer):
    """Signs, as many as asked for, and fresh ones each time."""
    if work.objective == "exact":
        return
    first, second = peer.draw(), peer.draw()
    require(first.shape == (work.slices, work.batch, work.dim), f"slices {first.shape}")
    require(set(np.unique(first)) <= {-1.0, 1.0}, "slices are not signs")
    few = first.size < 12  # then equal draws are no surprise
    require(few or not np.array_equal(first, second), "slices are reused")


def require(fine, message):
    if not fine:
        raise Wrong(message)
