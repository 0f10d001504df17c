"""The engine below the estimators, for research: networks of one's own, their derivatives, losses and training by steps.

Rows are n x d, in the units in which the network works: nothing is scaled here.

>>> import numpy as np
>>> from gradlogp import engine
>>> X = np.random.default_rng(0).normal(size=(100, 2))
>>> network = engine.Network(2, "score", hidden=[16])
>>> v = engine.draw_slices(100, 2)[0]
>>> np.allclose(network.vjv(X, v), (v * network.jvp(X, v)).sum(axis=1))
True
>>> losses, gradient = network.loss_and_gradient(X, "ssm", slices=2)
>>> losses.shape, gradient.shape == network.parameters.shape
((100,), True)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _gradlogp
from ._compat import Self
from ._one_density import Objective, objective_of
from ._params import Activation, RandomState, SliceDistribution, as_json, seed_of
from ._rows import Matrix, Rows, Vector
from ._wording import in_python
from .errors import SettingError

Slices: TypeAlias = NDArray[np.float64]
"""Directions for each row: slices x n x d."""

__all__ = ["Network", "Slices", "Trainer", "draw_slices"]


def draw_slices(
    n: int,
    d: int,
    slices: int = 1,
    law: SliceDistribution = "rademacher",
    *,
    random_state: RandomState = 0,
) -> Slices:
    """Random directions with E[v v^T] = I for each of ``n`` rows of ``d`` columns: slices x n x d.

    Draw them anew at every step: with slices that are kept, a model fits the directions.
    """
    if min(n, d, slices) < 0:
        raise SettingError("n, d, slices: must not be negative")
    return _gradlogp.draw_slices(slices, n, d, law, seed_of(random_state))


class Network:
    """A multilayer perceptron with its weights; nothing changes it.

    Parameters
    ----------
    dim
        Columns of x.
    kind
        Whether its output is a score or a log density.
    hidden, activation, residual, base_scale
        Widths of hidden layers, the nonlinearity, whether layers of one width add to their input, and the width of the
        Gaussian that a log density is multiplied with.
    given, conditioning
        Columns of a condition, and how the network reads them.
    members
        Networks whose outputs are averaged.
    random_state
        Of the initial weights.
    """

    def __init__(
        self,
        dim: int,
        kind: Literal["score", "log-density"] = "score",
        *,
        hidden: Sequence[int] = (128, 128),
        activation: Activation = "softplus",
        residual: bool = False,
        base_scale: float | None = None,
        given: int = 0,
        conditioning: Literal["concat", "film"] = "concat",
        members: int = 1,
        random_state: RandomState = 0,
    ) -> None:
        settings = {
            "dim": int(dim),
            "kind": kind,
            "hidden": [int(width) for width in hidden],
            "activation": activation,
            "residual": residual,
            "base_scale": base_scale,
            "given": given,
            "conditioning": conditioning,
            "members": members,
        }
        self._network = _gradlogp.Network(as_json(settings), seed_of(random_state))

    @classmethod
    def _of(cls, network: _gradlogp.Network) -> Self:
        made = cls.__new__(cls)
        made._network = network
        return made

    @property
    def dim(self) -> int:
        """Columns of x."""
        return self._network.dim

    @property
    def parameters(self) -> NDArray[np.float32]:
        """All parameters in one vector, a copy."""
        return self._network.parameters

    @property
    def layout(self) -> list[tuple[str, list[int]]]:
        """Name and shape of each parameter, in the order of the vector."""
        return self._network.layout

    def with_parameters(self, parameters: ArrayLike) -> Self:
        """The same network with other parameters."""
        return self._of(self._network.with_parameters(np.asarray(parameters, dtype=np.float32)))

    def value(self, X: ArrayLike, given: ArrayLike | None = None) -> Matrix:
        """The output: the score, n x d, or log p up to a constant, n x 1."""
        return self._network.value(_rows(X), _some(given))

    def score(self, X: ArrayLike, given: ArrayLike | None = None) -> Matrix:
        """s, the output of a score or the gradient of a log density, n x d."""
        return self._network.score(_rows(X), _some(given))

    def jvp(self, X: ArrayLike, v: ArrayLike, given: ArrayLike | None = None) -> Matrix:
        """(grad s) v for a direction for each row, n x d."""
        return self._network.jvp(_rows(X), _rows(v), _some(given))

    def vjv(self, X: ArrayLike, v: ArrayLike, given: ArrayLike | None = None) -> Vector:
        """v.(grad s) v for a direction for each row, n."""
        return self._network.vjv(_rows(X), _rows(v), _some(given))

    def trace(self, X: ArrayLike, given: ArrayLike | None = None) -> Vector:
        """tr grad s, n."""
        return self._network.trace(_rows(X), _some(given))

    def jacobian_diagonal(self, X: ArrayLike, given: ArrayLike | None = None) -> Matrix:
        """The derivative of each component of s by its own column, n x d."""
        return self._network.jacobian_diagonal(_rows(X), _some(given))

    def loss_and_gradient(
        self,
        X: ArrayLike,
        objective: Objective = "ssm-vr",
        *,
        slices: int = 1,
        sigma: float | None = None,
        eps: float | None = None,
        v: ArrayLike | None = None,
        noise: ArrayLike | None = None,
        law: SliceDistribution = "rademacher",
        given: ArrayLike | None = None,
        random_state: RandomState = 0,
    ) -> tuple[Vector, Vector]:
        """The loss of each row, and the gradient of their mean by all parameters, in double precision.

        ``v`` are slices (slices x n x d), ``noise`` is n x d of N(0, I); where an objective takes them and they are not
        given, they are drawn.
        """
        if objective == "auto":
            raise SettingError("objective: there is no run to choose it by; name one")
        rows, text = _rows(X), as_json(objective_of(objective, slices, sigma, eps))
        count, width, noisy = self._network.draws(text)
        seed = seed_of(random_state)
        if v is None and count:
            v = draw_slices(len(rows), width, count, law, random_state=seed)
        if noise is None and noisy:
            noise = np.random.default_rng(seed).standard_normal(rows.shape)
        along = None if v is None else np.asarray(v, dtype=np.float64)
        if along is not None and along.shape != (count, len(rows), width):
            raise SettingError(f"v: must be {count} x {len(rows)} x {width}, not of shape {along.shape}")
        return self._network.loss_and_gradient(rows, text, along, _some(noise), _some(given))


class Trainer:
    """Training whose steps are taken by the caller, the same as the estimators' bit for bit.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(400, 2))
    >>> trainer = Trainer(Network(2, hidden=[16]), X[:300], X[300:], steps=20, threads=1)
    >>> while trainer.stopped is None:
    ...     gradient = trainer.step()
    ...     trainer.apply(gradient)
    >>> trainer.steps_taken, trainer.stopped
    (20, 'all steps taken')

    Processes that share the work ask for ``step(part, parts)`` each, add up what they get, in the order of the parts, and
    call ``apply`` with the sum: their weights stay the same.

    Parameters
    ----------
    network
        With its initial weights.
    X, held_out
        Rows that train it, and rows that choose the weights that are kept.
    given, held_out_given
        Their conditions, if the network has any.
    objective, slices, sigma, eps
        What is minimized.
    random_state
        Of batches, slices and noise.
    settings
        As of :class:`gradlogp.ScoreDensity`: ``steps``, ``batch``, ``learning_rate``, ``schedule``, ``warm_up``,
        ``max_gradient_norm``, ``weight_decay``, ``ema_decay``, ``evaluate_every``, ``patience``, ``slice_distribution``,
        ``threads``.
    """

    def __init__(
        self,
        network: Network,
        X: ArrayLike,
        held_out: ArrayLike,
        *,
        given: ArrayLike | None = None,
        held_out_given: ArrayLike | None = None,
        objective: Objective = "ssm-vr",
        slices: int = 1,
        sigma: float | None = None,
        eps: float | None = None,
        random_state: RandomState = 0,
        **settings: Any,
    ) -> None:
        if objective == "auto":
            raise SettingError("objective: nothing chooses it here; name one")
        settings["objective"] = objective_of(objective, slices, sigma, eps)
        settings["random_state"] = seed_of(random_state)
        self._steps = _gradlogp.Steps(
            network._network, _rows(X), _rows(held_out), as_json(settings), _some(given), _some(held_out_given)
        )
        self.loss = float("nan")
        """The loss of the last batch, or of this process's part of it."""
        self.stopped: str | None = None
        """Why training has ended, once it has."""

    def step(self, part: int = 0, parts: int = 1) -> NDArray[np.float32]:
        """The gradient of the next batch's mean loss, or what one of several parts of the batch adds to it."""
        if not 0 <= part < parts:
            raise SettingError(f"part: there is no part {part} of {parts}")
        self.loss, gradient = self._steps.gradient(part, parts)
        return gradient

    def apply(self, gradient: ArrayLike, loss: float | None = None) -> None:
        """Takes the step with a gradient: clips it, updates the weights, and evaluates them where that is due.

        ``loss`` is that of the whole batch, for the history.
        """
        if self.stopped is not None:
            raise SettingError(f"steps: training has ended: {self.stopped}")
        vector = np.asarray(gradient, dtype=np.float32)
        why = self._steps.apply(self.loss if loss is None else float(loss), vector)
        self.stopped = None if why is None else in_python(why)

    @property
    def steps_taken(self) -> int:
        """Steps taken."""
        return self._steps.step

    @property
    def network(self) -> Network:
        """With the weights as they are now."""
        return Network._of(self._steps.network("now"))

    @property
    def averaged_network(self) -> Network:
        """With their moving average, which is what is evaluated."""
        return Network._of(self._steps.network("average"))

    @property
    def best_network(self) -> Network:
        """With the weights of the least held-out loss so far."""
        return Network._of(self._steps.network("best"))

    @property
    def history(self) -> list[dict[str, Any]]:
        """Evaluations so far: step, mean training loss since the last, and held-out loss with its standard error."""
        found: list[dict[str, Any]] = json.loads(self._steps.history())
        return found


def _rows(x: ArrayLike) -> Rows:
    rows = np.asarray(x)
    if rows.ndim != 2:
        raise SettingError(f"X: must be rows of columns, n x d, not of shape {rows.shape}")
    return rows if rows.dtype in (np.float64, np.float32) else rows.astype(np.float64)


def _some(x: ArrayLike | None) -> Rows | None:
    return None if x is None else _rows(x)
