"""Parameters that all estimators have, each said once: a dataclass that they inherit, as scikit-learn finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.utils import check_random_state

from ._rows import ColumnNames, named_columns

Activation: TypeAlias = Literal["softplus", "tanh", "silu", "gelu", "sin", "relu"]
SliceDistribution: TypeAlias = Literal["rademacher", "gaussian", "sphere", "orthogonal", "coordinate"]
Standardize: TypeAlias = Literal["standardize", "robust", "whiten", "common", "none"]

RandomState: TypeAlias = int | np.random.RandomState | None
"""A seed, a generator, or None for NumPy's own."""


def seed_of(random_state: RandomState) -> int:
    """A seed of the engine: an integer is taken as it is, so that the program's ``--seed`` gives the same bits."""
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def usual() -> Any:
    """A parameter that the engine takes as it is; None stands for the engine's usual value."""
    return field(default=None, metadata={"engine": True})


@dataclass(kw_only=True, eq=False, repr=False)
class Parameters:
    """Parameters of the network's layers, of preparing rows, of training and of running."""

    hidden: Sequence[int] | None = usual()
    activation: Activation | None = usual()
    standardize: Standardize | None = usual()
    dequantize: bool | ColumnNames | None = None
    dequantize_rule: Literal["gap", "median_gap", "whole"] | None = usual()
    validation: float | None = usual()
    test: float | None = usual()
    steps: int | None = usual()
    batch: int | None = usual()
    learning_rate: float | None = usual()
    schedule: Literal["cosine", "constant"] | None = usual()
    warm_up: int | None = usual()
    max_gradient_norm: float | None = usual()
    weight_decay: float | None = usual()
    ema_decay: float | None = usual()
    evaluate_every: int | None = usual()
    patience: int | None = usual()
    members: int | None = usual()
    threads: int | None = usual()
    random_state: RandomState = 0
    verbose: int | bool = 0

    def _settings(self, names: list[str]) -> dict[str, Any]:
        """The settings of the engine, by its names, for a table of these columns."""
        plain = (each.name for each in fields(self) if each.metadata.get("engine"))
        values = {name: getattr(self, name) for name in plain}
        settings = {name: value for name, value in values.items() if value is not None}
        settings["random_state"] = seed_of(self.random_state)
        if self.dequantize is not None:
            settings["dequantize"] = self._dequantized(names)
        return settings

    def _dequantized(self, names: list[str]) -> list[str] | None:
        """Columns that get noise: None none, no name all that are rounded."""
        if isinstance(self.dequantize, bool | np.bool_):
            return [] if self.dequantize else None
        return named_columns(self.dequantize, names, "dequantize")

    @property
    def _threads(self) -> int:
        return self.threads or 0
