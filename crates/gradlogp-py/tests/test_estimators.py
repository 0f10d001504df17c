"""Fits against the truth, and answers against each other."""

import numpy as np
import pytest
from conftest import SMALL, gaussian_rows, true_log_density, true_score

from gradlogp import DiffusionDensity, ScoreDensity, ScoreField, ScoreImputer, errors

FRESH = gaussian_rows(500, seed=7)


def relative_error(found, truth):
    return np.sum((found - truth) ** 2) / np.sum(truth**2)


def differences(f, x, direction, step=1e-4):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("which", ["density", "field"])
def test_the_score_is_that_of_the_density(which, request):
    model = request.getfixturevalue(which)
    # A wrong sign would show as 4, a wrong factor of 1.3 as 0.09.
    assert relative_error(model.grad_log_density(FRESH), true_score(FRESH)) < 0.04


def test_of_a_diffusion_model_at_every_time(diffusion):
    # The process keeps mean and covariance of whitened columns, so that a Gaussian has the same score at every time.
    for t in [0.2, 0.5, diffusion.horizon_]:
        assert relative_error(diffusion.grad_log_density(FRESH, t=t), true_score(FRESH)) < 0.05, t
    least = diffusion.grad_log_density(FRESH, t=diffusion.t_min_)
    assert np.array_equal(least, diffusion.grad_log_density(FRESH))
    with pytest.raises(errors.SettingError, match="time"):
        diffusion.grad_log_density(FRESH, t=7.0)


@pytest.mark.parametrize("which", ["density", "diffusion"])
def test_log_densities_are_normalized(which, request):
    model = request.getfixturevalue(which)
    error = model.score_samples(FRESH) - true_log_density(FRESH)
    assert abs(np.mean(error)) < 0.1
    assert np.sqrt(np.mean(error**2)) < 0.25
    if which == "diffusion":
        assert model.score(FRESH) == pytest.approx(np.mean(model.score_samples(FRESH)))


def test_derivatives_are_those_of_the_log_density(density):
    x, ones = FRESH[:20], np.ones_like(FRESH[:20])
    unit = np.eye(2)
    score = density.grad_log_density(x)
    hessian_diagonal = density.hessian_diagonal(x)
    for k in range(2):
        direction = ones * unit[k]
        slope = differences(density.score_samples, x, direction)
        np.testing.assert_allclose(slope, score[:, k], atol=1e-5)
        bend = differences(density.grad_log_density, x, direction)
        np.testing.assert_allclose(bend, density.hvp(x, direction), atol=1e-5)
        np.testing.assert_allclose(bend[:, k], hessian_diagonal[:, k], atol=1e-5)
    np.testing.assert_allclose(density.laplacian(x), hessian_diagonal.sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("which", ["density", "field"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_score_of_a_model_is_minus_its_score_matching_loss(which, dtype, request):
    model, x = request.getfixturevalue(which), FRESH.astype(dtype)
    spread, step = FRESH.std(axis=0), 1e-4
    loss = 0.5 * ((model.grad_log_density(x) * spread) ** 2).sum(axis=1)
    for k, unit in enumerate(np.eye(2)):
        # In double precision, so that the step is not lost.
        slope = differences(model.grad_log_density, x.astype(np.float64), unit, step)
        loss += spread[k] ** 2 * slope[:, k]
    assert model.score(x) == pytest.approx(-loss.mean(), rel=1e-5)
    # Of the truth, half the trace of the inverse of the correlation matrix, which has correlation 1/2; no model is better
    # but for the noise of 500 rows.
    assert abs(model.score(x) - 4 / 3) < 0.25
    # Neither the units of the columns nor how they are scaled within has a part in it.
    units = np.array([1e3, 0.01])
    moved = type(model)(**SMALL).fit(gaussian_rows() * units)
    assert moved.score(FRESH * units) == pytest.approx(model.score(FRESH), rel=1e-3)


def test_rows_that_say_nothing_of_their_units_have_a_score(density):
    assert np.isfinite(density.score(FRESH[:1])) and np.isfinite(density.score(np.ones((3, 2))))


def test_scores_of_conditional_and_bounded_models():
    rows = np.abs(gaussian_rows(600)) + 0.1
    model = ScoreField(**{**SMALL, "steps": 100}, given=[1]).fit(rows)
    spread = rows[:, 0].std()
    s, slope = model.grad_log_density(rows)[:, 0], model.hessian_diagonal(rows)[:, 0]
    assert model.score(rows) == pytest.approx(-np.mean(spread**2 * (slope + 0.5 * s**2)), rel=1e-9)
    bounded = ScoreDensity(**{**SMALL, "steps": 100}, bounds={"x0": (0, None), "x1": (0, None)}).fit(rows)
    assert np.isfinite(bounded.score(rows))


@pytest.mark.parametrize("which", ["density", "field", "diffusion"])
def test_draws_have_the_moments_of_the_rows(which, request):
    model = request.getfixturevalue(which)
    draws = model.sample(2000, random_state=5)
    assert draws.shape == (2000, 2)
    # Standard errors of 2000 draws: 0.045 and 0.022.
    assert np.all(np.abs(draws.mean(axis=0) - [1, -2]) < [0.4, 0.2])
    assert np.abs(np.cov(draws.T) - [[4, 1], [1, 1]]).max() < 0.7
    assert np.array_equal(draws, model.sample(2000, random_state=5))
    assert not np.array_equal(draws, model.sample(2000, random_state=6))
    assert model.sample_report_["draws"] == 2000


def test_missing_values_are_drawn_given_the_others(rows):
    settings = {"hidden": [32, 32], "steps": 800, "members": 1, "threads": 2}
    diffusion = DiffusionDensity(**settings, standardize="standardize").fit(rows)
    whitened = DiffusionDensity(**settings).fit(rows)
    imputer = ScoreImputer(**settings).fit(rows)
    x = gaussian_rows(400, seed=11)
    holes = x.copy()
    holes[:, 0] = np.nan
    filled = diffusion.impute(holes, random_state=1)
    for found in (filled, whitened.impute(holes, random_state=1)):
        assert np.array_equal(found[:, 1], x[:, 1])
        # x0 given x1 is N(1 + (x1 + 2), 3).
        rest = found[:, 0] - (1 + (x[:, 1] + 2))
        assert abs(rest.mean()) < 0.4 and abs(rest.var() - 3) < 0.9
    assert diffusion.impute(holes[:5], n_draws=3).shape == (3, 5, 2)
    # The imputer's model is the same without the Gaussian part, which imputation does not use.
    assert np.array_equal(imputer.sample(holes, random_state=1)[0], filled)
    mean = imputer.set_params(n_draws=20).transform(holes[:40])
    assert np.abs(mean[:, 0] - (1 + (x[:40, 1] + 2))).mean() < 0.7
    assert np.array_equal(mean[:, 1], x[:40, 1])


@pytest.mark.parametrize("kind", [ScoreDensity, ScoreField])
def test_the_same_seed_gives_the_same_bits(kind, rows):
    small = {**SMALL, "steps": 50}
    first, second = kind(**small).fit(rows), kind(**small).fit(rows)
    assert first._model.fingerprint == second._model.fingerprint
    other = kind(**small, random_state=1).fit(rows)
    assert first._model.fingerprint != other._model.fingerprint
    turned = kind(**small).fit(np.asfortranarray(rows))
    assert turned._model.fingerprint == first._model.fingerprint
    generator = kind(**small, random_state=np.random.RandomState(0)).fit(rows)
    assert generator._model.fingerprint != first._model.fingerprint


def test_any_layout_and_precision_gives_the_same_answers(density):
    x = np.ascontiguousarray(FRESH)
    expected = density.grad_log_density(x)
    read_only = x.copy()
    read_only.flags.writeable = False
    wide = np.zeros((len(x), 4))
    wide[:, ::2] = x
    same = [np.asfortranarray(x), read_only, wide[:, ::2], x[::-1][::-1], x.tolist()]
    for other in same:
        np.testing.assert_array_equal(density.grad_log_density(other), expected)
    narrow = x.astype(np.float32)
    assert np.array_equal(density.grad_log_density(narrow), density.grad_log_density(narrow.astype(np.float64)))
    assert np.array_equal(density.grad_log_density(np.asfortranarray(narrow)), density.grad_log_density(narrow))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_has_the_same_answer_in_any_company(density, threads):
    x = gaussian_rows(5000, seed=2)
    density.set_params(threads=threads)
    whole = density.grad_log_density(x)
    order = np.random.default_rng(0).permutation(len(x))
    assert np.array_equal(density.grad_log_density(x[order]), whole[order])
    assert np.array_equal(density.grad_log_density(x[100:101]), whole[100:101])
    density.set_params(threads=2)


def test_conditional_models_answer_at_each_rows_condition():
    rng = np.random.default_rng(0)
    c = rng.normal(size=(2000, 1))
    x = c**2 + 0.5 * rng.normal(size=c.shape)
    table = np.hstack([x, c])
    model = ScoreDensity(hidden=[32, 32], steps=1500, given=[1], conditioning="film", threads=2).fit(table)
    # Given c, x has mean c^2 and variance 1/4.
    at = np.array([[1.0, 1.0], [1.0, 1.5]])
    found = model.grad_log_density(at)
    assert found.shape == (2, 1)
    np.testing.assert_allclose(found[:, 0], [0.0, 5.0], atol=1.5)
    draws = model.sample(300, given={"x1": 1.5}, random_state=0)
    assert abs(draws.mean() - 2.25) < 0.2
    with pytest.raises(errors.SettingError, match="x1"):
        model.sample(10, given={"x0": 1.0})


def test_densities_within_bounds_are_zero_outside():
    x = np.random.default_rng(0).exponential(size=(800, 1))
    model = ScoreDensity(**{**SMALL, "steps": 200}, bounds={"x0": (0, None)}).fit(x)
    with pytest.warns(errors.UnnormalizedWarning, match="bounds"):
        inside, outside = model.score_samples([[0.5], [-0.5]])
    assert np.isfinite(inside) and outside == -np.inf


@pytest.mark.parametrize("family", ["kernel", "deep-kernel"])
def test_kernel_families(family, rows):
    model = ScoreDensity(family, inducing=40, steps=30, threads=2).fit(rows)
    assert relative_error(model.grad_log_density(FRESH), true_score(FRESH)) < 0.1


def test_what_is_known_of_a_fit(density):
    # 600 steps of each of two members.
    assert density.n_features_in_ == 2 and density.n_iter_ == 1200
    history = density.history_
    assert list(history) == ["step", "train_loss", "validation_loss", "validation_loss_se"]
    assert len({len(column) for column in history.values()}) == 1
    assert density.report_["best_step"] in history["step"]
    assert density.report_["validation_loss"] == pytest.approx(history["validation_loss"].min())
    assert density.report_["seconds"] > 0
    report = density.report_
    assert report["rows"] == 200 and isinstance(report["verdict"], str)
    largest = max(report["stein_mean_max_z"], report["stein_product_max_z"])
    assert report["consistent"] == (largest <= report["stein_critical_z"])
    # In columns of unit standard deviation, -1/2 tr(R^-1), R having correlation 1/2.
    assert abs(report["exact_loss"] + 4 / 3) < 4 * report["exact_loss_se"]
