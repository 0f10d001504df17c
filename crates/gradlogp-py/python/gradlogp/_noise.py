"""Processes that turn data into noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from ._trace import formulas
from .errors import SettingError

ProcessName: TypeAlias = Literal["ve", "vp", "sub-vp", "ou", "ncsn", "custom"]

Formula: TypeAlias = str | Callable[..., Any]
"""A formula, or a function that computes one."""


@dataclass(frozen=True)
class NoiseProcess:
    """A process dx = f(x, t) dt + g(t) dW from data at time 0 to noise at the last time.

    Numbers that are None have their usual value. Those of ``"custom"`` are in the columns' own units, the others in
    standardized ones.

    >>> NoiseProcess("ve", sigma_max=4.0)
    NoiseProcess(name='ve', sigma_max=4.0)
    >>> def drift(x, t):
    ...     return x - x**3
    >>> NoiseProcess("custom", drift=drift, diffusion=1.0, horizon=2.0).settings(["a", "b"])["drift"]
    ['{a} - {a}^3.0', '{b} - {b}^3.0']

    Parameters
    ----------
    name
        Variance exploding or preserving, preserving at most, Ornstein-Uhlenbeck, the levels of NCSN, or one's own.
    sigma_min, sigma_max
        Of ``"ve"`` and ``"ncsn"``: least and largest noise.
    levels
        Of ``"ncsn"``: how many.
    schedule, beta_min, beta_max
        Of ``"vp"`` and ``"sub-vp"``: the rate beta(t), linear between two values or such that the signal falls as a
        squared cosine.
    rate
        Of ``"ou"``: of the return to the mean.
    diffusion
        g: a number for ``"ou"``, of one's own also a formula in t or a function of it.
    drift
        Of one's own: f, a function of x (n x d) and t, or a formula for all columns, or one for each. A function is
        called once, with symbols, and what it computes is written into the model as a formula.
    horizon, t_min
        The last time, and the least one at which the score is fitted.
    """

    name: ProcessName
    sigma_min: float | None = None
    sigma_max: float | None = None
    levels: int | None = None
    schedule: Literal["linear", "cosine"] | None = None
    beta_min: float | None = None
    beta_max: float | None = None
    rate: float | None = None
    diffusion: float | Formula | None = None
    drift: Formula | Sequence[str] | None = None
    horizon: float | None = None
    t_min: float | None = None

    def settings(self, columns: Sequence[str]) -> dict[str, Any]:
        """The process as the engine reads it, for a table of these columns."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        given = {name: value for name, value in given.items() if value is not None}
        if self.name != "custom":
            return given
        if self.drift is None or self.diffusion is None:
            raise SettingError("process: one's own has a drift and a diffusion; give both")
        return given | {"drift": self._drift(columns), "diffusion": self._diffusion()}

    def _drift(self, columns: Sequence[str]) -> list[str]:
        if callable(self.drift):
            return formulas(self.drift, "drift", columns)
        return [self.drift] if isinstance(self.drift, str) else [str(each) for each in self.drift or ()]

    def _diffusion(self) -> str:
        if callable(self.diffusion):
            return formulas(self.diffusion, "diffusion", None)[0]
        return str(self.diffusion)

    def __repr__(self) -> str:
        given = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if getattr(self, each.name) is not None)
        return f"NoiseProcess({', '.join(given)})"


def process_of(asked: str | NoiseProcess) -> NoiseProcess:
    """A process, or the usual one of a name."""
    if isinstance(asked, NoiseProcess):
        return asked
    if isinstance(asked, str):
        return NoiseProcess(asked)  # type: ignore[arg-type]
    raise SettingError(f"process: is {asked!r}, not a name or a NoiseProcess")
