"""Fitted densities in samplers and optimizers of others."""

import numpy as np
import pytest
from conftest import COVARIANCE, MEAN

import gradlogp


def check_draws(draws):
    """Draws of a NUTS run of the Gaussian that was fitted."""
    assert np.abs(draws.mean(axis=0) - MEAN).max() < 0.4
    assert np.abs(np.cov(draws.T) - COVARIANCE).max() < 1.5


def test_a_blackjax_run(density):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    blackjax = pytest.importorskip("blackjax", reason="BlackJAX is not installed")
    import jax.numpy as jnp

    import gradlogp.jax as gj

    log_density = gj.log_density(density)
    nuts = blackjax.nuts(log_density, step_size=0.5, inverse_mass_matrix=jnp.array([4.0, 1.0]))

    def step(state, key):
        state, _ = nuts.step(key, state)
        return state, state.position

    state = nuts.init(jnp.array([1.0, -2.0]))
    _, draws = jax.lax.scan(step, state, jax.random.split(jax.random.PRNGKey(0), 1500))
    check_draws(np.asarray(draws))


def test_a_nutpie_run(density):
    nutpie = pytest.importorskip("nutpie", reason="nutpie is not installed")
    from nutpie.compiled_pyfunc import from_pyfunc

    def log_density_and_gradient():
        def of(x):
            row = np.asarray(x)[np.newaxis]
            return float(density.score_samples(row)[0]), density.grad_log_density(row)[0]

        return of

    def expanded(seed1, seed2, chain):
        return lambda x: {"x": np.asarray(x)}

    model = from_pyfunc(
        2,
        log_density_and_gradient,
        expanded,
        expanded_dtypes=[np.dtype(np.float64)],
        expanded_shapes=[(2,)],
        expanded_names=["x"],
        make_initial_point_fn=lambda seed: np.array([1.0, -2.0]),
    )
    trace = nutpie.sample(model, chains=2, draws=600, tune=300, cores=1, seed=1, progress_bar=False)
    check_draws(np.asarray(trace.posterior["x"]).reshape(-1, 2))


def test_chains_of_ones_own_start_from_a_fit(density):
    found = gradlogp.sample_mala(
        density.score_samples, density.grad_log_density, density.sample(10, random_state=0), n_draws=200, warm_up=100
    )
    check_draws(found.rows)


def test_a_scipy_optimum(density):
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    found = optimize.minimize(
        lambda x: -density.score_samples(x[np.newaxis])[0],
        np.zeros(2),
        jac=lambda x: -density.grad_log_density(x[np.newaxis])[0],
    )
    # The mode of the fitted density, near that of the Gaussian; a wrong sign of the gradient would stop at once.
    assert found.nit > 2
    assert np.abs(density.grad_log_density(found.x[np.newaxis])).max() < 1e-3
    assert np.abs(found.x - MEAN).max() < 0.6
