"""What the estimators of one density share: its logarithm, or its score, as a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ._base import ModelEstimator
from ._draws import drawn_rows
from ._params import RandomState, SliceDistribution, usual
from ._rows import ColumnNames, Matrix, Rows, Vector, named_columns
from .errors import SettingError

Objective: TypeAlias = Literal[
    "auto", "exact", "ssm", "ssm-vr", "dsm", "fd-ssm", "fd-dsm", "cp", "approx-backprop"
]
Bounds: TypeAlias = Mapping[str, tuple[float | None, float | None]]


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
        region = self._region()
        if given and region is not None:
            raise SettingError("given: models with bounds have no condition; leave one of the two out")
        if given:
            return {"conditional": {"columns": given, "conditioning": self.conditioning or "concat"}}
        if region is not None:
            return {"within": {"region": region, "power": self.boundary_power}}
        return "everywhere"

    def _region(self) -> Any:
        """Where all rows lie."""
        bounds, domain = self.bounds, self.domain
        if bounds is not None and domain is not None:
            raise SettingError("domain: bounds of columns are a domain of their own; leave one of the two out")
        if bounds is not None:
            return {
                "Columns": [
                    {"column": column, "low": low, "high": high} for column, (low, high) in bounds.items()
                ]
            }
        if domain is None:
            return None
        if domain == "simplex":
            return "Simplex"
        if isinstance(domain, tuple) and len(domain) == 2 and domain[0] == "ball":
            return {"Ball": domain[1]}
        raise SettingError(f"domain: is {domain!r}, not 'simplex' or ('ball', radius)")

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
