"""Draws from fitted models: rows, and missing values of rows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._base import ModelEstimator
from ._params import RandomState, seed_of
from ._rows import Matrix
from .errors import FitWarning, SettingError


def drawn_rows(
    estimator: ModelEstimator,
    n_samples: int,
    random_state: RandomState,
    given: Mapping[str, float] | ArrayLike | None,
    settings: dict[str, Any],
) -> Matrix:
    """Rows; what is known of them is kept in the estimator."""
    model = estimator._fitted()
    text = json.dumps({**settings, "random_state": _seed(estimator, random_state)})
    conditions = _conditions(model.given_columns, given)
    rows, known, notes, _ = model.sample(int(n_samples), text, conditions, estimator._threads)
    for note in notes:
        warnings.warn(note, FitWarning, stacklevel=3)
    estimator.sample_report_ = json.loads(known)
    return rows


def filled_in(
    estimator: ModelEstimator, x: ArrayLike, n_draws: int, random_state: RandomState, settings: dict[str, Any]
) -> NDArray[np.float64]:
    """The rows with values drawn for those that are NaN, draws x rows x columns."""
    rows, _ = estimator._asked(x)
    text = json.dumps({**settings, "draws": n_draws, "random_state": _seed(estimator, random_state)})
    found, notes = estimator._fitted().impute(rows, text, estimator._threads)
    for note in notes:
        warnings.warn(note, FitWarning, stacklevel=3)
    return found.reshape(n_draws, *rows.shape)


def _seed(estimator: ModelEstimator, random_state: RandomState) -> int:
    return seed_of(estimator.random_state if random_state is None else random_state)


def _conditions(columns: list[str], given: Mapping[str, float] | ArrayLike | None) -> Matrix | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        missing = [name for name in columns if name not in given]
        if missing:
            raise SettingError(f"given: has no value of {', '.join(missing)}")
        given = [given[name] for name in columns]
    return np.atleast_2d(np.asarray(given, dtype=np.float64))
