//! A fitted model: answers for arrays of rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gradlogp::fitted::{Anomaly, AnomalyKind, LikelihoodConfig};
use gradlogp::score::Score;
use gradlogp::{Error, FittedModel, ModelKind};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::arrays::Rows;
use crate::blocks::{asked, column, finite, flat, in_blocks};
use crate::errors::OrRaise;
use crate::under_way::{Onlooker, Shared, run};
use crate::{draw, pool, report, settings};

/// Rows that were drawn, what is known of them as JSON, warnings, and whether Ctrl-C ended the draw.
type Draws<'py> = (Bound<'py, PyArray2<f64>>, String, Vec<String>, bool);

/// A fitted model. Nothing changes it.
#[pyclass(frozen, module = "gradlogp._gradlogp")]
pub(crate) struct Model {
    fitted: Arc<FittedModel>,
}

impl Model {
    pub(crate) fn new(fitted: Arc<FittedModel>) -> Self {
        Model { fitted }
    }

    /// `work` on threads while the caller looks after signals; what came of it, and whether Ctrl-C ended it.
    fn job<T: Send + 'static>(
        &self,
        py: Python<'_>,
        threads: usize,
        work: impl FnOnce(&FittedModel, &Shared<()>) -> gradlogp::Result<T> + Send + 'static,
    ) -> PyResult<(T, bool)> {
        let (model, pool) = (Arc::clone(&self.fitted), pool::threads(threads).or_raise(py)?);
        let done = run(py, &Onlooker::NOBODY, move |shared: &Shared<()>| {
            pool.install(|| work(&model, shared))
        })?;
        Ok((done.result.or_raise(py)?, done.interrupted))
    }

    /// The same on rows and their conditions.
    fn on_rows<T: Send + 'static>(
        &self,
        py: Python<'_>,
        (rows, given): (Rows<'_>, Option<Rows<'_>>),
        threads: usize,
        work: impl FnOnce(report::On, &FittedModel, &Shared<()>) -> gradlogp::Result<T> + Send + 'static,
    ) -> PyResult<(T, bool)> {
        let on = (rows.view().owned(), given.map(|given| given.view().owned()));
        self.job(py, threads, move |model, shared| work(on, model, shared))
    }

    fn anomaly_of(&self, kind: &str) -> gradlogp::Result<Anomaly> {
        let kind = match kind {
            "auto" => AnomalyKind::Auto,
            "scales" => AnomalyKind::Scales,
            "density" => AnomalyKind::Density,
            "path" => AnomalyKind::Path,
            "norm" => AnomalyKind::Norm,
            other => {
                let message = format!("is {other}, not auto, scales, density, path or norm");
                return Err(Error::config("anomaly", message));
            }
        };
        Anomaly::new(&self.fitted, kind)
    }
}

/// The score beyond which a usual row lies with at most this probability, from those of usual rows.
#[pyfunction]
pub(crate) fn false_alarm_threshold(
    py: Python<'_>,
    scores: PyReadonlyArray1<'_, f64>,
    false_alarm: f64,
) -> PyResult<f64> {
    gradlogp::diagnose::false_alarm_threshold(scores.as_array(), false_alarm).or_raise(py)
}

#[pymethods]
impl Model {
    /// Names of the columns of x.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.fitted.description().columns.clone()
    }

    /// Names of the columns of the condition.
    #[getter]
    fn given_columns(&self) -> Vec<String> {
        self.fitted.condition_columns().to_vec()
    }

    /// Whether it has a density at one time or at all: a potential.
    #[getter]
    fn has_log_density(&self) -> bool {
        self.fitted.kind() == ModelKind::LogDensity
    }

    /// Whether it knows every noise level.
    #[getter]
    fn is_over_time(&self) -> bool {
        self.fitted.over_time().is_some()
    }

    /// Least and last time of a diffusion model.
    #[getter]
    fn times(&self) -> Option<(f64, f64)> {
        self.fitted.over_time().map(|model| (model.clock().t_min(), model.clock().horizon()))
    }

    /// A hash of weights and scaling.
    #[getter]
    fn fingerprint(&self) -> String {
        self.fitted.fingerprint()
    }

    /// What the model file says of it, as JSON.
    fn description(&self) -> PyResult<String> {
        let json = serde_json::to_string(self.fitted.description());
        json.map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))
    }

    /// s(x), n x d.
    #[pyo3(signature = (x, given=None, time=None, threads=0))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
        time: Option<f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (x, d) = (x.view(), x.view().dim().1);
        let asked = asked(given.as_ref(), time);
        let out =
            in_blocks(&self.fitted, py, x, asked, threads, d, |model, x, _| Ok(model.score(x)))?;
        Ok(out.into_pyarray(py))
    }

    /// The exact score matching loss of each row, columns measured in `scale`, n.
    #[pyo3(signature = (x, scale, given=None, threads=0))]
    fn exact_loss<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        scale: Vec<f64>,
        given: Option<Rows<'py>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        if scale.len() != x.view().dim().1 {
            let (expected, found) = (vec![x.view().dim().1], vec![scale.len()]);
            return Err(Error::Shape { operation: "units of the columns", expected, found })
                .or_raise(py);
        }
        let asked = asked(given.as_ref(), None);
        let out = in_blocks(&self.fitted, py, x.view(), asked, threads, 1, |model, x, _| {
            Ok(column(model.exact_loss_rows_in(x, &scale)))
        })?;
        Ok(flat(py, out))
    }

    /// log p(x) up to a constant, n.
    #[pyo3(signature = (x, given=None, time=None, threads=0))]
    fn log_density<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
        time: Option<f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        use gradlogp::LogDensity;
        let asked = asked(given.as_ref(), time);
        let out = in_blocks(&self.fitted, py, x.view(), asked, threads, 1, |model, x, _| {
            let Some(density) = model.as_log_density() else {
                return Err(Error::config("fitted_model", "is a score field without a density"));
            };
            Ok(column(density.log_density(x)))
        })?;
        Ok(flat(py, out))
    }

    /// tr grad s(x), n.
    #[pyo3(signature = (x, given=None, time=None, threads=0))]
    fn trace<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
        time: Option<f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        use gradlogp::ScoreTrace;
        let asked = asked(given.as_ref(), time);
        let out = in_blocks(&self.fitted, py, x.view(), asked, threads, 1, |model, x, _| {
            Ok(column(model.trace(x)))
        })?;
        Ok(flat(py, out))
    }

    /// d s_k / d x_k, n x d.
    #[pyo3(signature = (x, given=None, time=None, threads=0))]
    fn jacobian_diagonal<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
        time: Option<f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (x, d) = (x.view(), x.view().dim().1);
        let asked = asked(given.as_ref(), time);
        let out = in_blocks(&self.fitted, py, x, asked, threads, d, |model, x, _| {
            Ok(model.jacobian_diagonal(x))
        })?;
        Ok(out.into_pyarray(py))
    }

    /// (grad s(x)) v for a vector for each row, n x d.
    #[pyo3(signature = (x, v, given=None, time=None, threads=0))]
    fn jacobian_vector<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        v: Rows<'py>,
        given: Option<Rows<'py>>,
        time: Option<f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (x, v, d) = (x.view(), v.view(), x.view().dim().1);
        if v.dim() != x.dim() {
            let [expected, found] = [x, v].map(|rows| vec![rows.dim().0, rows.dim().1]);
            let operation = "vectors of the rows";
            return Err(Error::Shape { operation, expected, found }).or_raise(py);
        }
        let asked = asked(given.as_ref(), time);
        let out = in_blocks(&self.fitted, py, x, asked, threads, d, |model, x, start| {
            model.jacobian_vector(x, v.some(start..start + x.nrows()).view())
        })?;
        Ok(out.into_pyarray(py))
    }

    /// log p(x) of a diffusion model by the probability flow, n; NaN where a row was lost.
    #[pyo3(signature = (x, seed=0, probes=None, tolerance=None, threads=0))]
    fn log_likelihood<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        seed: u64,
        probes: Option<usize>,
        tolerance: Option<f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let x = x.view();
        let columns = &self.fitted.description().columns;
        x.check_columns(columns.len()).or_raise(py)?;
        let x = x.owned();
        finite(x.view(), 0, columns).or_raise(py)?;
        let usual = LikelihoodConfig::default();
        let config = LikelihoodConfig { probes, tolerance: tolerance.unwrap_or(usual.tolerance) };
        let (found, _) = self.job(py, threads, move |model, _| {
            model.log_likelihood(x.view(), &config, &mut ChaCha8Rng::seed_from_u64(seed))
        })?;
        Ok(found.log_density.into_pyarray(py))
    }

    /// Writes the model file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.fitted.save(&path)).or_raise(py)
    }

    /// Reads a model file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Model::new(Arc::new(py.detach(|| FittedModel::load(&path)).or_raise(py)?)))
    }

    /// The bytes of the model file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.fitted.to_bytes().or_raise(py)?))
    }

    /// The model in the bytes of a model file.
    #[new]
    fn from_bytes(py: Python<'_>, file: &[u8]) -> PyResult<Self> {
        let model = FittedModel::from_bytes(file, Path::new("model")).or_raise(py)?;
        Ok(Model::new(Arc::new(model)))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyType>, (Bound<'py, PyBytes>,))> {
        Ok((slf.get_type(), (slf.get().to_bytes(slf.py())?,)))
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Nothing changes a model, so that a copy is the same.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    /// log Z on rows of the data and its standard error, or why there is none.
    #[pyo3(signature = (rows, seed=0, threads=0))]
    fn normalizer(
        &self,
        py: Python<'_>,
        rows: Rows<'_>,
        seed: u64,
        threads: usize,
    ) -> PyResult<(Option<(f64, f64)>, String)> {
        let rows = rows.view().owned();
        let (found, _) = self.job(py, threads, move |model, _| {
            model.normalizer(rows.view(), &mut ChaCha8Rng::seed_from_u64(seed))
        })?;
        Ok(match found.log_z {
            Ok(found) => (Some((found.value, found.standard_error)), String::new()),
            Err(why) => (None, why.to_string()),
        })
    }

    /// Draws rows.
    #[pyo3(signature = (n, settings, given=None, threads=0))]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        n: usize,
        settings: &str,
        given: Option<Rows<'py>>,
        threads: usize,
    ) -> PyResult<Draws<'py>> {
        let settings = settings::object(settings)?;
        let given = given.map(|given| given.view().owned());
        let ((rows, known, warnings), interrupted) =
            self.job(py, threads, move |model, shared| match given {
                Some(given) => {
                    draw::sample(&model.at_condition(given.view())?, n, settings, shared)
                }
                None => draw::sample(model, n, settings, shared),
            })?;
        Ok((rows.into_pyarray(py), known, warnings, interrupted))
    }

    /// Draws what is NaN; the rows and warnings.
    #[pyo3(signature = (rows, settings, threads=0))]
    fn impute<'py>(
        &self,
        py: Python<'py>,
        rows: Rows<'py>,
        settings: &str,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyArray2<f64>>, Vec<String>)> {
        let (settings, rows) = (settings::object(settings)?, rows.view().owned());
        let (found, _) = self
            .job(py, threads, move |model, shared| draw::impute(model, rows, settings, shared))?;
        let (rows, warnings) = found.ok_or_else(|| PyKeyboardInterrupt::new_err(()))?;
        Ok((rows.into_pyarray(py), warnings))
    }

    /// The figures of an evaluation on rows that did not train it, as JSON with the keys of the program's `eval`.
    #[pyo3(signature = (rows, given=None, seed=1, threads=0))]
    fn check(
        &self,
        py: Python<'_>,
        rows: Rows<'_>,
        given: Option<Rows<'_>>,
        seed: u64,
        threads: usize,
    ) -> PyResult<String> {
        let (found, _) = self.on_rows(py, (rows, given), threads, move |on, model, _| {
            report::check(model, on, seed)
        })?;
        Ok(found)
    }

    /// The report on rows that did not train it: an HTML page, and warnings.
    #[pyo3(signature = (rows, given=None, seed=1, threads=0))]
    fn report(
        &self,
        py: Python<'_>,
        rows: Rows<'_>,
        given: Option<Rows<'_>>,
        seed: u64,
        threads: usize,
    ) -> PyResult<String> {
        let (page, interrupted) =
            self.on_rows(py, (rows, given), threads, move |on, model, shared| {
                report::of_rows(model, on, seed, shared)
            })?;
        if interrupted { Err(PyKeyboardInterrupt::new_err(())) } else { Ok(page) }
    }

    /// How unusual each row is, n; the kind `auto` is the one that suits the model.
    #[pyo3(signature = (x, kind, given=None, threads=0))]
    fn anomaly<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        kind: &str,
        given: Option<Rows<'py>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let anomaly = self.anomaly_of(kind).or_raise(py)?;
        let asked = asked(given.as_ref(), None);
        let out = in_blocks(&self.fitted, py, x.view(), asked, threads, 1, |model, x, _| {
            Ok(column(anomaly.score(model, x)?))
        })?;
        Ok(flat(py, out))
    }

    /// What each column contributes to it, n x d.
    #[pyo3(signature = (x, kind, given=None, threads=0))]
    fn contributions<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        kind: &str,
        given: Option<Rows<'py>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (x, d) = (x.view(), x.view().dim().1);
        let (anomaly, asked) = (self.anomaly_of(kind).or_raise(py)?, asked(given.as_ref(), None));
        let out = in_blocks(&self.fitted, py, x, asked, threads, d, |model, x, _| {
            anomaly.contributions(model, x)
        })?;
        Ok(out.into_pyarray(py))
    }
}
