//! Multivariate Student-t with location m, scale matrix S and nu degrees of freedom.
//!
//! With P = S^-1, u = P (x - m) and q = (x - m)^T u:
//!
//! ```text
//! log p     = lgamma((nu+d)/2) - lgamma(nu/2) - d/2 log(nu pi) - log det(S)/2
//!             - (nu+d)/2 log(1 + q/nu)
//! s         = -(nu+d)/(nu+q) u
//! tr grad s = -(nu+d)/(nu+q) tr P + 2 (nu+d)/(nu+q)^2 |u|^2     (grad q = 2 u)
//! ```
//!
//! A row is m + L z sqrt(nu / k), z ~ N(0, I) and k chi-squared with nu degrees of freedom. The
//! score is bounded, and so is s x^T: the Stein identities hold for every nu > 0, also where the
//! covariance nu/(nu-2) S does not exist.

use super::scale_matrix::{ScaleMatrix, check_location};
use super::{ReferenceDensity, map_rows};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use rand::Rng;
use rand_distr::{ChiSquared, Distribution};
use statrs::function::gamma::ln_gamma;

/// The multivariate Student-t density; see the formulas at the top of its file.
///
/// ```
/// use gradlogp_density::{Score, reference::StudentT, score::ScoreTrace};
/// use ndarray::array;
///
/// let p = StudentT::new(array![0.0], array![[1.0]], 3.0)?;
/// // -(3 + 1)/(3 + 1) * 1, and -1 + 2 * 4/16.
/// assert_eq!(p.score(array![[1.0]].view()), array![[-1.0]]);
/// assert_eq!(p.trace(array![[1.0]].view()), array![-0.5]);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct StudentT {
    location: Array1<f64>,
    scale: ScaleMatrix,
    nu: f64,
    chi_squared: ChiSquared<f64>,
}

impl StudentT {
    /// `location` has length d, `scale` is d x d (not the covariance), `nu` > 0.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Numerical`] as for a Gaussian; [`Error::Config`] for `nu`.
    pub fn new(location: Array1<f64>, scale: Array2<f64>, nu: f64) -> Result<Self> {
        let scale = ScaleMatrix::new("StudentT scale", scale)?;
        check_location("StudentT location", &location, scale.dim())?;
        if !nu.is_finite() {
            return Err(Error::config("nu", "must be finite; for the limit use a Gaussian"));
        }
        let chi_squared =
            ChiSquared::new(nu).map_err(|_| Error::config("nu", "must be positive"))?;
        Ok(Self { location, scale, nu, chi_squared })
    }

    /// u = P (x - m), n x d, and q = (x - m) . u, n.
    fn whitened(&self, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
        let u = self.scale.whitened_twice(x, &self.location);
        let q = ((&x - &self.location) * &u).sum_axis(Axis(1));
        (u, q)
    }

    /// nu + d.
    fn power(&self) -> f64 {
        self.nu + self.location.len() as f64
    }

    fn log_density_from(&self, q: &Array1<f64>) -> Array1<f64> {
        let d = self.location.len() as f64;
        let constant = ln_gamma(0.5 * self.power())
            - ln_gamma(0.5 * self.nu)
            - 0.5 * (d * (self.nu * std::f64::consts::PI).ln() + self.scale.log_det);
        q.mapv(|q| constant - 0.5 * self.power() * (q / self.nu).ln_1p())
    }

    fn score_from(&self, mut u: Array2<f64>, q: &Array1<f64>) -> Array2<f64> {
        Zip::from(u.rows_mut()).and(q).for_each(|mut row, q| {
            let factor = -self.power() / (self.nu + q);
            row.mapv_inplace(|v| v * factor);
        });
        u
    }
}

impl Score for StudentT {
    fn dim(&self) -> usize {
        self.location.len()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let (u, q) = self.whitened(x);
        self.score_from(u, &q)
    }
}

impl ScoreTrace for StudentT {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let (u, q) = self.whitened(x);
        let precision_trace = self.scale.inverse.diag().sum();
        let squares = map_rows(u.view(), |u| u.dot(&u));
        Zip::from(&q).and(&squares).map_collect(|q, square| {
            let weight = self.power() / (self.nu + q);
            weight * (2.0 * square / (self.nu + q) - precision_trace)
        })
    }
}

impl LogDensity for StudentT {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.log_density_from(&self.whitened(x).1)
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (u, q) = self.whitened(x);
        (self.log_density_from(&q), self.score_from(u, &q))
    }
}

impl ReferenceDensity for StudentT {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut x = self.scale.correlated_normals(n, rng);
        for mut row in x.outer_iter_mut() {
            let widen = (self.nu / self.chi_squared.sample(rng)).sqrt();
            row.mapv_inplace(|v| v * widen);
        }
        x + &self.location
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn example(nu: f64) -> StudentT {
        StudentT::new(array![0.5, -1.0], array![[1.0, 0.4], [0.4, 0.6]], nu).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn derivatives_match_differences(
            nu in 0.5f64..30.0,
            x in prop::collection::vec(-5.0f64..5.0, 6),
        ) {
            let x = Array2::from_shape_vec((3, 2), x).unwrap();
            check::derivatives(&example(nu), x.view(), 1.0);
        }
    }

    /// Tails beyond the square carry about 60^-10 of the mass.
    #[test]
    fn integrates_to_one() {
        assert!((check::integral(&example(10.0), 60.0, 900) - 1.0).abs() < 1e-6);
    }

    /// nu = 1, d = 1 is the Cauchy density 1/(pi (1 + x^2)).
    #[test]
    fn is_cauchy_at_one_degree_of_freedom() {
        let p = StudentT::new(array![0.0], array![[1.0]], 1.0).unwrap();
        let found = p.log_density(array![[2.0]].view())[0];
        assert!((found + (5.0 * std::f64::consts::PI).ln()).abs() < 1e-12);
    }

    #[test]
    fn satisfies_stein_identities_also_without_a_variance() {
        check::stein(&example(5.0), 20_000, 1);
        check::stein(&example(1.5), 20_000, 2);
    }

    #[test]
    fn samples_have_the_stated_covariance() {
        use rand::SeedableRng;
        let x = example(9.0).sample(20_000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(3));
        let first = x.column(0).mapv(|v| v - 0.5);
        let second = x.column(1).mapv(|v| v + 1.0);
        check::within(&first * &first, 9.0 / 7.0, "variance");
        check::within(&first * &second, 0.4 * 9.0 / 7.0, "covariance");
    }

    #[test]
    fn refuses_bad_settings() {
        assert!(StudentT::new(array![0.0], array![[1.0]], 0.0).is_err());
        assert!(StudentT::new(array![0.0, 1.0], array![[1.0]], 2.0).is_err());
    }
}
