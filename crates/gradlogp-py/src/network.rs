//! Networks of one's own, for research: their derivatives and losses.

use std::sync::Arc;

use gradlogp::engine::GivenDraws;
use gradlogp::model::{Derivatives, Points};
use gradlogp::numeric::Activation;
use gradlogp::slice::SliceDistribution;
use gradlogp::{Error, Mlp, Model, ModelKind, Objective};
use ndarray::{Array2, Array3};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray3};
use pyo3::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;

use crate::arrays::Rows;
use crate::errors::OrRaise;
use crate::named::Named;
use crate::settings::object;

type Vector<'py> = Bound<'py, PyArray1<f64>>;

/// A multilayer perceptron with its weights. Nothing changes it.
#[pyclass(frozen, module = "gradlogp._gradlogp")]
pub(crate) struct Network {
    pub(crate) single: Model<f32>,
    double: Arc<Model<f64>>,
    condition_dim: usize,
}

impl Network {
    pub(crate) fn of(single: Model<f32>) -> Self {
        let condition_dim = single.graph().context_widths()[0];
        Network { double: Arc::new(single.cast()), single, condition_dim }
    }

    /// Rows and their conditions, row after row, if they fit.
    pub(crate) fn points(
        &self,
        x: &Rows<'_>,
        given: Option<&Rows<'_>>,
    ) -> gradlogp::Result<(Vec<f64>, Vec<f64>)> {
        let x = x.view();
        x.check_columns(self.single.dim())?;
        let c = match given.map(Rows::view) {
            Some(c) if c.dim() == (x.dim().0, self.condition_dim) => in_order(c.owned()),
            None if self.condition_dim == 0 => Vec::new(),
            c => {
                let expected = vec![x.dim().0, self.condition_dim];
                let found = c.map_or(Vec::new(), |c| vec![c.dim().0, c.dim().1]);
                return Err(Error::Shape { operation: "rows of `given`", expected, found });
            }
        };
        Ok((in_order(x.owned()), c))
    }

    /// `width` numbers for each row.
    fn answer<'py>(
        &self,
        py: Python<'py>,
        x: &Rows<'py>,
        given: Option<&Rows<'py>>,
        f: impl FnOnce(Derivatives<'_, f64>, Points<'_, f64>) -> Vec<f64> + Send,
    ) -> PyResult<Vec<f64>> {
        let (x, c) = self.points(x, given).or_raise(py)?;
        let model = Arc::clone(&self.double);
        Ok(py.detach(|| f(Derivatives::new(&model), Points::with_contexts(&x, &[&c]))))
    }

    /// The same along a vector for each row.
    fn along<'py>(
        &self,
        py: Python<'py>,
        (x, v, given): (Rows<'py>, Rows<'py>, Option<Rows<'py>>),
        f: impl FnOnce(Derivatives<'_, f64>, Points<'_, f64>, &[f64]) -> Vec<f64> + Send,
    ) -> PyResult<Vec<f64>> {
        let v = Network::vectors(&x, &v).or_raise(py)?;
        self.answer(py, &x, given.as_ref(), |at, points| f(at, points, &v))
    }

    fn table<'py>(&self, py: Python<'py>, numbers: Vec<f64>) -> Bound<'py, PyArray2<f64>> {
        let d = self.single.dim();
        let rows = numbers.len() / d;
        Array2::from_shape_fn((rows, d), |(i, j)| numbers[i * d + j]).into_pyarray(py)
    }

    /// Vectors that belong to rows of x, row after row.
    fn vectors(x: &Rows<'_>, v: &Rows<'_>) -> gradlogp::Result<Vec<f64>> {
        let (x, v) = (x.view(), v.view());
        if v.dim() == x.dim() {
            return Ok(in_order(v.owned()));
        }
        let [expected, found] = [x, v].map(|rows| vec![rows.dim().0, rows.dim().1]);
        Err(Error::Shape { operation: "vectors of the rows", expected, found })
    }
}

fn in_order(rows: Array2<f64>) -> Vec<f64> {
    rows.iter().copied().collect()
}

/// A word as the library reads it.
pub(crate) fn word<T: DeserializeOwned>(setting: &'static str, word: &str) -> gradlogp::Result<T> {
    serde_json::from_value(word.into()).map_err(|e| Error::config(setting, e.to_string()))
}

/// An objective as JSON.
pub(crate) fn objective(json: &str) -> gradlogp::Result<Objective> {
    serde_json::from_str(json).map_err(|e| Error::config("objective", e.to_string()))
}

/// Slices of n rows: slices x n x width.
#[pyfunction]
pub(crate) fn draw_slices<'py>(
    py: Python<'py>,
    slices: usize,
    n: usize,
    width: usize,
    distribution: &str,
    seed: u64,
) -> PyResult<Bound<'py, PyArray3<f64>>> {
    let distribution: SliceDistribution = word("slice_distribution", distribution).or_raise(py)?;
    let drawn = py.detach(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut all, mut of_row) = (Array3::zeros((slices, n, width)), vec![0.0; slices * width]);
        for row in 0..if width == 0 { 0 } else { n } {
            // Those of one row are drawn together.
            distribution.draw(&mut rng, width, &mut of_row);
            for (k, v) in of_row.iter().enumerate() {
                all[[k / width, row, k % width]] = *v;
            }
        }
        all
    });
    Ok(drawn.into_pyarray(py))
}

#[pymethods]
impl Network {
    #[new]
    fn new(py: Python<'_>, settings: &str, seed: u64) -> PyResult<Self> {
        let mut given = Named(object(settings)?);
        let mut read = || -> gradlogp::Result<Mlp> {
            let usual = Mlp::new(given.take("dim", 0)?, ModelKind::Score);
            let mlp = Mlp {
                kind: given.take("kind", usual.kind)?,
                hidden: given.take("hidden", usual.hidden.clone())?,
                activation: given.take::<Activation>("activation", usual.activation)?,
                residual: given.take("residual", usual.residual)?,
                base_scale: given.take("base_scale", usual.base_scale)?,
                condition_dim: given.take("given", usual.condition_dim)?,
                conditioning: given.take("conditioning", usual.conditioning)?,
                members: given.take("members", usual.members)?,
                ..usual
            };
            Ok(mlp)
        };
        let mlp = read().or_raise(py)?;
        given.done("a network").or_raise(py)?;
        Ok(Network::of(mlp.build(seed).or_raise(py)?))
    }

    /// Columns of x.
    #[getter]
    fn dim(&self) -> usize {
        self.single.dim()
    }

    /// Whether its output is a log density.
    #[getter]
    fn has_log_density(&self) -> bool {
        self.single.kind() == ModelKind::LogDensity
    }

    /// All parameters in one vector.
    #[getter]
    fn parameters<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        self.single.parameters.clone().into_pyarray(py)
    }

    /// Name and shape of each parameter, in the order of the vector.
    #[getter]
    fn layout(&self) -> Vec<(String, Vec<usize>)> {
        let index = self.single.graph().parameters();
        index.iter().map(|(p, _)| (p.name.clone(), p.shape.clone())).collect()
    }

    /// The same network with other parameters.
    fn with_parameters(
        &self,
        py: Python<'_>,
        parameters: PyReadonlyArray1<'_, f32>,
    ) -> PyResult<Self> {
        let parameters = parameters.as_array().to_vec();
        let model = Model::new(self.single.kind(), self.single.graph().clone(), parameters);
        Ok(Network::of(model.or_raise(py)?))
    }

    /// The output: of score fields s, n x d; of log densities log p up to a constant, n x 1.
    #[pyo3(signature = (x, given=None))]
    fn value<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let out = self.answer(py, &x, given.as_ref(), |at, points| at.value(points))?;
        let width = self.single.graph().output_width();
        let rows = out.len() / width;
        Ok(Array2::from_shape_fn((rows, width), |(i, j)| out[i * width + j]).into_pyarray(py))
    }

    /// s, n x d.
    #[pyo3(signature = (x, given=None))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let out = self.answer(py, &x, given.as_ref(), |at, points| at.score(points))?;
        Ok(self.table(py, out))
    }

    /// (grad s) v, n x d.
    #[pyo3(signature = (x, v, given=None))]
    fn jvp<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        v: Rows<'py>,
        given: Option<Rows<'py>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let out = self.along(py, (x, v, given), |at, points, v| at.jacobian_vector(points, v))?;
        Ok(self.table(py, out))
    }

    /// v.(grad s) v, n.
    #[pyo3(signature = (x, v, given=None))]
    fn vjv<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        v: Rows<'py>,
        given: Option<Rows<'py>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let out = self.along(py, (x, v, given), |at, points, v| at.curvature(points, v))?;
        Ok(out.into_pyarray(py))
    }

    /// tr grad s, n.
    #[pyo3(signature = (x, given=None))]
    fn trace<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let out = self.answer(py, &x, given.as_ref(), |at, points| at.trace(points))?;
        Ok(out.into_pyarray(py))
    }

    /// d s_k / d x_k, n x d.
    #[pyo3(signature = (x, given=None))]
    fn jacobian_diagonal<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        given: Option<Rows<'py>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let out = self.answer(py, &x, given.as_ref(), |at, points| at.jacobian_diagonal(points))?;
        Ok(self.table(py, out))
    }

    /// Slices of each row that an objective takes, the numbers of one, and whether it takes noise.
    fn draws(&self, py: Python<'_>, objective: &str) -> PyResult<(usize, usize, bool)> {
        let objective = self::objective(objective).or_raise(py)?;
        let given = GivenDraws::new(&self.double, &objective).or_raise(py)?;
        let (slices, width) = given.slices();
        Ok((slices, width, given.has_noise()))
    }

    /// The loss of every row, n, and the gradient of their mean, with these slices and this noise.
    #[pyo3(signature = (x, objective, v=None, noise=None, given=None))]
    fn loss_and_gradient<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        objective: &str,
        v: Option<PyReadonlyArray3<'py, f64>>,
        noise: Option<Rows<'py>>,
        given: Option<Rows<'py>>,
    ) -> PyResult<(Vector<'py>, Vector<'py>)> {
        let objective = self::objective(objective).or_raise(py)?;
        let slices: Vec<f64> = v.map_or(Vec::new(), |v| v.as_array().iter().copied().collect());
        let noise = noise.as_ref().map(|noise| Network::vectors(&x, noise)).transpose();
        let noise = noise.or_raise(py)?.unwrap_or_default();
        let (x, c) = self.points(&x, given.as_ref()).or_raise(py)?;
        let model = Arc::clone(&self.double);
        let found = py.detach(|| {
            let points = Points::with_contexts(&x, &[&c]);
            GivenDraws::new(&model, &objective)?.loss_and_gradient(points, &slices, &noise)
        });
        let (losses, gradient) = found.or_raise(py)?;
        Ok((losses.into_pyarray(py), gradient.into_pyarray(py)))
    }
}
