"""Densities and score fields."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import DensityMixin

from . import _gradlogp
from ._base import Callback, ModelEstimator, RandomState, seed_of
from ._compat import Self
from ._rows import ColumnNames, Matrix, Rows, Vector, named_columns
from .errors import FitWarning, GradlogpError, GradlogpWarning, SettingError, UnnormalizedWarning

Activation: TypeAlias = Literal["softplus", "tanh", "silu", "gelu", "sin", "relu"]
Objective: TypeAlias = Literal[
    "auto", "exact", "ssm", "ssm-vr", "dsm", "fd-ssm", "fd-dsm", "cp", "approx-backprop"
]
SliceDistribution: TypeAlias = Literal["rademacher", "gaussian", "sphere", "orthogonal", "coordinate"]
Standardize: TypeAlias = Literal["standardize", "robust", "whiten", "common", "none"]
Bounds: TypeAlias = Mapping[str, tuple[float | None, float | None]]


class _OfOneDensity(ModelEstimator):
    """A network of one density: its logarithm, or its score."""

    _plain = (
        "activation",
        "batch",
        "dequantize_rule",
        "ema_decay",
        "evaluate_every",
        "hidden",
        "learning_rate",
        "max_gradient_norm",
        "members",
        "patience",
        "schedule",
        "slice_distribution",
        "standardize",
        "steps",
        "test",
        "validation",
        "warm_up",
        "weight_decay",
    )

    objective: Objective
    slices: int
    sigma: float | None
    eps: float | None
    given: ColumnNames | None
    conditioning: Literal["concat", "film"] | None
    bounds: Bounds | None
    domain: Literal["simplex"] | tuple[Literal["ball"], float] | None
    boundary_power: float
    dequantize: bool | ColumnNames
    residual: bool

    def _settings(self, names: list[str]) -> dict[str, Any]:
        settings = super()._settings(names)
        settings["dequantize"] = _dequantized(self.dequantize, names)
        if self.objective != "auto":
            settings["objective"] = _objective(self.objective, self.slices, self.sigma, self.eps)
        return settings

    def _network_settings(self, names: list[str]) -> dict[str, Any]:
        return {"residual": self.residual, "support": self._support(names)}

    def _support(self, names: list[str]) -> Any:
        """What the density is of."""
        given = named_columns(self.given, names, "given")
        region = _region(self.bounds, self.domain)
        if given and region is not None:
            raise SettingError("given: models with bounds have no condition; leave one of the two out")
        if given:
            return {"conditional": {"columns": given, "conditioning": self.conditioning or "concat"}}
        if region is not None:
            return {"within": {"region": region, "power": self.boundary_power}}
        return "everywhere"

    def laplacian(self, X: ArrayLike) -> Vector:
        """The trace of the Jacobian of the score at each row: of log densities, the Laplacian of log p."""
        rows, given = self._asked(X)
        return self._model.trace(rows, given, None, self._threads)

    def hessian_diagonal(self, X: ArrayLike) -> Matrix:
        """The derivative of each component of the score by its own column, for each row."""
        rows, given = self._asked(X)
        return self._model.jacobian_diagonal(rows, given, None, self._threads)

    def hvp(self, X: ArrayLike, V: ArrayLike) -> Matrix:
        """The Jacobian of the score, of log densities the Hessian of log p, times a vector for each row."""
        rows, given = self._asked(X)
        vectors: Rows = np.asarray(V, dtype=np.float64)
        return self._model.jacobian_vector(rows, vectors, given, None, self._threads)

    def sample(
        self,
        n_samples: int = 1,
        random_state: RandomState = None,
        *,
        given: Mapping[str, float] | ArrayLike | None = None,
        **settings: Any,
    ) -> Matrix:
        """Draws rows by chains on the density.

        ``given`` is the condition of a conditional model: one row for all draws, or a row for each chain. Further
        settings are those of the engine: ``sampler``, ``chains``, ``warm_up``, ``thinning``, ``step_size``,
        ``leapfrog``. What is known of the draws is in ``sample_report_``.
        """
        return _sample(self, n_samples, random_state, given, settings)


class ScoreDensity(DensityMixin, _OfOneDensity):
    """An unnormalized density, fitted by score matching.

    Parameters that are None have the engine's usual value.

    Parameters
    ----------
    family : {"network", "kernel", "deep-kernel"}
        A network of log p, a kernel exponential family, or one with a learnt kernel.
    hidden, activation, residual, base_scale
        The network: widths of its hidden layers, the nonlinearity, whether layers of one width add to their input, and
        the width of the Gaussian that it multiplies (0: none).
    inducing, base_sd
        Of kernel families: inducing points, and the width of the base density.
    objective, slices, sigma, eps, slice_distribution
        What is minimized: ``"auto"`` chooses between exact and sliced score matching.
    given, conditioning
        Columns c of p(x | c), and how the network reads them.
    bounds, domain, boundary_power
        Where all rows lie: bounds of columns, as in ``{"age": (0, None)}``; ``"simplex"`` or ``("ball", radius)``.
    standardize, dequantize, dequantize_rule
        How columns are scaled, and whether (or which) rounded columns get noise as wide as their step.
    validation, test
        Shares of the rows that choose the weights, and that check the fit.
    steps, batch, learning_rate, schedule, warm_up, max_gradient_norm, weight_decay, ema_decay, evaluate_every, patience
        Training.
    members
        Networks that are trained on other seeds and averaged.
    threads
        None takes one for each core. The same seed and threads give the same bits.
    random_state
        An integer is the seed, the same as the program's ``--seed``.
    verbose
        Whether a progress bar is shown.
    """

    def __init__(
        self,
        family: Literal["network", "kernel", "deep-kernel"] = "network",
        *,
        hidden: Sequence[int] | None = None,
        activation: Activation | None = None,
        residual: bool = False,
        base_scale: float | None = None,
        inducing: int | None = None,
        base_sd: float | None = None,
        objective: Objective = "auto",
        slices: int = 1,
        sigma: float | None = None,
        eps: float | None = None,
        slice_distribution: SliceDistribution | None = None,
        given: ColumnNames | None = None,
        conditioning: Literal["concat", "film"] | None = None,
        bounds: Bounds | None = None,
        domain: Literal["simplex"] | tuple[Literal["ball"], float] | None = None,
        boundary_power: float = 1.0,
        standardize: Standardize | None = None,
        dequantize: bool | ColumnNames = False,
        dequantize_rule: Literal["gap", "median_gap", "whole"] | None = None,
        validation: float | None = None,
        test: float | None = None,
        steps: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        schedule: Literal["cosine", "constant"] | None = None,
        warm_up: int | None = None,
        max_gradient_norm: float | None = None,
        weight_decay: float | None = None,
        ema_decay: float | None = None,
        evaluate_every: int | None = None,
        patience: int | None = None,
        members: int | None = None,
        threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int | bool = 0,
    ) -> None:
        self.family = family
        self.hidden = hidden
        self.activation = activation
        self.residual = residual
        self.base_scale = base_scale
        self.inducing = inducing
        self.base_sd = base_sd
        self.objective = objective
        self.slices = slices
        self.sigma = sigma
        self.eps = eps
        self.slice_distribution = slice_distribution
        self.given = given
        self.conditioning = conditioning
        self.bounds = bounds
        self.domain = domain
        self.boundary_power = boundary_power
        self.standardize = standardize
        self.dequantize = dequantize
        self.dequantize_rule = dequantize_rule
        self.validation = validation
        self.test = test
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warm_up = warm_up
        self.max_gradient_norm = max_gradient_norm
        self.weight_decay = weight_decay
        self.ema_decay = ema_decay
        self.evaluate_every = evaluate_every
        self.patience = patience
        self.members = members
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def _settings(self, names: list[str]) -> dict[str, Any]:
        settings = super()._settings(names)
        if self.family == "network":
            settings |= {"family": "log-density", **self._network_settings(names)}
            if self.base_scale is not None:
                settings["base_scale"] = self.base_scale or None
        elif self.family in ("kernel", "deep-kernel"):
            settings["family"] = self.family
            own = {"inducing": self.inducing, "base_sd": self.base_sd}
            settings |= {name: value for name, value in own.items() if value is not None}
        else:
            raise SettingError(f"family: is {self.family!r}, not network, kernel or deep-kernel")
        return settings

    def fit(self, X: ArrayLike, y: object = None, *, callback: Callback | None = None) -> Self:
        """Fits the density of the rows of ``X``.

        ``callback(step, losses)`` sees each step; a true answer ends training with the best weights so far, as Ctrl-C
        does.
        """
        self._log_z: tuple[float, float] | str | None = None
        self._fit(X, callback)
        return self

    @property
    def log_z_(self) -> float | None:
        """log Z of the density, estimated when first asked for on rows that did not train it; None where it cannot be trusted."""
        found = self._normalizer()
        return found[0] if isinstance(found, tuple) else None

    @property
    def log_z_se_(self) -> float | None:
        """Its standard error."""
        found = self._normalizer()
        return found[1] if isinstance(found, tuple) else None

    def _normalizer(self) -> tuple[float, float] | str:
        """log Z and its standard error, or why there is none."""
        model = self._fitted()
        if getattr(self, "_log_z", None) is None:
            rows = getattr(self, "_held_out", None)
            if rows is None:
                self._log_z = "the model comes from a file, without rows to estimate log Z on"
            else:
                try:
                    found, why = model.normalizer(rows, seed_of(self.random_state), self._threads)
                except GradlogpError as error:
                    found, why = None, str(error)
                self._log_z = why if found is None else found
        log_z = self._log_z
        assert log_z is not None
        return log_z

    def score_samples(self, X: ArrayLike) -> Vector:
        """log p of each row: normalized where log Z can be trusted, else up to a constant, with a warning."""
        rows, given = self._asked(X)
        values = self._model.log_density(rows, given, None, self._threads)
        log_z = self._normalizer()
        if isinstance(log_z, str):
            warnings.warn(f"log densities up to a constant: {log_z}", UnnormalizedWarning, stacklevel=2)
            return values
        return values - log_z[0]

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean of :meth:`score_samples`."""
        return float(np.mean(self.score_samples(X)))

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if model.is_over_time:
            raise GradlogpError("the model knows every noise level: load it as a DiffusionDensity")
        if not model.has_log_density:
            raise GradlogpError("the model is a score field without a density: load it as a ScoreField")


class ScoreField(_OfOneDensity):
    """A score, grad log p, as a vector field, fitted by score matching: without a density, and more freely.

    Parameters are those of :class:`ScoreDensity`.
    """

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        activation: Activation | None = None,
        residual: bool = False,
        objective: Objective = "auto",
        slices: int = 1,
        sigma: float | None = None,
        eps: float | None = None,
        slice_distribution: SliceDistribution | None = None,
        given: ColumnNames | None = None,
        conditioning: Literal["concat", "film"] | None = None,
        bounds: Bounds | None = None,
        domain: Literal["simplex"] | tuple[Literal["ball"], float] | None = None,
        boundary_power: float = 1.0,
        standardize: Standardize | None = None,
        dequantize: bool | ColumnNames = False,
        dequantize_rule: Literal["gap", "median_gap", "whole"] | None = None,
        validation: float | None = None,
        test: float | None = None,
        steps: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        schedule: Literal["cosine", "constant"] | None = None,
        warm_up: int | None = None,
        max_gradient_norm: float | None = None,
        weight_decay: float | None = None,
        ema_decay: float | None = None,
        evaluate_every: int | None = None,
        patience: int | None = None,
        members: int | None = None,
        threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int | bool = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.residual = residual
        self.objective = objective
        self.slices = slices
        self.sigma = sigma
        self.eps = eps
        self.slice_distribution = slice_distribution
        self.given = given
        self.conditioning = conditioning
        self.bounds = bounds
        self.domain = domain
        self.boundary_power = boundary_power
        self.standardize = standardize
        self.dequantize = dequantize
        self.dequantize_rule = dequantize_rule
        self.validation = validation
        self.test = test
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warm_up = warm_up
        self.max_gradient_norm = max_gradient_norm
        self.weight_decay = weight_decay
        self.ema_decay = ema_decay
        self.evaluate_every = evaluate_every
        self.patience = patience
        self.members = members
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def _settings(self, names: list[str]) -> dict[str, Any]:
        return super()._settings(names) | {"family": "score", **self._network_settings(names)}

    def fit(self, X: ArrayLike, y: object = None, *, callback: Callback | None = None) -> Self:
        """Fits the score of the rows of ``X``; ``callback`` as in :meth:`ScoreDensity.fit`."""
        self._fit(X, callback)
        return self

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if model.is_over_time:
            raise GradlogpError("the model knows every noise level: load it as a DiffusionDensity")


class DiffusionDensity(DensityMixin, ModelEstimator):
    """A density by the score at every noise level: log likelihoods, samples and missing values.

    The settings of the engine follow the size of the table, as those of the program's ``fit --for density``;
    parameters that are not None take their place.

    Parameters
    ----------
    hidden, activation, conditioning, noise_floor, noise_weight, times
        The network, and how noise levels are weighed and drawn.
    standardize, dequantize, dequantize_rule, validation, test
        As of :class:`ScoreDensity`.
    steps, batch, learning_rate, schedule, warm_up, max_gradient_norm, weight_decay, ema_decay, evaluate_every, patience
        Training.
    members, threads, random_state, verbose
        As of :class:`ScoreDensity`.
    """

    _plain = (
        "activation",
        "batch",
        "conditioning",
        "dequantize_rule",
        "ema_decay",
        "evaluate_every",
        "hidden",
        "learning_rate",
        "max_gradient_norm",
        "members",
        "noise_floor",
        "noise_weight",
        "patience",
        "schedule",
        "standardize",
        "steps",
        "test",
        "times",
        "validation",
        "warm_up",
        "weight_decay",
    )

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        activation: Activation | None = None,
        conditioning: Literal["concat", "film"] | None = None,
        noise_floor: float | None = None,
        noise_weight: Literal["noise", "likelihood", "balanced", "none"] | None = None,
        times: Literal["uniform", "importance", "log-noise"] | None = None,
        standardize: Standardize | None = None,
        dequantize: bool | ColumnNames = True,
        dequantize_rule: Literal["gap", "median_gap", "whole"] | None = None,
        validation: float | None = None,
        test: float | None = None,
        steps: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        schedule: Literal["cosine", "constant"] | None = None,
        warm_up: int | None = None,
        max_gradient_norm: float | None = None,
        weight_decay: float | None = None,
        ema_decay: float | None = None,
        evaluate_every: int | None = None,
        patience: int | None = None,
        members: int | None = None,
        threads: int | None = None,
        random_state: RandomState = 0,
        verbose: int | bool = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.conditioning = conditioning
        self.noise_floor = noise_floor
        self.noise_weight = noise_weight
        self.times = times
        self.standardize = standardize
        self.dequantize = dequantize
        self.dequantize_rule = dequantize_rule
        self.validation = validation
        self.test = test
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warm_up = warm_up
        self.max_gradient_norm = max_gradient_norm
        self.weight_decay = weight_decay
        self.ema_decay = ema_decay
        self.evaluate_every = evaluate_every
        self.patience = patience
        self.members = members
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def _settings(self, names: list[str]) -> dict[str, Any]:
        settings = super()._settings(names)
        return settings | {"purpose": "density", "dequantize": _dequantized(self.dequantize, names)}

    def fit(self, X: ArrayLike, y: object = None, *, callback: Callback | None = None) -> Self:
        """Fits the density of the rows of ``X``; ``callback`` as in :meth:`ScoreDensity.fit`."""
        self._fit(X, callback)
        return self

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
        return _sample(self, n_samples, random_state, None, settings)

    def impute(
        self, X: ArrayLike, n_draws: int = 1, random_state: RandomState = None, **settings: Any
    ) -> Matrix:
        """The rows with values drawn for those that are NaN, given the others of their row.

        With more than one draw, an array of draws x rows x columns.
        """
        return _impute(self, X, n_draws, random_state, settings)

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if not model.is_over_time:
            raise GradlogpError("the model is of one density: load it as a ScoreDensity or a ScoreField")


def load(path: Any) -> ScoreDensity | ScoreField | DiffusionDensity:
    """An estimator of the model in a file: of the class that suits it."""
    model = _gradlogp.Model.load(path)
    if model.is_over_time:
        return DiffusionDensity._of(model)
    return ScoreDensity._of(model) if model.has_log_density else ScoreField._of(model)


def _objective(name: str, slices: int, sigma: float | None, eps: float | None) -> dict[str, Any]:
    parts = {"name": name, "slices": slices, "sigma": sigma, "eps": eps}
    return {key: value for key, value in parts.items() if value is not None}


def _dequantized(asked: bool | ColumnNames, names: list[str]) -> list[str] | None:
    """Columns that get noise: None none, no name all that are rounded."""
    if isinstance(asked, bool | np.bool_):
        return [] if asked else None
    return named_columns(asked, names, "dequantize")


def _region(bounds: Bounds | None, domain: object) -> Any:
    if bounds is not None and domain is not None:
        raise SettingError("domain: bounds of columns are a domain of their own; leave one of the two out")
    if bounds is not None:
        return {
            "Columns": [
                {"column": column, "low": low, "high": high} for column, (low, high) in bounds.items()
            ]
        }
    if domain is None:
        return None
    if domain == "simplex":
        return "Simplex"
    if isinstance(domain, tuple) and len(domain) == 2 and domain[0] == "ball":
        return {"Ball": domain[1]}
    raise SettingError(f"domain: is {domain!r}, not 'simplex' or ('ball', radius)")


def _sample(
    estimator: ModelEstimator,
    n_samples: int,
    random_state: RandomState,
    given: Mapping[str, float] | ArrayLike | None,
    settings: dict[str, Any],
) -> Matrix:
    model = estimator._fitted()
    seed = seed_of(estimator.random_state if random_state is None else random_state)
    conditions = None
    if isinstance(given, Mapping):
        missing = [name for name in model.given_columns if name not in given]
        if missing:
            raise SettingError(f"given: has no value of {', '.join(missing)}")
        conditions = np.array([[given[name] for name in model.given_columns]], dtype=np.float64)
    elif given is not None:
        conditions = np.atleast_2d(np.asarray(given, dtype=np.float64))
    text = json.dumps({**settings, "random_state": seed})
    rows, known, notes, _ = model.sample(int(n_samples), text, conditions, estimator._threads)
    for note in notes:
        warnings.warn(note, FitWarning, stacklevel=3)
    estimator.sample_report_ = json.loads(known)
    return rows


def _impute(
    estimator: ModelEstimator, x: ArrayLike, n_draws: int, random_state: RandomState, settings: dict[str, Any]
) -> Matrix:
    rows, _ = estimator._asked(x)
    seed = seed_of(estimator.random_state if random_state is None else random_state)
    text = json.dumps({**settings, "draws": n_draws, "random_state": seed})
    found, notes = estimator._fitted().impute(rows, text, estimator._threads)
    for note in notes:
        warnings.warn(note, FitWarning, stacklevel=3)
    return found if n_draws == 1 else found.reshape(n_draws, *rows.shape)
