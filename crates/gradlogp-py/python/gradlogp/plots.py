"""Figures with matplotlib (``pip install gradlogp[plots]``). Each returns its axes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._base import ModelEstimator
from ._compat import optional
from ._rows import tabular
from .errors import SettingError

# Most points that a figure shows: more are drawn over each other.
MOST_POINTS = 2000


def plot_training(estimator: ModelEstimator, ax: Any = None) -> Any:
    """The losses of a fit: of training, and of rows kept apart with two standard errors."""
    axes = _axes(ax)
    history = estimator.history_
    step, mean, se = (history[name] for name in ("step", "validation_loss", "validation_loss_se"))
    axes.plot(step, history["train_loss"], color="0.6", label="training")
    axes.plot(step, mean, color="C0", label="held out")
    axes.fill_between(step, mean - 2 * se, mean + 2 * se, color="C0", alpha=0.2, linewidth=0)
    if "best_step" in getattr(estimator, "report_", {}):
        axes.axvline(estimator.report_["best_step"], color="C0", linestyle=":", label="weights kept")
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return axes


def plot_score_field(estimator: Any, X: ArrayLike, ax: Any = None, *, grid: int = 20) -> Any:
    """The score of a density of two columns as arrows over the rows ``X``."""
    rows, names = _named(X)
    if rows.shape[1] != 2:
        raise SettingError(f"X: a field is drawn of two columns, not of {rows.shape[1]}")
    axes = _axes(ax)
    low, high = rows.min(axis=0), rows.max(axis=0)
    x, y = (np.linspace(low[k], high[k], grid) for k in range(2))
    at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    with warnings.catch_warnings():
        # The grid has the columns of X, though not their names.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        score = estimator.grad_log_density(at)
    # Long arrows in the tails would hide the others.
    length = np.linalg.norm(score, axis=1, keepdims=True)
    score = score / np.maximum(length, np.median(length) + np.finfo(float).tiny)
    axes.scatter(*_some(rows).T, s=4, color="0.7", zorder=0)
    axes.quiver(*at.T, *score.T, angles="xy", color="C0")
    axes.set(xlabel=names[0], ylabel=names[1])
    return axes


def plot_marginals(samples: ArrayLike, X: ArrayLike | None = None, axes: Any = None, *, bins: int = 40) -> Any:
    """Histograms of each column of ``samples``, over those of the rows ``X``."""
    with optional("plots"):
        from matplotlib import pyplot

    drawn, names = _named(samples)
    rows = None if X is None else _named(X)[0]
    count = drawn.shape[1]
    if axes is None:
        _, axes = pyplot.subplots(1, count, figsize=(3 * count, 2.6), squeeze=False, layout="constrained")
    flat = np.ravel(axes)
    for k in range(count):
        both = drawn[:, k] if rows is None else np.concatenate([drawn[:, k], rows[:, k]])
        edges = np.histogram_bin_edges(both, bins)
        if rows is not None:
            flat[k].hist(rows[:, k], edges, density=True, color="0.8", label="rows")
        flat[k].hist(drawn[:, k], edges, density=True, histtype="step", color="C0", label="samples")
        flat[k].set(xlabel=names[k], yticks=[])
    flat[0].legend()
    return axes


def plot_pairs(samples: ArrayLike, X: ArrayLike | None = None, axes: Any = None) -> Any:
    """Each two columns of ``samples`` against each other, over those of the rows ``X``."""
    with optional("plots"):
        from matplotlib import pyplot

    drawn, names = _named(samples)
    rows = None if X is None else _named(X)[0]
    count = drawn.shape[1]
    if axes is None:
        size = 2 * count
        _, axes = pyplot.subplots(count, count, figsize=(size, size), squeeze=False, layout="constrained")
    for i in range(count):
        for j in range(count):
            at = axes[i][j]
            if i == j:
                at.hist(drawn[:, i], 30, density=True, histtype="step", color="C0")
            else:
                if rows is not None:
                    at.scatter(_some(rows)[:, j], _some(rows)[:, i], s=2, color="0.7")
                at.scatter(_some(drawn)[:, j], _some(drawn)[:, i], s=2, color="C0")
            if i == count - 1:
                at.set_xlabel(names[j])
            if j == 0:
                at.set_ylabel(names[i])
    return axes


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    with optional("plots"):
        from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def _named(x: ArrayLike) -> tuple[Any, list[str]]:
    """Rows and the names of their columns."""
    table = tabular(x)
    rows = np.asarray(table, dtype=np.float64)
    names = getattr(table, "columns", None)
    return rows, [str(name) for name in names] if names is not None else [f"x{k}" for k in range(rows.shape[1])]


def _some(rows: Any) -> Any:
    return rows[:: max(1, len(rows) // MOST_POINTS)]
