//! Whether one way to fit is better than another: the difference of held-out losses on the same rows.
//!
//! Losses of two fits on the same rows go up and down together, so the standard error of their
//! *difference* is much smaller than those of the two means suggest. With a_kr, b_kr the losses of row r
//! (of n) in repetition k (of K, each with its own seed, shared by both ways), D_kr = a_kr - b_kr:
//!
//! ```text
//! difference = mean of D_kr
//! rows' part^2  = Var_r(mean_k D_kr) / n
//! seeds' part^2 = Var_k(mean_r D_kr) / K
//! standard error^2 = rows' part^2 + seeds' part^2
//! ```
//!
//! with divisors n - 1 and K - 1. The rows' part is what other held-out rows would change, the seeds'
//! part what other seeds would (initial weights, batches, slices); rows and seeds are crossed
//! random effects, and the interaction of the two, small where n is large, is counted twice: the
//! standard error is a little too large rather than too small. With K = 1 the seeds' part is unknown
//! and left out: the statement is then about these two fits, not about the two ways to fit.

use ndarray::{ArrayView2, Axis};

use super::Estimate;
use crate::error::{Error, Result};

/// A paired difference of mean losses, a - b: below 0 where a is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// The difference.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The part of it that is due to the choice of rows.
    pub rows_error: f64,
    /// The part of it that is due to seeds; None for one repetition.
    pub seeds_error: Option<f64>,
}

/// The difference between the losses `a` and `b` of the same rows, both K x n: a row of losses for
/// each repetition.
///
/// ```
/// use gradlogp_density::diagnose::paired_difference;
/// use ndarray::array;
///
/// // Two rows of very different loss, the second fit better by 1 and by 2.
/// let found = paired_difference(array![[10.0, -5.0]].view(), array![[9.0, -7.0]].view())?;
/// assert_eq!((found.mean, found.standard_error), (1.5, 0.5));
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where the shapes differ, or there is no repetition or fewer than two rows.
pub fn paired_difference(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Paired> {
    if a.dim() != b.dim() || a.nrows() == 0 || a.ncols() < 2 {
        let (expected, found) = (vec![b.nrows().max(1), b.ncols().max(2)], a.shape().to_vec());
        return Err(Error::Shape { operation: "paired difference", expected, found });
    }
    let difference = &a - &b;
    let of_means = |axis| difference.mean_axis(axis).map(|means| Estimate::of(means.view()));
    let rows = of_means(Axis(0)).map_or(f64::NAN, |e| e.standard_error);
    let seeds = of_means(Axis(1)).map(|e| e.standard_error).filter(|_| a.nrows() > 1);
    Ok(Paired {
        mean: difference.mean().unwrap_or(f64::NAN),
        standard_error: rows.hypot(seeds.unwrap_or(0.0)),
        rows_error: rows,
        seeds_error: seeds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// Two ways to fit, the first worse by `gap`: rows of very different difficulty, a seed's effect of
    /// its own on each way, an effect of rows on the difference, and noise.
    fn simulated(k: usize, n: usize, gap: f64, rng: &mut ChaCha8Rng) -> [Array2<f64>; 2] {
        let mut normal = |scale: f64| -> f64 {
            let z: f64 = StandardNormal.sample(rng);
            scale * z
        };
        let (rows, by_row): (Vec<f64>, Vec<f64>) =
            (0..n).map(|_| (normal(10.0), normal(1.0))).unzip();
        let seeds: Vec<[f64; 2]> = (0..k).map(|_| [normal(0.1), normal(0.1)]).collect();
        let mut table = |way: usize| {
            Array2::from_shape_fn((k, n), |(s, r)| {
                let worse = if way == 0 { gap + by_row[r] } else { 0.0 };
                rows[r] + worse + seeds[s][way] + normal(0.3)
            })
        };
        [table(0), table(1)]
    }

    #[test]
    fn the_standard_error_is_the_spread_over_new_rows_and_seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (k, n) in [(4, 100), (8, 400)] {
            let found: Vec<Paired> = (0..600)
                .map(|_| {
                    let [a, b] = simulated(k, n, 0.5, &mut rng);
                    paired_difference(a.view(), b.view()).unwrap()
                })
                .collect();
            let count = found.len() as f64;
            let mean = found.iter().map(|p| p.mean).sum::<f64>() / count;
            let spread = found.iter().map(|p| (p.mean - mean).powi(2)).sum::<f64>() / count;
            let told = found.iter().map(|p| p.standard_error.powi(2)).sum::<f64>() / count;
            // 1 / n + 2 (0.1)^2 / K + 2 (0.3)^2 / (K n) in all.
            let want = 1.0 / n as f64 + 0.02 / k as f64 + 0.18 / (k * n) as f64;
            assert!((mean - 0.5).abs() < 4.5 * (want / count).sqrt(), "{mean}");
            assert!((spread / want - 1.0).abs() < 0.25, "{k} {n}: {spread} {want}");
            assert!((told / want - 1.0).abs() < 0.12, "{k} {n}: {told} {want}");
            let covered = found.iter().filter(|p| (p.mean - 0.5).abs() < 2.0 * p.standard_error);
            let share = covered.count() as f64 / count;
            // Below 95% for few seeds: their part is an estimate from K - 1 degrees of freedom.
            assert!((0.90..0.98).contains(&share), "{share}");
            // The unpaired error would be more than ten times as large.
            assert!(found[0].standard_error < 0.1 * 10.0 * (2.0 / n as f64).sqrt());
        }
    }

    #[test]
    fn one_repetition_has_no_part_of_seeds_and_odd_shapes_are_refused() {
        let (a, b) = (array![[1.0, 2.0, 4.0]], array![[1.0, 1.0, 1.0]]);
        let found = paired_difference(a.view(), b.view()).unwrap();
        assert_eq!((found.seeds_error, found.standard_error), (None, found.rows_error));
        assert!(paired_difference(a.view(), array![[1.0, 1.0]].view()).is_err());
        assert!(paired_difference(array![[1.0]].view(), array![[1.0]].view()).is_err());
    }

    /// Differences [[1, 3], [2, 6]]: means over repetitions 1.5 and 4.5, over rows 2 and 4.
    #[test]
    fn by_hand() {
        let a = array![[1.0, 3.0], [2.0, 6.0]];
        let found = paired_difference(a.view(), Array2::zeros((2, 2)).view()).unwrap();
        assert_eq!((found.mean, found.rows_error, found.seeds_error), (3.0, 1.5, Some(1.0)));
        assert!((found.standard_error - 3.25f64.sqrt()).abs() < 1e-15);
        assert!(
            paired_difference(Array2::zeros((0, 2)).view(), Array2::zeros((0, 2)).view()).is_err()
        );
    }
}
