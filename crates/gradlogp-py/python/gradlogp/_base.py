"""What all estimators share: settings, fits, files."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from . import _gradlogp
from ._compat import Self
from ._params import Parameters, RandomState, as_json, seed_of
from ._progress import Progress
from ._rows import Matrix, Rows, checked, in_order, is_plain, names_of
from ._verdict import Verdict
from ._wording import in_python
from .errors import DataError, FitWarning, InterruptedWarning, SettingError

Callback: TypeAlias = Callable[[int, Mapping[str, float | None]], object]
"""Sees each step and its losses; a true answer ends training."""


# Of the rows of a fit.
_PARTS = ("train", "validation", "test")


class ModelEstimator(Parameters, BaseEstimator):
    """An estimator around one fitted model."""

    n_features_in_: int
    feature_names_in_: NDArray[Any]
    sample_report_: dict[str, Any]

    def fit(self, X: ArrayLike, y: object = None, *, callback: Callback | None = None) -> Self:
        """Fits the rows of ``X``.

        ``callback(step, losses)`` sees each step; a true answer ends training with the best weights so far, as Ctrl-C
        does.
        """
        self._fit(X, callback)
        return self

    def _fit(self, x: ArrayLike, callback: Callback | None, *, missing: bool = False) -> Rows:
        """Fits the rows, without those that have a missing value where these are allowed; the same as an array."""
        rows = checked(self, x, reset=True)
        if missing:
            rows = rows[~np.isnan(rows).any(axis=1)]
            if len(rows) == 0:
                raise DataError("X: every row has a missing value, and rows without are what is fitted")
        names = names_of(self, rows.shape[1])
        settings = as_json(self._settings(names))
        with Progress(self.verbose) as progress:
            model, report, notes, split, interrupted, checks = _gradlogp.fit(
                rows, names, settings, callback, progress.show if self.verbose else None
            )
        for note in notes:
            warnings.warn(in_python(note), FitWarning, stacklevel=3)
        if interrupted:
            text = "the fit was ended early; the best weights so far are kept"
            warnings.warn(text, InterruptedWarning, stacklevel=3)
        self._take(model)
        self.report_: dict[str, Any] = json.loads(report)
        self.split_ = {name: np.array(places, dtype=np.int64) for name, places in zip(_PARTS, split)}
        held_out = np.sort(np.concatenate([self.split_["validation"], self.split_["test"]]))
        self._held_out = np.ascontiguousarray(rows[held_out], dtype=np.float64)
        self._checks: _gradlogp.FitChecks | None = checks
        return rows

    def _take(self, model: _gradlogp.Model) -> None:
        """Becomes the estimator of a model."""
        self._model = model
        description = json.loads(model.description())
        summary = description["summary"]
        points = summary["history"]
        self.n_iter_: int = summary["steps"]
        self.history_: dict[str, NDArray[Any]] = {
            "step": np.array([point["step"] for point in points], dtype=np.int64),
            "train_loss": np.array([_number(point["train_loss"]) for point in points]),
            "validation_loss": np.array([_number(point["held_out"]["mean"]) for point in points]),
            "validation_loss_se": np.array([_number(point["held_out"]["standard_error"]) for point in points]),
        }
        # Where x and the condition are in a table.
        names = names_of(self, getattr(self, "n_features_in_", 0)) or model.columns
        self._x_places = [names.index(name) for name in model.columns]
        self._given_places = [names.index(name) for name in model.given_columns]

    def _fitted(self) -> _gradlogp.Model:
        try:
            return self._model
        except AttributeError:
            check_is_fitted(self, "_model")
            raise

    def _asked(self, x: ArrayLike) -> tuple[Rows, Rows | None]:
        """The rows of x, and their conditions if the model has any."""
        self._fitted()
        plain = is_plain(x) and (in_order.get() or not hasattr(self, "feature_names_in_"))
        if plain and x.shape[1] == self.n_features_in_ and x.shape[0] > 0:  # type: ignore[union-attr]
            rows: Rows = x  # type: ignore[assignment]
        else:
            rows = checked(self, x, reset=False)
        if not self._given_places:
            return rows, None
        return rows[:, self._x_places], rows[:, self._given_places]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def grad_log_density(self, X: ArrayLike) -> Matrix:
        """The score, grad log p, of each row.

        Of a conditional model, ``X`` has the columns of the condition too, as in ``fit``, and the gradient is with
        respect to the others.
        """
        rows, given = self._asked(X)
        return self._model.score(rows, given, None, self._threads)

    def check(self, X: ArrayLike, *, random_state: RandomState = 1) -> Verdict:
        """What the model is good for, as far as ``X`` can tell: rows that did not train it.

        The figures are those of the program's ``eval``, with ``random_state`` for its ``--seed``.
        """
        rows, given = self._asked(X)
        return Verdict.of(json.loads(self._model.check(rows, given, seed_of(random_state), self._threads)))

    @property
    def verdict_(self) -> Verdict | None:
        """What the model is good for by the test rows of the fit; None where they were too few."""
        self._fitted()
        report = getattr(self, "report_", {})
        return Verdict.of(report) if "grade" in report else None

    def report_html(self, X: ArrayLike | None = None, *, random_state: RandomState = 1) -> str:
        """The program's report, one HTML page that works offline: of the fit, or of its model on further rows ``X``.

        That of the fit is kept with the estimator that was fitted, and not with copies by pickle or from files.
        """
        model = self._fitted()
        if X is not None:
            rows, given = self._asked(X)
            return model.report(rows, given, seed_of(random_state), self._threads)
        checks: _gradlogp.FitChecks | None = getattr(self, "_checks", None)
        if checks is None:
            raise SettingError("X: the report of the fit is not kept in files and pickles; give rows that did not train it")
        return checks.page(self._threads)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_checks"}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file, which the program reads too."""
        self._fitted().save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """An estimator of the model in a file of :meth:`save` or of the program."""
        return cls._of(_gradlogp.Model.load(path))

    @classmethod
    def _of(cls, model: _gradlogp.Model) -> Self:
        cls._check_model(model)
        estimator = cls()
        names = model.columns + model.given_columns
        estimator.n_features_in_ = len(names)
        if names != [f"x{k}" for k in range(len(names))]:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        estimator._take(model)
        return estimator

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        """Refuses a model that this class has no answers for."""


def _number(value: float | None) -> float:
    # JSON has no infinity.
    return np.nan if value is None else value
