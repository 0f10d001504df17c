"""What can go wrong, and what to know of a fit.

Every error is a :class:`GradlogpError`, which is a :class:`ValueError`; its class says what to change.
"""

from __future__ import annotations


class GradlogpError(ValueError):
    """Any error of gradlogp."""


class SettingError(GradlogpError):
    """A setting that cannot be used: change the parameter."""

    setting: str = ""
    """Its name."""


class DataError(GradlogpError):
    """A table that cannot be used: change the rows."""

    row: int | None = None
    """The first row at fault, counted from 0, where there is one."""
    column: str | None = None
    """Its column, where there is one."""


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
