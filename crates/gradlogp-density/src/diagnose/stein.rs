//! Stein identities: does a score belong to these rows? No truth is needed. MATH 4.
//!
//! For every smooth density p and s = grad log p, integrating by parts,
//!
//! ```text
//! E[s] = 0,     E[s x^T] = -I.
//! ```
//!
//! A score c times too large shows as -c I, an inverted sign as +I. To be free of units and location
//! the columns are standardized: with m and D = diag(sd) of the rows, z = D^-1 (x - m) and
//! s_z = D s (the score of z), so that E[s_z z^T] = D E[s (x - m)^T] D^-1 = -I where E[s] = 0. What is
//! estimated is the covariance of s_z and z (both centred, divisor n - 1), which is unbiased for
//! E[s (x - E x)^T] although m comes from the same rows, and which a wrong mean of s does not touch:
//! an error of the mean and an error of the slope are told apart. The estimated sd cancel on the
//! diagonal and multiply a zero elsewhere.
//!
//! **Bands.** d means, d^2 products and the slope c = -tr E[s_z z^T]/d make d + d^2 + 1 statements,
//! each with its standard error over rows. All bands together hold with probability at least
//! 1 - `level` by Bonferroni: half width = t * standard error, t the Student-t quantile of n - 1
//! degrees of freedom at 1 - level/(2 (d + d^2 + 1)), or with d w more for w columns of c.
//!
//! **Conditions.** For the score s(x | c) of a conditional density E[s | c] = 0 and E[s x^T | c] = -I, so
//! both identities hold as they stand, and E[s g(c)] = 0 for every function g of the condition;
//! with g(c) = c that is E[s c^T] = 0, d times as many further statements as c has columns.
//!
//! The check has power against first-order faults only: a score can pass and still be wrong where
//! both identities do not look. And with many rows it sees faults too small to matter: read the
//! estimates, not only the verdict.

mod verdict;

pub use verdict::Verdict;

use super::{Estimate, check_rows, finite_score, row_after_row, standardize};
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What [`stein_check`] found, all in standardized columns.
#[derive(Debug, Clone, PartialEq)]
pub struct SteinReport {
    /// Rows.
    pub n: usize,
    /// `E[s_z]` by column, should be 0: d.
    pub mean: Array1<f64>,
    /// (mean - 0) / standard error: d.
    pub mean_z: Array1<f64>,
    /// `E[s_z z^T]`, row = column of s, should be -I: d x d.
    pub product: Array2<f64>,
    /// (product - (-I)) / standard error: d x d.
    pub product_z: Array2<f64>,
    /// `E[s_z c^T]` for the condition c, in standard deviations of its columns, should be 0: d x w;
    /// no columns for a score without condition.
    pub condition_product: Array2<f64>,
    /// condition_product / standard error: d x w.
    pub condition_product_z: Array2<f64>,
    /// c in `E[s_z z^T] = -c I` by the trace, should be 1, with its standard error.
    pub slope: Estimate,
    /// Largest |mean_z|.
    pub mean_max_z: f64,
    /// Largest |product_z|.
    pub product_max_z: f64,
    /// Largest |condition_product_z|.
    pub condition_max_z: f64,
    /// t of the simultaneous bands: a |z| above it is a fault.
    pub critical_z: f64,
    /// Chance of any fault found in a true score, at most.
    pub level: f64,
    /// The worst violation in words.
    pub verdict: Verdict,
}

/// Checks both identities on the rows of `x` (n x d), which the score must not have been fitted to,
/// with simultaneous bands that a true score leaves with probability at most `level` (0.05, say).
///
/// ```
/// use gradlogp_density::reference::{Gaussian, ReferenceDensity};
/// use gradlogp_density::diagnose::stein_check;
/// use rand::SeedableRng;
///
/// let p = Gaussian::rank_one(0.5, 3)?;
/// let x = p.sample(2000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
/// let report = stein_check(&p, x.view(), 0.05)?;
/// assert_eq!(report.verdict.to_string(), "consistent with these rows");
/// assert!((report.slope.mean - 1.0).abs() < 4.0 * report.slope.standard_error);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for a level outside (0, 1); [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] for fewer than 3 rows; [`Error::Data`] for a constant column; [`Error::Numerical`]
/// where the score is not finite.
pub fn stein_check(score: &dyn Score, x: ArrayView2<'_, f64>, level: f64) -> Result<SteinReport> {
    stein_check_conditional(score, x, Array2::zeros((x.nrows(), 0)).view(), level)
}

/// The same for a score of x given c: `c` (n x w) holds the condition of each row, at which `score`
/// answers. Checks E[s c^T] = 0 as well; a column of `c` that is constant in these rows adds nothing
/// to E\[s\] = 0 and passes.
///
/// ```
/// use gradlogp_density::reference::{Gaussian, ReferenceDensity};
/// use gradlogp_density::diagnose::stein_check_conditional;
/// use ndarray::s;
/// use rand::SeedableRng;
///
/// // x = z + c with z ~ N(0, 1). The score of z, at any c, is not that of x given c.
/// let p = Gaussian::standard(2)?;
/// let rows = p.sample(2000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
/// let c = rows.slice(s![.., 1..]);
/// let x = &rows.slice(s![.., ..1]) + &c;
/// let report = stein_check_conditional(&Gaussian::standard(1)?, x.view(), c, 0.05)?;
/// assert!(report.condition_max_z > report.critical_z);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// As [`stein_check`]; [`Error::Shape`] where `c` has another number of rows than `x`.
pub fn stein_check_conditional(
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
    c: ArrayView2<'_, f64>,
    level: f64,
) -> Result<SteinReport> {
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::config("level", "must lie between 0 and 1"));
    }
    check_rows("Stein check", score, x, 3)?;
    if c.nrows() != x.nrows() {
        let (expected, found) = (vec![x.nrows(), c.ncols()], c.shape().to_vec());
        return Err(Error::Shape { operation: "Stein check, condition", expected, found });
    }
    let (z, sd) = standardize(x)?;
    let s = finite_score("Stein check", score, x)? * &sd;
    let mean = s.mean_axis(Axis(0)).unwrap_or_default();
    let mean_error = s.std_axis(Axis(0), 1.0) / (x.nrows() as f64).sqrt();
    let centred = &s - &mean;
    let (product, product_error) = covariance(&centred, &z);
    let (condition, condition_error) = covariance(&centred, &standardize_condition(c));
    let slope = slope(&centred, &z);
    let t = critical_z(x.nrows(), x.ncols(), c.ncols(), level)?;
    let fitted =
        Fitted { mean, mean_error, product, product_error, condition, condition_error, slope };
    Ok(fitted.report(t, level))
}

/// The Bonferroni quantile over d + d^2 + d w + 1 statements.
pub(super) fn critical_z(n: usize, d: usize, w: usize, level: f64) -> Result<f64> {
    student_quantile(n, d + d * d + d * w + 1, level)
}

/// The Student-t quantile of n - 1 degrees of freedom that so many two-sided statements on n rows keep
/// together at `level`.
pub(super) fn student_quantile(n: usize, statements: usize, level: f64) -> Result<f64> {
    let student = StudentsT::new(0.0, 1.0, (n - 1) as f64).map_err(|_| Error::Numerical {
        operation: "Stein check",
        message: "no Student-t quantile for these rows".into(),
    })?;
    Ok(-student.inverse_cdf(level / (2.0 * statements as f64)))
}

/// (c - m)/sd with divisor n - 1; zeros for a column that is constant.
fn standardize_condition(c: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut c = row_after_row(c);
    for mut column in c.columns_mut() {
        let (mean, sd) = (column.mean().unwrap_or(0.0), column.std(1.0));
        column.mapv_inplace(|c| if sd > 0.0 { (c - mean) / sd } else { 0.0 });
    }
    c
}

/// sum s_i z_j / (n - 1) of centred columns, and its standard error over rows; both one row for each
/// column of s.
fn covariance(s: &Array2<f64>, z: &Array2<f64>) -> (Array2<f64>, Array2<f64>) {
    let n = s.nrows() as f64;
    let square = |v: &Array2<f64>| v.mapv(|v| v * v);
    let sums = s.t().dot(z);
    // Sums of squared products, less the square of their mean: the mean is of the order of their
    // spread, so nothing cancels.
    let spread = square(s).t().dot(&square(z)) - square(&sums) / n;
    let error = spread.mapv(|v| (v.max(0.0) / (n - 1.0) / n).sqrt());
    (sums / (n - 1.0), error)
}

/// c = -tr E[s_z z^T]/d.
fn slope(s: &Array2<f64>, z: &Array2<f64>) -> Estimate {
    let (n, d) = s.dim();
    let rows = Zip::from(s.rows()).and(z.rows()).map_collect(|s, z| -s.dot(&z) / d as f64);
    let over_rows = Estimate::of(rows.view());
    Estimate { mean: over_rows.mean * n as f64 / (n - 1) as f64, ..over_rows }
}

/// (value - target) / error; a value known without error is exactly right or infinitely wrong.
pub(super) fn z_score(value: f64, target: f64, error: f64) -> f64 {
    let miss = value - target;
    if miss == 0.0 { 0.0 } else { miss / error }
}

/// Estimates with their standard errors.
pub(super) struct Fitted {
    pub(super) mean: Array1<f64>,
    pub(super) mean_error: Array1<f64>,
    pub(super) product: Array2<f64>,
    pub(super) product_error: Array2<f64>,
    pub(super) condition: Array2<f64>,
    pub(super) condition_error: Array2<f64>,
    pub(super) slope: Estimate,
}

/// One statement outside its band: how far, and what it says.
struct Fault {
    excess: f64,
    verdict: Verdict,
}

impl Fitted {
    pub(super) fn report(self, critical_z: f64, level: f64) -> SteinReport {
        let verdict = self.verdict(critical_z);
        let d = self.mean.len();
        let mean_z = Array1::from_shape_fn(d, |i| self.mean_z(i));
        let product_z = Array2::from_shape_fn((d, d), |(i, j)| self.product_z(i, j));
        let condition_z = Array2::from_shape_fn(self.condition.dim(), |at| self.condition_z(at));
        let largest = |largest: f64, z: &f64| largest.max(z.abs());
        SteinReport {
            n: self.slope.n,
            mean_max_z: mean_z.iter().fold(0.0, largest),
            product_max_z: product_z.iter().fold(0.0, largest),
            condition_max_z: condition_z.iter().fold(0.0, largest),
            mean: self.mean,
            mean_z,
            product: self.product,
            product_z,
            condition_product: self.condition,
            condition_product_z: condition_z,
            slope: self.slope,
            critical_z,
            level,
            verdict,
        }
    }

    fn mean_z(&self, i: usize) -> f64 {
        z_score(self.mean[i], 0.0, self.mean_error[i])
    }

    fn product_z(&self, i: usize, j: usize) -> f64 {
        let target = if i == j { -1.0 } else { 0.0 };
        z_score(self.product[[i, j]], target, self.product_error[[i, j]])
    }

    fn condition_z(&self, at: (usize, usize)) -> f64 {
        z_score(self.condition[at], 0.0, self.condition_error[at])
    }

    /// An inverted sign before all else; otherwise the statement furthest outside its band, and where
    /// that is a scale, the scale of all columns if one factor explains them.
    fn verdict(&self, t: f64) -> Verdict {
        let Estimate { mean: slope, standard_error, .. } = self.slope;
        let half_width = t * standard_error;
        if slope + half_width < 0.0 {
            return Verdict::SignInverted { slope, half_width };
        }
        let overall = Fault {
            excess: z_score(slope, 1.0, standard_error).abs(),
            verdict: Verdict::ScaleOff { slope, half_width },
        };
        let worst = std::iter::once(overall)
            .chain(self.faults(t))
            .filter(|fault| fault.excess > t)
            .max_by(|a, b| a.excess.total_cmp(&b.excess));
        match worst.map(|fault| fault.verdict) {
            None => Verdict::Consistent,
            Some(Verdict::ColumnScaleOff { .. }) if self.is_one_factor(t) => {
                Verdict::ScaleOff { slope, half_width }
            }
            Some(Verdict::ScaleOff { .. }) if !self.is_one_factor(t) => self.worst_column(t),
            Some(verdict) => verdict,
        }
    }

    /// Every statement about one column or two, in order.
    fn faults(&self, t: f64) -> impl Iterator<Item = Fault> {
        let d = self.mean.len();
        let means = (0..d).map(move |i| {
            let (mean, half_width) = (self.mean[i], t * self.mean_error[i]);
            let verdict = Verdict::MeanOff { column: i, mean, half_width };
            Fault { excess: self.mean_z(i).abs(), verdict }
        });
        let products = (0..d * d).map(move |k| {
            let verdict = self.product_verdict(k / d, k % d, t);
            Fault { excess: self.product_z(k / d, k % d).abs(), verdict }
        });
        let condition = self.condition.indexed_iter().map(move |((i, j), product)| {
            let half_width = t * self.condition_error[[i, j]];
            let (score_column, given_column, product) = (i, d + j, *product);
            let verdict = Verdict::ConditionOff { score_column, given_column, product, half_width };
            Fault { excess: self.condition_z((i, j)).abs(), verdict }
        });
        means.chain(products).chain(condition)
    }

    fn product_verdict(&self, i: usize, j: usize, t: f64) -> Verdict {
        let (product, half_width) = (self.product[[i, j]], t * self.product_error[[i, j]]);
        match i == j {
            true => Verdict::ColumnScaleOff { column: i, slope: -product, half_width },
            false => {
                Verdict::DependenceOff { score_column: i, data_column: j, product, half_width }
            }
        }
    }

    /// The slope itself is off 1 and lies in the band of every column's.
    fn is_one_factor(&self, t: f64) -> bool {
        let Estimate { mean: slope, standard_error, .. } = self.slope;
        let fits =
            |i: usize| z_score(-self.product[[i, i]], slope, self.product_error[[i, i]]).abs() <= t;
        z_score(slope, 1.0, standard_error).abs() > t && (0..self.mean.len()).all(fits)
    }

    /// The column whose own product is furthest off.
    fn worst_column(&self, t: f64) -> Verdict {
        let off = |i: &usize| self.product_z(*i, *i).abs();
        let worst = (0..self.mean.len()).max_by(|i, j| off(i).total_cmp(&off(j))).unwrap_or(0);
        self.product_verdict(worst, worst, t)
    }
}

#[cfg(test)]
mod tests;
