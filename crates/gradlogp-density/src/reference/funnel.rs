//! Neal's funnel (Neal 2003, "Slice sampling", section 8).
//!
//! The first column v ~ N(0, sigma^2), the other m = d - 1 columns N(0, exp(v)) independently given
//! v. Neal's has sigma = 3. With q = exp(-v) sum_j x_j^2:
//!
//! ```text
//! log p     = -v^2/(2 sigma^2) - q/2 - m v/2 - log sigma - d/2 log(2 pi)
//! s_v       = -v/sigma^2 + q/2 - m/2             (dq/dv = -q)
//! s_j       = -exp(-v) x_j
//! tr grad s = -1/sigma^2 - q/2 - m exp(-v)
//! ```
//!
//! The scale of the other columns changes by exp(v/2), so E|s|^2 = 1/sigma^2 + m/2 + m exp(sigma^2/2):
//! at sigma = 3 it is carried by rows so rare that sample means of |s|^2 are unreliable.

use super::{LN_2PI, ReferenceDensity, map_rows, map_rows_into};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Neal's funnel; see the formulas at the top of its file.
#[derive(Debug, Clone)]
pub struct Funnel {
    dim: usize,
    sigma: f64,
}

impl Funnel {
    /// `dim` >= 2 columns; `sigma` the standard deviation of the first (Neal: 3).
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting that is out of range.
    pub fn new(dim: usize, sigma: f64) -> Result<Self> {
        if dim < 2 {
            return Err(Error::config("dim", "a funnel has at least 2 columns"));
        }
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Err(Error::config("sigma", "must be positive and finite"));
        }
        Ok(Self { dim, sigma })
    }

    /// m, the number of columns whose scale v sets.
    fn others(&self) -> f64 {
        (self.dim - 1) as f64
    }
}

/// q = exp(-v) sum_j x_j^2. Scaled before squaring, so that it overflows only where q does.
fn scaled_square(x: &ArrayView1<'_, f64>) -> f64 {
    let shrink = (-0.5 * x[0]).exp();
    x.iter().skip(1).map(|v| (shrink * v).powi(2)).sum()
}

impl Score for Funnel {
    fn dim(&self) -> usize {
        self.dim
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let variance = self.sigma * self.sigma;
        map_rows_into(x, |x, mut s| {
            let precision = (-x[0]).exp();
            s.assign(&x.mapv(|v| -precision * v));
            s[0] = -x[0] / variance + 0.5 * (scaled_square(&x) - self.others());
        })
    }
}

impl ScoreTrace for Funnel {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let variance = self.sigma * self.sigma;
        map_rows(x, |x| -1.0 / variance - 0.5 * scaled_square(&x) - self.others() * (-x[0]).exp())
    }
}

impl LogDensity for Funnel {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let constant = -self.sigma.ln() - 0.5 * self.dim as f64 * LN_2PI;
        map_rows(x, |x| {
            let v = x[0] / self.sigma;
            constant - 0.5 * (v * v + scaled_square(&x) + self.others() * x[0])
        })
    }
}

impl ReferenceDensity for Funnel {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut x: Array2<f64> =
            Array2::from_shape_simple_fn((n, self.dim), || StandardNormal.sample(rng));
        for mut row in x.outer_iter_mut() {
            row[0] *= self.sigma;
            let widen = (0.5 * row[0]).exp();
            row.iter_mut().skip(1).for_each(|v| *v *= widen);
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn derivatives_match_differences(
            sigma in 0.5f64..3.0,
            x in prop::collection::vec(-2.0f64..2.0, 6),
        ) {
            let p = Funnel::new(3, sigma).unwrap();
            check::derivatives(&p, Array2::from_shape_vec((2, 3), x).unwrap().view(), 1.0);
        }
    }

    #[test]
    fn integrates_to_one() {
        let p = Funnel::new(2, 0.7).unwrap();
        assert!((check::integral(&p, 15.0, 800) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn satisfies_stein_identities() {
        check::stein(&Funnel::new(3, 0.8).unwrap(), 20_000, 1);
    }

    #[test]
    fn neals_funnel_has_his_marginal_and_conditional() {
        use rand::SeedableRng;
        let x = Funnel::new(10, 3.0)
            .unwrap()
            .sample(20_000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(2));
        check::within(x.column(0).mapv(|v| v * v), 9.0, "E[v^2]");
        let standardized = &x.column(4).mapv(|v| v * v) * &x.column(0).mapv(|v| (-v).exp());
        check::within(standardized, 1.0, "E[x^2 exp(-v)]");
    }

    #[test]
    fn refuses_bad_settings() {
        assert!(Funnel::new(1, 3.0).is_err());
        assert!(Funnel::new(2, 0.0).is_err());
    }
}
