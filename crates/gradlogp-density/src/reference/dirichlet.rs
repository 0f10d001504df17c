//! The Dirichlet density, in the first d of its d + 1 parts: on the simplex x_j >= 0, sum_j x_j <= 1.
//!
//! With x_0 = 1 - sum_j x_j the remaining part and a_0, a_1, ..., a_d the exponents (a_0 that of x_0):
//!
//! ```text
//! log p      = log Gamma(sum a) - sum log Gamma(a) + (a_0 - 1) log x_0 + sum_j (a_j - 1) log x_j
//! s_j        = (a_j - 1)/x_j - (a_0 - 1)/x_0            (dx_0/dx_j = -1)
//! ds_j/dx_j  = -(a_j - 1)/x_j^2 - (a_0 - 1)/x_0^2
//! ```
//!
//! Sampling: independent Gamma(a_j) variates divided by their sum.

use super::{ReferenceDensity, map_rows, map_rows_into};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, Gamma};
use statrs::function::gamma::ln_gamma;

/// The density; see the formulas at the top of its file.
#[derive(Debug, Clone)]
pub struct Dirichlet {
    /// a_1 ... a_d.
    exponents: Vec<f64>,
    /// a_0.
    rest: f64,
}

impl Dirichlet {
    /// `exponents` of the d free parts, and that of the `rest`.
    ///
    /// # Errors
    /// [`Error::Config`] for no exponents or one that is not a positive number.
    pub fn new(exponents: Vec<f64>, rest: f64) -> Result<Self> {
        let sound = |a: &f64| *a > 0.0 && a.is_finite();
        if exponents.is_empty() || !exponents.iter().chain([&rest]).all(sound) {
            return Err(Error::config(
                "exponents",
                "must be positive numbers, at least two in all",
            ));
        }
        Ok(Self { exponents, rest })
    }

    /// ds_j/dx_j for every row and column, n x d.
    pub fn jacobian_diagonal(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        map_rows_into(x, |x, mut out| {
            let last = (self.rest - 1.0) / rest(&x).powi(2);
            for ((out, x), a) in out.iter_mut().zip(x).zip(&self.exponents) {
                *out = -(a - 1.0) / (x * x) - last;
            }
        })
    }
}

/// x_0.
fn rest(x: &ArrayView1<'_, f64>) -> f64 {
    1.0 - x.sum()
}

impl Score for Dirichlet {
    fn dim(&self) -> usize {
        self.exponents.len()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        map_rows_into(x, |x, mut s| {
            let last = (self.rest - 1.0) / rest(&x);
            for ((s, x), a) in s.iter_mut().zip(x).zip(&self.exponents) {
                *s = (a - 1.0) / x - last;
            }
        })
    }
}

impl ScoreTrace for Dirichlet {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.jacobian_diagonal(x).sum_axis(ndarray::Axis(1))
    }
}

impl LogDensity for Dirichlet {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let all = || self.exponents.iter().chain([&self.rest]);
        let constant = ln_gamma(all().sum()) - all().map(|a| ln_gamma(*a)).sum::<f64>();
        map_rows(x, |x| {
            let last = rest(&x);
            if last < 0.0 || x.iter().any(|x| *x < 0.0) {
                return f64::NEG_INFINITY;
            }
            let terms = x.iter().chain([&last]).zip(all());
            constant + terms.map(|(x, a)| (a - 1.0) * x.ln()).sum::<f64>()
        })
    }
}

impl ReferenceDensity for Dirichlet {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut x = Array2::zeros((n, self.dim()));
        // Exponents are positive and finite, so the variates exist.
        let gamma = |a: f64| Gamma::new(a, 1.0).expect("a positive exponent");
        let (free, last): (Vec<_>, _) =
            (self.exponents.iter().map(|a| gamma(*a)).collect(), gamma(self.rest));
        for mut row in x.outer_iter_mut() {
            row.iter_mut().zip(&free).for_each(|(x, g)| *x = g.sample(rng));
            let total = row.sum() + last.sample(rng);
            row.mapv_inplace(|x| x / total);
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
    fn derivatives_normalizer_and_means() {
        let p = Dirichlet::new(vec![2.0, 3.0], 1.5).unwrap();
        check::derivatives(&p, array![[0.3, 0.2], [0.1, 0.6]].view(), 0.1);
        assert!((check::integral(&p, 1.0, 1000) - 1.0).abs() < 1e-3);
        let x = p.sample(20_000, &mut ChaCha8Rng::seed_from_u64(3));
        check::within(x.column(0).to_owned(), 2.0 / 6.5, "mean");
        check::within(x.column(1).to_owned(), 3.0 / 6.5, "mean");
        assert!(Dirichlet::new(vec![1.0], 0.0).is_err());
    }
}
