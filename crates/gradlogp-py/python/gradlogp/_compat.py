"""What older Pythons have elsewhere, and what not every installation has."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self

__all__ = ["Self", "optional"]


@contextmanager
def optional(extra: str) -> Iterator[None]:
    """Imports that need an extra of the package: says which where they are not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed: pip install 'gradlogp[{extra}]'"
        raise ModuleNotFoundError(text, name=error.name) from None
