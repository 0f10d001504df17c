"""What can go wrong, and what to know of a fit.

Every error is a :class:`GradlogpError`, which is a :class:`ValueError`; its class says what to change.
"""

from __future__ import annotations

import re

from ._wording import of_data


class GradlogpError(ValueError):
    """Any error of gradlogp."""


class SettingError(GradlogpError):
    """A setting that cannot be used: change the parameter."""

    setting: str = ""
    """Its name; empty where it is the model that does not suit."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        named = re.match(r"(\w+): ", text)
        if named:
            self.setting = named[1]


class DataError(GradlogpError):
    """A table that cannot be used: change the rows."""

    row: int | None = None
    """The first row at fault, its place in X counted from 0, where there is one."""
    column: str | None = None
    """Its column, where there is one."""

    @classmethod
    def at(cls, row: int | None, column: str | None, message: str) -> DataError:
        """What is wrong with X at a place."""
        error = cls(of_data("X", row, column, message))
        error.row, error.column = row, column
        return error


class ModelFileError(GradlogpError):
    """A file that is no model, or a damaged or newer one: use another file."""


class FileError(GradlogpError, OSError):
    """A file that cannot be read or written: look at its path, the disk and its permissions."""


class NumericalError(GradlogpError, ArithmeticError):
    """Training or sampling diverged, or a computation has no solution: change step size or model."""


class GradlogpWarning(UserWarning):
    """Any warning of gradlogp."""


class FitWarning(GradlogpWarning):
    """What to know of the table, or of the weights."""


class InterruptedWarning(FitWarning):
    """The fit was ended early; the best weights so far are the model."""


class UnnormalizedWarning(GradlogpWarning):
    """Log densities are known up to a constant only: they compare rows of one model, not models."""
