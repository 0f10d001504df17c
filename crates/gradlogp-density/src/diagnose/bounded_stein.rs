//! Stein identities on a domain with a boundary.
//!
//! There E\[s\] is not 0 (for an exponential it is -rate): integrating by parts leaves a boundary term, which the
//! weights w_j of MATH (7), with derivatives d_j = dw_j/dx_j, take away. For the true score and t_j = w_j s_j + d_j
//!
//! ```text
//! E[t] = 0,     E[t_i x_j] = -E[w_i] if i = j, else 0.
//! ```
//!
//! What is reported has the meaning of [`stein_check`](super::stein_check)'s figures, in columns standardized
//! by the rows that are checked:
//! - mean: `E[t_i] / E[w_i]`, should be 0;
//! - product, off the diagonal: `Cov(t_i, z_j) / E[w_i]`, should be 0;
//! - slope of column i, c_i = -`E[w_i s_i z_i] / E[w_i + d_i z_i]`, should be 1: a score c times too large
//!   gives c, whatever the weight. The diagonal of the product is -c_i, and c is the ratio of the sums over columns.
//!
//! Standard errors are those of means and ratios over rows (delta method).

use super::stein::{Fitted, critical_z};
use super::{Estimate, SteinReport, check_rows, finite_score, standardize};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// Checks both weighted identities on the rows of `x` (n x d), which the score must not have been fitted
/// to and which lie in `domain`, with simultaneous bands as [`stein_check`](super::stein_check) has them.
///
/// ```
/// use gradlogp_density::diagnose::{stein_check, stein_check_on_domain};
/// use gradlogp_density::domain::{Bounds, Boxed, Domain};
/// use gradlogp_density::reference::{Exponential, ReferenceDensity};
/// use rand::SeedableRng;
///
/// let p = Exponential::new(vec![2.0])?;
/// let x = p.sample(4000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
/// let columns = vec![Bounds::new(Some(0.0), None, 0.5)];
/// let domain = Domain::Box(Boxed { columns, power: 1.0 });
/// assert!(stein_check_on_domain(&p, &domain, x.view(), 0.05)?.verdict.is_consistent());
/// assert!(!stein_check(&p, x.view(), 0.05)?.verdict.is_consistent());
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// As [`stein_check`](super::stein_check); [`Error::Numerical`] where a column has no weight on any row.
pub fn stein_check_on_domain(
    score: &dyn Score,
    domain: &Domain,
    x: ArrayView2<'_, f64>,
    level: f64,
) -> Result<SteinReport> {
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::config("level", "must lie between 0 and 1"));
    }
    check_rows("Stein check", score, x, 3)?;
    let (z, sd) = standardize(x)?;
    let s = finite_score("Stein check", score, x)? * &sd;
    let (w, d) = weights(domain, x);
    let total = w.sum_axis(Axis(0));
    if let Some(column) = total.iter().position(|w| !(*w > 0.0)) {
        return Err(Error::Numerical {
            operation: "Stein check",
            message: format!("every row lies on the boundary in column {}", column + 1),
        });
    }
    let fitted = identities(&s, &z, &w, &(d * &sd));
    Ok(fitted.report(critical_z(x.nrows(), x.ncols(), 0, level)?, level))
}

/// Weights and slopes of every row, both n x d.
fn weights(domain: &Domain, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array2<f64>) {
    let (mut w, mut d) = (Array2::zeros(x.dim()), Array2::zeros(x.dim()));
    let (mut row_w, mut row_d) = (vec![0.0; x.ncols()], vec![0.0; x.ncols()]);
    for (r, x) in x.outer_iter().enumerate() {
        domain.weights(&x.to_vec(), &mut row_w, &mut row_d);
        w.row_mut(r).assign(&ArrayView1::from(&row_w));
        d.row_mut(r).assign(&ArrayView1::from(&row_d));
    }
    (w, d)
}

/// Every figure, from score, rows, weights and their derivatives in standardized columns.
fn identities(s: &Array2<f64>, z: &Array2<f64>, w: &Array2<f64>, d: &Array2<f64>) -> Fitted {
    let columns = s.ncols();
    let t = w * s + d;
    let centred = &t - &t.mean_axis(Axis(0)).unwrap_or_default();
    let weight = w.mean_axis(Axis(0)).unwrap_or_default();
    let (above, below) = (-(w * s * z), w + &(d * z));
    let mut fitted = Fitted {
        mean: Array1::zeros(columns),
        mean_error: Array1::zeros(columns),
        product: Array2::zeros((columns, columns)),
        product_error: Array2::zeros((columns, columns)),
        condition: Array2::zeros((columns, 0)),
        condition_error: Array2::zeros((columns, 0)),
        slope: ratio(above.sum_axis(Axis(1)).view(), below.sum_axis(Axis(1)).view()),
    };
    for i in 0..columns {
        let mean = Estimate::of(t.column(i));
        fitted.mean[i] = mean.mean / weight[i];
        fitted.mean_error[i] = mean.standard_error / weight[i];
        for j in 0..columns {
            let found = match i == j {
                true => ratio(above.column(i), below.column(i)),
                false => Estimate::of((&centred.column(i) * &z.column(j)).view()),
            };
            let scale = if i == j { -1.0 } else { 1.0 / weight[i] };
            fitted.product[[i, j]] = scale * found.mean;
            fitted.product_error[[i, j]] = scale.abs() * found.standard_error;
        }
    }
    fitted
}

/// mean(a) / mean(b), with the standard error of mean(a - ratio b) / mean(b).
fn ratio(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> Estimate {
    let below = Estimate::of(b).mean;
    let mean = Estimate::of(a).mean / below;
    let rest = Estimate::of((&a - &(&b * mean)).view());
    Estimate { mean, standard_error: rest.standard_error / below.abs(), n: rest.n }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Changed;
    use super::super::{Verdict, stein_check};
    use super::*;
    use crate::domain::{Bounds, Boxed, Polytope};
    use crate::reference::{Dirichlet, Exponential, ReferenceDensity};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn half_lines(scales: &[f64]) -> Domain {
        let columns = scales.iter().map(|s| Bounds::new(Some(0.0), None, *s)).collect();
        Domain::Box(Boxed { columns, power: 1.0 })
    }

    #[test]
    fn the_true_score_passes_and_the_unweighted_check_would_not() {
        let p = Exponential::new(vec![0.5, 3.0]).unwrap();
        let x = p.sample(5000, &mut ChaCha8Rng::seed_from_u64(4));
        let domain = half_lines(&[2.0, 0.4]);
        let report = stein_check_on_domain(&p, &domain, x.view(), 0.05).unwrap();
        assert!(report.verdict.is_consistent(), "{}", report.verdict);
        assert!(report.slope.standard_error < 0.1, "{:?}", report.slope);
        assert!(!stein_check(&p, x.view(), 0.05).unwrap().verdict.is_consistent());

        let p = Dirichlet::new(vec![2.0, 3.0], 2.5).unwrap();
        let x = p.sample(5000, &mut ChaCha8Rng::seed_from_u64(4));
        let simplex = Domain::Polytope(Polytope::simplex(&[0.2, 0.2], 1.0));
        let report = stein_check_on_domain(&p, &simplex, x.view(), 0.05).unwrap();
        assert!(report.verdict.is_consistent(), "{}", report.verdict);
    }

    #[test]
    fn scale_sign_and_mean_faults_are_called_by_their_names() {
        let p = Exponential::new(vec![1.0, 1.0]).unwrap();
        let x = p.sample(20_000, &mut ChaCha8Rng::seed_from_u64(5));
        let domain = half_lines(&[1.0, 1.0]);
        let check = |factor, shift| {
            let score = Changed { score: &p, factor, shift };
            stein_check_on_domain(&score, &domain, x.view(), 0.05).unwrap()
        };
        let scaled = check(1.5, array![0.0, 0.0]);
        let within = 4.0 * scaled.slope.standard_error;
        assert!((scaled.slope.mean - 1.5).abs() < within && within < 0.2, "{:?}", scaled.slope);
        assert!(!scaled.verdict.is_consistent());
        let inverted = check(-1.0, array![0.0, 0.0]);
        assert!(matches!(inverted.verdict, Verdict::SignInverted { .. }), "{}", inverted.verdict);
        // A shift of the second column by h moves its mean by exactly h sd.
        let shifted = check(1.0, array![0.0, 0.4]);
        let before = check(1.0, array![0.0, 0.0]);
        let sd = x.column(1).std(1.0);
        assert!((shifted.mean[1] - before.mean[1] - 0.4 * sd).abs() < 1e-9);
        assert!(!shifted.verdict.is_consistent());
    }

    /// Three rows of two columns, every figure from its definition.
    #[test]
    fn figures_by_hand() {
        let s = array![[2.0, -1.0], [-1.0, 0.5], [3.0, 2.0]];
        let z = array![[1.0, 0.4], [2.0, -1.0], [-0.5, 3.0]];
        let w = array![[1.0, 0.5], [0.5, 1.0], [0.25, 0.75]];
        let d = array![[0.5, 0.0], [-0.5, 0.2], [1.0, -0.4]];
        let found = identities(&s, &z, &w, &d);
        let rows = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..3).map(f).collect() };
        let mean = |v: &[f64]| v.iter().sum::<f64>() / 3.0;
        let error = |v: &[f64]| {
            let m = mean(v);
            (v.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / 2.0 / 3.0).sqrt()
        };
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} {want}");
        let t = |i: usize| rows(&|r| w[[r, i]] * s[[r, i]] + d[[r, i]]);
        let above = |i: usize| rows(&|r| -w[[r, i]] * s[[r, i]] * z[[r, i]]);
        let below = |i: usize| rows(&|r| w[[r, i]] + d[[r, i]] * z[[r, i]]);
        let ratio = |a: &[f64], b: &[f64]| {
            let c = mean(a) / mean(b);
            let rest: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - c * b).collect();
            (c, error(&rest) / mean(b).abs())
        };
        // t of the first column is 2.5, -1, 1.75, and its weights are on average 1.75 / 3.
        near(found.mean[0], 3.25 / 1.75);
        for i in 0..2 {
            let weight = mean(&rows(&|r| w[[r, i]]));
            near(found.mean[i], mean(&t(i)) / weight);
            near(found.mean_error[i], error(&t(i)) / weight);
            let (c, c_error) = ratio(&above(i), &below(i));
            near(found.product[[i, i]], -c);
            near(found.product_error[[i, i]], c_error);
            let (j, m) = (1 - i, mean(&t(i)));
            let cross = rows(&|r| (t(i)[r] - m) * z[[r, j]]);
            near(found.product[[i, j]], mean(&cross) / weight);
            near(found.product_error[[i, j]], error(&cross) / weight);
        }
        let sums = |of: &dyn Fn(usize) -> Vec<f64>| rows(&|r| of(0)[r] + of(1)[r]);
        let (c, c_error) = ratio(&sums(&above), &sums(&below));
        near(found.slope.mean, c);
        near(found.slope.standard_error, c_error);
    }

    #[test]
    fn refuses_levels_and_rows_without_weight() {
        let p = Exponential::new(vec![1.0, 1.0]).unwrap();
        let x = array![[0.3, 0.0], [1.2, 1.0], [0.7, 0.0], [2.0, 1.0]];
        let both = Bounds::new(Some(0.0), Some(1.0), 0.5);
        let columns = vec![Bounds::new(Some(0.0), None, 1.0), both];
        let domain = Domain::Box(Boxed { columns, power: 1.0 });
        let why =
            |level| stein_check_on_domain(&p, &domain, x.view(), level).unwrap_err().to_string();
        for level in [0.0, 1.0, -0.5, 1.5, f64::NAN] {
            assert!(why(level).contains("level"), "{}", why(level));
        }
        assert!(why(0.05).contains("boundary in column 2"), "{}", why(0.05));
    }
}
