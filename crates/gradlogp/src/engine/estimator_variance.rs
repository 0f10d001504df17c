//! How much a loss and its gradient vary over fresh slices (or fresh noise), on fixed rows at fixed
//! weights: the noise that an objective itself adds to training.
//!
//! From K independent evaluations L_k, g_k of the mean loss over n rows and of its gradient:
//!
//! ```text
//! Var L = 1/(K-1) sum_k (L_k - mean L)^2
//! tr Cov g = 1/(K-1) sum_k |g_k - mean g|^2
//! |E g|^2 = |mean g|^2 - tr Cov g / K
//! ```
//!
//! each unbiased. Rows draw their slices independently, so both variances fall as 1/n. For one slice and
//! SSM-VR, MATH (3), n Var L is the mean over rows of Var[v.(grad s) v], the table of MATH 2.

use super::{Draw, LossEngine, StreamId, Threads};
use crate::domain::Domain;
use crate::model::{Model, Points};
use crate::objective::Objective;
use crate::slice::SliceDistribution;
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// Variances over fresh draws of one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatorVariance {
    /// Rows n of the batch.
    pub rows: usize,
    /// Evaluations K.
    pub draws: usize,
    /// Mean of the loss over draws.
    pub loss: f64,
    /// Variance of the loss over draws.
    pub loss_variance: f64,
    /// |E g|^2. Its estimate can fall below 0 where the gradient is lost in its own noise.
    pub gradient_square: f64,
    /// Trace of the covariance of the gradient over draws.
    pub gradient_variance: f64,
}

/// Variances of `objective` with slices of `distribution` on `points` over `draws` evaluations.
///
/// ```
/// use gradlogp::engine::{Threads, estimator_variance};
/// use gradlogp::{Mlp, ModelKind, Objective, SliceDistribution};
///
/// let model = Mlp { hidden: vec![4], ..Mlp::new(2, ModelKind::Score) }.build::<f64>(0)?;
/// let (x, pool) = (vec![0.1, -0.4, 0.3, 0.9], Threads::new(1)?);
/// // The exact loss draws nothing.
/// let exact = estimator_variance(&model, &Objective::Exact, SliceDistribution::default(), &x, (5, 0), &pool)?;
/// assert_eq!((exact.loss_variance, exact.gradient_variance), (0.0, 0.0));
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// `(draws, seed)` name the evaluations: the same pair gives the same slices.
///
/// # Errors
/// Fewer than two draws; settings of the objective that cannot be used; points that do not fit the
/// model.
pub fn estimator_variance<'a, T: Real>(
    model: &Model<T>,
    objective: &Objective,
    distribution: SliceDistribution,
    points: impl Into<Points<'a, T>>,
    named: (usize, u64),
    pool: &Threads,
) -> Result<EstimatorVariance> {
    estimator_variance_on_domain(None, model, objective, distribution, points, named, pool)
}

/// [`estimator_variance`] of the weighted losses on a domain with a boundary, MATH (7).
///
/// # Errors
/// Those of [`estimator_variance`]; an objective that has no weighted form.
pub fn estimator_variance_on_domain<'a, T: Real>(
    domain: Option<&Domain>,
    model: &Model<T>,
    objective: &Objective,
    distribution: SliceDistribution,
    points: impl Into<Points<'a, T>>,
    (draws, seed): (usize, u64),
    pool: &Threads,
) -> Result<EstimatorVariance> {
    objective.validate()?;
    if domain.is_some() {
        objective.check_bounded()?;
    }
    if draws < 2 {
        return Err(Error::config("draws", "a variance needs at least 2"));
    }
    let points = points.into();
    let rows = points.rows(model.graph())?;
    if rows == 0 {
        return Err(Error::data("rows of a variance", "there are none"));
    }
    let mut engine = LossEngine::on_domain(domain, model, objective, distribution, pool.count());
    let mut loss = Variance::new(1);
    let mut gradient = Variance::new(model.parameters.len());
    pool.install(|| {
        for k in 0..draws as u64 {
            let draw = Draw { seed, stream: StreamId::Variance, step: k };
            let value = engine.loss_and_gradient(model, points, draw);
            loss.push(std::iter::once(value));
            gradient.push(engine.gradient().iter().map(|g| g.to_f64()));
        }
    });
    let gradient_variance = gradient.variance();
    let square: f64 = gradient.mean.iter().map(|g| g * g).sum();
    Ok(EstimatorVariance {
        rows,
        draws,
        loss: loss.mean[0],
        loss_variance: loss.variance(),
        gradient_square: square - gradient_variance / draws as f64,
        gradient_variance,
    })
}

/// Mean and summed squared deviations of vectors, by Welford's recurrence: nothing cancels.
struct Variance {
    count: f64,
    mean: Vec<f64>,
    squares: f64,
}

impl Variance {
    fn new(len: usize) -> Self {
        Variance { count: 0.0, mean: vec![0.0; len], squares: 0.0 }
    }

    fn push(&mut self, values: impl Iterator<Item = f64>) {
        self.count += 1.0;
        for (mean, value) in self.mean.iter_mut().zip(values) {
            let before = value - *mean;
            *mean += before / self.count;
            self.squares += before * (value - *mean);
        }
    }

    /// Summed over components, divisor K - 1.
    fn variance(&self) -> f64 {
        self.squares / (self.count - 1.0)
    }
}

#[cfg(test)]
mod tests;
