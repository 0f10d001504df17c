//! Gaussian mixtures by expectation-maximization.
//!
//! From means at rows that lie far from each other, responsibilities r_ik and components take turns until a turn gains
//! nearly nothing:
//!
//! ```text
//! r_ik = w_k N(x_i; m_k, S_k) / sum_l w_l N(x_i; m_l, S_l)
//! m_k  = sum_i r_ik x_i / n_k,   w_k = (n_k + 1) / (n + K),   n_k = sum_i r_ik
//! S_k  = (sum_i r_ik (x_i - m_k)(x_i - m_k)^T + nu S_0) / (n_k + nu) + floor I
//! ```
//!
//! S_0 is the rows' own covariance, shrunk by K^(2/d): with nu above 0 covariances are maximum a posteriori, and few rows do not
//! make them singular ([`Shrinkage`]).

use crate::error::{Error, Result};
use crate::reference::{Gaussian, GaussianMixture, Mixture};
use crate::score::LogDensity;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use rand::{Rng, RngExt};

const ITERATIONS: usize = 40;
/// Most components.
pub(super) const COMPONENTS: usize = 32;

/// What keeps the covariances of components with few rows from collapsing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shrinkage {
    /// nu: rows that the prior is worth, over d + 1.
    pub(super) rows: f64,
    /// Added to every variance in every turn.
    pub(super) floor: f64,
}

impl Default for Shrinkage {
    fn default() -> Self {
        Shrinkage { rows: 1.0, floor: 0.0 }
    }
}

/// A Gaussian mixture of `count` components; None where a covariance became singular.
///
/// # Errors
/// Rows whose own covariance is singular beyond repair.
pub(super) fn fit_mixture(
    x: ArrayView2<'_, f64>,
    count: usize,
    shrinkage: Shrinkage,
    rng: &mut dyn Rng,
) -> Result<Option<GaussianMixture>> {
    let fit = Fit::start(x, count, &Component::whole(x), shrinkage, rng)?;
    match fit.run(x).and_then(|fit| fit.mixture()) {
        Ok(mixture) => Ok(Some(mixture)),
        Err(Error::Numerical { .. }) if count > 1 => Ok(None),
        Err(error) => Err(error),
    }
}

/// One part of a mixture.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) weight: f64,
    pub(super) mean: Array1<f64>,
    pub(super) covariance: Array2<f64>,
}

impl Component {
    /// One component for all rows.
    pub(super) fn whole(x: ArrayView2<'_, f64>) -> Self {
        let mean = x.mean_axis(Axis(0)).unwrap_or_default();
        let centred = &x - &mean;
        let mut covariance = centred.t().dot(&centred) / x.nrows() as f64;
        let ridge = 1e-6 * covariance.diag().sum() / x.ncols() as f64 + f64::MIN_POSITIVE;
        covariance.diag_mut().mapv_inplace(|v| v + ridge);
        Component { weight: 1.0, mean, covariance }
    }
}

/// Components with the log likelihood of the rows under them.
pub(super) struct Fit {
    pub(super) components: Vec<Component>,
    prior: Array2<f64>,
    shrinkage: Shrinkage,
    log_likelihood: f64,
}

impl Fit {
    /// At rows far from each other (k-means++ draws), with the prior's covariances.
    pub(super) fn start(
        x: ArrayView2<'_, f64>,
        count: usize,
        whole: &Component,
        shrinkage: Shrinkage,
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
        Ok(Fit { components, prior, shrinkage, log_likelihood: f64::NEG_INFINITY })
    }

    pub(super) fn run(mut self, x: ArrayView2<'_, f64>) -> Result<Self> {
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
        let Shrinkage { rows, floor } = self.shrinkage;
        let strength = rows * (x.ncols() as f64 + 1.0);
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
            // Without rows or a prior there is nothing to take it from.
            if size + strength > 1e-8 {
                let scatter = weighted.t().dot(&centred) + &self.prior * strength;
                c.covariance = scatter / (size + strength);
                c.covariance.diag_mut().mapv_inplace(|v| v + floor);
            }
            // Rounding must not make it unsymmetric.
            c.covariance = (&c.covariance + &c.covariance.t()) * 0.5;
        }
    }

    pub(super) fn mixture(&self) -> Result<GaussianMixture> {
        let gaussian = |c: &Component| Gaussian::new(c.mean.clone(), c.covariance.clone());
        let gaussians = self.components.iter().map(gaussian).collect::<Result<Vec<_>>>()?;
        Mixture::from_components(self.components.iter().map(|c| c.weight).collect(), gaussians)
    }

    /// BIC: -2 log likelihood + parameters log n.
    pub(super) fn criterion(&self, n: usize) -> f64 {
        let (k, d) = (self.components.len() as f64, self.prior.nrows() as f64);
        let parameters = k * (1.0 + d + 0.5 * d * (d + 1.0)) - 1.0;
        -2.0 * self.log_likelihood + parameters * (n as f64).ln()
    }
}

#[cfg(test)]
mod tests;
