"""Checks of scores of others, and draws from their densities."""

import numpy as np
import pytest
from conftest import COVARIANCE, MEAN, gaussian_rows, true_log_density, true_score

import gradlogp
from gradlogp import errors

FRESH = gaussian_rows(3000, seed=31)


def test_the_true_score_passes_as_often_as_promised():
    tables = [gaussian_rows(400, seed=seed) for seed in range(200)]
    checks = [gradlogp.check_score(true_score, x, level=0.1) for x in tables]
    # Binomial(200, 0.1) has a standard deviation of 4.2; the promise is a bound.
    assert sum(not found for found in checks) < 20 + 3 * 4.2
    found = checks[0]
    assert found.rows == 400 and found.level == 0.1
    assert abs(found.slope - 1) < 4 * found.slope_se
    p_values = [gradlogp.ksd_test(true_score, x, bootstrap=200).p_value for x in tables[:60]]
    assert sum(p < 0.1 for p in p_values) < 6 + 3 * 2.3


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda x: -true_score(x), "sign"),
        (lambda x: 1.3 * true_score(x), "too large"),
        (lambda x: true_score(x) + 0.5, "mean"),
    ],
)
def test_wrong_scores_are_told_apart(wrong, text):
    found = gradlogp.check_score(wrong, FRESH)
    assert not found and text in found.verdict
    assert gradlogp.ksd_test(wrong, FRESH).p_value < 0.01
    assert text in found._repr_html_() and "Stein slope" in found._repr_html_()


def test_fitted_models_are_functions_too(density):
    assert gradlogp.check_score(density.grad_log_density, gaussian_rows(1000, seed=41))


def test_what_a_function_raises_surfaces():
    def fails(x):
        raise ZeroDivisionError("mine")

    for call in [
        lambda: gradlogp.check_score(fails, FRESH),
        lambda: gradlogp.ksd_test(fails, FRESH),
        lambda: gradlogp.sample_mala(fails, true_score, FRESH[:4], n_draws=10, warm_up=10),
        lambda: gradlogp.sample_ula(fails, FRESH[:4], step_size=0.1, n_draws=10, warm_up=10),
    ]:
        with pytest.raises(ZeroDivisionError, match="mine"):
            call()
    with pytest.raises(errors.DataError, match=r"function returns: expected shape \(3000, 2\), got \(3000,\)"):
        gradlogp.check_score(lambda x: x[:, 0], FRESH)


@pytest.mark.parametrize("sampler", ["mala", "hmc"])
def test_draws_have_the_moments_of_the_density(sampler):
    start = gaussian_rows(20, seed=1)
    found = gradlogp.sample_mala(
        true_log_density, true_score, start, n_draws=500, warm_up=300, thinning=3, sampler=sampler
    )
    assert found.draws.shape == (20, 500, 2) and found.rows.shape == (10_000, 2)
    assert (found.split_r_hat < 1.05).all() and 0.3 < found.acceptance_rate < 0.95
    error = np.sqrt(np.diag(COVARIANCE) / found.effective_sample_size)
    assert (np.abs(found.rows.mean(axis=0) - MEAN) < 5 * error).all()
    assert np.abs(np.cov(found.rows.T) - COVARIANCE).max() < 0.6
    again = gradlogp.sample_mala(
        true_log_density, true_score, start, n_draws=500, warm_up=300, thinning=3, sampler=sampler
    )
    assert np.array_equal(found.draws, again.draws)


def test_langevin_steps_without_correction():
    start = gaussian_rows(50, seed=1)
    found = gradlogp.sample_ula(true_score, start, step_size=0.05, n_draws=200, warm_up=300, thinning=5)
    assert found.acceptance_rate is None
    assert np.abs(found.rows.mean(axis=0) - MEAN).max() < 0.3


def test_chains_go_to_arviz():
    arviz = pytest.importorskip("arviz")
    found = gradlogp.sample_mala(true_log_density, true_score, gaussian_rows(4), n_draws=50, warm_up=50)
    data = found.to_inference_data(["a", "b"])
    assert data.posterior["a"].shape == (4, 50)
    summary = arviz.summary(data)
    assert list(summary.index) == ["a", "b"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_figures_return_their_axes(density):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from gradlogp import plots

    draws = density.sample(200, random_state=0)
    axes = plots.plot_training(density)
    assert len(axes.lines) >= 3 and axes.get_xlabel() == "step"
    assert plots.plot_score_field(density, FRESH[:200]).get_ylabel() == "x1"
    assert np.shape(plots.plot_marginals(draws, FRESH)) == (1, 2)
    assert np.shape(plots.plot_pairs(draws, FRESH)) == (2, 2)
    with pytest.raises(errors.SettingError, match="two columns"):
        plots.plot_score_field(density, np.zeros((5, 3)))
