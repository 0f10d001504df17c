"""What the estimators of one density share: its logarithm, or its score, as a network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ._base import ModelEstimator
from ._draws import drawn_rows
from ._params import RandomState, SliceDistribution, usual
from ._rows import ColumnNames, Matrix, Rows, Vector, named_columns
from .errors import DataError, SettingError

Objective: TypeAlias = Literal[
    "auto", "exact", "ssm", "ssm-vr", "dsm", "fd-ssm", "fd-dsm", "cp", "approx-backprop"
]
Bounds: TypeAlias = Mapping[str | int, tuple[float | None, float | None]]


@dataclass(kw_only=True, eq=False, repr=False)
class OneDensity(ModelEstimator):
    """Parameters and answers of a network of one density."""

    residual: bool = False
    objective: Objective = "auto"
    slices: int = 1
    sigma: float | None = None
    eps: float | None = None
    slice_distribution: SliceDistribution | None = usual()
    given: ColumnNames | None = None
    conditioning: Literal["concat", "film"] | None = None
    bounds: Bounds | None = None
    domain: Literal["simplex"] | tuple[Literal["ball"], float] | None = None
    boundary_power: float = 1.0

    def _settings(self, names: list[str]) -> dict[str, Any]:
        settings = super()._settings(names)
        if self.objective != "auto":
            settings["objective"] = objective_of(self.objective, self.slices, self.sigma, self.eps)
        return settings

    def _network_settings(self, names: list[str]) -> dict[str, Any]:
        return {"residual": self.residual, "support": self._support(names)}

    def _support(self, names: list[str]) -> Any:
        """What the density is of."""
        given = named_columns(self.given, names, "given")
        region = self._region(names)
        if given and region is not None:
            raise SettingError("given: models with bounds have no condition; leave one of the two out")
        if given:
            return {"conditional": {"columns": given, "conditioning": self.conditioning or "concat"}}
        if region is not None:
            return {"within": {"region": region, "power": self.boundary_power}}
        return "everywhere"

    @staticmethod
    def _bounds(bounds: Bounds, names: list[str]) -> list[dict[str, Any]]:
        """Columns, by name or place, with what they lie between."""
        found = []
        try:
            pairs = [(column, *between) for column, between in bounds.items()]
            for column, low, high in pairs:
                ends = [-math.inf if low is None else float(low), math.inf if high is None else float(high)]
                if not ends[0] < ends[1]:
                    raise SettingError(f"bounds: of column {column!r}, {low} is not below {high}")
                [name] = named_columns(column, names, "bounds")
                found.append({"column": name, "low": low, "high": high})
        except (AttributeError, TypeError) as error:
            text = "bounds: must be a dict of columns with a lower and an upper bound, as in {'age': (0, None)}"
            raise SettingError(f"{text}, not {bounds!r}") from error
        return found

    def _region(self, names: list[str]) -> Any:
        """Where all rows lie."""
        bounds, domain = self.bounds, self.domain
        if bounds is not None and domain is not None:
            raise SettingError("domain: bounds of columns are a domain of their own; leave one of the two out")
        if bounds is not None:
            return {"Columns": self._bounds(bounds, names)}
        if domain is None:
            return None
        if domain == "simplex":
            return "Simplex"
        if isinstance(domain, tuple) and len(domain) == 2 and domain[0] == "ball":
            return {"Ball": domain[1]}
        raise SettingError(f"domain: is {domain!r}, not 'simplex' or ('ball', radius)")

    def score(self, X: ArrayLike, y: object = None) -> float:
        """How well the score suits rows that it was not fitted to, the higher, the better: minus the exact loss of score
        matching.

        It is the mean of -(d_k^2 ds_k/dx_k + (d_k s_k)^2 / 2), summed over columns k with the standard deviations d_k of
        the columns of ``X``: minus half the expected squared error of the score, up to a constant of the data. So it
        compares any models of the same rows, with densities or without, whatever constant or scaling each has. On a
        domain with a boundary it is the loss with its weights. The mean log density is ``score_samples(X).mean()``.
        """
        rows, given = self._asked(X)
        # In double precision, so that it is no matter which one the rows have.
        spread = np.std(rows, axis=0, dtype=np.float64)
        usual_spread = np.array(json.loads(self._model.description())["column_scale"])
        scale = np.where((spread > 0) & np.isfinite(spread), spread, usual_spread)
        return float(np.mean(self._model.exact_loss(rows, scale.tolist(), given, self._threads)) * -1)

    def laplacian(self, X: ArrayLike) -> Vector:
        """The trace of the Jacobian of the score at each row: of log densities, the Laplacian of log p."""
        rows, given = self._asked(X)
        return self._model.trace(rows, given, None, self._threads)

    def hessian_diagonal(self, X: ArrayLike) -> Matrix:
        """The derivative of each component of the score by its own column, for each row."""
        rows, given = self._asked(X)
        return self._model.jacobian_diagonal(rows, given, None, self._threads)

    def hvp(self, X: ArrayLike, V: ArrayLike) -> Matrix:
        """The Jacobian of the score, of log densities the Hessian of log p, times a vector for each row."""
        rows, given = self._asked(X)
        vectors: Rows = np.asarray(V, dtype=np.float64)
        if vectors.shape != rows.shape:
            raise DataError(f"V: must be vectors of the rows, of shape {rows.shape}, not {vectors.shape}")
        return self._model.jacobian_vector(rows, vectors, given, None, self._threads)

    def sample(
        self,
        n_samples: int = 1,
        random_state: RandomState = None,
        *,
        given: Mapping[str, float] | ArrayLike | None = None,
        **settings: Any,
    ) -> Matrix:
        """Draws rows by chains on the density.

        ``given`` is the condition of a conditional model: one row for all draws, or a row for each chain. Further
        settings are those of the engine: ``sampler``, ``chains``, ``warm_up``, ``thinning``, ``step_size``,
        ``leapfrog``. What is known of the draws is in ``sample_report_``.
        """
        return drawn_rows(self, n_samples, random_state, given, settings)


def objective_of(name: str, slices: int, sigma: float | None = None, eps: float | None = None) -> dict[str, Any]:
    """An objective as the engine reads it."""
    parts = {"name": name, "slices": slices, "sigma": sigma, "eps": eps}
    return {key: value for key, value in parts.items() if value is not None}
