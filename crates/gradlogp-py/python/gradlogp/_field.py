"""Scores without a density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import _gradlogp
from ._one_density import OneDensity
from .errors import GradlogpError


@dataclass(kw_only=True, eq=False, repr=False)
class ScoreField(OneDensity):
    """A score, grad log p, as a vector field, fitted by score matching: without a density, and more freely.

    Parameters are those of :class:`ScoreDensity`.
    """

    def _settings(self, names: list[str]) -> dict[str, Any]:
        return super()._settings(names) | {"family": "score", **self._network_settings(names)}

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if model.is_over_time:
            raise GradlogpError("the model knows every noise level: load it as a DiffusionDensity")
