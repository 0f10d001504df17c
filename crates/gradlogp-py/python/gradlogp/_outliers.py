"""Rows that are unlike the others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OutlierMixin

from . import _gradlogp
from ._base import Callback, ModelEstimator
from ._compat import Self
from ._rows import Matrix, Rows, Vector, checked
from .errors import FitWarning, GradlogpError, SettingError


@dataclass(kw_only=True, eq=False, repr=False)
class ScoreOutlierDetector(OutlierMixin, ModelEstimator):
    """Finds rows that are unlike the others, by the densities of the data at several noise levels.

    The settings of the engine are those of the program's ``fit --for anomaly``.

    Parameters
    ----------
    contamination : "auto" or float
        The share of the rows of ``fit`` that are called outliers. ``"auto"`` goes by ``false_alarm`` instead.
    false_alarm : float
        The probability with which a usual row is called an outlier, at most: the threshold comes from rows that did not
        train the model, which are taken to be usual; in ``fit``, ``usual`` can give others.
    anomaly : {"auto", "scales", "density", "path", "norm"}
        What is measured: the mean over noise levels; the density; its difference from that at the mean; the length of
        the score.
    hidden, activation, standardize, dequantize, dequantize_rule, validation, test, steps, batch, learning_rate, schedule, \
warm_up, max_gradient_norm, weight_decay, ema_decay, evaluate_every, patience, members, threads, random_state, verbose
        As of :class:`ScoreDensity`.
    """

    contamination: float | Literal["auto"] = "auto"
    false_alarm: float = 0.05
    anomaly: Literal["auto", "scales", "density", "path", "norm"] = "auto"

    def _settings(self, names: list[str]) -> dict[str, Any]:
        return {"purpose": "anomaly", **super()._settings(names)}

    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        *,
        usual: ArrayLike | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fits the rows of ``X`` and finds the threshold; ``usual`` are further rows known to be usual, to calibrate on."""
        share = self.contamination
        if share != "auto" and not (isinstance(share, int | float) and 0 < share <= 0.5):
            raise SettingError(f"contamination: must be 'auto' or in (0, 0.5], not {share!r}")
        rows = self._fit(X, callback)
        if share != "auto":
            self.offset_ = float(np.percentile(self._scores(rows), 100 * float(share)))
            return self
        calibration = self._held_out if usual is None else checked(self, usual, reset=False)
        self.offset_ = self._calibrated(calibration, strict=usual is not None)
        return self

    def _calibrated(self, rows: Rows, *, strict: bool) -> float:
        """The offset at which a usual row is an outlier with probability ``false_alarm`` at most."""
        scores = -self._scores(rows)
        try:
            return -_gradlogp.false_alarm_threshold(scores, self.false_alarm)
        except GradlogpError as error:
            least = 1 / (len(scores) + 1)
            if strict or not 0 < self.false_alarm < least:
                raise
            text = f"{error}. The rate is now {least:.3g}"
        warnings.warn(text, FitWarning, stacklevel=3)
        # The largest score of all.
        return -_gradlogp.false_alarm_threshold(scores, least)

    def _scores(self, rows: Rows) -> Vector:
        return -self._model.anomaly(rows, self.anomaly, None, self._threads)

    def score_samples(self, X: ArrayLike) -> Vector:
        """How usual each row is: the less, the more of an outlier."""
        return self._scores(self._asked(X)[0])

    def decision_function(self, X: ArrayLike) -> Vector:
        """The same less ``offset_``: below 0 for outliers."""
        values: Vector = self.score_samples(X) - self.offset_
        return values

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """1 for usual rows, -1 for outliers. A row whose score is not a number is one."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def contributions(self, X: ArrayLike) -> Matrix:
        """What each column contributes to how unusual each row is: a row's numbers sum to ``-score_samples``.

        By integrals along the line from the centre of the data (Aumann and Shapley); of the density they sum to its
        logarithm at the mean less that at the row.
        """
        rows = self._asked(X)[0]
        return self._model.contributions(rows, self.anomaly, None, self._threads)

    def save(self, path: Any) -> None:
        """Writes the model file, which the program reads too. It does not hold the threshold."""
        super().save(path)

    @classmethod
    def _of(cls, model: _gradlogp.Model) -> Self:
        raise GradlogpError(
            "a model file has no threshold: load it as a density, or keep the detector itself with pickle or joblib"
        )
