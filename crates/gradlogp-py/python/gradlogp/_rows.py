"""Tables of callers as arrays of numbers with names of their columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _get_feature_names, validate_data

from .errors import DataError, SettingError

Rows: TypeAlias = NDArray[np.float64] | NDArray[np.float32]
"""Rows of numbers, n x d."""

Vector: TypeAlias = NDArray[np.float64]
"""A number for each row, n."""

Matrix: TypeAlias = NDArray[np.float64]
"""Numbers for each row, n x d."""

ColumnNames: TypeAlias = Sequence[str] | Sequence[int] | str | int
"""Columns of a table, by name or by place."""


in_order: ContextVar[bool] = ContextVar("in_order", default=False)
"""Whether arrays without names have the estimator's columns, as those have that our own checks call a score with."""


def is_plain(x: object) -> bool:
    """Whether this is a NumPy array that the engine reads where it lies."""
    return type(x) is np.ndarray and x.ndim == 2 and x.dtype in (np.float64, np.float32)


def checked(estimator: Any, x: ArrayLike, *, reset: bool) -> Rows:
    """A table as scikit-learn takes it, with the estimator's columns; the engine looks at the numbers."""
    table = tabular(x)
    try:
        rows: Rows = validate_data(
            estimator,
            table,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            # Of one row there is no density.
            ensure_min_samples=2 if reset else 1,
            reset=reset,
        )
    except (TypeError, ValueError) as error:
        for name in _names_seen(table):
            if not _is_numbers(table[name]):
                message = f"its values ({table[name].dtype}) are no numbers; leave it out, or turn it into numbers"
                raise DataError.at(None, str(name), message) from error
        raise
    return rows


def _names_seen(table: Any) -> list[str]:
    """Names of the columns of a table, all different, or none."""
    names = [] if not hasattr(table, "dtypes") else list(getattr(table, "columns", []))
    return names if len(set(names)) == len(names) else []


def _is_numbers(column: Any) -> bool:
    try:
        np.asarray(column).astype(np.float64, casting="unsafe" if np.asarray(column).dtype == object else "same_kind")
    except (TypeError, ValueError):
        return False
    return True


def tabular(x: ArrayLike) -> Any:
    """Tables of the Arrow C stream, such as those of pyarrow, as something whose names scikit-learn can see."""
    if hasattr(x, "collect_schema") and not hasattr(x, "to_numpy"):
        raise DataError("X: a lazy table has no rows yet; collect() it first")
    if not hasattr(x, "__arrow_c_stream__") or _has_names_seen(x):
        return x
    import pyarrow

    return pyarrow.table(x).to_pandas()


def _has_names_seen(x: object) -> bool:
    """Whether this installation of scikit-learn knows such tables: older ones do not see the names of newer polars."""
    is_array = hasattr(x, "__array__") and hasattr(x, "shape")
    return is_array and (hasattr(x, "iloc") or _get_feature_names(x) is not None)


def names_of(estimator: Any, count: int) -> list[str]:
    """Names of the columns: those of the table, else x0, x1, ... as scikit-learn and the program have them."""
    names: Iterable[str] | None = getattr(estimator, "feature_names_in_", None)
    return [str(name) for name in names] if names is not None else [f"x{k}" for k in range(count)]


def named_columns(columns: ColumnNames | None, names: Sequence[str], setting: str) -> list[str]:
    """Columns by name, whether they are given by name or by place."""
    if columns is None:
        return []
    several = [columns] if isinstance(columns, str | int) else columns
    out = []
    for column in several:
        if isinstance(column, str):
            out.append(column)
        elif -len(names) <= column < len(names):
            out.append(names[column])
        else:
            raise SettingError(f"{setting}: there is no column {column}, but {len(names)} columns from 0 on")
    return out
