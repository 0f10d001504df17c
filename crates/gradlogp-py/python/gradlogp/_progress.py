"""Progress of a fit: a bar where tqdm is installed, else lines on standard error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Progress:
    """Shows how far a fit is."""

    def __init__(self, verbose: int | bool) -> None:
        self._bar: Any = None
        self._verbose = bool(verbose)
        self._told = -1.0

    def show(self, step: int, steps: int, loss: float, held_out: float | None) -> None:
        """Shows a step."""
        losses = f"loss {loss:.4g}" + ("" if held_out is None else f", held out {held_out:.4g}")
        if self._bar is None:
            self._bar = _bar(steps)
        if self._bar:
            self._bar.set_postfix_str(losses, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step >= self._told + steps / 10:
            self._told = step
            print(f"gradlogp: step {step} of {steps}, {losses}", file=sys.stderr)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.close()


def _bar(steps: int) -> Any:
    """A bar for notebooks and terminals; False without tqdm."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return False
    return tqdm(total=steps, desc="fitting", unit="step")
