//! The distance of a score from the true one, where that is known.
//!
//! ```text
//! absolute = E|s - s*|^2 / 2                 the Fisher divergence; J(s) - J(s*), MATH (1)
//! relative = E|s - s*|^2 / E|s*|^2           0 for the truth, 1 for the score that is 0 everywhere
//! ```
//!
//! over the rows given, which should be fresh draws from the true density. The standard error of the
//! ratio R = mean(A)/mean(B) is that of the mean of (A - R B)/mean(B) (delta method).

use super::{Estimate, check_rows, finite_score};
use crate::error::Result;
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// What [`fisher_divergence`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FisherDivergence {
    /// E|s - s*|^2 / 2, in squared units of the score.
    pub absolute: Estimate,
    /// E|s - s*|^2 / E|s*|^2, without unit.
    pub relative: Estimate,
}

/// Compares `score` with `truth` on the rows of `x` (n x d).
///
/// ```
/// use gradlogp_density::{diagnose::fisher_divergence, reference::Gaussian};
/// use ndarray::array;
///
/// let truth = Gaussian::standard(1)?;
/// let wide = Gaussian::new(array![0.0], array![[4.0]])?;
/// // s = -x/4 against s* = -x: off by 3/4 of s*, at whatever rows.
/// let found = fisher_divergence(&wide, &truth, array![[2.0], [4.0]].view())?;
/// assert_eq!(found.relative.mean, 0.5625);
/// assert_eq!(found.absolute.mean, (1.5 * 1.5 / 2.0 + 3.0 * 3.0 / 2.0) / 2.0);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where columns differ, [`Error::TooFewRows`](crate::Error::TooFewRows)
/// without a row, [`Error::Numerical`](crate::Error::Numerical) where a score is not finite.
pub fn fisher_divergence(
    score: &dyn Score,
    truth: &dyn Score,
    x: ArrayView2<'_, f64>,
) -> Result<FisherDivergence> {
    check_rows("Fisher divergence", score, x, 1)?;
    check_rows("Fisher divergence", truth, x, 1)?;
    let s = finite_score("Fisher divergence", score, x)?;
    let s_true = finite_score("Fisher divergence, true score", truth, x)?;
    let misses = squares(&(&s - &s_true));
    let absolute = Estimate::of((&misses * 0.5).view());
    Ok(FisherDivergence { absolute, relative: ratio(&misses, &squares(&s_true)) })
}

fn squares(rows: &Array2<f64>) -> Array1<f64> {
    rows.map_axis(Axis(1), |row| row.dot(&row))
}

/// mean(a)/mean(b) with its delta-method standard error.
fn ratio(a: &Array1<f64>, b: &Array1<f64>) -> Estimate {
    let (mean_a, mean_b) = (a.mean().unwrap_or(f64::NAN), b.mean().unwrap_or(f64::NAN));
    let ratio = mean_a / mean_b;
    let residual = (a - &(b * ratio)) / mean_b;
    Estimate { mean: ratio, ..Estimate::of(residual.view()) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Changed;
    use super::*;
    use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// c s* is off by (c - 1)^2 in relative terms at whatever rows: no error at all.
    #[test]
    fn scaled_truth_has_the_known_relative_divergence() {
        let p = GaussianMixture::isotropic(
            array![1.0, 2.0],
            array![[-1.0, 0.0], [1.0, 2.0]].view(),
            0.6,
        )
        .unwrap();
        let x = p.sample(500, &mut ChaCha8Rng::seed_from_u64(1));
        let model = Changed { score: &p, factor: 1.5, shift: array![0.0, 0.0] };
        let found = fisher_divergence(&model, &p, x.view()).unwrap();
        assert!((found.relative.mean - 0.25).abs() < 1e-12);
        assert!(found.relative.standard_error < 1e-12);
        assert_eq!(fisher_divergence(&p, &p, x.view()).unwrap().absolute.mean, 0.0);
    }

    /// s = s* + b: |b|^2/2 at every row.
    #[test]
    fn shifted_truth_has_the_known_absolute_divergence() {
        let p = Gaussian::standard(2).unwrap();
        let model = Changed { score: &p, factor: 1.0, shift: array![0.3, -0.4] };
        let x = p.sample(50, &mut ChaCha8Rng::seed_from_u64(1));
        let found = fisher_divergence(&model, &p, x.view()).unwrap().absolute;
        assert!((found.mean - 0.125).abs() < 1e-14 && found.standard_error < 1e-14);
    }

    /// s = 0.9 s* + b on N(0, I): the error claimed for the ratio is that seen over repetitions.
    #[test]
    fn standard_error_of_the_ratio_is_calibrated() {
        let p = Gaussian::standard(3).unwrap();
        let model = Changed { score: &p, factor: 0.9, shift: array![0.3, -0.2, 0.1] };
        // E|-0.1 s* + b|^2 = 0.01 * 3 + 0.14.
        let exact = (0.03 + 0.14) / 3.0;
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let z: Array1<f64> = (0..400)
            .map(|_| {
                let found = fisher_divergence(&model, &p, p.sample(300, &mut rng).view()).unwrap();
                (found.relative.mean - exact) / found.relative.standard_error
            })
            .collect();
        assert!(z.mean().unwrap().abs() < 0.25, "{}", z.mean().unwrap());
        assert!((z.std(1.0) - 1.0).abs() < 0.15, "{}", z.std(1.0));
    }

    #[test]
    fn refuses_a_score_that_is_not_finite() {
        let p = Gaussian::standard(1).unwrap();
        let model = Changed { score: &p, factor: f64::NAN, shift: array![0.0] };
        let error = fisher_divergence(&model, &p, array![[1.0], [2.0]].view()).unwrap_err();
        assert!(error.to_string().contains("2 of 2 rows, first on row 1"), "{error}");
    }
}
