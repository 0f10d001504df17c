"""Fit the score (grad log p) of your data, and know how far to trust it.

>>> import numpy as np
>>> from gradlogp import ScoreDensity
>>> X = np.random.default_rng(0).normal(size=(500, 2))
>>> model = ScoreDensity(hidden=[16, 16], steps=300).fit(X)
>>> model.grad_log_density(X[:3]).shape
(3, 2)
"""

from ._checks import Chains, KsdTest, ScoreCheck, check_score, ksd_test, sample_mala, sample_ula
from ._density import ScoreDensity
from ._diffusion import DiffusionDensity
from ._field import ScoreField
from ._files import load
from ._gradlogp import __version__
from ._imputer import ScoreImputer
from ._noise import NoiseProcess
from ._outliers import ScoreOutlierDetector
from ._verdict import Reason, Verdict

__all__ = [
    "Chains",
    "DiffusionDensity",
    "KsdTest",
    "NoiseProcess",
    "Reason",
    "ScoreCheck",
    "ScoreDensity",
    "ScoreField",
    "ScoreImputer",
    "ScoreOutlierDetector",
    "Verdict",
    "__version__",
    "check_score",
    "ksd_test",
    "load",
    "sample_mala",
    "sample_ula",
]
