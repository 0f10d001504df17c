//! Normalized densities around given rows: where importance sampling and annealing start.
//!
//! The **core** is a mixture of Gaussians fitted by expectation-maximization, with K of 1, 2, 4, ... chosen by
//! the Bayesian information criterion: annealing starts here, in both directions. Its reverse weights hold
//! q/p, so tails much heavier than those of p would spoil them. In the **heavy** mixture, from which
//! importance sampling draws, each component is made a Student-t of 5 degrees of freedom with
//! the same location and scale; a tenth of the weight goes to one t around all rows, three times as wide as
//! they are, so that mass where no rows are is found, if it is near. Covariances are maximum a posteriori,
//!
//! ```text
//! S_k = (sum_i r_ik (x_i - m_k)(x_i - m_k)^T + nu S_0) / (sum_i r_ik + nu),   nu = d + 1
//! ```
//!
//! with S_0 the rows' own, shrunk by K^(2/d), so that few rows do not make them singular. Nothing that is
//! estimated with this proposal is biased by its fit being poor: weights correct for it, with a smaller
//! effective size.

use crate::error::Result;
use crate::reference::{Gaussian, GaussianMixture, Mixture, StudentT};
use crate::score::LogDensity;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use rand::{Rng, RngExt};

/// Both mixtures: normalized, with score and sampler.
#[derive(Debug, Clone)]
pub struct Proposals {
    /// Gaussians fitted to the rows.
    pub core: GaussianMixture,
    /// Student-t components of 5 degrees of freedom in their places, and a wide one.
    pub heavy: Mixture<StudentT>,
}

const DEGREES: f64 = 5.0;
const DEFENSIVE: f64 = 0.1;
/// Width of the defensive component in standard deviations of the rows.
const WIDTH: f64 = 3.0;
const ITERATIONS: usize = 40;
/// Most components, and most rows that they are fitted to.
const COMPONENTS: usize = 32;

/// Fits proposals to the rows of `x` (n x d), which should be of comparable scale in all columns.
///
/// # Errors
/// [`Error::Numerical`](crate::Error::Numerical) where the rows' covariance is singular beyond repair.
pub fn fit_proposals(x: ArrayView2<'_, f64>, rng: &mut dyn Rng) -> Result<Proposals> {
    let whole = Component::whole(x);
    let mut best = Fit::start(x, 1, &whole, rng)?.run(x)?;
    let mut count = 2;
    while count <= COMPONENTS && 3 * count * (x.ncols() + 1) <= x.nrows() {
        let fit = Fit::start(x, count, &whole, rng)?.run(x)?;
        if fit.criterion(x.nrows()) < best.criterion(x.nrows()) {
            best = fit;
        } else if count > 4 {
            break;
        }
        count *= 2;
    }
    let weights: Vec<f64> = best.components.iter().map(|c| c.weight).collect();
    let core = best.mixture()?;
    let mut shares: Vec<f64> = weights.iter().map(|w| (1.0 - DEFENSIVE) * w).collect();
    shares.push(DEFENSIVE * weights.iter().sum::<f64>());
    let wide = Component { covariance: &whole.covariance * (WIDTH * WIDTH), ..whole };
    let heavy = |c: &Component| StudentT::new(c.mean.clone(), c.covariance.clone(), DEGREES);
    let all = best.components.iter().chain([&wide]).map(heavy).collect::<Result<Vec<_>>>()?;
    Ok(Proposals { core, heavy: Mixture::from_components(Array1::from(shares), all)? })
}

/// A Gaussian mixture of `count` components by expectation-maximization; None where there are too few rows for so
/// many.
///
/// # Errors
/// As [`fit_proposals`].
pub(super) fn fit_mixture(
    x: ArrayView2<'_, f64>,
    count: usize,
    rng: &mut dyn Rng,
) -> Result<Option<GaussianMixture>> {
    let few = count > 1 && 3 * count * (x.ncols() + 1) > x.nrows();
    if few || count > COMPONENTS {
        return Ok(None);
    }
    let fit = Fit::start(x, count, &Component::whole(x), rng)?.run(x)?;
    fit.mixture().map(Some)
}

#[derive(Debug, Clone)]
struct Component {
    weight: f64,
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Component {
    /// One component for all rows.
    fn whole(x: ArrayView2<'_, f64>) -> Self {
        let mean = x.mean_axis(Axis(0)).unwrap_or_default();
        let centred = &x - &mean;
        let mut covariance = centred.t().dot(&centred) / x.nrows() as f64;
        let ridge = 1e-6 * covariance.diag().sum() / x.ncols() as f64 + f64::MIN_POSITIVE;
        covariance.diag_mut().mapv_inplace(|v| v + ridge);
        Component { weight: 1.0, mean, covariance }
    }
}

/// Components with the log likelihood of the rows under them.
struct Fit {
    components: Vec<Component>,
    prior: Array2<f64>,
    log_likelihood: f64,
}

impl Fit {
    /// At rows far from each other (k-means++ draws), with the prior's covariances.
    fn start(
        x: ArrayView2<'_, f64>,
        count: usize,
        whole: &Component,
        rng: &mut dyn Rng,
    ) -> Result<Self> {
        let prior = &whole.covariance / (count as f64).powf(2.0 / x.ncols() as f64);
        let mut means = vec![match count {
            1 => whole.mean.clone(),
            _ => x.row(rng.random_range(0..x.nrows())).to_owned(),
        }];
        let mut nearest = Array1::from_elem(x.nrows(), f64::INFINITY);
        while means.len() < count {
            let last = &means[means.len() - 1];
            Zip::from(&mut nearest).and(x.rows()).for_each(|near, row| {
                *near = near.min((&row - last).mapv(|v| v * v).sum());
            });
            let mut left = rng.random::<f64>() * nearest.sum();
            let chosen = nearest.iter().position(|q| {
                left -= q;
                left <= 0.0
            });
            means.push(x.row(chosen.unwrap_or(0)).to_owned());
        }
        let weight = 1.0 / count as f64;
        let component = |mean| Component { weight, mean, covariance: prior.clone() };
        let components = means.into_iter().map(component).collect();
        Ok(Fit { components, prior, log_likelihood: f64::NEG_INFINITY })
    }

    fn run(mut self, x: ArrayView2<'_, f64>) -> Result<Self> {
        for _ in 0..ITERATIONS {
            let before = self.log_likelihood;
            let responsibilities = self.responsibilities(x)?;
            if self.components.len() > 1 {
                self.update(x, &responsibilities);
            }
            if self.log_likelihood - before < 1e-4 * x.nrows() as f64 {
                break;
            }
        }
        Ok(self)
    }

    /// r_ik, n x K; notes the log likelihood.
    fn responsibilities(&mut self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        let mut joint = Array2::zeros((x.nrows(), self.components.len()));
        for (mut column, c) in joint.columns_mut().into_iter().zip(&self.components) {
            let gaussian = Gaussian::new(c.mean.clone(), c.covariance.clone())?;
            column.assign(&(gaussian.log_density(x) + c.weight.ln()));
        }
        self.log_likelihood = 0.0;
        for mut row in joint.rows_mut() {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|l| (l - largest).exp()).sum();
            let total = largest + sum.ln();
            self.log_likelihood += total;
            row.mapv_inplace(|l| (l - total).exp());
        }
        Ok(joint)
    }

    fn update(&mut self, x: ArrayView2<'_, f64>, responsibilities: &Array2<f64>) {
        let strength = x.ncols() as f64 + 1.0;
        let n = x.nrows() as f64;
        let count = self.components.len() as f64;
        for (c, r) in self.components.iter_mut().zip(responsibilities.columns()) {
            let size = r.sum();
            // One row's worth for each keeps every weight above 0.
            c.weight = (size + 1.0) / (n + count);
            if size > 1e-8 {
                c.mean = r.dot(&x) / size;
            }
            let centred = &x - &c.mean;
            let weighted = &centred * &r.insert_axis(Axis(1));
            c.covariance =
                (weighted.t().dot(&centred) + &self.prior * strength) / (size + strength);
            // Rounding must not make it unsymmetric.
            c.covariance = (&c.covariance + &c.covariance.t()) * 0.5;
        }
    }

    fn mixture(&self) -> Result<GaussianMixture> {
        let gaussian = |c: &Component| Gaussian::new(c.mean.clone(), c.covariance.clone());
        let gaussians = self.components.iter().map(gaussian).collect::<Result<Vec<_>>>()?;
        Mixture::from_components(self.components.iter().map(|c| c.weight).collect(), gaussians)
    }

    /// BIC: -2 log likelihood + parameters log n.
    fn criterion(&self, n: usize) -> f64 {
        let (k, d) = (self.components.len() as f64, self.prior.nrows() as f64);
        let parameters = k * (1.0 + d + 0.5 * d * (d + 1.0)) - 1.0;
        -2.0 * self.log_likelihood + parameters * (n as f64).ln()
    }
}

#[cfg(test)]
mod tests;
