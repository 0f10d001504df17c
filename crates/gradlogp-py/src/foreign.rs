//! Scores and densities of others, as Python functions of rows: checks of them, and draws.

use std::sync::{Mutex, PoisonError};

use gradlogp::diagnose::{Estimate, KsdConfig, kernel_stein_discrepancy, stein_check};
use gradlogp::sample::{ChainConfig, Chains};
use gradlogp::{Error, LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView2};
use numpy::{IntoPyArray, PyArray3, PyReadonlyArray1, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::arrays::Rows;
use crate::errors::{OrRaise, raised};
use crate::named::Named;
use crate::{pool, settings};

/// Functions of rows. What one of them raises is kept until the library is done, which sees NaN meanwhile.
struct Foreign {
    score: Py<PyAny>,
    log_density: Option<Py<PyAny>>,
    dim: usize,
    raised: Mutex<Option<PyErr>>,
}

impl Foreign {
    fn new(score: Bound<'_, PyAny>, log_density: Option<Bound<'_, PyAny>>, dim: usize) -> Self {
        let (score, log_density) = (score.unbind(), log_density.map(Bound::unbind));
        Foreign { score, log_density, dim, raised: Mutex::new(None) }
    }

    fn has_failed(&self) -> bool {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The library's answer, or what a function raised.
    fn settle<T>(self, py: Python<'_>, result: gradlogp::Result<T>) -> PyResult<T> {
        match self.raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => result.or_raise(py),
        }
    }

    /// f, unless a function has raised before; what it raises is kept.
    fn attempt<T>(&self, f: impl FnOnce(Python<'_>) -> PyResult<T>) -> Option<T> {
        if self.has_failed() {
            return None;
        }
        Python::attach(|py| {
            let found = py.check_signals().and_then(|()| f(py));
            found
                .map_err(|e| *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(e))
                .ok()
        })
    }
}

/// f(x) in double precision.
fn call<'py>(
    py: Python<'py>,
    function: &Py<PyAny>,
    x: ArrayView2<'_, f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let found = function.bind(py).call1((x.to_pyarray(py),))?;
    py.import("numpy")?.call_method1("asarray", (found, "float64"))
}

/// Refuses another shape than the one wanted.
fn of_shape<T>(py: Python<'_>, array: T, expected: &[usize], found: &[usize]) -> PyResult<T> {
    if expected == found {
        return Ok(array);
    }
    let (expected, found) = (expected.to_vec(), found.to_vec());
    Err(raised(py, &Error::Shape { operation: "what the function returns", expected, found }))
}

impl Score for Foreign {
    fn dim(&self) -> usize {
        self.dim
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let found = self.attempt(|py| {
            let array = call(py, &self.score, x)?;
            let shape: Vec<usize> = array.getattr("shape")?.extract()?;
            let array = of_shape(py, array, x.shape(), &shape)?;
            Ok(array.extract::<PyReadonlyArray2<'_, f64>>()?.as_array().to_owned())
        });
        found.unwrap_or_else(|| Array2::from_elem(x.dim(), f64::NAN))
    }
}

impl LogDensity for Foreign {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let found = self.attempt(|py| {
            let Some(function) = &self.log_density else { return Ok(Array1::zeros(x.nrows())) };
            let array = call(py, function, x)?;
            let shape: Vec<usize> = array.getattr("shape")?.extract()?;
            let array = of_shape(py, array, &x.shape()[..1], &shape)?;
            Ok(array.extract::<PyReadonlyArray1<'_, f64>>()?.as_array().to_owned())
        });
        found.unwrap_or_else(|| Array1::from_elem(x.nrows(), f64::NAN))
    }
}

/// The Stein identities of a score on rows, as JSON.
#[pyfunction]
pub(crate) fn check_score(
    py: Python<'_>,
    score: Bound<'_, PyAny>,
    rows: Rows<'_>,
    columns: Vec<String>,
    level: f64,
) -> PyResult<String> {
    let rows = rows.view().all();
    let foreign = Foreign::new(score, None, rows.ncols());
    let found = py.detach(|| stein_check(&foreign, rows.view(), level));
    let found = foreign.settle(py, found)?;
    let estimate = |e: &Estimate| json!({"mean": e.mean, "standard_error": e.standard_error});
    let nested = |m: &Array2<f64>| m.outer_iter().map(|row| row.to_vec()).collect::<Vec<_>>();
    let told = json!({
        "rows": found.n,
        "consistent": found.verdict.is_consistent(),
        "verdict": found.verdict.describe(&columns),
        "slope": estimate(&found.slope),
        "mean_max_z": found.mean_max_z,
        "product_max_z": found.product_max_z,
        "critical_z": found.critical_z,
        "level": found.level,
        "mean": found.mean.to_vec(),
        "mean_z": found.mean_z.to_vec(),
        "product": nested(&found.product),
        "product_z": nested(&found.product_z),
    });
    Ok(told.to_string())
}

/// The kernel Stein discrepancy of a score on rows, as JSON.
#[pyfunction]
pub(crate) fn ksd_test(
    py: Python<'_>,
    score: Bound<'_, PyAny>,
    rows: Rows<'_>,
    seed: u64,
    group: Option<usize>,
    bootstrap: Option<usize>,
    threads: usize,
) -> PyResult<String> {
    let rows = rows.view().all();
    let usual = KsdConfig::default();
    let config = KsdConfig {
        group: group.unwrap_or(usual.group),
        bootstrap: bootstrap.unwrap_or(usual.bootstrap),
        ..usual
    };
    let pool = pool::threads(threads).or_raise(py)?;
    let foreign = Foreign::new(score, None, rows.ncols());
    let found = py.detach(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        pool.install(|| kernel_stein_discrepancy(&foreign, rows.view(), &config, &mut rng))
    });
    let found = foreign.settle(py, found)?;
    let told = json!({
        "squared": found.squared,
        "p_value": found.p_value,
        "bandwidth": found.bandwidth,
        "rows": found.n,
        "groups": found.groups,
    });
    Ok(told.to_string())
}

/// Chains on a density, from the rows of `start`: chains x draws x d, and what is known of them as JSON.
#[pyfunction]
pub(crate) fn sample_chains<'py>(
    py: Python<'py>,
    log_density: Option<Bound<'py, PyAny>>,
    score: Bound<'py, PyAny>,
    start: Rows<'py>,
    settings: &str,
) -> PyResult<(Bound<'py, PyArray3<f64>>, String)> {
    let mut settings = Named(settings::object(settings)?);
    let start = start.view().owned();
    let usual = ChainConfig::default();
    let mut config = || -> gradlogp::Result<(ChainConfig, String, usize, u64)> {
        let config = ChainConfig {
            chains: start.nrows(),
            warm_up: settings.take("warm_up", usual.warm_up)?,
            steps: settings.take("steps", usual.steps)?,
            thinning: settings.take("thinning", usual.thinning)?,
            step_size: settings.take("step_size", usual.step_size)?,
            target_acceptance: settings.take("target_acceptance", usual.target_acceptance)?,
            apart: false,
        };
        let sampler = settings.take("sampler", "mala".to_string())?;
        Ok((config, sampler, settings.take("leapfrog", 8)?, settings.take("random_state", 0)?))
    };
    let (config, sampler, leapfrog, seed) = config().or_raise(py)?;
    settings.done("a draw").or_raise(py)?;
    let foreign = Foreign::new(score, log_density, start.ncols());
    let found = py.detach(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut chains = match sampler.as_str() {
            "ula" => Chains::ula(&foreign, start.view(), &config)?,
            "hmc" => Chains::hmc(&foreign, start.view(), &config, leapfrog)?,
            _ => Chains::mala(&foreign, start.view(), &config)?,
        };
        while !chains.is_done() && !foreign.has_failed() {
            chains.advance(&mut rng)?;
        }
        Ok(chains.finish())
    });
    let run = foreign.settle(py, found)?;
    let told = json!({
        "acceptance_rate": run.acceptance_rate(),
        "step_size": run.step_size,
        "split_r_hat": run.convergence.iter().map(|c| c.r_hat).collect::<Vec<_>>(),
        "effective_sample_size": run.convergence.iter().map(|c| c.effective_sample_size).collect::<Vec<_>>(),
        "tail_effective_sample_size": run.convergence.iter().map(|c| c.tail_effective_sample_size).collect::<Vec<_>>(),
    });
    Ok((run.draws.into_pyarray(py), told.to_string()))
}
