//! N(m, S).
//!
//! With P = S^-1 and q(x) = (x - m)^T P (x - m):
//!
//! ```text
//! log p(x)  = -q(x)/2 - log det(S)/2 - d/2 log(2 pi)
//! s(x)      = -P (x - m)
//! tr grad s = -tr P
//! ```
//!
//! The optimum of the implicit score matching loss, MATH (4), is J* = -tr(P)/2, since
//! E|s|^2 = tr(P S P) = tr P.

use super::rows::LN_2PI;
use super::scale_matrix::{ScaleMatrix, check_location};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// The Gaussian density N(mean, covariance).
///
/// ```
/// use gradlogp_density::{Score, reference::Gaussian, score::ScoreTrace};
/// use ndarray::array;
///
/// let p = Gaussian::new(array![1.0, 0.0], array![[4.0, 0.0], [0.0, 1.0]])?;
/// assert_eq!(p.score(array![[3.0, 2.0]].view()), array![[-0.5, -2.0]]);
/// assert_eq!(p.trace(array![[3.0, 2.0]].view()), array![-1.25]);
/// assert_eq!(p.optimal_loss(), -0.625);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: Array1<f64>,
    scale: ScaleMatrix,
}

impl Gaussian {
    /// N(mean, covariance); `mean` has length d, `covariance` is d x d.
    ///
    /// # Errors
    /// [`Error::Shape`] where the two do not fit, [`Error::Numerical`] where the covariance is not
    /// symmetric positive definite.
    pub fn new(mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self> {
        let scale = ScaleMatrix::new("Gaussian covariance", covariance)?;
        check_location("Gaussian mean", &mean, scale.dim())?;
        Ok(Self { mean, scale })
    }

    /// N(0, I) in `dim` columns.
    pub fn standard(dim: usize) -> Result<Self> {
        Self::new(Array1::zeros(dim), Array2::eye(dim))
    }

    /// N(0, I + c 1 1^T) in `dim` columns, whose precision is I - c/(1 + c d) 1 1^T.
    ///
    /// # Errors
    /// [`Error::Numerical`] unless c > -1/d.
    pub fn rank_one(c: f64, dim: usize) -> Result<Self> {
        Self::new(Array1::zeros(dim), Array2::eye(dim) + c)
    }

    /// N(0, Q D Q^T) with Q uniform over rotations and reflections and the eigenvalues D in
    /// geometric progression from 1 down to 1/`condition_number`.
    ///
    /// # Errors
    /// [`Error::Config`] unless `condition_number` is finite and at least 1.
    pub fn with_condition_number(
        dim: usize,
        condition_number: f64,
        rng: &mut dyn Rng,
    ) -> Result<Self> {
        if !(condition_number >= 1.0 && condition_number.is_finite()) {
            return Err(Error::config("condition_number", "must be finite and at least 1"));
        }
        let axes = random_orthogonal(dim, rng);
        let steps = (dim.max(2) - 1) as f64;
        let spread = |k: usize| condition_number.powf(-(k as f64) / steps);
        let scaled = Array2::from_shape_fn((dim, dim), |(i, k)| axes[[i, k]] * spread(k));
        let product = scaled.dot(&axes.t());
        Self::new(Array1::zeros(dim), (&product + &product.t()) * 0.5)
    }

    /// m, length d.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// S, d x d.
    pub fn covariance(&self) -> &Array2<f64> {
        &self.scale.matrix
    }

    /// P = S^-1, d x d.
    pub fn precision(&self) -> &Array2<f64> {
        &self.scale.inverse
    }

    /// The least possible value of the implicit score matching loss, -tr(S^-1)/2: MATH 4.
    pub fn optimal_loss(&self) -> f64 {
        -0.5 * self.scale.inverse.diag().sum()
    }

    /// `n` independent rows: n x d.
    pub(super) fn draw(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        self.scale.correlated_normals(n, rng) + &self.mean
    }

    fn log_density_from(&self, x: ArrayView2<'_, f64>, score: &Array2<f64>) -> Array1<f64> {
        let constant = -0.5 * (self.scale.log_det + self.mean.len() as f64 * LN_2PI);
        // s = -P (x - m), so s . (x - m) = -q.
        ((&x - &self.mean) * score).sum_axis(Axis(1)) * 0.5 + constant
    }
}

/// Uniform over orthogonal matrices: Gram-Schmidt of a matrix of independent normals, twice for
/// accuracy.
fn random_orthogonal(dim: usize, rng: &mut dyn Rng) -> Array2<f64> {
    let mut q: Array2<f64> =
        Array2::from_shape_simple_fn((dim, dim), || StandardNormal.sample(rng));
    for k in 0..dim {
        for _ in 0..2 {
            for j in 0..k {
                let overlap = q.column(j).dot(&q.column(k));
                let earlier = q.column(j).to_owned();
                q.column_mut(k).scaled_add(-overlap, &earlier);
            }
        }
        let length = q.column(k).dot(&q.column(k)).sqrt();
        q.column_mut(k).mapv_inplace(|v| v / length);
    }
    q
}

impl Score for Gaussian {
    fn dim(&self) -> usize {
        self.mean.len()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        -self.scale.whitened_twice(x, &self.mean)
    }
}

impl ScoreTrace for Gaussian {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        Array1::from_elem(x.nrows(), -self.scale.inverse.diag().sum())
    }
}

impl LogDensity for Gaussian {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.log_density_from(x, &self.score(x))
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let score = self.score(x);
        (self.log_density_from(x, &score), score)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ReferenceDensity, check};
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn correlated() -> Gaussian {
        let covariance = array![[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]];
        Gaussian::new(array![1.0, -2.0, 0.5], covariance).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn derivatives_match_differences(
            factor in prop::collection::vec(-1.5f64..1.5, 9),
            mean in prop::collection::vec(-3.0f64..3.0, 3),
            x in prop::collection::vec(-4.0f64..4.0, 6),
        ) {
            let a = Array2::from_shape_vec((3, 3), factor).unwrap();
            let covariance = a.dot(&a.t()) + Array2::<f64>::eye(3) * 0.3;
            let p = Gaussian::new(Array1::from(mean), covariance).unwrap();
            check::derivatives(&p, Array2::from_shape_vec((2, 3), x).unwrap().view(), 1.0);
        }
    }

    #[test]
    fn integrates_to_one() {
        let p = Gaussian::new(array![0.3, -0.2], array![[1.0, 0.7], [0.7, 0.9]]).unwrap();
        assert!((check::integral(&p, 8.0, 200) - 1.0).abs() < 1e-10);
    }

    #[test]
    fn satisfies_stein_identities() {
        check::stein(&correlated(), 20_000, 3);
    }

    #[test]
    fn samples_have_the_stated_moments() {
        let p = correlated();
        let x = p.sample(20_000, &mut ChaCha8Rng::seed_from_u64(5));
        let centred = &x - p.mean();
        for i in 0..3 {
            check::within(centred.column(i).to_owned(), 0.0, "mean");
            for j in 0..3 {
                let products = &centred.column(i) * &centred.column(j);
                check::within(products, p.covariance()[[i, j]], "covariance");
            }
        }
    }

    #[test]
    fn rank_one_has_the_sherman_morrison_precision() {
        let (c, d) = (0.7, 5);
        let p = Gaussian::rank_one(c, d).unwrap();
        let expected = Array2::<f64>::eye(d) - c / (1.0 + c * d as f64);
        assert!((p.precision() - &expected).iter().all(|e| e.abs() < 1e-14));
        assert!(Gaussian::rank_one(-0.21, d).is_err());
    }

    #[test]
    fn optimal_loss_is_the_mean_of_the_exact_loss() {
        let p = correlated();
        let x = p.sample(20_000, &mut ChaCha8Rng::seed_from_u64(7));
        let loss = p.trace(x.view()) + p.score(x.view()).mapv(|s| s * s).sum_axis(Axis(1)) * 0.5;
        check::within(loss, p.optimal_loss(), "J*");
    }

    #[test]
    fn condition_number_is_kept() {
        let p =
            Gaussian::with_condition_number(6, 100.0, &mut ChaCha8Rng::seed_from_u64(2)).unwrap();
        // Eigenvalues 100^(-k/5): their sum, the sum of their inverses, and their product.
        let values: Array1<f64> = (0..6).map(|k| 100f64.powf(-(k as f64) / 5.0)).collect();
        assert!((p.covariance().diag().sum() - values.sum()).abs() < 1e-12);
        assert!((p.precision().diag().sum() - values.mapv(f64::recip).sum()).abs() < 1e-9);
        assert!((p.scale.log_det - values.mapv(f64::ln).sum()).abs() < 1e-10);
    }
}
