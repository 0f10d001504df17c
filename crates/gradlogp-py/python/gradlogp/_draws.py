"""Draws from fitted models: rows, and missing values of rows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._base import ModelEstimator
from ._params import RandomState, as_json, seed_of, whole_number
from ._rows import Matrix
from ._wording import in_python
from .errors import DataError, FitWarning, SettingError


# Settings of one way to draw that the other has no use for.
_OF_CHAINS = {"chains", "warm_up", "thinning", "step_size", "leapfrog"}
_OF_NOISE = {"steps", "schedule", "corrections"}


def drawn_rows(
    estimator: ModelEstimator,
    n_samples: int,
    random_state: RandomState,
    given: Mapping[str, float] | ArrayLike | None,
    settings: dict[str, Any],
) -> Matrix:
    """Rows; what is known of them is kept in the estimator."""
    model, count = estimator._fitted(), whole_number("n_samples", n_samples, least=1)
    wrong = sorted(settings.keys() & (_OF_CHAINS if model.is_over_time else _OF_NOISE))
    if wrong:
        raise SettingError(f"{wrong[0]}: is no setting of draws from a {type(estimator).__name__}")
    text = as_json({**settings, "random_state": _seed(estimator, random_state)})
    conditions = _conditions(model.given_columns, given)
    rows, known, notes, _ = model.sample(count, text, conditions, estimator._threads)
    for note in notes:
        warnings.warn(in_python(note), FitWarning, stacklevel=3)
    estimator.sample_report_ = json.loads(known)
    return rows


def filled_in(
    estimator: ModelEstimator, x: ArrayLike, n_draws: int, random_state: RandomState, settings: dict[str, Any]
) -> NDArray[np.float64]:
    """The rows with values drawn for those that are NaN, draws x rows x columns."""
    rows, _ = estimator._asked(x)
    whole_number("n_draws", n_draws, least=1)
    infinite = np.argwhere(np.isinf(rows))
    if len(infinite):
        row, place = infinite[0]
        columns = estimator._fitted().columns
        raise DataError.at(int(row), columns[place], f"{rows[row, place]} is not a finite number")
    text = as_json({**settings, "draws": n_draws, "random_state": _seed(estimator, random_state)})
    found, notes = estimator._fitted().impute(rows, text, estimator._threads)
    for note in notes:
        warnings.warn(in_python(note), FitWarning, stacklevel=3)
    return found.reshape(n_draws, *rows.shape)


def _seed(estimator: ModelEstimator, random_state: RandomState) -> int:
    return seed_of(estimator.random_state if random_state is None else random_state)


def _conditions(columns: list[str], given: Mapping[str, float] | ArrayLike | None) -> Matrix | None:
    if given is None:
        return None
    if not columns:
        raise SettingError("given: the model is of all columns, without a condition; leave it out")
    if isinstance(given, Mapping):
        missing = [name for name in columns if name not in given]
        if missing:
            raise SettingError(f"given: has no value of {', '.join(missing)}")
        given = [given[name] for name in columns]
    rows: Matrix = np.atleast_2d(np.asarray(given, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        text = f"given: must be a number for each of {', '.join(columns)}, in one row or several"
        raise SettingError(f"{text}, not of shape {rows.shape}")
    return rows
