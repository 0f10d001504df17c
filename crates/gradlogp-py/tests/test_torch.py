"""Models in PyTorch, against the engine; objectives, against formulas on the engine's derivatives; laws of slices."""

import numpy as np
import pytest
from conftest import gaussian_rows

from gradlogp import ScoreDensity, ScoreField, errors

torch = pytest.importorskip("torch")

import gradlogp.torch as gt  # noqa: E402

X = gaussian_rows(40, seed=9)
TINY = {"hidden": [8, 8], "steps": 60, "threads": 1}


def tensor(x):
    return torch.tensor(np.asarray(x), dtype=torch.float64)


@pytest.fixture(scope="module")
def small():
    return ScoreDensity(**TINY, standardize="whiten").fit(gaussian_rows(400))


@pytest.fixture(scope="module")
def small_field():
    return ScoreField(**TINY).fit(gaussian_rows(400))


@pytest.mark.parametrize(
    "model",
    [
        ScoreDensity(**TINY, residual=True, activation="gelu"),
        ScoreDensity(**TINY, activation="silu", members=2, standardize="whiten"),
        ScoreDensity("deep-kernel", inducing=20, steps=5, threads=1),
        ScoreField(**TINY, activation="sin"),
    ],
)
@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
def test_modules_are_the_models(model):
    model.fit(gaussian_rows(400))
    module = gt.ScoreModule(model)
    found = module(tensor(X)).detach().numpy()
    np.testing.assert_allclose(found, model.grad_log_density(X), rtol=1e-7, atol=1e-9)
    if isinstance(model, ScoreDensity):
        values = module.log_density(tensor(X)).detach().numpy()
        np.testing.assert_allclose(values, model._model.log_density(X), rtol=1e-9, atol=1e-9)
    assert sum(p.numel() for p in module.parameters()) > 0 and len(module.names) == len(module.weights)


def test_the_engine_is_differentiable(small, small_field):
    x = tensor(X[:6]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gt.log_density(small, x), x, eps=1e-5, atol=1e-5)
    assert torch.autograd.gradcheck(lambda x: gt.score(small, x), x, eps=1e-5, atol=1e-5)
    np.testing.assert_allclose(gt.score(small_field, x).detach().numpy(), small_field.grad_log_density(X[:6]))
    with pytest.raises(errors.GradlogpError, match="ScoreModule"):
        gt.score(small_field, x).sum().backward()


@pytest.mark.parametrize("which", ["small", "small_field"])
def test_objectives_are_those_of_the_engine(which, request):
    model = request.getfixturevalue(which)
    score = gt.ScoreModule(model)
    v = np.random.default_rng(0).choice([-1.0, 1.0], size=(3, *X.shape))
    s = model.grad_log_density(X)
    curvature = np.stack([(vm * model.hvp(X, vm)).sum(-1) for vm in v])

    def same(found, expected, tolerance=1e-7):
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=tolerance, atol=tolerance)

    ssm = (curvature + 0.5 * (v * s).sum(-1) ** 2).mean(0)
    ssm_vr = curvature.mean(0) + 0.5 * (s**2).sum(-1)
    same(gt.ssm_loss(score, tensor(X), tensor(v)), ssm)
    same(gt.ssm_vr_loss(score, tensor(X), tensor(v)), ssm_vr)
    same(gt.exact_loss(score, tensor(X)), model.laplacian(X) + 0.5 * (s**2).sum(-1))
    noise = np.random.default_rng(1).normal(size=X.shape)
    dsm = 0.5 * ((model.grad_log_density(X + 0.3 * noise) + noise / 0.3) ** 2).sum(-1)
    same(gt.dsm_loss(score, tensor(X), tensor(noise), 0.3), dsm)
    sigma = tensor(np.full((len(X), 1), 0.3))
    noisy = gt.noise_conditional_loss(lambda x, sigma: score(x), tensor(X), tensor(noise), sigma)
    same(noisy, 0.09 * dsm)
    if which == "small":
        same(gt.fd_ssm_loss(score.log_density, tensor(X), tensor(v), 1e-3), ssm, 1e-3)
    same(gt.fd_ssm_field_loss(score, tensor(X), tensor(v), 1e-3), ssm_vr, 1e-3)


@pytest.mark.parametrize("law", ["rademacher", "gaussian", "sphere", "orthogonal", "coordinate"])
@pytest.mark.parametrize("slices", [1, 3, 5])
def test_slices_have_the_identity_as_second_moment(law, slices):
    d = 3
    generator = torch.Generator().manual_seed(0)
    v = gt.draw_slices(torch.zeros(20_000, d, dtype=torch.float64), slices, law, generator)
    assert v.shape == (slices, 20_000, d)
    moment = torch.einsum("mni,mnj->ij", v, v) / (slices * 20_000)
    assert (moment - torch.eye(d)).abs().max() < 0.06
    if law in ("orthogonal", "coordinate") and slices >= d:
        block = v[:d].permute(1, 0, 2)
        assert torch.allclose(block @ block.transpose(1, 2), d * torch.eye(d, dtype=v.dtype).expand(20_000, d, d))


def test_training_by_an_objective_finds_the_score():
    torch.manual_seed(0)
    x = torch.tensor(gaussian_rows(2000), dtype=torch.float32)
    linear = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        gt.ssm_vr_loss(linear, x, gt.draw_slices(x)).mean().backward()
        optimizer.step()
    # The best linear score is that of the Gaussian with the rows' covariance.
    expected = -np.linalg.inv(np.cov(x.T.numpy()))
    np.testing.assert_allclose(linear.weight.detach().numpy(), expected, atol=0.08)
