"""Functions of rows as formulas: what a function computes of symbols, as the engine reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from .errors import SettingError

# How strongly what joins a formula binds.
_SUM, _PRODUCT, _POWER, _ATOM = range(4)


class Symbol:
    """A formula, which arithmetic and NumPy's functions make into larger ones."""

    def __init__(self, text: str, binds: int = _ATOM) -> None:
        self.text, self.binds = text, binds

    def _within(self, least: int) -> str:
        return self.text if self.binds >= least else f"({self.text})"

    def __add__(self, other: object) -> Any:
        return _join(self, " + ", other, _SUM, _SUM)

    def __radd__(self, other: object) -> Any:
        return _join(other, " + ", self, _SUM, _SUM)

    def __sub__(self, other: object) -> Any:
        return _join(self, " - ", other, _SUM, _PRODUCT)

    def __rsub__(self, other: object) -> Any:
        return _join(other, " - ", self, _SUM, _PRODUCT)

    def __mul__(self, other: object) -> Any:
        return _join(self, " * ", other, _PRODUCT, _PRODUCT)

    def __rmul__(self, other: object) -> Any:
        return _join(other, " * ", self, _PRODUCT, _PRODUCT)

    def __truediv__(self, other: object) -> Any:
        return _join(self, " / ", other, _PRODUCT, _POWER)

    def __rtruediv__(self, other: object) -> Any:
        return _join(other, " / ", self, _PRODUCT, _POWER)

    def __pow__(self, other: object) -> Any:
        return _join(self, "^", other, _ATOM, _ATOM, _POWER)

    def __rpow__(self, other: object) -> Any:
        return _join(other, "^", self, _ATOM, _ATOM, _POWER)

    def __neg__(self) -> Symbol:
        negative: Symbol = _join(-1.0, " * ", self, _PRODUCT, _PRODUCT)
        return negative

    def __pos__(self) -> Symbol:
        return self

    def __abs__(self) -> Symbol:
        return self._function("abs")

    def _function(self, name: str) -> Symbol:
        return Symbol(f"{name}({self.text})")

    # What NumPy calls on the elements of an array of objects.

    def exp(self) -> Symbol:
        return self._function("exp")

    def log(self) -> Symbol:
        return self._function("log")

    def sqrt(self) -> Symbol:
        return self._function("sqrt")

    def sin(self) -> Symbol:
        return self._function("sin")

    def cos(self) -> Symbol:
        return self._function("cos")

    def tan(self) -> Symbol:
        return self._function("tan")

    def sinh(self) -> Symbol:
        return self._function("sinh")

    def cosh(self) -> Symbol:
        return self._function("cosh")

    def tanh(self) -> Symbol:
        return self._function("tanh")

    def _no_number(self, *_: object) -> NoReturn:
        raise TypeError("a condition or a conversion to a number")

    __bool__ = __float__ = __int__ = __lt__ = __le__ = __gt__ = __ge__ = _no_number


def _join(left: object, sign: str, right: object, least: int, least_right: int, binds: int | None = None) -> Any:
    sides = [_symbol(left), _symbol(right)]
    if sides[0] is None or sides[1] is None:
        return NotImplemented
    text = sides[0]._within(least) + sign + sides[1]._within(least_right)
    return Symbol(text, least if binds is None else binds)


def _symbol(value: object) -> Symbol | None:
    """A symbol, or a number as one."""
    if isinstance(value, Symbol):
        return value
    if not isinstance(value, int | float | np.number):
        return None
    number = float(value)
    if not math.isfinite(number):
        raise TypeError(f"the number {number}")
    text = repr(number)
    return Symbol(text) if number >= 0 and not text.startswith("-") else Symbol(f"({text})")


def formulas(function: Callable[..., Any], setting: str, columns: Sequence[str] | None) -> list[str]:
    """What ``function(x, t)``, x being rows of these columns, computes of each; without columns, ``function(t)``."""
    time, wanted = Symbol("t"), 1 if columns is None else len(columns)
    try:
        if columns is None:
            found = list(np.asarray(function(time), dtype=object).reshape(1))
        else:
            row = np.array([[Symbol(f"{{{name}}}") for name in columns]], dtype=object)
            found = list(np.broadcast_to(np.asarray(function(row, time), dtype=object), (1, wanted))[0])
        symbols = [(value, _symbol(value)) for value in found]
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise SettingError(
            f"{setting}: the function is written into the model as a formula, so it may use + - * / **, numbers and "
            f"NumPy's exp, log, sqrt, sin, cos, tan, sinh, cosh, tanh and abs of x (n x {wanted}) and t; this one has "
            f"something else ({error})"
        ) from error
    texts = []
    for value, symbol in symbols:
        if symbol is None:
            raise SettingError(f"{setting}: the function gives {value!r}, which is no number")
        texts.append(symbol.text)
    return texts
