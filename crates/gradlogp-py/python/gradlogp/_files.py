"""Model files."""

from __future__ import annotations

import os

from . import _gradlogp
from ._density import ScoreDensity
from ._diffusion import DiffusionDensity
from ._field import ScoreField


def load(path: str | os.PathLike[str]) -> ScoreDensity | ScoreField | DiffusionDensity:
    """An estimator of the model in a file: of the class that suits it."""
    model = _gradlogp.Model.load(path)
    if model.is_over_time:
        return DiffusionDensity._of(model)
    return ScoreDensity._of(model) if model.has_log_density else ScoreField._of(model)
