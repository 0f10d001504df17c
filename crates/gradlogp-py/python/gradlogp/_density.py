"""Unnormalized densities."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import ArrayLike
from sklearn.base import DensityMixin

from . import _gradlogp
from ._one_density import OneDensity
from ._params import seed_of
from ._rows import Vector
from ._wording import in_python
from .errors import GradlogpError, SettingError, UnnormalizedWarning


@dataclass(kw_only=True, eq=False, repr=False)
class ScoreDensity(DensityMixin, OneDensity):
    """An unnormalized density, fitted by score matching.

    Parameters that are None have the engine's usual value.

    Parameters
    ----------
    family : {"network", "kernel", "deep-kernel"}
        A network of log p, a kernel exponential family, or one with a learnt kernel.
    base : {"gaussian", "mixture"}
        What networks add to. ``"mixture"``: Gaussians fitted to the training rows, on whitened and dequantized columns, with weight
        decay, steps and members by the size of the table. ``"gaussian"``: one Gaussian, and none of this. As in the program's ``fit``, None is
        ``"mixture"`` where that is possible: without ``given``, bounds and ``base_scale``, and for exact and sliced score matching.
    hidden, activation, residual, base_scale
        The network: widths of its hidden layers, the nonlinearity, whether layers of one width add to their input, and
        the width of the one Gaussian that it multiplies (0: none).
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

    family: Literal["network", "kernel", "deep-kernel"] = field(default="network", kw_only=False)
    base: Literal["gaussian", "mixture"] | None = None
    base_scale: float | None = None
    inducing: int | None = None
    base_sd: float | None = None

    def _settings(self, names: list[str]) -> dict[str, Any]:
        settings = super()._settings(names)
        if self.family == "network":
            network = self._network_settings(names)
            on_mixture = self._adds_to_mixture(network["support"])
            settings |= {"purpose": "score"} if on_mixture else {"family": "log-density"}
            settings |= network
            if self.base_scale is not None:
                settings["base_scale"] = self.base_scale or None
        elif self.family in ("kernel", "deep-kernel"):
            settings["family"] = self.family
            own = {"inducing": self.inducing, "base_sd": self.base_sd}
            settings |= {name: value for name, value in own.items() if value is not None}
        else:
            raise SettingError(f"family: is {self.family!r}, not network, kernel or deep-kernel")
        return settings

    def _adds_to_mixture(self, support: Any) -> bool:
        """Whether it is fitted as the program does where nothing else is said."""
        if self.base not in (None, "gaussian", "mixture"):
            raise SettingError(f"base: is {self.base!r}, not gaussian or mixture")
        possible = support == "everywhere" and self.objective in ("auto", "exact", "ssm", "ssm-vr")
        if self.base is None:
            return possible and self.base_scale is None
        if self.base == "gaussian":
            return False
        if self.base_scale is not None:
            raise SettingError("base_scale: is for base='gaussian'; leave one of the two out")
        if not possible:
            raise SettingError("base: mixture is not for given, bounds and this objective; take gaussian")
        return True

    def _take(self, model: _gradlogp.Model) -> None:
        super()._take(model)
        self._log_z: tuple[float, float] | str | None = None

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
        if self._log_z is None:
            self._log_z = self._find_normalizer(model)
        return self._log_z

    def _find_normalizer(self, model: _gradlogp.Model) -> tuple[float, float] | str:
        rows = getattr(self, "_held_out", None)
        if rows is None:
            return "the model comes from a file, without rows to estimate log Z on"
        try:
            found, why = model.normalizer(rows, seed_of(self.random_state), self._threads)
        except GradlogpError as error:
            return str(error)
        return in_python(why) if found is None else found

    def score_samples(self, X: ArrayLike) -> Vector:
        """log p of each row: normalized where log Z can be trusted, else up to a constant, with a warning."""
        rows, given = self._asked(X)
        values = self._model.log_density(rows, given, None, self._threads)
        log_z = self._normalizer()
        if isinstance(log_z, str):
            warnings.warn(f"log densities up to a constant: {log_z}", UnnormalizedWarning, stacklevel=2)
            return values
        return values - log_z[0]

    # Not that of DensityMixin, which has none.
    score = OneDensity.score

    @classmethod
    def _check_model(cls, model: _gradlogp.Model) -> None:
        if model.is_over_time:
            raise GradlogpError("the model knows every noise level: load it as a DiffusionDensity")
        if not model.has_log_density:
            raise GradlogpError("the model is a score field without a density: load it as a ScoreField")
