//! How unusual a row is, and from where on to call it an anomaly. MATH (38).
//!
//! - **density**: -log p(x), for potentials, up to the model's constant;
//! - **path**: the same for score fields, from the score alone,
//!   `-integral_0^1 s(c + t (x - c)).(x - c) dt` = log p(c) - log p(x) along the straight line from a centre
//!   c, which is exact where s is a gradient and depends on the path where it is not quite one;
//! - **norm**: |D s(x)|, D = diag(standard deviations): how steep the density is. It is small at every
//!   stationary point, in a trough as on a peak, and grows in the tails of light-tailed densities only.
//! - **scales**: for potentials of all noise levels, the mean over levels sigma of -sigma^2 log p_sigma(x), p_sigma the
//!   density of the data with noise N(0, sigma^2 I). MATH (39). A row fitted along with the others has a peak
//!   of its own in p, and small groups have one each; seen from one to some standard deviations away they have
//!   none, and what is far from most rows stays so. sigma^2 grad log p_sigma(x) = E\[x_0 | x\] - x, so this is
//!   the potential of the mean way back to the data, and every level counts about alike.
//!
//! **Threshold.** With n scores of rows that are known to be usual and were not used to fit the model, the
//! k-th smallest with k = ceil((n + 1)(1 - a)): a new usual row exceeds it with probability at most a,
//! whatever the model (conformal prediction; Vovk, Gammerman, Shafer 2005).

use super::check_rows;
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};

/// Pieces of the line, and the Gauss-Legendre points and weights of two in each, on [0, 1].
const PIECES: usize = 32;
const POINTS: [(f64, f64); 2] = [(0.211_324_865_405_187_1, 0.5), (0.788_675_134_594_812_9, 0.5)];

/// log p(centre) - log p(x) along straight lines, from the score alone: n values, NaN where the score is not
/// finite on the line.
///
/// ```
/// use gradlogp_density::{diagnose::path_difference, reference::Gaussian};
/// use ndarray::array;
///
/// let p = Gaussian::standard(2)?;
/// let found = path_difference(&p, array![[3.0, 4.0]].view(), array![0.0, 0.0].view())?;
/// assert!((found[0] - 12.5).abs() < 1e-12);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where columns differ.
pub fn path_difference(
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
    centre: ArrayView1<'_, f64>,
) -> Result<Array1<f64>> {
    check_rows("path to the centre", score, x, 0)?;
    check_rows("path to the centre", score, centre.insert_axis(Axis(0)), 1)?;
    let away = &x - &centre;
    let mut sum = Array1::zeros(x.nrows());
    for (t, weight) in nodes() {
        let s = score.score((&away * t + centre).view());
        let along = Zip::from(s.rows()).and(away.rows()).map_collect(|s, a| s.dot(&a));
        sum.scaled_add(-weight, &along);
    }
    Ok(sum)
}

/// Points of the line and their weights.
fn nodes() -> impl Iterator<Item = (f64, f64)> {
    (0..PIECES).flat_map(|piece| {
        POINTS
            .map(|(point, weight)| ((piece as f64 + point) / PIECES as f64, weight / PIECES as f64))
    })
}

/// The same by column, n x d, MATH (74): -integral_0^1 s_k(c + t (x - c)) (x_k - c_k) dt. The columns of a row sum to
/// [`path_difference`].
///
/// ```
/// use gradlogp_density::{diagnose::path_contributions, reference::Gaussian};
/// use ndarray::array;
///
/// let p = Gaussian::standard(2)?;
/// let found = path_contributions(&p, array![[3.0, 4.0]].view(), array![0.0, 0.0].view())?;
/// assert!((found[[0, 0]] - 4.5).abs() < 1e-12 && (found[[0, 1]] - 8.0).abs() < 1e-12);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where columns differ.
pub fn path_contributions(
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
    centre: ArrayView1<'_, f64>,
) -> Result<Array2<f64>> {
    check_rows("path to the centre", score, x, 0)?;
    check_rows("path to the centre", score, centre.insert_axis(Axis(0)), 1)?;
    let away = &x - &centre;
    let mut mean_score = Array2::zeros(x.dim());
    for (t, weight) in nodes() {
        mean_score.scaled_add(-weight, &score.score((&away * t + centre).view()));
    }
    Ok(mean_score * away)
}

/// |D s(x)| with D = diag(`scale`), the columns' standard deviations: n values, not finite where the score is not.
///
/// # Errors
/// [`Error::Shape`] where columns differ.
pub fn score_norm(
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
    scale: ArrayView1<'_, f64>,
) -> Result<Array1<f64>> {
    check_rows("score norm", score, x, 0)?;
    check_rows("score norm", score, scale.insert_axis(Axis(0)), 1)?;
    let s = score.score(x) * scale;
    Ok(s.map_axis(Axis(1), |s| s.dot(&s).sqrt()))
}

/// The mean over noise levels sigma of -sigma^2 log p_sigma(x), up to a constant: n values. Each level is sigma, in
/// the units in which x is measured, with log p_sigma at the rows, up to a constant of its own. NaN for rows
/// where one is not finite.
///
/// ```
/// use ndarray::array;
///
/// // N(0, 1): log p_sigma(x) = -x^2 / (2 (1 + sigma^2)) + constant.
/// let log_density = |sigma: f64| array![0.0, 2.0].mapv(|x: f64| -x * x / (2.0 * (1.0 + sigma * sigma)));
/// let found = gradlogp_density::diagnose::mean_over_scales(&[(1.0, log_density(1.0)), (2.0, log_density(2.0))])?;
/// // x^2 / 2 times the mean of 1/2 and 4/5.
/// assert!((found[1] - found[0] - 1.3).abs() < 1e-12);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] without a level, or with one that is not positive; [`Error::Shape`] for different numbers
/// of rows.
pub fn mean_over_scales(levels: &[(f64, Array1<f64>)]) -> Result<Array1<f64>> {
    let Some((_, first)) = levels.first() else {
        return Err(Error::config("noise_levels", "there must be at least one"));
    };
    let mut sum = Array1::zeros(first.len());
    for (sigma, log_density) in levels {
        if !(*sigma > 0.0 && sigma.is_finite()) {
            let message = format!("must be positive numbers, not {sigma}");
            return Err(Error::config("noise_levels", message));
        }
        if log_density.len() != first.len() {
            let (expected, found) = (vec![first.len()], vec![log_density.len()]);
            return Err(Error::Shape { operation: "rows of all noise levels", expected, found });
        }
        let factor = -sigma * sigma / levels.len() as f64;
        Zip::from(&mut sum).and(log_density).for_each(|sum, log_density| {
            *sum += if log_density.is_finite() { factor * log_density } else { f64::NAN };
        });
    }
    Ok(sum)
}

/// The threshold that a usual row exceeds with probability at most `false_alarm`, from the anomaly
/// scores of usual rows that did not train the model.
///
/// ```
/// let held_out = ndarray::Array1::from_iter((1..=99).map(f64::from));
/// let threshold = gradlogp_density::diagnose::false_alarm_threshold(held_out.view(), 0.05)?;
/// assert_eq!(threshold, 95.0);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for a rate outside (0, 1); [`Error::Data`] for fewer than 1/rate - 1 rows, or a score
/// that is not a number.
pub fn false_alarm_threshold(held_out: ArrayView1<'_, f64>, false_alarm: f64) -> Result<f64> {
    if !(false_alarm > 0.0 && false_alarm < 1.0) {
        return Err(Error::config("false_alarm", "must lie between 0 and 1, such as 0.01"));
    }
    let n = held_out.len();
    // Rounding must not push an exact count over the next integer.
    let k = ((n as f64 + 1.0) * (1.0 - false_alarm) - 1e-9).ceil().max(1.0) as usize;
    if k > n {
        let least = (1.0 / false_alarm - 1.0 - 1e-9).ceil();
        let message = format!(
            "there are {n}, too few for a false-alarm rate of {false_alarm}: give at least {least} rows, \
             or allow a higher rate"
        );
        return Err(Error::data("held-out rows", message));
    }
    if held_out.iter().any(|v| v.is_nan()) {
        return Err(Error::data("held-out rows", "an anomaly score is not a number"));
    }
    let mut sorted = held_out.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted[k - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Banana, Gaussian, GaussianMixture, ReferenceDensity};
    use crate::score::LogDensity;
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn paths_give_differences_of_log_density() {
        let means = array![[-2.0, 0.0], [2.0, 1.0]];
        let mixture = GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.5).unwrap();
        let banana = Banana::new(2, 1.0, 0.8, 0.5).unwrap();
        let references: [&dyn ReferenceDensity; 2] = [&mixture, &banana];
        for p in references {
            let x = p.sample(200, &mut ChaCha8Rng::seed_from_u64(0)) * 1.5;
            let centre = array![0.2, -0.1];
            let at_centre = p.log_density(centre.view().insert_axis(Axis(0)))[0];
            let expected = at_centre - p.log_density(x.view());
            let found = path_difference(p, x.view(), centre.view()).unwrap();
            assert!((found - expected).iter().all(|e: &f64| e.abs() < 1e-3));
        }
    }

    #[test]
    fn columns_of_a_path_sum_to_the_whole_and_are_apart_where_columns_are() {
        let means = array![[-2.0, 0.0], [2.0, 1.0]];
        let mixture = GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.5).unwrap();
        let x = mixture.sample(50, &mut ChaCha8Rng::seed_from_u64(0)) * 1.5;
        let centre = array![0.2, -0.1];
        let whole = path_difference(&mixture, x.view(), centre.view()).unwrap();
        let parts = path_contributions(&mixture, x.view(), centre.view()).unwrap();
        assert!((parts.sum_axis(Axis(1)) - whole).iter().all(|e: &f64| e.abs() < 1e-12));
        // Of independent columns each has its own difference of log density.
        let p = Gaussian::new(array![1.0, 0.0], array![[4.0, 0.0], [0.0, 0.25]]).unwrap();
        let found = path_contributions(&p, array![[5.0, -1.0]].view(), array![3.0, 0.0].view());
        let found = found.unwrap();
        assert!((found[[0, 0]] - (2.0 - 0.5)).abs() < 1e-12, "{found}");
        assert!((found[[0, 1]] - 2.0).abs() < 1e-12, "{found}");
    }

    /// A tight pair of rows far from a broad cloud is a peak of the density and yet unusual.
    #[test]
    fn over_scales_a_small_far_group_is_unusual() {
        let means = array![[0.0, 0.0], [6.0, 0.0]];
        let of = |sigma: f64| {
            let variances: [f64; 2] = [1.0 + sigma * sigma, 1e-4 + sigma * sigma];
            let parts = variances.map(|v| Array2::eye(2) * v).to_vec();
            GaussianMixture::new(array![0.98, 0.02], means.view(), parts).unwrap()
        };
        let x = array![[6.0, 0.0], [2.0, 0.0], [0.0, 0.0]];
        let plain = of(0.0).log_density(x.view());
        assert!(plain[0] > plain[2], "{plain}");
        let level = |sigma: f64| (sigma, of(sigma).log_density(x.view()));
        let found = mean_over_scales(&[0.5, 1.0, 2.0, 4.0].map(level)).unwrap();
        assert!(found[0] > found[1] && found[1] > found[2], "{found}");
        assert!(mean_over_scales(&[]).is_err());
        assert!(mean_over_scales(&[(0.0, array![1.0])]).is_err());
        let some = mean_over_scales(&[(1.0, array![f64::NEG_INFINITY, 2.0])]).unwrap();
        assert!(some[0].is_nan() && some[1] == -2.0);
        assert!(mean_over_scales(&[(1.0, array![1.0]), (2.0, array![1.0, 2.0])]).is_err());
    }

    #[test]
    fn norms_are_free_of_units() {
        let p = Gaussian::new(array![0.0, 0.0], array![[4.0, 0.0], [0.0, 1e-4]]).unwrap();
        let found = score_norm(&p, array![[6.0, 0.04]].view(), array![2.0, 0.01].view()).unwrap();
        assert!((found[0] - 5.0).abs() < 1e-12);
    }

    /// The promise is over held-out rows and new ones: false alarms of fresh rows, on average.
    #[test]
    fn false_alarms_are_as_rare_as_promised() {
        let p = Gaussian::standard(2).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut alarms = 0.0;
        for _ in 0..200 {
            let score = |x: Array2<f64>| -p.log_density(x.view());
            let held_out = score(p.sample(99, &mut rng));
            let threshold = false_alarm_threshold(held_out.view(), 0.05).unwrap();
            let fresh = score(p.sample(500, &mut rng));
            alarms += fresh.iter().filter(|a| **a > threshold).count() as f64 / 500.0 / 200.0;
        }
        // Beta(5, 95): mean 0.05, sd 0.0217 over held-out sets.
        assert!((alarms - 0.05).abs() < 4.0 * 0.0217 / 200f64.sqrt(), "{alarms}");
    }

    #[test]
    fn too_few_rows_are_refused_with_the_number_needed() {
        let few = Array1::from_iter((0..98).map(f64::from));
        let error = false_alarm_threshold(few.view(), 0.01).unwrap_err().to_string();
        assert!(error.contains("at least 99 rows"), "{error}");
        let enough = Array1::from_iter((0..99).map(f64::from));
        assert_eq!(false_alarm_threshold(enough.view(), 0.01).unwrap(), 98.0);
        assert!(false_alarm_threshold(enough.view(), 1.0).is_err());
        assert!(false_alarm_threshold(array![f64::NAN, 1.0].view(), 0.5).is_err());
    }

    #[test]
    fn over_scales_by_hand() {
        let levels = [0.5, 1.0, 3.0].map(|sigma| (sigma, array![sigma - 4.0, 2.0 * sigma]));
        let found = mean_over_scales(&levels).unwrap();
        // (1/4 3.5 + 3 + 9 1) / 3 and -(1/4 1 + 2 + 9 6) / 3.
        let want = [12.875 / 3.0, -56.25 / 3.0];
        assert!(found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-14), "{found}");
        for rate in [0.0, 1.0, -0.1, f64::NAN] {
            let error = false_alarm_threshold(found.view(), rate).unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{error}");
        }
    }
}
