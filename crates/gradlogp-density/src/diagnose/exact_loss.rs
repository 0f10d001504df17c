//! The implicit score matching loss without slices, MATH (4).
//!
//! ```text
//! J = E[ tr grad s(x) + |s(x)|^2/2 ]
//! ```
//!
//! Hyvarinen (2005), equation (4). Over held-out rows it compares models however they were trained:
//! J(s) - J(true score) is the Fisher divergence E|s - s_true|^2/2. It is not bounded below by 0;
//! more negative is better, and the least value is -E|s_true|^2/2.

use super::{Estimate, check_rows};
use crate::error::Result;
use crate::score::ScoreTrace;
use ndarray::{Array1, ArrayView2, Axis};

/// tr grad s(x) + |s(x)|^2/2 of every row of `x` (n x d).
///
/// ```
/// use gradlogp_density::{diagnose::exact_loss_rows, reference::Gaussian};
/// use ndarray::array;
///
/// // s = -x: trace -2, |s|^2/2 = 12.5 and 0.
/// let x = array![[3.0, 4.0], [0.0, 0.0]];
/// assert_eq!(exact_loss_rows(&Gaussian::standard(2)?, x.view())?, array![10.5, -2.0]);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where the columns are not the score's.
pub fn exact_loss_rows(score: &dyn ScoreTrace, x: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
    check_rows("exact loss", score, x, 0)?;
    let s = score.score(x);
    let half_squares = s.map_axis(Axis(1), |s| 0.5 * s.dot(&s));
    Ok(score.trace(x) + half_squares)
}

/// The mean of [`exact_loss_rows`] with its standard error over rows.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where the columns are not the score's or there is no row.
pub fn exact_loss(score: &dyn ScoreTrace, x: ArrayView2<'_, f64>) -> Result<Estimate> {
    check_rows("exact loss", score, x, 1)?;
    Ok(Estimate::of(exact_loss_rows(score, x)?.view()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Changed, Linear};
    use super::*;
    use crate::reference::{Banana, Gaussian, ReferenceDensity};
    use crate::score::Score;
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// J = tr(A^T A (S + (mu - b)(mu - b)^T))/2 - tr A, MATH 4.
    #[test]
    fn linear_score_on_a_gaussian_has_the_closed_form() {
        let p = Gaussian::new(array![1.0, -1.0], array![[1.0, 0.5], [0.5, 2.0]]).unwrap();
        let model = Linear { a: array![[0.9, 0.2], [-0.1, 0.7]], b: array![0.5, 0.0] };
        let offset = p.mean() - &model.b;
        let outer = offset.view().insert_axis(Axis(1)).dot(&offset.view().insert_axis(Axis(0)));
        let second = p.covariance() + &outer;
        let expected =
            0.5 * model.a.t().dot(&model.a).dot(&second).diag().sum() - model.a.diag().sum();
        let x = p.sample(40_000, &mut ChaCha8Rng::seed_from_u64(1));
        let found = exact_loss(&model, x.view()).unwrap();
        let miss = (found.mean - expected).abs();
        assert!(miss < 4.0 * found.standard_error && found.standard_error < 0.02, "{found:?}");
    }

    /// J(c s) - J(s) = (c - 1)^2 E|s|^2/2: the Fisher divergence, which needs both terms of J.
    #[test]
    fn excess_over_the_true_score_is_the_fisher_divergence() {
        let p = Banana::new(2, 1.0, 0.4, 0.7).unwrap();
        let x = p.sample(40_000, &mut ChaCha8Rng::seed_from_u64(2));
        let model = Changed { score: &p, factor: 1.3, shift: array![0.0, 0.0] };
        let excess =
            exact_loss_rows(&model, x.view()).unwrap() - exact_loss_rows(&p, x.view()).unwrap();
        let squares = p.score(x.view()).map_axis(Axis(1), |s| s.dot(&s));
        let gap = Estimate::of((excess - squares * (0.5 * 0.09)).view());
        assert!(gap.mean.abs() < 4.0 * gap.standard_error && gap.standard_error < 0.02, "{gap:?}");
    }

    #[test]
    fn refuses_other_columns_and_no_rows() {
        let p = Gaussian::standard(2).unwrap();
        assert!(exact_loss(&p, array![[1.0]].view()).is_err());
        assert!(exact_loss(&p, ndarray::Array2::zeros((0, 2)).view()).is_err());
    }
}
