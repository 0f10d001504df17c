"""How the package is used, with the types that a reader expects; mypy reads it, nothing runs it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import gradlogp
from gradlogp import (
    Chains,
    DiffusionDensity,
    NoiseProcess,
    ScoreCheck,
    ScoreDensity,
    ScoreImputer,
    ScoreOutlierDetector,
    Verdict,
    engine,
)

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
assert_type(model.check(X), Verdict)
assert_type(model.verdict_, Verdict | None)
assert_type(model.report_html(), str)
DiffusionDensity(process=NoiseProcess("custom", drift=lambda x, t: -x, diffusion=1.0), for_="density")
DiffusionDensity(process="vpx")  # type: ignore[arg-type]
network = engine.Network(2, "log-density", hidden=[8])
assert_type(network.vjv(X, X), NDArray[np.float64])
trainer = engine.Trainer(network, X, X, objective="ssm", steps=5)
assert_type(trainer.step(), NDArray[np.float32])
assert_type(trainer.best_network, engine.Network)
