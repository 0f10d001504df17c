"""Densities by the score at every noise level."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import DensityMixin

from . import _gradlogp
from ._base import ModelEstimator
from ._draws import drawn_rows, filled_in
from ._noise import NoiseProcess, ProcessName, process_of
from ._one_density import objective_of
from ._params import RandomState, SliceDistribution, seed_of, usual
from ._rows import Matrix, Vector
from .errors import GradlogpError, GradlogpWarning, SettingError

# Fourier features of the time that the engine reads at most.
_FREQUENCIES = 8


@dataclass(kw_only=True, eq=False, repr=False)
class DiffusionDensity(DensityMixin, ModelEstimator):
    """A density by the score at every noise level: log likelihoods, samples and missing values.

    The settings of the engine follow the purpose and the size of the table, as those of the program's ``fit --for
    density``, or the process, as those of ``fit --noise``; parameters that are not None take their place.

    Parameters
    ----------
    for_ : {"density", "sampling", "imputation", "anomaly"}
        What the model is for; None is density. It chooses the process, too.
    process : str or NoiseProcess
        The process that turns data into noise, in place of a purpose.
    kind
        Whether the network is the score or the log density at each noise level.
    objective, slices, slice_distribution
        What is minimized at each noise level: ``"auto"`` is denoising where the process has a kernel, else sliced score
        matching.
    hidden, activation, conditioning, time_features, noise_floor
        The network, and what it reads of the time.
    noise_weight, times, simulate
        How noise levels are weighed and drawn, and in how many steps noise is simulated where the process has no
        kernel.
    gaussians
        Whether a mixture of Gaussians joins the density, as it does for density and sampling.
    standardize, dequantize, dequantize_rule, validation, test
        As of :class:`ScoreDensity`.
    marginals : {"keep", "normal", "auto"}
        Whether each column is first mapped, by itself, to one that is about normal; ``"auto"``, as for density, sampling and imputation, does
        it where the columns together are then nearer to a Gaussian.
    steps, batch, learning_rate, schedule, warm_up, max_gradient_norm, weight_decay, ema_decay, evaluate_every, patience
        Training.
    members, threads, random_state, verbose
        As of :class:`ScoreDensity`.
    """

    for_: Literal["density", "sampling", "imputation", "anomaly"] | None = None
    process: ProcessName | NoiseProcess | None = None
    kind: Literal["score", "log-density"] | None = usual()
    objective: Literal["auto", "dsm", "ssm", "ssm-vr", "exact"] = "auto"
    slices: int = 1
    slice_distribution: SliceDistribution | None = usual()
    conditioning: Literal["concat", "film"] | None = usual()
    time_features: Literal["fourier", "log-noise"] | None = None
    noise_floor: float | None = usual()
    noise_weight: Literal["noise", "likelihood", "balanced", "none"] | None = usual()
    times: Literal["uniform", "importance", "log-noise"] | None = usual()
    simulate: int | None = usual()
    gaussians: bool | None = usual()
    marginals: Literal["keep", "normal", "auto"] | None = usual()

    def _settings(self, names: list[str]) -> dict[str, Any]:
        settings = super()._settings(names)
        if self.process is None:
            settings["purpose"] = self._purpose()
        elif self.for_ is None:
            settings |= {"family": "diffusion", "process": process_of(self.process).settings(names)}
        else:
            raise SettingError("process: the purpose for_ chooses it; leave one of the two out")
        if self.time_features is not None:
            settings["time_features"] = {"name": self.time_features, "frequencies": _FREQUENCIES}
        if self.objective != "auto":
            name = "regression" if self.objective == "dsm" else self.objective
            settings["objective"] = objective_of(name, self.slices)
        return settings

    def _purpose(self) -> str:
        purposes = ("density", "sampling", "imputation", "anomaly")
        if self.for_ is not None and self.for_ not in purposes:
            raise SettingError(f"for_: is {self.for_!r}, not {', '.join(purposes)}; for the score itself take ScoreDensity")
        return self.for_ or "density"

    @property
    def t_min_(self) -> float:
        """The least time, at which the noise is least."""
        return self._times[0]

    @property
    def horizon_(self) -> float:
        """The last time, at which the data are noise."""
        return self._times[1]

    @property
    def _times(self) -> tuple[float, float]:
        times = self._fitted().times
        assert times is not None
        return times

    def grad_log_density(self, X: ArrayLike, t: float | None = None) -> Matrix:
        """The score of the rows noised to time ``t``; without it, to the least time."""
        rows, _ = self._asked(X)
        return self._model.score(rows, None, t, self._threads)

    def score_samples(self, X: ArrayLike) -> Vector:
        """log p of each row, normalized, by the probability flow."""
        rows, _ = self._asked(X)
        values = self._model.log_likelihood(rows, seed_of(self.random_state), None, None, self._threads)
        lost = np.flatnonzero(np.isnan(values))
        if lost.size:
            text = f"log p of {lost.size} rows is not known, such as row {lost[0]}: they are far from all others"
            warnings.warn(text, GradlogpWarning, stacklevel=2)
        return values

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean of :meth:`score_samples`."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: RandomState = None, **settings: Any) -> Matrix:
        """Draws rows from noise to data.

        Settings are those of the engine: ``sampler``, ``steps``, ``schedule``, ``corrections``. What is known of the
        draws is in ``sample_report_``.
        """
        return drawn_rows(self, n_samples, random_state, None, settings)

    def impute(
        self, X: ArrayLike, n_draws: int = 1, random_state: RandomState = None, **settings: Any
    ) -> Matrix:
        """The rows with values drawn for those that are NaN, given the others of their row.

        With more than one draw, an array of draws x rows x columns.
        """
        found: Matrix = filled_in(self, X, n_draws, random_state, settings)
        return found[0] if n_draws == 1 else found

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if not model.is_over_time:
            raise GradlogpError("the model is of one density: load it as a ScoreDensity or a ScoreField")
