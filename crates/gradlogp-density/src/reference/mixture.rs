//! Mixtures p = sum_k w_k p_k of reference densities of one kind.
//!
//! With log p_k, s_k and h_k = tr grad s_k of the components and the responsibilities
//! r_k(x) = w_k p_k(x) / p(x):
//!
//! ```text
//! log p(x)  = logsumexp_k (log w_k + log p_k(x))
//! s(x)      = sum_k r_k s_k
//! tr grad s = sum_k r_k (h_k + |s_k - s|^2)
//! ```
//!
//! The last line follows from grad^2 p / p = sum_k r_k (h_k + |s_k|^2) and
//! tr grad s = grad^2 p / p - |s|^2; written with s_k - s nothing cancels, so it stays exact far
//! from the data, where |s_k|^2 and |s|^2 are both large. Responsibilities are computed relative to
//! the largest component and never underflow together.

use super::{Gaussian, ReferenceDensity};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use rand::{Rng, RngExt};

/// A mixture of reference densities of one kind, all over the same columns.
#[derive(Debug, Clone)]
pub struct Mixture<C> {
    weights: Array1<f64>,
    components: Vec<C>,
}

/// A mixture of Gaussians with any means and covariances.
///
/// ```
/// use gradlogp_density::{Score, reference::GaussianMixture, score::ScoreTrace};
/// use ndarray::array;
///
/// let p = GaussianMixture::isotropic(array![0.5, 0.5], array![[-2.0], [2.0]].view(), 1.0)?;
/// // At the saddle both components pull alike: s = 0 and tr grad s = -1 + 2^2.
/// assert_eq!(p.score(array![[0.0]].view()), array![[0.0]]);
/// assert_eq!(p.trace(array![[0.0]].view()), array![3.0]);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
pub type GaussianMixture = Mixture<Gaussian>;

impl GaussianMixture {
    /// sum_k w_k N(m_k, S_k); `means` is K x d with one covariance (d x d) each.
    ///
    /// # Errors
    /// As [`Mixture::from_components`] and [`Gaussian::new`].
    pub fn new(
        weights: Array1<f64>,
        means: ArrayView2<'_, f64>,
        covariances: Vec<Array2<f64>>,
    ) -> Result<Self> {
        if covariances.len() != means.nrows() {
            return Err(Error::Shape {
                operation: "GaussianMixture covariances",
                expected: vec![means.nrows()],
                found: vec![covariances.len()],
            });
        }
        let components = means
            .outer_iter()
            .zip(covariances)
            .map(|(mean, covariance)| Gaussian::new(mean.to_owned(), covariance))
            .collect::<Result<Vec<_>>>()?;
        Self::from_components(weights, components)
    }

    /// sum_k w_k N(m_k, sd^2 I) with one standard deviation for all.
    ///
    /// # Errors
    /// As [`GaussianMixture::new`].
    pub fn isotropic(weights: Array1<f64>, means: ArrayView2<'_, f64>, sd: f64) -> Result<Self> {
        let covariance = Array2::<f64>::eye(means.ncols()) * (sd * sd);
        Self::new(weights, means, vec![covariance; means.nrows()])
    }

    /// (grad s) v = sum_k r_k [ (s_k - s) (s_k - s).v - P_k v ] for every row with its own `v` (n x d),
    /// P_k the precision of component k: n x d.
    pub fn jacobian_vector(&self, x: ArrayView2<'_, f64>, v: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut r = self.joint(x);
        normalize_rows(&mut r);
        let scores = self.scores(x);
        let mean = Self::mean_score(&r, &scores);
        let mut out = Array2::zeros(x.dim());
        for (k, component) in self.components.iter().enumerate() {
            let apart = &scores[k] - &mean;
            let along = (&apart * &v).sum_axis(Axis(1)).insert_axis(Axis(1));
            let part = apart * along - v.dot(component.precision());
            add_weighted(&mut out, &r, k, &part);
        }
        out
    }
}

impl<C: ReferenceDensity> Mixture<C> {
    /// sum_k w_k p_k. Weights are divided by their sum.
    ///
    /// # Errors
    /// [`Error::Config`] where there is no component or a weight is not positive and finite,
    /// [`Error::Shape`] where counts or columns differ.
    pub fn from_components(weights: Array1<f64>, components: Vec<C>) -> Result<Self> {
        let Some(first) = components.first() else {
            return Err(Error::config("components", "a mixture needs at least one"));
        };
        let dims: Vec<usize> = components.iter().map(Score::dim).collect();
        let expected = vec![first.dim(); weights.len()];
        if dims != expected {
            return Err(Error::Shape { operation: "Mixture components", expected, found: dims });
        }
        if weights.iter().any(|w| !(*w > 0.0 && w.is_finite())) {
            return Err(Error::config("weights", "each must be positive and finite"));
        }
        let total = weights.sum();
        Ok(Self { weights: weights / total, components })
    }

    /// As [`Mixture::from_components`] with equal weights.
    pub fn equal(components: Vec<C>) -> Result<Self> {
        Self::from_components(Array1::ones(components.len()), components)
    }

    /// w_1..w_K, summing to 1.
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// p_1..p_K.
    pub fn components(&self) -> &[C] {
        &self.components
    }

    /// log w_k + log p_k for every row and component: n x K.
    fn joint(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut joint = Array2::zeros((x.nrows(), self.components.len()));
        for (k, component) in self.components.iter().enumerate() {
            joint.column_mut(k).assign(&(component.log_density(x) + self.weights[k].ln()));
        }
        joint
    }

    fn mean_score(responsibilities: &Array2<f64>, scores: &[Array2<f64>]) -> Array2<f64> {
        let mut mean = Array2::zeros(scores[0].dim());
        for (k, score) in scores.iter().enumerate() {
            add_weighted(&mut mean, responsibilities, k, score);
        }
        mean
    }

    fn scores(&self, x: ArrayView2<'_, f64>) -> Vec<Array2<f64>> {
        self.components.iter().map(|component| component.score(x)).collect()
    }
}

/// out += r_k * score, row by row. A component of no weight adds nothing, even where its own score
/// is infinite.
fn add_weighted(out: &mut Array2<f64>, r: &Array2<f64>, k: usize, score: &Array2<f64>) {
    Zip::from(out.rows_mut()).and(score.rows()).and(r.column(k)).for_each(|mut out, s, &weight| {
        if weight > 0.0 {
            out.scaled_add(weight, &s);
        }
    });
}

/// Turns n x K joint log densities into responsibilities, in place; returns log p per row.
fn normalize_rows(joint: &mut Array2<f64>) -> Array1<f64> {
    map_rows_mut(joint, |row| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !largest.is_finite() {
            row.fill(f64::NAN);
            return largest;
        }
        row.mapv_inplace(|v| (v - largest).exp());
        let total = row.sum();
        row.mapv_inplace(|v| v / total);
        largest + total.ln()
    })
}

fn map_rows_mut(
    rows: &mut Array2<f64>,
    f: impl Fn(&mut ndarray::ArrayViewMut1<'_, f64>) -> f64,
) -> Array1<f64> {
    rows.outer_iter_mut().map(|mut row| f(&mut row)).collect()
}

impl<C: ReferenceDensity> Score for Mixture<C> {
    fn dim(&self) -> usize {
        self.components[0].dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        self.log_density_and_score(x).1
    }
}

impl<C: ReferenceDensity> ScoreTrace for Mixture<C> {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let mut r = self.joint(x);
        normalize_rows(&mut r);
        let scores = self.scores(x);
        let mean = Self::mean_score(&r, &scores);
        let mut out = Array1::zeros(x.nrows());
        for (k, component) in self.components.iter().enumerate() {
            let spread = (&scores[k] - &mean).mapv(|v| v * v).sum_axis(Axis(1));
            let inner = component.trace(x) + spread;
            Zip::from(&mut out).and(&inner).and(r.column(k)).for_each(|out, inner, &weight| {
                if weight > 0.0 {
                    *out += weight * inner;
                }
            });
        }
        out
    }
}

impl<C: ReferenceDensity> LogDensity for Mixture<C> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        normalize_rows(&mut self.joint(x))
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let mut r = self.joint(x);
        let log_density = normalize_rows(&mut r);
        (log_density, Self::mean_score(&r, &self.scores(x)))
    }
}

impl<C: ReferenceDensity> ReferenceDensity for Mixture<C> {
    /// The component of each row is drawn with its weight.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut out = Array2::zeros((n, self.dim()));
        for mut row in out.outer_iter_mut() {
            let k = pick(&self.weights, rng.random());
            row.assign(&self.components[k].sample(1, rng).row(0));
        }
        out
    }

    fn gaussians(&self) -> Option<Vec<(f64, &Gaussian)>> {
        let mut all = Vec::new();
        for (weight, component) in self.weights.iter().zip(&self.components) {
            all.extend(component.gaussians()?.into_iter().map(|(w, p)| (weight * w, p)));
        }
        Some(all)
    }
}

/// The first k whose cumulative weight exceeds `u` in [0, 1).
fn pick(weights: &Array1<f64>, mut u: f64) -> usize {
    for (k, weight) in weights.iter().enumerate() {
        u -= weight;
        if u < 0.0 {
            return k;
        }
    }
    weights.len() - 1
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn two() -> GaussianMixture {
        GaussianMixture::new(
            array![3.0, 1.0],
            array![[-1.5, 0.0], [1.0, 1.0]].view(),
            vec![array![[1.0, 0.6], [0.6, 0.8]], array![[0.3, -0.1], [-0.1, 0.6]]],
        )
        .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn derivatives_match_differences(
            weight in 0.05f64..0.95,
            means in prop::collection::vec(-2.0f64..2.0, 4),
            correlation in -0.8f64..0.8,
            x in prop::collection::vec(-4.0f64..4.0, 6),
        ) {
            let p = GaussianMixture::new(
                array![weight, 1.0 - weight],
                Array2::from_shape_vec((2, 2), means).unwrap().view(),
                vec![array![[1.0, correlation], [correlation, 1.5]], array![[0.7, 0.0], [0.0, 0.4]]],
            ).unwrap();
            check::derivatives(&p, Array2::from_shape_vec((3, 2), x).unwrap().view(), 1.0);
        }
    }

    #[test]
    fn integrates_to_one() {
        assert!((check::integral(&two(), 9.0, 300) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn satisfies_stein_identities() {
        check::stein(&two(), 20_000, 1);
    }

    #[test]
    fn samples_have_the_mixture_mean() {
        let x = two().sample(20_000, &mut ChaCha8Rng::seed_from_u64(4));
        check::within(x.column(0).to_owned(), 0.75 * -1.5 + 0.25, "mean of column 0");
        check::within(x.column(1).to_owned(), 0.25, "mean of column 1");
    }

    #[test]
    fn one_component_is_that_component() {
        let gaussian = Gaussian::rank_one(0.5, 3).unwrap();
        let p = Mixture::equal(vec![gaussian.clone(), gaussian.clone()]).unwrap();
        let x = array![[0.3, -1.0, 2.0], [40.0, 0.0, -3.0]];
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-11 * (1.0 + b.abs()), "{a} {b}");
        for i in 0..2 {
            close(p.log_density(x.view())[i], gaussian.log_density(x.view())[i]);
            close(p.trace(x.view())[i], gaussian.trace(x.view())[i]);
            close(p.score(x.view())[[i, 1]], gaussian.score(x.view())[[i, 1]]);
        }
    }

    #[test]
    fn far_from_the_data_nothing_underflows_or_cancels() {
        let p = GaussianMixture::isotropic(array![0.5, 0.5], array![[-2.0], [2.0]].view(), 0.5)
            .unwrap();
        let x = array![[1e6]];
        // There the right component alone counts: s = -(x - 2)/sd^2, tr grad s = -1/sd^2.
        assert!((p.score(x.view())[[0, 0]] / (-4.0 * (1e6 - 2.0)) - 1.0).abs() < 1e-15);
        assert_eq!(p.trace(x.view())[0], -4.0);
        let expected = -2.0 * (1e6f64 - 2.0).powi(2);
        assert!((p.log_density(x.view())[0] / expected - 1.0).abs() < 1e-11);
    }

    #[test]
    fn refuses_bad_weights_and_shapes() {
        let means = array![[0.0], [1.0]];
        assert!(GaussianMixture::isotropic(array![0.5, -0.5], means.view(), 1.0).is_err());
        assert!(GaussianMixture::isotropic(array![1.0], means.view(), 1.0).is_err());
        assert!(Mixture::<Gaussian>::equal(vec![]).is_err());
    }
}
