"""How the package is used, with the types that a reader expects; mypy reads it, nothing runs it."""

from collections.abc import Mapping
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import gradlogp
from gradlogp import Chains, DiffusionDensity, ScoreCheck, ScoreDensity, ScoreImputer, ScoreOutlierDetector

X = np.zeros((10, 2))


def look(step: int, losses: Mapping[str, float | None]) -> bool:
    return step > 100 and losses["validation"] is not None


model = ScoreDensity(hidden=[16], bounds={"x0": (0, None)}, random_state=1).fit(X, callback=look)
assert_type(model, ScoreDensity)
assert_type(model.grad_log_density(X), NDArray[np.float64])
assert_type(model.score(X), float)
assert_type(model.log_z_, float | None)
assert_type(ScoreDensity.load("model.safetensors"), ScoreDensity)
assert_type(DiffusionDensity().fit(X).sample(5), NDArray[np.float64])
assert_type(ScoreOutlierDetector(contamination=0.1).fit(X).predict(X), NDArray[np.int64])
assert_type(ScoreImputer().fit(X).transform(X), NDArray[np.float64])
assert_type(gradlogp.check_score(lambda x: -x, X), ScoreCheck)
assert_type(gradlogp.sample_ula(model.grad_log_density, X, step_size=0.1), Chains)
ScoreDensity(activation="relu6")  # type: ignore[arg-type]
ScoreDensity(steps="many")  # type: ignore[arg-type]
