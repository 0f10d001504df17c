//! Independent exponential columns, on x_j >= 0: the simplest density with a boundary.
//!
//! ```text
//! log p     = sum_j log(rate_j) - rate_j x_j      (-infinity where any x_j < 0)
//! s_j       = -rate_j
//! tr grad s = 0
//! ```
//!
//! E\[s\] is -rate and not 0: the Stein identities of MATH 4 do not hold on a domain with a
//! boundary, those with a weight do (MATH (7)).

use super::{ReferenceDensity, map_rows};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, Exp1};

/// The density; see the formulas at the top of its file.
#[derive(Debug, Clone)]
pub struct Exponential {
    rates: Array1<f64>,
}

impl Exponential {
    /// One rate per column, in 1 / (unit of the column).
    ///
    /// # Errors
    /// [`Error::Config`] for no rates or one that is not a positive number.
    pub fn new(rates: Vec<f64>) -> Result<Self> {
        if rates.is_empty() || rates.iter().any(|r| !(*r > 0.0 && r.is_finite())) {
            return Err(Error::config("rates", "must be one positive number per column"));
        }
        Ok(Self { rates: rates.into() })
    }
}

impl Score for Exponential {
    fn dim(&self) -> usize {
        self.rates.len()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        Array2::from_shape_fn(x.dim(), |(_, j)| -self.rates[j])
    }
}

impl ScoreTrace for Exponential {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        Array1::zeros(x.nrows())
    }
}

impl LogDensity for Exponential {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let constant: f64 = self.rates.iter().map(|r| r.ln()).sum();
        map_rows(x, |x| match x.iter().all(|x| *x >= 0.0) {
            true => constant - self.rates.dot(&x),
            false => f64::NEG_INFINITY,
        })
    }
}

impl ReferenceDensity for Exponential {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let shape = (n, self.dim());
        let unit: Array2<f64> = Array2::from_shape_simple_fn(shape, || Exp1.sample(rng));
        unit / &self.rates
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
    fn derivatives_normalizer_and_mean() {
        let p = Exponential::new(vec![0.5, 2.0]).unwrap();
        check::derivatives(&p, array![[0.3, 1.2], [4.0, 0.1]].view(), 1.0);
        // The square's other three quarters have density 0.
        assert!((check::integral(&p, 30.0, 2000) - 1.0).abs() < 2e-3);
        let x = p.sample(20_000, &mut ChaCha8Rng::seed_from_u64(3));
        check::within(x.column(0).to_owned(), 2.0, "mean");
        check::within(x.column(1).to_owned(), 0.5, "mean");
        assert!(x.iter().all(|x| *x >= 0.0));
    }
}
