"""Parameters that all estimators have, each said once: a dataclass that they inherit, as scikit-learn finds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.utils import check_random_state

from ._rows import ColumnNames, named_columns
from .errors import SettingError

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


# More would only wait for each other, and so many more could not be started.
_MOST_THREADS = 1024


def threads_of(threads: int | None) -> int:
    """Threads, 0 being one for each core."""
    return 0 if threads is None else whole_number("threads", threads, least=0, most=_MOST_THREADS)


def whole_number(name: str, value: Any, *, least: int, most: int | None = None) -> int:
    """A parameter that is a whole number within bounds."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value <= (most or value):
        return int(value)
    bounds = f"{least} or more" if most is None else f"from {least} to {most}"
    raise SettingError(f"{name}: must be a whole number, {bounds}, not {value!r}")


def as_json(settings: Mapping[str, Any]) -> str:
    """Settings as the engine reads them."""
    for name, value in settings.items():
        _check_finite(name, value)
    return json.dumps(settings, default=_plain_value)


def _check_finite(name: str, value: object) -> None:
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        raise SettingError(f"{name}: must be a finite number, not {value}")
    if isinstance(value, Mapping):
        for inner, each in value.items():
            _check_finite(str(inner), each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_finite(name, each)


def _plain_value(value: object) -> object:
    """NumPy's numbers and arrays as JSON has them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise SettingError(f"{value!r} is no setting")


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
        settings |= {"random_state": seed_of(self.random_state), "threads": self._threads}
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
        return threads_of(self.threads)
