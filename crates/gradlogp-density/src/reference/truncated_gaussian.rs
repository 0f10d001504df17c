//! Independent Gaussian columns, each cut off at bounds.
//!
//! With t = (x - mu) / sd, phi and Phi the standard normal density and distribution function, and
//! Z = Phi((high - mu)/sd) - Phi((low - mu)/sd) for each column:
//!
//! ```text
//! log p     = sum_j -t_j^2/2 - log(sd_j) - log(2 pi)/2 - log Z_j   (-infinity outside)
//! s_j       = -t_j / sd_j
//! tr grad s = -sum_j 1/sd_j^2
//! ```
//!
//! Score and trace are those of the whole Gaussian: only the boundary differs. Score matching without a
//! weight does not see it, and fits the Gaussian of the cut-off rows' own mean and variance instead (for the
//! half-normal a precision of 1/(1 - 2/pi) = 2.75 in place of 1).
//!
//! Sampling: x = mu + sd Phi^-1(Phi(low') + U Z).

use super::{LN_2PI, ReferenceDensity, map_rows};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView2};
use rand::{Rng, RngExt};
use statrs::distribution::{ContinuousCDF, Normal};

/// One column of a [`TruncatedGaussian`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruncatedColumn {
    /// mu, the mean before it is cut off.
    pub mean: f64,
    /// sd, the standard deviation before it is cut off.
    pub sd: f64,
    /// Lower bound; may be -infinity.
    pub low: f64,
    /// Upper bound; may be infinity.
    pub high: f64,
}

/// The density; see the formulas at the top of its file.
#[derive(Debug, Clone)]
pub struct TruncatedGaussian {
    columns: Vec<TruncatedColumn>,
    /// Phi at the lower bound, and Z.
    masses: Vec<(f64, f64)>,
}

impl TruncatedGaussian {
    /// One entry per column.
    ///
    /// # Errors
    /// [`Error::Config`] for no columns, a standard deviation that is not positive, or bounds that keep
    /// less than 1e-9 of the Gaussian.
    pub fn new(columns: Vec<TruncatedColumn>) -> Result<Self> {
        let mut masses = Vec::with_capacity(columns.len());
        for c in &columns {
            let normal = Normal::new(c.mean, c.sd)
                .map_err(|_| Error::config("sd", "must be positive and finite"))?;
            let below = normal.cdf(c.low);
            let mass = normal.cdf(c.high) - below;
            if !(mass > 1e-9) {
                let message = format!("[{}, {}] keeps too little of the Gaussian", c.low, c.high);
                return Err(Error::config("bounds", message));
            }
            masses.push((below, mass));
        }
        if columns.is_empty() {
            return Err(Error::config("columns", "there must be at least one"));
        }
        Ok(Self { columns, masses })
    }
}

impl Score for TruncatedGaussian {
    fn dim(&self) -> usize {
        self.columns.len()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let s = |x: f64, c: &TruncatedColumn| -(x - c.mean) / (c.sd * c.sd);
        Array2::from_shape_fn(x.dim(), |(i, j)| s(x[[i, j]], &self.columns[j]))
    }
}

impl ScoreTrace for TruncatedGaussian {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let trace = self.columns.iter().map(|c| -1.0 / (c.sd * c.sd)).sum();
        Array1::from_elem(x.nrows(), trace)
    }
}

impl LogDensity for TruncatedGaussian {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        map_rows(x, |x| {
            let columns = x.iter().zip(&self.columns).zip(&self.masses);
            columns
                .map(|((x, c), (_, mass))| match (c.low..=c.high).contains(x) {
                    true => {
                        let t = (x - c.mean) / c.sd;
                        -0.5 * (t * t + LN_2PI) - c.sd.ln() - mass.ln()
                    }
                    false => f64::NEG_INFINITY,
                })
                .sum()
        })
    }
}

impl ReferenceDensity for TruncatedGaussian {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let standard = Normal::standard();
        let mut x = Array2::zeros((n, self.dim()));
        for mut row in x.outer_iter_mut() {
            for ((x, c), (below, mass)) in row.iter_mut().zip(&self.columns).zip(&self.masses) {
                let u: f64 = rng.random();
                let t = standard.inverse_cdf(below + u * mass);
                *x = (c.mean + c.sd * t).clamp(c.low, c.high);
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn derivatives_normalizer_and_moments() {
        let half = TruncatedColumn { mean: 0.0, sd: 1.0, low: 0.0, high: f64::INFINITY };
        let cut = TruncatedColumn { mean: 1.0, sd: 2.0, low: -1.0, high: 2.5 };
        let p = TruncatedGaussian::new(vec![half, cut]).unwrap();
        check::derivatives(&p, array![[0.3, 1.2], [2.0, -0.4]].view(), 1.0);
        assert!((check::integral(&p, 8.0, 2000) - 1.0).abs() < 5e-3);
        let x = p.sample(40_000, &mut ChaCha8Rng::seed_from_u64(3));
        // The half-normal has mean sqrt(2/pi) and second moment 1.
        let first = x.column(0).to_owned();
        check::within(first.clone(), (2.0 / std::f64::consts::PI).sqrt(), "mean");
        check::within(&first * &first, 1.0, "second moment");
        assert!(x.column(1).iter().all(|x| (-1.0..=2.5).contains(x)));
        assert!(TruncatedGaussian::new(vec![TruncatedColumn { low: 20.0, ..half }]).is_err());
    }
}
