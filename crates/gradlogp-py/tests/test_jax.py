"""Models as JAX functions, against the engine; objectives, against formulas on the engine's derivatives."""

import numpy as np
import pytest
from conftest import gaussian_rows

from gradlogp import ScoreDensity, ScoreField, errors

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402

import gradlogp.jax as gj  # noqa: E402

X = gaussian_rows(40, seed=9)
TINY = {"hidden": [8, 8], "steps": 60, "threads": 1}
MODELS = {
    "softplus": ScoreDensity(**TINY),
    "residual": ScoreDensity(**TINY, residual=True, activation="gelu", standardize="whiten"),
    "silu": ScoreDensity(**TINY, activation="silu", members=2, standardize="none"),
    "tanh": ScoreDensity(**TINY, activation="tanh", standardize="robust"),
    "kernel": ScoreDensity("kernel", inducing=20, steps=5, threads=1),
    "deep-kernel": ScoreDensity("deep-kernel", inducing=20, steps=5, threads=1),
}


@pytest.fixture(scope="module", params=MODELS)
def fitted(request):
    return MODELS[request.param].fit(gaussian_rows(400))


@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
def test_densities_and_their_derivatives(fitted):
    density, score = gj.log_density(fitted), gj.score(fitted)
    values = fitted._model.log_density(X)
    np.testing.assert_allclose(density(X), values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(score(X), fitted.grad_log_density(X), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(jax.vmap(density)(X), values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(jax.jit(score)(X), fitted.grad_log_density(X), rtol=1e-7, atol=1e-9)
    hessian = jax.vmap(jax.hessian(density))(jnp.asarray(X))
    np.testing.assert_allclose(jnp.trace(hessian, axis1=1, axis2=2), fitted.laplacian(X), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("standardize", ["standardize", "whiten", "common"])
def test_score_fields(standardize):
    field = ScoreField(**TINY, standardize=standardize, activation="sin").fit(gaussian_rows(400))
    score = gj.score(field)
    np.testing.assert_allclose(score(X), field.grad_log_density(X), rtol=1e-8, atol=1e-10)
    jacobian = jax.vmap(jax.jacobian(score))(jnp.asarray(X))
    v = gaussian_rows(len(X), seed=4)
    np.testing.assert_allclose(jnp.einsum("nij,nj->ni", jacobian, v), field.hvp(X, v), rtol=1e-7, atol=1e-9)
    with pytest.raises(errors.GradlogpError, match="no density"):
        gj.log_density(field)


def test_conditional_models():
    model = ScoreDensity(**TINY, given=[1], conditioning="film").fit(gaussian_rows(400))
    found = gj.score(model)(X[:, :1], X[:, 1:])
    np.testing.assert_allclose(found, model.grad_log_density(X), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", [ScoreDensity, ScoreField])
def test_objectives_are_those_of_the_engine(kind):
    model = kind(**TINY).fit(gaussian_rows(400))
    score = gj.score(model)
    v = np.random.default_rng(0).choice([-1.0, 1.0], size=(3, *X.shape))
    s = model.grad_log_density(X)
    curvature = np.stack([(vm * model.hvp(X, vm)).sum(-1) for vm in v])
    close = {"rtol": 1e-7, "atol": 1e-8}
    ssm = (curvature + 0.5 * (v * s).sum(-1) ** 2).mean(0)
    np.testing.assert_allclose(gj.ssm_loss(score, X, v), ssm, **close)
    ssm_vr = curvature.mean(0) + 0.5 * (s**2).sum(-1)
    np.testing.assert_allclose(gj.ssm_vr_loss(score, X, v), ssm_vr, **close)
    exact = model.laplacian(X) + 0.5 * (s**2).sum(-1)
    np.testing.assert_allclose(gj.exact_loss(score, X), exact, **close)
    noise = np.random.default_rng(1).normal(size=X.shape)
    dsm = 0.5 * ((model.grad_log_density(X + 0.3 * noise) + noise / 0.3) ** 2).sum(-1)
    np.testing.assert_allclose(gj.dsm_loss(score, X, noise, 0.3), dsm, **close)
    # Differences of the second order: the error falls as eps^2.
    small = {"rtol": 1e-3, "atol": 1e-3}
    if kind is ScoreDensity:
        np.testing.assert_allclose(gj.fd_ssm_loss(gj.log_density(model), X, v, 1e-3), ssm, **small)
    np.testing.assert_allclose(gj.fd_ssm_field_loss(score, X, v, 1e-3), ssm_vr, **small)


def test_the_noise_conditional_loss_has_the_right_optimum():
    # For x ~ N(0, 1) the score of the noised density is -x / (1 + sigma^2): no other multiple has less loss.
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(200_000, 1)), rng.normal(size=(200_000, 1))
    sigma = rng.uniform(0.5, 2.0, size=(200_000, 1))

    def loss(c):
        return gj.noise_conditional_loss(lambda x, sigma: -c * x / (1 + sigma**2), x, noise, sigma).mean()

    best = loss(1.0)
    assert best < loss(0.95) and best < loss(1.05) and best < loss(-1.0)
