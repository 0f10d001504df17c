"""Fitted models in PyTorch, and objectives for networks of one's own.

:class:`ScoreModule` is a plain module made from the file, to be trained further or exported; :func:`score` and
:func:`log_density` call the engine, with gradients. The objectives take any score or log density, a function of rows, and
give the loss of each row: take their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from ._base import ModelEstimator
from ._compat import optional
from ._graph import Described, Library, evaluate
from .errors import GradlogpError, SettingError

with optional("torch"):
    import torch
    from torch import Tensor, nn

TensorFunction: TypeAlias = Callable[[Tensor], Tensor]
"""A score (rows to rows) or a log density (rows to numbers)."""

SliceDistribution: TypeAlias = Literal["rademacher", "gaussian", "sphere", "orthogonal", "coordinate"]

_LIBRARY = Library(
    concatenate=lambda parts: torch.cat(list(parts), dim=-1),
    functions={
        "softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
        "tanh": torch.tanh,
        "silu": nn.functional.silu,
        "gelu": nn.functional.gelu,
        "sin": torch.sin,
        "relu": torch.relu,
        "exp": torch.exp,
    },
)


class ScoreModule(nn.Module):
    """A fitted model of one density as a module: rows in, scores out, in the user's units."""

    mean: Tensor
    matrix: Tensor
    given_mean: Tensor
    given_matrix: Tensor

    def __init__(self, estimator: ModelEstimator, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        described = Described.of(estimator)
        self._nodes, self._is_log_density = described.nodes, described.is_log_density
        self.names = described.names
        """Names of the parameters in the model file, in their order."""
        self.weights = nn.ParameterList([torch.tensor(p, dtype=dtype) for p in described.parameters])
        self._log_det = described.scaling.log_det
        self.register_buffer("mean", torch.tensor(described.scaling.mean, dtype=dtype))
        self.register_buffer("matrix", torch.tensor(described.scaling.matrix, dtype=dtype))
        self._conditional = described.given is not None
        if described.given is not None:
            self.register_buffer("given_mean", torch.tensor(described.given.mean, dtype=dtype))
            self.register_buffer("given_matrix", torch.tensor(described.given.matrix, dtype=dtype))

    def _network(self, z: Tensor, given: Tensor | None) -> Tensor:
        if self._conditional and given is None:
            raise SettingError("given: the model is conditional")
        context = None if given is None else (given - self.given_mean) @ self.given_matrix.T
        out: Tensor = evaluate(self._nodes, list(self.weights), z, context, _LIBRARY)
        return out

    def log_density(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """log p of each row, up to a constant."""
        if not self._is_log_density:
            raise GradlogpError("a score field has no density")
        z = (x - self.mean) @ self.matrix.T
        return self._network(z, given)[..., 0] + self._log_det

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """grad log p of each row."""
        if not self._is_log_density:
            z = (x - self.mean) @ self.matrix.T
            return self._network(z, given) @ self.matrix
        return grad(lambda at: self.log_density(at, given), x)


def grad(log_density: TensorFunction, x: Tensor) -> Tensor:
    """The score of a log density, with a graph for derivatives of its own."""
    with torch.enable_grad():
        at = x if x.requires_grad else x.detach().requires_grad_()
        (found,) = torch.autograd.grad(log_density(at).sum(), at, create_graph=True)
    return found


def _rows(x: Tensor) -> Any:
    return x.detach().cpu().numpy().astype(np.float64)


def _like(found: Any, x: Tensor) -> Tensor:
    return torch.as_tensor(found, dtype=x.dtype, device=x.device)


class _Score(torch.autograd.Function):
    """The engine's score, whose derivative along a vector is the engine's too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, estimator: ModelEstimator) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator = estimator
        return _like(estimator.grad_log_density(_rows(x)), x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        estimator = ctx.estimator
        if not estimator._fitted().has_log_density:
            raise GradlogpError(
                "the Jacobian of a score field is not symmetric, and the engine has its product from one side only; use "
                "ScoreModule"
            )
        return _like(estimator.hvp(_rows(x), _rows(grad_outputs[0])), x), None


class _LogDensity(torch.autograd.Function):
    """The engine's log density, whose gradient is the engine's score."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, estimator: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator = estimator
        rows, _ = estimator._asked(_rows(x))
        return _like(estimator._model.log_density(rows, None, None, estimator._threads), x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad_outputs[0][:, None] * score(ctx.estimator, x), None


def score(estimator: ModelEstimator, x: Tensor) -> Tensor:
    """grad log p of each row by the engine; differentiable where it is the gradient of a density."""
    found: Tensor = _Score.apply(x, estimator)  # type: ignore[no-untyped-call]
    return found


def log_density(estimator: ModelEstimator, x: Tensor) -> Tensor:
    """log p of each row up to a constant by the engine, twice differentiable."""
    found: Tensor = _LogDensity.apply(x, estimator)  # type: ignore[no-untyped-call]
    return found


def draw_slices(
    x: Tensor,
    slices: int = 1,
    law: SliceDistribution = "rademacher",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Random directions with E[v v^T] = I for each row: slices x n x d.

    Draw them anew at every step: with slices that are kept, a model fits the directions.
    """
    n, d = x.shape
    options: dict[str, Any] = {"dtype": x.dtype, "device": x.device, "generator": generator}
    match law:
        case "rademacher":
            return torch.randint(0, 2, (slices, n, d), device=x.device, generator=generator).to(x.dtype) * 2 - 1
        case "gaussian":
            return torch.randn(slices, n, d, **options)
        case "sphere":
            # Of radius sqrt(d): on the unit sphere E[v v^T] is I / d.
            v = torch.randn(slices, n, d, **options)
            sphere: Tensor = v * (math.sqrt(d) / v.norm(dim=-1, keepdim=True))
            return sphere
        case "orthogonal":
            blocks = []
            for _ in range(-(-slices // d)):
                q, r = torch.linalg.qr(torch.randn(n, d, d, **options))
                # Signs that make the matrix uniform among the orthogonal ones.
                q = q * torch.sign(torch.diagonal(r, dim1=-2, dim2=-1))[:, None, :]
                blocks.append(math.sqrt(d) * q.permute(2, 0, 1))
            return torch.cat(blocks)[:slices]
        case "coordinate":
            blocks = []
            for _ in range(-(-slices // d)):
                order = torch.rand(n, d, device=x.device, generator=generator).argsort(dim=-1)
                blocks.append(math.sqrt(d) * nn.functional.one_hot(order.T, d).to(x.dtype))
            return torch.cat(blocks)[:slices]
    raise SettingError(f"law: is {law!r}, not rademacher, gaussian, sphere, orthogonal or coordinate")


def _score_and_products(score: TensorFunction, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """s, and (grad s)^T v for each slice: slices x n x d."""
    with torch.enable_grad():
        at = x if x.requires_grad else x.detach().requires_grad_()
        s = score(at)
        products = [torch.autograd.grad((s * vm).sum(), at, create_graph=True)[0] for vm in v]
    return s, torch.stack(products)


def ssm_loss(score: TensorFunction, x: Tensor, v: Tensor) -> Tensor:
    """Sliced score matching: the mean over slices of v.(grad s) v + (v.s)^2 / 2, for each row."""
    s, products = _score_and_products(score, x, v)
    return ((products * v).sum(-1) + 0.5 * (s * v).sum(-1) ** 2).mean(0)


def ssm_vr_loss(score: TensorFunction, x: Tensor, v: Tensor) -> Tensor:
    """Sliced score matching with variance reduction: the mean over slices of v.(grad s) v, and |s|^2 / 2."""
    s, products = _score_and_products(score, x, v)
    return (products * v).sum(-1).mean(0) + 0.5 * (s**2).sum(-1)


def exact_loss(score: TensorFunction, x: Tensor) -> Tensor:
    """Implicit score matching: tr grad s + |s|^2 / 2. Its cost grows with the number of columns."""
    units = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    v = units[:, None, :].expand(-1, len(x), -1)
    s, products = _score_and_products(score, x, v)
    return (products * v).sum(-1).sum(0) + 0.5 * (s**2).sum(-1)


def fd_ssm_loss(log_density: TensorFunction, x: Tensor, v: Tensor, eps: float) -> Tensor:
    """Sliced score matching of a log density by finite differences, without derivatives."""
    f = log_density(x)
    total = torch.zeros_like(f)
    for vm in v:
        up, down = log_density(x + eps * vm), log_density(x - eps * vm)
        total = total + up + down - 2 * f + (up - down) ** 2 / 8
    return total / (eps**2 * len(v))


def fd_ssm_field_loss(score: TensorFunction, x: Tensor, v: Tensor, eps: float) -> Tensor:
    """The same of a score, with the whole score in place of its projection."""
    total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for vm in v:
        up, down = score(x + eps * vm), score(x - eps * vm)
        total = total + (vm * (up - down)).sum(-1) / (2 * eps) + 0.5 * (((up + down) / 2) ** 2).sum(-1)
    return total / len(v)


def dsm_loss(score: TensorFunction, x: Tensor, noise: Tensor, sigma: float | Tensor) -> Tensor:
    """Denoising score matching: |s(x + sigma z) + z / sigma|^2 / 2 for noise z ~ N(0, I).

    Its optimum is the score of the density with the noise. ``sigma`` may differ from row to row (n x 1).
    """
    return 0.5 * ((score(x + sigma * noise) + noise / sigma) ** 2).sum(-1)


def noise_conditional_loss(
    score: Callable[[Tensor, Tensor], Tensor], x: Tensor, noise: Tensor, sigma: Tensor
) -> Tensor:
    """Denoising score matching at a noise level for each row (n x 1), weighted by sigma^2; ``score(x, sigma)``."""
    return 0.5 * ((sigma * score(x + sigma * noise, sigma) + noise) ** 2).sum(-1)
