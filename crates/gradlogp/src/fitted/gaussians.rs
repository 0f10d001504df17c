//! A Gaussian mixture beside a diffusion model: one density of two parts, MATH (71).
//!
//! ```text
//! p(x) = w p_network(x) + (1 - w) q(x),     q(x) = sum_j pi_j N(x; m_j, S_j)
//! ```
//!
//! p_network is the density of the probability flow. w is found by expectation-maximization on rows that
//! trained neither, with half a row's worth of prior for each part, so that no part is ever given up:
//!
//! ```text
//! r_i = w p_i / (w p_i + (1 - w) q_i),      w <- (sum_i r_i + 1/2) / (m + 1)
//! ```
//!
//! Few rows, or rows near a surface, are where a network's density is worst in single places, and there a row costs
//! the mixture of both no more than log(1 - w) beside the Gaussians'.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
use crate::score::{LogDensity, Score};
use crate::{Error, Result};

/// Rounds of expectation-maximization.
const ROUNDS: usize = 200;
/// Sets the stream of the choice between the parts apart from those of the draws.
const CHOICE: u64 = 0x6a09_e667_f3bc_c908;

/// The Gaussian part of a density, in the units of the model's transform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaussianPart {
    /// 1 - w.
    pub share: f64,
    /// pi: K.
    pub weights: Vec<f64>,
    /// m, row by row: K x d.
    pub means: Vec<f64>,
    /// S, row by row: K x d x d.
    pub covariances: Vec<f64>,
}

impl GaussianPart {
    /// Weights of `mixture` and a network in a mixture of both, whose log densities of the same rows, d columns
    /// each, are `network`.
    ///
    /// # Errors
    /// No row with a finite log density of both.
    pub fn new(
        mixture: &GaussianMixture,
        rows: ArrayView2<'_, f64>,
        network: ArrayView1<'_, f64>,
    ) -> Result<Self> {
        let gaussian = mixture.log_density(rows);
        // log q - log p of the rows that have both.
        let odds: Vec<f64> = gaussian
            .iter()
            .zip(&network)
            .map(|(q, p)| q - p)
            .filter(|odds| odds.is_finite())
            .collect();
        if odds.is_empty() {
            return Err(Error::Numerical {
                operation: "mixture of densities",
                message: "no row has a finite log density under both parts".into(),
            });
        }
        let mut w = 0.5;
        for _ in 0..ROUNDS {
            let own = |odds: &f64| 1.0 / (1.0 + (1.0 - w) / w * odds.exp());
            w = (odds.iter().map(own).sum::<f64>() + 0.5) / (odds.len() as f64 + 1.0);
        }
        let parts = mixture.components();
        Ok(GaussianPart {
            share: 1.0 - w,
            weights: mixture.weights().to_vec(),
            means: parts.iter().flat_map(|part| part.mean().to_vec()).collect(),
            covariances: parts.iter().flat_map(|part| part.covariance().iter().copied()).collect(),
        })
    }

    /// q.
    ///
    /// # Errors
    /// Numbers of no mixture.
    pub fn mixture(&self) -> Result<GaussianMixture> {
        let count = self.weights.len();
        let d = self.means.len() / count.max(1);
        let shaped = count > 0 && self.means.len() == count * d;
        if !(shaped && self.covariances.len() == count * d * d) {
            let found = vec![count, self.means.len(), self.covariances.len()];
            let expected = vec![count, count * d, count * d * d];
            return Err(Error::Shape { operation: "Gaussian mixture", expected, found });
        }
        if !(self.share > 0.0 && self.share < 1.0) {
            return Err(Error::config("share", "must lie between 0 and 1"));
        }
        let means = crate::model::rows(&self.means, d);
        let covariances = self.covariances.chunks(d * d).map(|part| crate::model::rows(part, d));
        GaussianMixture::new(
            Array1::from(self.weights.clone()),
            means.view(),
            covariances.collect(),
        )
    }

    /// log p of rows whose log density under the network is `network`; NaN where that is.
    ///
    /// # Errors
    /// As [`GaussianPart::mixture`].
    pub fn log_density(
        &self,
        rows: ArrayView2<'_, f64>,
        network: ArrayView1<'_, f64>,
    ) -> Result<Array1<f64>> {
        let gaussian = self.mixture()?.log_density(rows);
        let (own, other) = ((1.0 - self.share).ln(), self.share.ln());
        let join = |p: f64, q: f64| {
            let (p, q) = (own + p, other + q);
            let most = p.max(q);
            if p.is_nan() { p } else { most + ((p - most).exp() + (q - most).exp()).ln() }
        };
        Ok(network.iter().zip(&gaussian).map(|(p, q)| join(*p, *q)).collect())
    }

    /// Puts draws of the Gaussians in place of a share of `rows`, each decided by a stream of the row's own.
    ///
    /// # Errors
    /// As [`GaussianPart::mixture`].
    pub fn replace(&self, rows: &mut Array2<f64>, seed: u64) -> Result<()> {
        let mixture = self.mixture()?;
        if rows.ncols() != mixture.dim() {
            let (expected, found) = (vec![rows.nrows(), mixture.dim()], rows.shape().to_vec());
            return Err(Error::Shape { operation: "draws of a Gaussian mixture", expected, found });
        }
        let first = ChaCha8Rng::seed_from_u64(seed ^ CHOICE);
        for (row, mut x) in rows.outer_iter_mut().enumerate() {
            let mut rng = first.clone();
            rng.set_stream(row as u64);
            if rng.random::<f64>() < self.share {
                x.assign(&mixture.sample(1, &mut rng).row(0));
            }
        }
        Ok(())
    }

    /// The components.
    ///
    /// # Errors
    /// As [`GaussianPart::mixture`].
    pub fn components(&self) -> Result<Vec<Gaussian>> {
        Ok(self.mixture()?.components().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn two() -> (GaussianMixture, Gaussian) {
        let q = GaussianMixture::isotropic(array![1.0], array![[3.0]].view(), 1.0).unwrap();
        (q, Gaussian::standard(1).unwrap())
    }

    /// Rows of 0.7 p + 0.3 q: the weights are found, and the joint density is theirs.
    #[test]
    fn the_share_of_each_part_is_found() {
        let (q, p) = two();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows = ndarray::concatenate![
            ndarray::Axis(0),
            p.sample(7000, &mut rng),
            q.sample(3000, &mut rng)
        ];
        let part = GaussianPart::new(&q, rows.view(), p.log_density(rows.view()).view()).unwrap();
        assert!((part.share - 0.3).abs() < 0.02, "{}", part.share);
        let x = array![[0.0], [2.0]];
        let known = p.log_density(x.view());
        let found = part.log_density(x.view(), known.view()).unwrap();
        let normal = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        for (x, found) in [0.0, 2.0].iter().zip(&found) {
            let right = (1.0 - part.share) * normal(*x) + part.share * normal(x - 3.0);
            assert!((found - right.ln()).abs() < 1e-12);
        }
        // A row that the flow lost stays lost.
        let lost = part.log_density(x.view(), array![f64::NAN, 0.0].view()).unwrap();
        assert!(lost[0].is_nan() && lost[1].is_finite());
    }

    /// Draws come from both parts in their shares, and a row's from no other row.
    #[test]
    fn a_share_of_the_draws_is_replaced_row_by_row() {
        let (q, p) = two();
        let x = array![[0.0], [3.0]];
        let part = GaussianPart::new(&q, x.view(), p.log_density(x.view()).view()).unwrap();
        let part = GaussianPart { share: 0.25, ..part };
        let mut rows = Array2::from_elem((8000, 1), -100.0);
        part.replace(&mut rows, 5).unwrap();
        let drawn: Vec<f64> = rows.iter().copied().filter(|x| *x > -50.0).collect();
        assert!((drawn.len() as f64 / 8000.0 - 0.25).abs() < 0.02, "{}", drawn.len());
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        assert!((mean - 3.0).abs() < 0.1, "{mean}");
        let mut few = Array2::from_elem((10, 1), -100.0);
        part.replace(&mut few, 5).unwrap();
        assert_eq!(few, rows.slice(ndarray::s![..10, ..]));
    }
}
