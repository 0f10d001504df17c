"""Missing values, drawn given the others of their row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from . import _gradlogp
from ._base import Callback, ModelEstimator, RandomState
from ._compat import Self
from ._density import Activation, Standardize, _dequantized, _impute
from ._rows import ColumnNames, Matrix
from .errors import GradlogpError


class ScoreImputer(OneToOneFeatureMixin, TransformerMixin, ModelEstimator):
    """Fills in what is NaN by draws given the other values of the row, from a diffusion model of the complete rows.

    The settings of the engine are those of the program's ``fit --for imputation``. ``fit`` leaves out rows with a missing
    value; ``transform`` takes them.

    Parameters
    ----------
    n_draws : int
        Draws whose mean ``transform`` fills in; 1 fills in a draw, which keeps the spread of the data.
    hidden, activation, standardize, dequantize, validation, test, steps, batch, learning_rate, weight_decay, evaluate_every,
    patience, members, threads, random_state, verbose
        As of :class:`DiffusionDensity`.
    """

    _plain = (
        "activation",
        "batch",
        "evaluate_every",
        "hidden",
        "learning_rate",
        "members",
        "patience",
        "standardize",
        "steps",
        "test",
        "validation",
        "weight_decay",
    )

    def __init__(
        self,
        *,
        n_draws: int = 1,
        hidden: Sequence[int] | None = None,
        activation: Activation | None = None,
        standardize: Standardize | None = None,
        dequantize: bool | ColumnNames = True,
        validation: float | None = None,
        test: float | None = None,
        steps: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        evaluate_every: int | None = None,
        patience: int | None = None,
        members: int | None = None,
        threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int | bool = 0,
    ) -> None:
        self.n_draws = n_draws
        self.hidden = hidden
        self.activation = activation
        self.standardize = standardize
        self.dequantize = dequantize
        self.validation = validation
        self.test = test
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.evaluate_every = evaluate_every
        self.patience = patience
        self.members = members
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def _settings(self, names: list[str]) -> dict[str, Any]:
        dequantize = _dequantized(self.dequantize, names)
        return {**super()._settings(names), "purpose": "imputation", "dequantize": dequantize}

    def fit(self, X: ArrayLike, y: object = None, *, callback: Callback | None = None) -> Self:
        """Fits the complete rows of ``X``."""
        self._fit(X, callback, missing=True)
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """The rows with their missing values filled in."""
        if self.n_draws == 1:
            draw: Matrix = self._filled(X, 1, None, {})[0]
            return draw
        mean: Matrix = self._filled(X, self.n_draws, None, {}).mean(axis=0)
        # What was observed is as it was: a mean of equal numbers can differ in its last digit.
        rows = self._asked(X)[0]
        filled: Matrix = np.where(np.isnan(rows), mean, rows)
        return filled

    def sample(
        self, X: ArrayLike, n_draws: int = 1, random_state: RandomState = None, **settings: Any
    ) -> NDArray[np.float64]:
        """Several draws of the missing values: draws x rows x columns."""
        return self._filled(X, n_draws, random_state, settings)

    def _filled(
        self, x: ArrayLike, n_draws: int, random_state: RandomState, settings: dict[str, Any]
    ) -> NDArray[np.float64]:
        filled = _impute(self, x, n_draws, random_state, settings)
        several: NDArray[np.float64] = filled.reshape(n_draws, -1, filled.shape[-1])
        return several

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if model.given_columns:
            raise GradlogpError("the model is conditional, and cannot fill in what is missing")
