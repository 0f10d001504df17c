"""Missing values, drawn given the others of their row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from . import _gradlogp
from ._base import Callback, ModelEstimator
from ._compat import Self
from ._draws import filled_in
from ._params import RandomState
from ._rows import Matrix
from .errors import GradlogpError


@dataclass(kw_only=True, eq=False, repr=False)
class ScoreImputer(OneToOneFeatureMixin, TransformerMixin, ModelEstimator):
    """Fills in what is NaN by draws given the other values of the row, from a diffusion model of the complete rows.

    The settings of the engine are those of the program's ``fit --for imputation``. ``fit`` leaves out rows with a missing
    value; ``transform`` takes them.

    Parameters
    ----------
    n_draws : int
        Draws whose mean ``transform`` fills in; 1 fills in a draw, which keeps the spread of the data.
    hidden, activation, standardize, dequantize, dequantize_rule, validation, test, steps, batch, learning_rate, schedule, \
warm_up, max_gradient_norm, weight_decay, ema_decay, evaluate_every, patience, members, threads, random_state, verbose
        As of :class:`DiffusionDensity`.
    """

    n_draws: int = 1

    def _settings(self, names: list[str]) -> dict[str, Any]:
        return super()._settings(names) | {"purpose": "imputation"}

    def fit(self, X: ArrayLike, y: object = None, *, callback: Callback | None = None) -> Self:
        """Fits the complete rows of ``X``."""
        self._fit(X, callback, missing=True)
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """The rows with their missing values filled in."""
        draws = filled_in(self, X, self.n_draws, None, {})
        if self.n_draws == 1:
            draw: Matrix = draws[0]
            return draw
        # What was observed is as it was: a mean of equal numbers can differ in its last digit.
        rows = self._asked(X)[0]
        filled: Matrix = np.where(np.isnan(rows), draws.mean(axis=0), rows)
        return filled

    def sample(
        self, X: ArrayLike, n_draws: int = 1, random_state: RandomState = None, **settings: Any
    ) -> NDArray[np.float64]:
        """Several draws of the missing values: draws x rows x columns."""
        return filled_in(self, X, n_draws, random_state, settings)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if model.given_columns:
            raise GradlogpError("the model is conditional, and cannot fill in what is missing")
