//! A model fitted to a table: the network, the map from the user's units, and what is known of the fit.
//!
//! Everything it answers is in the user's own units: with z = A (x - m) (the transform) and the
//! network's score s_z, s(x) = A^T s_z(z), log p(x) = log p_z(z) + log |det A|,
//! tr grad s(x) = sum over columns k of (A e_k).(grad s_z)(A e_k). Where each column is first mapped by itself to u = g(x),
//! these are s(u), p(u) and G(u), and
//!
//! ```text
//! log p(x) = log p(u) + sum_k log g'_k,   s_k(x) = s_k(u) g'_k + (log g'_k)'
//! G_kj(x) = g'_k G_kj(u) g'_j + [k = j] (s_k(u) g''_k + (log g'_k)'')
//! ```
//!
//! A conditional model, of p(x | c), answers only where c is given: [`FittedModel::at_condition`].

mod anomaly;
mod baseline;
mod description;
mod file;
mod gaussians;
mod likelihood;
mod normalizer;
mod scaling;
mod spread;

pub use anomaly::{Anomaly, AnomalyKind};
pub use baseline::LikelihoodComparison;
pub use description::{
    ConditionColumns, DataRecord, Description, FarOff, FitSummary, KernelDescription, NoiseRecord,
};
pub use gaussians::GaussianPart;
pub use likelihood::LikelihoodConfig;
pub use scaling::{End, Scaling};

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::data::{Standardization, Transform, Warp};
use crate::diffusion::TimeModel;
use crate::domain::Domain;
use crate::model::{AtCondition, Contexts, Derivatives, Model, ModelKind, Points};
use crate::score::{LogDensity, Score, ScoreTrace};
use crate::sde::simulate;
use crate::{Error, Result};

/// A network with its description. Copies share both: a model at a condition or a time costs no second set of weights.
#[derive(Debug, Clone)]
pub struct FittedModel {
    fit: Arc<Fit>,
    /// For time models: the time at which the model answers.
    time: Option<f64>,
    /// The condition in the network's units, once given.
    contexts: Contexts<f64>,
}

/// What a model is at every condition and time. Nothing edits one of its parts: they say the same of one network.
#[derive(Debug)]
struct Fit {
    /// The network as trained and stored; its units are those of the transform's z.
    network: Model<f32>,
    /// The same in f64, for answers without rounding.
    precise: Precise,
    description: Description,
}

#[derive(Debug)]
enum Precise {
    One(Model<f64>),
    OverTime(TimeModel<f64>),
}

/// Everything `score` tells about rows.
#[derive(Debug, Clone)]
pub struct Scores {
    /// s(x), n x d.
    pub score: Array2<f64>,
    /// log p(x) up to one constant, for potentials.
    pub log_density: Option<Array1<f64>>,
    /// tr grad s(x), the Laplacian of log p for potentials.
    pub trace: Array1<f64>,
}

impl FittedModel {
    /// Joins network and description.
    ///
    /// A time model answers at its least time, where the noise is least.
    ///
    /// # Errors
    /// When they do not have the same columns, or the process of a time model is none.
    pub fn new(network: Model<f32>, description: Description) -> Result<Self> {
        let d = network.dim();
        description.validate()?;
        if description.columns.len() != d {
            let found = vec![description.columns.len()];
            return Err(Error::Shape { operation: "fitted model", expected: vec![d], found });
        }
        let condition = description.condition.as_ref();
        let widths = condition.map_or((0, 0), |g| (g.columns.len(), g.transform.dim()));
        // In a time model that is the time.
        let width = match description.noise {
            Some(_) => 0,
            None => network.graph().context_widths()[0],
        };
        if widths != (width, width) {
            let (expected, found) = (vec![width; 2], vec![widths.0, widths.1]);
            return Err(Error::Shape { operation: "condition of a fitted model", expected, found });
        }
        if description.noise.is_none() && network.graph().contexts() > 1 {
            let found = vec![network.graph().contexts()];
            return Err(Error::Shape {
                operation: "contexts of a model",
                expected: vec![1],
                found,
            });
        }
        let (precise, time) = match &description.noise {
            None => (Precise::One(network.cast()), None),
            Some(noise) => {
                if *network.graph() != noise.network.graph()? {
                    let message = "the network is not the one in its description";
                    return Err(Error::config("noise", message));
                }
                let clock = noise.clock()?;
                let t_min = clock.t_min();
                if let Some(frame) = clock.frame() {
                    if frame.dim() != d {
                        let (expected, found) = (vec![d], vec![frame.dim()]);
                        return Err(Error::Shape {
                            operation: "frame of a process",
                            expected,
                            found,
                        });
                    }
                    // The frame is all there is between the network's units and the user's.
                    if description.transform.kind() != Standardization::None {
                        let message =
                            "a process in the columns' own units takes no further transform";
                        return Err(Error::config("standardize", message));
                    }
                }
                let settings = noise.network.clone();
                (Precise::OverTime(TimeModel::new(network.cast(), settings, clock)), Some(t_min))
            }
        };
        let fit = Arc::new(Fit { network, precise, description });
        Ok(FittedModel { fit, time, contexts: Contexts::None })
    }

    /// The network as trained and stored; its units are those of the transform's z.
    pub fn network(&self) -> &Model<f32> {
        &self.fit.network
    }

    /// What is known of the fit.
    pub fn description(&self) -> &Description {
        &self.fit.description
    }

    /// This diffusion model with its density mixed with Gaussians.
    ///
    /// # Errors
    /// A model of one density, or a mixture of other columns.
    pub fn with_gaussians(&self, part: GaussianPart) -> Result<Self> {
        let description = Description { gaussians: Some(part), ..self.description().clone() };
        FittedModel::new(self.network().clone(), description)
    }

    /// The score at every time, in the network's units; None for a model of one density.
    pub fn over_time(&self) -> Option<&TimeModel<f64>> {
        match &self.fit.precise {
            Precise::One(_) => None,
            Precise::OverTime(model) => Some(model),
        }
    }

    /// The time at which it answers; None for a model of one density.
    pub fn time(&self) -> Option<f64> {
        self.time
    }

    /// The same model, answering at `time`.
    ///
    /// # Errors
    /// A model of one density; a time outside those of the process.
    pub fn at_time(mut self, time: f64) -> Result<Self> {
        let Some(model) = self.over_time() else {
            let message = "this model was fitted without `noise`: it knows one density, not times";
            return Err(Error::config("at", message));
        };
        let (low, high) = (model.clock().t_min(), model.clock().horizon());
        if !(low..=high).contains(&time) {
            let message = format!("must be a time from {low} to {high}, not {time}");
            return Err(Error::config("at", message));
        }
        self.time = Some(time);
        Ok(self)
    }

    /// Rows of the data (n x d, in the user's units) as the model's time sees them: noised to it. None for a
    /// model of one density.
    ///
    /// # Errors
    /// A process that is none.
    pub fn noised(&self, rows: ArrayView2<'_, f64>, seed: u64) -> Result<Option<Array2<f64>>> {
        let (Some(record), Some(time)) = (&self.description().noise, self.time()) else {
            return Ok(None);
        };
        let sde = record.process.sde()?;
        let transform = &self.description().transform;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut z = transform.forward(rows);
        match sde.kernel(time) {
            Some(kernel) => z.mapv_inplace(|z| {
                let noise: f64 = StandardNormal.sample(&mut rng);
                kernel.scale * z + kernel.std * noise
            }),
            None => {
                let steps = record.config.simulate.unwrap_or(crate::sde::SIMULATED);
                let mut flat: Vec<f64> = z.iter().copied().collect();
                simulate(sde.as_ref(), &mut rng, &mut flat, &vec![time; z.nrows()], steps);
                z = crate::model::rows(&flat, z.ncols());
            }
        }
        Ok(Some(transform.inverse(z.view())))
    }

    /// For a time model of a custom process: what is known of its terminal distribution.
    pub fn end(&self) -> Option<&End> {
        self.description().noise.as_ref()?.scaling.as_ref()?.end.as_ref()
    }

    /// Names of the columns that the model is conditioned on; none for a model of p(x).
    pub fn condition_columns(&self) -> &[String] {
        self.description().condition.as_ref().map_or(&[], |g| &g.columns)
    }

    /// Names of all columns that rows for this model need: those of x, then those of c.
    pub fn all_columns(&self) -> Vec<String> {
        [&self.description().columns, self.condition_columns()].concat()
    }

    /// The model of p(x | c) at given c, in the user's units: one row for all rows of x, or as many
    /// rows as x will have. All answers of a conditional model are those of what this returns.
    ///
    /// ```no_run
    /// use ndarray::array;
    /// # use gradlogp::FittedModel;
    /// # let (path, x) = (std::path::Path::new("m.safetensors"), array![[1.0, 2.0]]);
    /// let model = FittedModel::load(path)?;
    /// let scores = model.at_condition(array![[20.5]].view())?.scores(x.view());
    /// # Ok::<(), gradlogp::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where `c` does not have the columns of the condition, or no row; [`Error::Data`]
    /// where a value is not finite.
    pub fn at_condition(&self, c: ArrayView2<'_, f64>) -> Result<FittedModel> {
        let inside = match &self.description().condition {
            Some(condition) if c.ncols() == condition.transform.dim() => {
                condition.transform.forward(c)
            }
            _ => c.to_owned(),
        };
        if let Some(((_, column), value)) = inside.indexed_iter().find(|(_, c)| !c.is_finite()) {
            let name = self.condition_columns().get(column).cloned();
            let message = format!("{value} is not a finite number");
            let source_name = "condition".into();
            return Err(Error::Data { source_name, row: None, column: name, message });
        }
        let contexts = Contexts::new(inside.view(), self.condition_columns().len())?;
        Ok(FittedModel { contexts, ..self.clone() })
    }

    /// The condition as it was given, in the network's units: one row for all rows of x, or one for
    /// each. None before it is given, and for a model of p(x).
    pub fn condition(&self) -> Option<Array2<f64>> {
        self.contexts.rows(self.condition_columns().len())
    }

    /// The model at some of its conditions, `c` of them in the network's units.
    fn with_contexts(&self, c: ArrayView2<'_, f64>) -> FittedModel {
        let contexts = Contexts::new(c, c.ncols()).unwrap_or(Contexts::None);
        FittedModel { contexts, ..self.clone() }
    }

    /// The model at the first `count` of its conditions.
    pub fn at_first_conditions(&self, count: usize) -> FittedModel {
        match self.condition() {
            Some(c) => self.with_contexts(c.slice(s![..count.clamp(1, c.nrows()), ..])),
            None => self.clone(),
        }
    }

    /// The model at the mean of its conditions, for all rows of x.
    pub fn at_mean_condition(&self) -> FittedModel {
        match self.condition().and_then(|c| c.mean_axis(Axis(0))) {
            Some(mean) => self.with_contexts(mean.insert_axis(Axis(0)).view()),
            None => self.clone(),
        }
    }

    /// The network as a score in its own units, at the given condition if there is one.
    pub fn in_network_units(&self) -> AtCondition<'_, f32> {
        self.network().at(self.contexts.cast())
    }

    /// Score field or potential.
    pub fn kind(&self) -> ModelKind {
        self.network().kind()
    }

    /// Refuses rows of `x` (n x d) outside the model's domain, if it has one; `source` is what they are.
    ///
    /// # Errors
    /// [`Error::Data`] naming the first such row, and the column where there is one.
    pub fn check_domain(&self, x: ArrayView2<'_, f64>, source: &str) -> Result<()> {
        let Some(domain) = &self.description().domain else { return Ok(()) };
        domain.check(x, &self.description().columns, source)
    }

    /// The rows of `x` (n x d) that are within `limit` standard deviations of the training rows' mean in every column.
    pub fn near_training(&self, x: ArrayView2<'_, f64>, limit: f64) -> Vec<usize> {
        let (mean, scale) = (&self.description().column_mean, &self.description().column_scale);
        let near = |i: &usize| {
            let row = x.row(*i);
            let mut columns = row.iter().zip(mean).zip(scale);
            columns.all(|((x, mean), scale)| (x - mean).abs() <= limit * scale)
        };
        (0..x.nrows()).filter(near).collect()
    }

    /// From the user's units to the network's, which those of some time models depend on the time.
    fn transform(&self) -> Cow<'_, Transform> {
        let over_time = self.over_time().zip(self.time);
        match over_time.and_then(|(model, time)| Some((model.clock().frame()?, time))) {
            None => Cow::Borrowed(&self.description().transform),
            Some((frame, time)) => Cow::Owned(Transform::from_frame(frame.at(time))),
        }
    }

    /// Rows in the network's units, flat.
    fn inside(&self, x: ArrayView2<'_, f64>) -> Vec<f64> {
        self.transform().forward(x).iter().copied().collect()
    }

    /// Derivatives of the network at rows in the user's units.
    fn at<R>(
        &self,
        x: ArrayView2<'_, f64>,
        f: impl FnOnce(Derivatives<'_, f64>, Points<'_, f64>) -> R,
    ) -> R {
        let z = self.inside(x);
        match (&self.fit.precise, self.time) {
            (Precise::OverTime(model), time) => {
                model.ask(&z, time.unwrap_or(model.clock().t_min()), f)
            }
            (Precise::One(model), _) => {
                let at = Derivatives::new(model);
                self.contexts.with(&z, x.nrows(), |points| f(at, points))
            }
        }
    }

    /// A e_k by rows, flat: the directions in z that belong to the user's columns.
    fn directions(&self) -> Array2<f64> {
        self.transform().column_directions()
    }

    /// A^T s_z: the score in the user's units, or of u where columns are mapped first.
    fn before_warp(&self, score: &[f64]) -> Array2<f64> {
        let rows = crate::model::rows(score, self.network().dim());
        self.transform().score_to_user(rows.view())
    }

    /// The score in the user's units at the rows `x`, from that of the network.
    fn outside(&self, x: ArrayView2<'_, f64>, score: &[f64]) -> Array2<f64> {
        let score = self.before_warp(score);
        match self.transform().warp(x) {
            Some(warp) => score * &warp.slope + &warp.first,
            None => score,
        }
    }

    /// Score, log density and trace of every row.
    pub fn scores(&self, x: ArrayView2<'_, f64>) -> Scores {
        let (value, score) = self.at(x, |at, points| at.value_and_score(points));
        let potential = self.kind() == ModelKind::LogDensity;
        let log_density = potential.then(|| self.log_density(x, value));
        Scores { score: self.outside(x, &score), log_density, trace: self.trace(x) }
    }

    /// log p in the user's units from the network's, -infinity outside the domain.
    fn log_density(&self, x: ArrayView2<'_, f64>, value: Vec<f64>) -> Array1<f64> {
        let transform = self.transform();
        let mut log_density = transform.log_density_to_user(Array1::from(value).view());
        if let Some(warp) = transform.warp(x) {
            log_density += &warp.log_volume;
        }
        match &self.description().domain {
            Some(domain) => domain.cut(x, log_density),
            None => log_density,
        }
    }

    /// d s_k / d x_k for every row and column, n x d: the diagonal of the Hessian of log p for
    /// potentials.
    pub fn jacobian_diagonal(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let directions = standard_layout(self.directions());
        let flat = self.at(x, |at, points| at.curvatures(points, &directions));
        let diagonal = crate::model::rows(&flat, self.network().dim());
        match self.transform().warp(x) {
            Some(warp) => {
                let score = self.before_warp(&self.at(x, |at, points| at.score(points)));
                diagonal * &warp.slope * &warp.slope + score * &warp.curvature + &warp.second
            }
            None => diagonal,
        }
    }

    /// The Jacobian grad s times a vector v for each row (n x d, the user's units), n x d: of potentials the Hessian of
    /// log p times v. With v_z = A v, J v = A^T (grad s_z) v_z.
    ///
    /// # Errors
    /// [`Error::Shape`] where `v` has not the shape of `x`.
    pub fn jacobian_vector(
        &self,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
    ) -> Result<Array2<f64>> {
        if v.dim() != x.dim() {
            let (expected, found) = (x.shape().to_vec(), v.shape().to_vec());
            return Err(Error::Shape { operation: "vectors of the rows", expected, found });
        }
        Ok(self.jacobian_along(x, v, self.transform().warp(x).as_ref()))
    }

    /// G(x) v for each row.
    fn jacobian_along(
        &self,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        warp: Option<&Warp>,
    ) -> Array2<f64> {
        let inner = |v: ArrayView2<'_, f64>| {
            // The rows of `directions` are A e_k.
            let along = standard_layout(v.dot(&self.directions()));
            self.before_warp(&self.at(x, |at, points| at.jacobian_vector(points, &along)))
        };
        let Some(warp) = warp else { return inner(v) };
        let score = self.before_warp(&self.at(x, |at, points| at.score(points)));
        inner((&v * &warp.slope).view()) * &warp.slope
            + (score * &warp.curvature + &warp.second) * v
    }

    /// Mean over the rows of the Jacobian grad s (row i, column j: d s_i / d x_j), d x d.
    pub fn mean_jacobian(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let d = self.network().dim();
        let mut out = Array2::zeros((d, d));
        let warp = self.transform().warp(x);
        for j in 0..d {
            let along = Array2::from_shape_fn(x.dim(), |(_, k)| f64::from(u8::from(k == j)));
            let column = self.jacobian_along(x, along.view(), warp.as_ref());
            if let Some(mean) = column.mean_axis(Axis(0)) {
                out.column_mut(j).assign(&mean);
            }
        }
        out
    }

    /// The exact loss of every row, MATH (4), for columns measured in their training standard
    /// deviations: tr(D G D) + 1/2 |D s|^2 with D = diag(standard deviations).
    ///
    /// That makes it free of units and the same for every kind of standardization, so that fits of
    /// one table can be compared. On a domain with a boundary it is the weighted loss, MATH (7), in the same
    /// units.
    pub fn exact_loss_rows(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.exact_loss_rows_in(x, &self.description().column_scale)
    }

    /// The same for columns measured in `scale`, d positive numbers, which fits of different rows can share.
    pub fn exact_loss_rows_in(&self, x: ArrayView2<'_, f64>, scale: &[f64]) -> Array1<f64> {
        let scale = Array1::from(scale.to_vec());
        if let Some(domain) = &self.description().domain {
            return self.weighted_loss_rows(domain, x, &scale);
        }
        if self.transform().has_marginals() {
            let (score, diagonal) = (self.score(x) * &scale, self.jacobian_diagonal(x));
            let trace = (diagonal * &scale * &scale).sum_axis(Axis(1));
            return trace + score.map_axis(Axis(1), |s| 0.5 * s.dot(&s));
        }
        let directions = standard_layout(self.directions() * scale.view().insert_axis(Axis(1)));
        let (trace, score) =
            self.at(x, |at, points| (at.curvature_sum(points, &directions), at.score(points)));
        let (trace, score) = (Array1::from(trace), self.before_warp(&score) * &scale);
        let half_square = score.map_axis(Axis(1), |s| 0.5 * s.dot(&s));
        trace + half_square
    }

    fn weighted_loss_rows(
        &self,
        domain: &Domain,
        x: ArrayView2<'_, f64>,
        scale: &Array1<f64>,
    ) -> Array1<f64> {
        // In y = x / scale: s_y = scale s, J_y = scale^2 J on the diagonal.
        let inside = domain.scaled(&vec![0.0; scale.len()], &scale.to_vec());
        let (y, score) = (&x / scale, self.score(x) * scale);
        let diagonal = self.jacobian_diagonal(x) * scale * scale;
        let rows = y.outer_iter().zip(score.outer_iter()).zip(diagonal.outer_iter());
        rows.map(|((y, s), j)| inside.loss(&y.to_vec(), &s.to_vec(), &j.to_vec())).collect()
    }

    /// The model as a log density in the user's units, if it is a potential.
    pub fn as_log_density(&self) -> Option<FittedLogDensity<'_>> {
        (self.kind() == ModelKind::LogDensity).then_some(FittedLogDensity(self))
    }
}

fn standard_layout(matrix: Array2<f64>) -> Vec<f64> {
    matrix.iter().copied().collect()
}

impl Score for FittedModel {
    fn dim(&self) -> usize {
        self.network().dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        self.outside(x, &self.at(x, |at, points| at.score(points)))
    }
}

impl ScoreTrace for FittedModel {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        if self.transform().has_marginals() {
            return self.jacobian_diagonal(x).sum_axis(Axis(1));
        }
        let directions = standard_layout(self.directions());
        Array1::from(self.at(x, |at, points| at.curvature_sum(points, &directions)))
    }
}

/// A fitted potential in the user's units. Of a conditional model: log p(x | c) up to a term that
/// depends on c alone, so values at different c must not be compared.
#[derive(Debug, Clone, Copy)]
pub struct FittedLogDensity<'m>(&'m FittedModel);

gradlogp_density::delegate_score!(Score [] FittedLogDensity<'_>, |this| this.0);

gradlogp_density::delegate_score!(ScoreTrace [] FittedLogDensity<'_>, |this| this.0);

impl LogDensity for FittedLogDensity<'_> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let value = self.0.at(x, |at, points| at.value(points));
        self.0.log_density(x, value)
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (value, score) = self.0.at(x, |at, points| at.value_and_score(points));
        (self.0.log_density(x, value), self.0.outside(x, &score))
    }
}

/// Root mean square of the score of a network over rows and columns in its own units: the typical
/// slope, from which step sizes follow.
pub fn root_mean_square_score(network: &dyn Score, z: ArrayView2<'_, f64>) -> f64 {
    let score = network.score(z);
    let mut sum = 0.0;
    Zip::from(&score).for_each(|s| sum += s * s);
    (sum / score.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod marginal_tests;
#[cfg(test)]
mod tests;
