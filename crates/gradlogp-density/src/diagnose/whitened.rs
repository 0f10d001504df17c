//! A log density in the coordinates u in which given rows have mean 0 and covariance I.
//!
//! x = m + B u with B = D U L^(1/2): D the standard deviations, U and L eigenvectors and eigenvalues of
//! the correlation matrix. log p_u(u) = log p(x) + log|det B| and s_u = B^T s, so the integral of exp is
//! that in x: log Z does not change.

use crate::error::{Error, Result};
use crate::linear::symmetric_eigen;
use crate::score::{LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Smallest eigenvalue of a correlation matrix that is taken as it is.
const LEAST: f64 = 1e-8;

/// The map between x and u.
#[derive(Debug, Clone)]
pub(super) struct Whitening {
    mean: Array1<f64>,
    /// B, d x d.
    matrix: Array2<f64>,
    /// B^-1.
    inverse: Array2<f64>,
    log_det: f64,
}

impl Whitening {
    /// By the rows of `x`.
    pub(super) fn fit(x: ArrayView2<'_, f64>) -> Result<Self> {
        let (z, sd) = super::standardize(x)?;
        let d = x.ncols();
        let correlation = z.t().dot(&z) / (x.nrows() as f64 - 1.0);
        let (values, vectors) =
            symmetric_eigen(d, &|i, j| correlation[[i, j]]).ok_or_else(|| Error::Numerical {
                operation: "whitening",
                message: "the correlation matrix has no eigenvalues".into(),
            })?;
        let spread = |k: usize| values[k].max(LEAST).sqrt();
        Ok(Whitening {
            mean: x.mean_axis(Axis(0)).unwrap_or_default(),
            matrix: Array2::from_shape_fn((d, d), |(i, k)| sd[i] * vectors[[i, k]] * spread(k)),
            inverse: Array2::from_shape_fn((d, d), |(k, i)| vectors[[i, k]] / (spread(k) * sd[i])),
            log_det: (0..d).map(|k| sd[k].ln() + spread(k).ln()).sum(),
        })
    }

    /// u of rows x.
    pub(super) fn forward(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        (&x - &self.mean).dot(&self.inverse.t())
    }

    /// x of rows u.
    pub(super) fn back(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
        u.dot(&self.matrix.t()) + &self.mean
    }
}

/// p_u.
pub(super) struct Whitened<'a> {
    pub(super) model: &'a dyn LogDensity,
    pub(super) whitening: &'a Whitening,
}

impl Score for Whitened<'_> {
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn score(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
        self.model.score(self.whitening.back(u).view()).dot(&self.whitening.matrix)
    }
}

impl LogDensity for Whitened<'_> {
    fn log_density(&self, u: ArrayView2<'_, f64>) -> Array1<f64> {
        self.model.log_density(self.whitening.back(u).view()) + self.whitening.log_det
    }

    fn log_density_and_score(&self, u: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (value, score) = self.model.log_density_and_score(self.whitening.back(u).view());
        (value + self.whitening.log_det, score.dot(&self.whitening.matrix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Gaussian, ReferenceDensity};
    use ndarray::array;
    use rand::SeedableRng;

    #[test]
    fn rows_become_white_and_come_back_and_densities_follow() {
        let covariance = array![[4.0, 1.5, 0.0], [1.5, 1.0, 0.05], [0.0, 0.05, 0.01]];
        let p = Gaussian::new(array![5.0, -2.0, 100.0], covariance).unwrap();
        let x = p.sample(3000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
        let whitening = Whitening::fit(x.view()).unwrap();
        let u = whitening.forward(x.view());
        let covariance = u.t().dot(&u) / 2999.0;
        assert!((covariance - Array2::<f64>::eye(3)).iter().all(|e| e.abs() < 1e-9));
        assert!((whitening.back(u.view()) - &x).iter().all(|e| e.abs() < 1e-9));
        // Near N(0, I): density at its own constant, score -u, trace -3.
        let white = Whitened { model: &p, whitening: &whitening };
        let origin = Array2::zeros((1, 3));
        let log_density = white.log_density(origin.view())[0];
        assert!(
            (log_density + 1.5 * (2.0 * std::f64::consts::PI).ln()).abs() < 0.05,
            "{log_density}"
        );
        let u = array![[1.0, -0.5, 0.3]];
        let (value, score) = white.log_density_and_score(u.view());
        assert!((&score + &u).iter().all(|e| e.abs() < 0.12), "{score}");
        for j in 0..3 {
            let mut moved = u.clone();
            moved[[0, j]] += 1e-5;
            let slope = (white.log_density(moved.view())[0] - value[0]) / 1e-5;
            assert!((slope - score[[0, j]]).abs() < 1e-3);
        }
    }
}
