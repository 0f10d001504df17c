"""The compiled part: arrays and JSON in, arrays and JSON out."""

import os
from collections.abc import Callable, Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

__version__: str

_Rows = NDArray[np.float64] | NDArray[np.float32]

def fit(
    rows: _Rows,
    columns: list[str],
    settings: str,
    callback: Callable[[int, Mapping[str, float | None]], object] | None = None,
    progress: Callable[[int, int, float, float | None], object] | None = None,
) -> tuple[Model, str, list[str], list[int], bool]: ...
@final
class Model:
    def __new__(cls, file: bytes) -> Model: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def given_columns(self) -> list[str]: ...
    @property
    def has_log_density(self) -> bool: ...
    @property
    def is_over_time(self) -> bool: ...
    @property
    def times(self) -> tuple[float, float] | None: ...
    @property
    def fingerprint(self) -> str: ...
    def description(self) -> str: ...
    def score(
        self, x: _Rows, given: _Rows | None = None, time: float | None = None, threads: int = 0
    ) -> NDArray[np.float64]: ...
    def log_density(
        self, x: _Rows, given: _Rows | None = None, time: float | None = None, threads: int = 0
    ) -> NDArray[np.float64]: ...
    def trace(
        self, x: _Rows, given: _Rows | None = None, time: float | None = None, threads: int = 0
    ) -> NDArray[np.float64]: ...
    def jacobian_diagonal(
        self, x: _Rows, given: _Rows | None = None, time: float | None = None, threads: int = 0
    ) -> NDArray[np.float64]: ...
    def jacobian_vector(
        self, x: _Rows, v: _Rows, given: _Rows | None = None, time: float | None = None, threads: int = 0
    ) -> NDArray[np.float64]: ...
    def log_likelihood(
        self,
        x: _Rows,
        seed: int = 0,
        probes: int | None = None,
        tolerance: float | None = None,
        threads: int = 0,
    ) -> NDArray[np.float64]: ...
    def normalizer(
        self, rows: _Rows, seed: int = 0, threads: int = 0
    ) -> tuple[tuple[float, float] | None, str]: ...
    def sample(
        self, n: int, settings: str, given: _Rows | None = None, threads: int = 0
    ) -> tuple[NDArray[np.float64], str, list[str], bool]: ...
    def impute(
        self, rows: _Rows, settings: str, threads: int = 0
    ) -> tuple[NDArray[np.float64], list[str]]: ...
    def anomaly(self, x: _Rows, kind: str, given: _Rows | None = None, threads: int = 0) -> NDArray[np.float64]: ...
    def contributions(
        self, x: _Rows, kind: str, given: _Rows | None = None, threads: int = 0
    ) -> NDArray[np.float64]: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    @staticmethod
    def load(path: str | os.PathLike[str]) -> Model: ...
    def to_bytes(self) -> bytes: ...

def check_score(
    score: Callable[[NDArray[np.float64]], object], rows: _Rows, columns: list[str], level: float
) -> str: ...
def ksd_test(
    score: Callable[[NDArray[np.float64]], object],
    rows: _Rows,
    seed: int,
    group: int | None,
    bootstrap: int | None,
    threads: int,
) -> str: ...
def sample_chains(
    log_density: Callable[[NDArray[np.float64]], object] | None,
    score: Callable[[NDArray[np.float64]], object],
    start: _Rows,
    settings: str,
) -> tuple[NDArray[np.float64], str]: ...
def false_alarm_threshold(scores: NDArray[np.float64], false_alarm: float) -> float: ...
