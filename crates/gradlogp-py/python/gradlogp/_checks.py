"""Checks of any score, and draws from any density, fitted here or elsewhere.

A score is a function of rows (an array n x d) that gives an array n x d; a log density one that gives n numbers.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _gradlogp
from ._base import ModelEstimator
from ._params import RandomState, as_json, seed_of, threads_of, whole_number
from ._rows import Matrix, Rows, checked, in_order, tabular
from .errors import DataError, SettingError

_Record = TypeVar("_Record", "ScoreCheck", "KsdTest", "Chains")

RowFunction: TypeAlias = Callable[[NDArray[np.float64]], ArrayLike]
"""A function of rows."""


@dataclass(frozen=True)
class ScoreCheck:
    """Whether a score is at odds with rows that it was not fitted to, by its Stein identities.

    For the true score s of the density behind the rows, in columns z of mean 0 and standard deviation 1, E[s] = 0 and
    E[s z^T] = -I.
    """

    rows: int
    """Rows."""
    consistent: bool
    """Whether no fault was found."""
    verdict: str
    """The worst fault, in words."""
    slope: float
    """c in E[s z^T] = -c I: above 1 the score is c times too large, below 0 its sign is inverted."""
    slope_se: float
    """Its standard error."""
    mean_max_z: float
    """The largest mean, in its standard errors."""
    product_max_z: float
    """The largest difference of a product from its value, in its standard errors."""
    critical_z: float
    """Beyond it a number of standard errors is a fault."""
    level: float
    """Chance of any fault found in a true score, at most."""
    mean: NDArray[np.float64]
    """E[s], d."""
    product: NDArray[np.float64]
    """E[s z^T], d x d."""

    def __bool__(self) -> bool:
        return self.consistent

    def __str__(self) -> str:
        return f"{self.verdict} (slope {self.slope:.3g} +- {self.slope_se:.2g}, {self.rows} rows)"

    def _repr_html_(self) -> str:
        return _table(
            self.verdict,
            self.consistent,
            [
                ("Stein slope", f"{self.slope:.4g} &plusmn; {self.slope_se:.2g}", "1"),
                ("Stein mean, largest |z|", f"{self.mean_max_z:.4g}", f"below {self.critical_z:.4g}"),
                ("Stein products, largest |z|", f"{self.product_max_z:.4g}", f"below {self.critical_z:.4g}"),
                ("Rows", str(self.rows), ""),
            ],
        )


@dataclass(frozen=True)
class KsdTest:
    """The kernel Stein discrepancy of a score on rows that it was not fitted to."""

    squared: float
    """The squared discrepancy (U-statistic) of standardized columns; about 0 for the true score."""
    p_value: float
    """Chance of so large a value under the true score."""
    bandwidth: float
    """Of the kernel, in standardized columns."""
    rows: int
    """Rows."""
    groups: int
    """Groups that the rows were cut into; 1 for the full statistic."""

    def _repr_html_(self) -> str:
        fine = self.p_value > 0.05
        text = "no fault found" if fine else "the score is not that of the density behind these rows"
        return _table(
            text,
            fine,
            [
                ("Squared discrepancy", f"{self.squared:.4g}", "about 0"),
                ("p value", f"{self.p_value:.4g}", "above 0.05"),
                ("Rows", str(self.rows), ""),
            ],
        )


@dataclass(frozen=True)
class Chains:
    """Draws by chains."""

    draws: NDArray[np.float64]
    """Chains x draws x d."""
    acceptance_rate: float | None
    """Of proposals after warm-up; None without any."""
    step_size: float
    """After warm-up."""
    split_r_hat: NDArray[np.float64]
    """Of each column: above 1.05 the chains have not met."""
    effective_sample_size: NDArray[np.float64]
    """Of each column."""
    tail_effective_sample_size: NDArray[np.float64]
    """Of the 5% and 95% quantiles of each column."""

    @property
    def rows(self) -> Matrix:
        """All draws as rows."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    def to_inference_data(self, names: Sequence[str] | None = None) -> Any:
        """The draws as ArviZ has them, a variable for each column."""
        import arviz

        columns = names or [f"x{k}" for k in range(self.draws.shape[-1])]
        posterior = {name: self.draws[:, :, k] for k, name in enumerate(columns)}
        if arviz.__version__.startswith("0."):
            return arviz.from_dict(posterior=posterior)
        return arviz.from_dict({"posterior": posterior})


def check_score(score: RowFunction, X: ArrayLike, *, level: float = 0.05) -> ScoreCheck:
    """Checks any score on rows that it was not fitted to, by the Stein identities.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(2000, 3))
    >>> check_score(lambda x: -x, X).consistent
    True
    >>> check_score(lambda x: x, X).verdict.startswith("the sign")
    True
    """
    rows, names = _rows(X)
    told = json.loads(_gradlogp.check_score(_on(score, X), rows, names, level))
    slope = told.pop("slope")
    told |= {"slope": slope["mean"], "slope_se": slope["standard_error"]}
    return _made(ScoreCheck, told)


def ksd_test(
    score: RowFunction,
    X: ArrayLike,
    *,
    group: int | None = None,
    bootstrap: int | None = None,
    random_state: RandomState = 0,
    threads: int | None = None,
) -> KsdTest:
    """Tests by the kernel Stein discrepancy whether a score is that of the density behind rows.

    More than ``group`` rows are cut into groups of about so many; ``bootstrap`` draws give the p value.
    """
    rows, _ = _rows(X)
    told = _gradlogp.ksd_test(_on(score, X), rows, seed_of(random_state), group, bootstrap, threads_of(threads))
    return _made(KsdTest, json.loads(told))


def sample_mala(
    log_density: RowFunction,
    grad_log_density: RowFunction,
    start: ArrayLike,
    *,
    n_draws: int = 1000,
    sampler: Literal["mala", "hmc"] = "mala",
    warm_up: int = 1000,
    thinning: int = 1,
    step_size: float = 0.1,
    leapfrog: int = 8,
    random_state: RandomState = 0,
) -> Chains:
    """Draws from any density by the Metropolis-adjusted Langevin algorithm, or by Hamiltonian Monte Carlo.

    ``log_density`` is known up to a constant. Each row of ``start`` begins a chain; all are asked for at once. Warm-up
    adapts the step size.
    """
    if sampler not in ("mala", "hmc"):
        raise SettingError(f"sampler: is {sampler!r}, not mala or hmc")
    settings = {
        "sampler": sampler,
        "warm_up": warm_up,
        "steps": whole_number("n_draws", n_draws, least=1) * whole_number("thinning", thinning, least=1),
        "thinning": thinning,
        "step_size": step_size,
        "leapfrog": leapfrog,
        "target_acceptance": 0.8 if sampler == "hmc" else 0.574,
        "random_state": seed_of(random_state),
    }
    return _chains(log_density, grad_log_density, start, settings)


def sample_ula(
    grad_log_density: RowFunction,
    start: ArrayLike,
    *,
    step_size: float,
    n_draws: int = 1000,
    warm_up: int = 1000,
    thinning: int = 1,
    random_state: RandomState = 0,
) -> Chains:
    """Draws from any score by Langevin steps without correction, whose bias falls with ``step_size``."""
    settings = {
        "sampler": "ula",
        "warm_up": warm_up,
        "steps": whole_number("n_draws", n_draws, least=1) * whole_number("thinning", thinning, least=1),
        "thinning": thinning,
        "step_size": step_size,
        "random_state": seed_of(random_state),
    }
    return _chains(None, grad_log_density, start, settings)


def _chains(
    log_density: RowFunction | None, score: RowFunction, start: ArrayLike, settings: dict[str, Any]
) -> Chains:
    rows, _ = _rows(start)
    density = None if log_density is None else _on(log_density, start)
    draws, told = _gradlogp.sample_chains(density, _on(score, start), rows, as_json(settings))
    return _made(Chains, {"draws": draws, **json.loads(told)})


def _on(function: RowFunction, x: ArrayLike) -> RowFunction:
    """The function, which gets the columns of ``x`` without their names; those of our own models have to be the same."""
    model = getattr(function, "__self__", None)
    if isinstance(model, ModelEstimator) and hasattr(tabular(x), "columns"):
        checked(model, x, reset=False)

    def called(rows: NDArray[np.float64]) -> ArrayLike:
        token = in_order.set(True)
        try:
            return function(rows)
        finally:
            in_order.reset(token)

    return called


def _rows(x: ArrayLike) -> tuple[Rows, list[str]]:
    """Rows and the names of their columns."""
    table = tabular(x)
    names = getattr(table, "columns", None)
    rows: Rows = np.asarray(table)
    if rows.dtype not in (np.float64, np.float32):
        rows = rows.astype(np.float64)
    if rows.ndim != 2:
        raise SettingError(f"X: must be rows of columns, n x d, not of shape {rows.shape}")
    columns = [str(name) for name in names] if names is not None else [f"x{k}" for k in range(rows.shape[1])]
    wrong = np.argwhere(~np.isfinite(rows))
    if len(wrong):
        row, place = wrong[0]
        raise DataError.at(int(row), columns[place], f"{rows[row, place]} is not a finite number")
    return rows, columns


def _made(kind: type[_Record], told: dict[str, Any]) -> _Record:
    """A record of what is told, lists as arrays and None in numbers as NaN."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        value = told[field.name]
        values[field.name] = np.array(value, dtype=np.float64) if isinstance(value, list) else value
    return kind(**values)


def _table(title: str, fine: bool, lines: list[tuple[str, str, str]]) -> str:
    """A small table for notebooks."""
    color = "#1a7f37" if fine else "#b35900"
    body = "".join(f"<tr><td>{name}</td><td>{value}</td><td>{wanted}</td></tr>" for name, value, wanted in lines)
    head = "<tr><th></th><th>found</th><th>expected</th></tr>"
    return f'<div><b style="color:{color}">{html.escape(title)}</b><table>{head}{body}</table></div>'
