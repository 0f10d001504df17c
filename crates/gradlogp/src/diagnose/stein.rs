//! Stein identities: does a score belong to these rows? No truth is needed. MATH 4.
//!
//! For every smooth density p and s = grad log p, integrating by parts,
//!
//! ```text
//! E[s] = 0,     E[s x^T] = -I.
//! ```
//!
//! A score c times too large shows as -c I, an inverted sign as +I. To be free of units and location
//! the columns are standardised: with m and D = diag(sd) of the rows, z = D^-1 (x - m) and
//! s_z = D s (the score of z), so that E[s_z z^T] = D E[s (x - m)^T] D^-1 = -I where E[s] = 0. What is
//! estimated is the covariance of s_z and z (both centred, divisor n - 1), which is unbiased for
//! E[s (x - E x)^T] although m comes from the same rows, and which a wrong mean of s does not touch:
//! a fault of the mean and a fault of the slope are told apart. The estimated sd cancel on the
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

use super::{Estimate, check_rows, finite_score, standardise};
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::fmt;

/// What [`stein_check`] found, all in standardised columns.
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
    pub given_product: Array2<f64>,
    /// given_product / standard error: d x w.
    pub given_product_z: Array2<f64>,
    /// c in `E[s_z z^T] = -c I` by the trace, should be 1, with its standard error.
    pub slope: Estimate,
    /// Largest |mean_z|.
    pub mean_max_z: f64,
    /// Largest |product_z|.
    pub product_max_z: f64,
    /// Largest |given_product_z|.
    pub given_max_z: f64,
    /// t of the simultaneous bands: a |z| above it is a fault.
    pub critical_z: f64,
    /// Chance of any fault found in a true score, at most.
    pub level: f64,
    /// The worst fault in words.
    pub verdict: Verdict,
}

/// The worst fault that the Stein identities show. Columns are counted from 0 here, from 1 in text;
/// values are those of standardised columns, each with the half width of its simultaneous band.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// All identities hold within their bands.
    Consistent,
    /// The slope is below 0: the score points away from the data.
    SignInverted {
        /// c, which should be 1.
        slope: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score is wrong by one factor in all columns alike.
    ScaleOff {
        /// c, which should be 1.
        slope: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score of one column is wrong by a factor, and not that of all columns.
    ColumnScaleOff {
        /// The column.
        column: usize,
        /// `-E[s_i x_i]`, which should be 1.
        slope: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score's mean over the rows is not 0.
    MeanOff {
        /// The column.
        column: usize,
        /// `E[s_i]`, which should be 0.
        mean: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score of one column is wrong in how it goes with another.
    DependenceOff {
        /// The column of the score.
        score_column: usize,
        /// The column of the data.
        data_column: usize,
        /// `E[s_i x_j]`, which should be 0.
        product: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score of one column does not follow a column of the condition as it should.
    ConditionOff {
        /// The column of the score.
        score_column: usize,
        /// The column of the condition, counted on from the columns of x.
        given_column: usize,
        /// `E[s_i c_j]`, which should be 0.
        product: f64,
        /// Of its band.
        half_width: f64,
    },
}

impl Verdict {
    /// True where no fault was found.
    pub fn is_consistent(&self) -> bool {
        *self == Verdict::Consistent
    }

    /// In plain words, with the columns' `names` where there are enough of them: those of x, then
    /// those of the condition.
    pub fn describe(&self, names: &[String]) -> String {
        let column = |i: usize| match names.get(i) {
            Some(name) => format!("column \"{name}\""),
            None => format!("column {}", i + 1),
        };
        match *self {
            Verdict::Consistent => "consistent with these rows".into(),
            Verdict::SignInverted { slope, half_width } => format!(
                "the sign is inverted: the score points away from the data (slope {slope:.3} +- \
                 {half_width:.3}, should be 1)"
            ),
            Verdict::ScaleOff { slope, half_width } => {
                format!("the score is {}", factor(slope, half_width))
            }
            Verdict::ColumnScaleOff { column: i, slope, half_width } => {
                format!("the score of {} is {}", column(i), factor(slope, half_width))
            }
            Verdict::MeanOff { column: i, mean, half_width } => format!(
                "the mean of the score is off in {}: {mean:.3} +- {half_width:.3}, should be 0",
                column(i)
            ),
            Verdict::DependenceOff { score_column, data_column, product, half_width } => format!(
                "the dependence between {} (score) and {} (data) is off: {product:.3} +- \
                 {half_width:.3}, should be 0",
                column(score_column),
                column(data_column)
            ),
            Verdict::ConditionOff { score_column, given_column, product, half_width } => format!(
                "the score of {} does not follow the condition in {}: their product is {product:.3} +- \
                 {half_width:.3}, should be 0",
                column(score_column),
                column(given_column)
            ),
        }
    }
}

fn factor(slope: f64, half_width: f64) -> String {
    match slope > 1.0 {
        true => format!("{slope:.3} (+- {half_width:.3}) times too large"),
        false => format!("too small: {slope:.3} (+- {half_width:.3}) times what it should be"),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(&[]))
    }
}

/// Checks both identities on the rows of `x` (n x d), which the score must not have been fitted to,
/// with simultaneous bands that a true score leaves with probability at most `level` (0.05, say).
///
/// ```
/// use gradlogp::oracle::{Gaussian, Oracle};
/// use gradlogp::diagnose::stein_check;
/// use rand::SeedableRng;
///
/// let p = Gaussian::rank_one(0.5, 3)?;
/// let x = p.sample(2000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
/// let report = stein_check(&p, x.view(), 0.05)?;
/// assert_eq!(report.verdict.to_string(), "consistent with these rows");
/// assert!((report.slope.mean - 1.0).abs() < 4.0 * report.slope.standard_error);
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for a level outside (0, 1); [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] for fewer than 3 rows; [`Error::Data`] for a constant column; [`Error::Numerical`] where the score is
/// not finite.
pub fn stein_check(score: &dyn Score, x: ArrayView2<'_, f64>, level: f64) -> Result<SteinReport> {
    stein_check_given(score, x, Array2::zeros((x.nrows(), 0)).view(), level)
}

/// The same for a score of x given c: `c` (n x w) holds the condition of each row, at which `score`
/// answers. Checks E[s c^T] = 0 as well; a column of `c` that is constant in these rows adds nothing
/// to E\[s\] = 0 and passes.
///
/// ```
/// use gradlogp::oracle::{Gaussian, Oracle};
/// use gradlogp::diagnose::stein_check_given;
/// use ndarray::s;
/// use rand::SeedableRng;
///
/// // x = z + c with z ~ N(0, 1). The score of z, at any c, is not that of x given c.
/// let p = Gaussian::standard(2)?;
/// let rows = p.sample(2000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
/// let c = rows.slice(s![.., 1..]);
/// let x = &rows.slice(s![.., ..1]) + &c;
/// let report = stein_check_given(&Gaussian::standard(1)?, x.view(), c, 0.05)?;
/// assert!(report.given_max_z > report.critical_z);
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// # Errors
/// As [`stein_check`]; [`Error::Shape`] where `c` has another number of rows than `x`.
pub fn stein_check_given(
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
    let (z, sd) = standardise(x)?;
    let s = finite_score("Stein check", score, x)? * &sd;
    let mean = s.mean_axis(Axis(0)).unwrap_or_default();
    let mean_error = s.std_axis(Axis(0), 1.0) / (x.nrows() as f64).sqrt();
    let centred = &s - &mean;
    let (product, product_error) = covariance(&centred, &z);
    let (given, given_error) = covariance(&centred, &standardise_given(c));
    let slope = slope(&centred, &z);
    let t = critical_z(x.nrows(), x.ncols(), c.ncols(), level)?;
    let fitted = Fitted { mean, mean_error, product, product_error, given, given_error, slope };
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
fn standardise_given(c: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut c = c.to_owned();
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
    pub(super) given: Array2<f64>,
    pub(super) given_error: Array2<f64>,
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
        let given_z = Array2::from_shape_fn(self.given.dim(), |at| self.given_z(at));
        let largest = |largest: f64, z: &f64| largest.max(z.abs());
        SteinReport {
            n: self.slope.n,
            mean_max_z: mean_z.iter().fold(0.0, largest),
            product_max_z: product_z.iter().fold(0.0, largest),
            given_max_z: given_z.iter().fold(0.0, largest),
            mean: self.mean,
            mean_z,
            product: self.product,
            product_z,
            given_product: self.given,
            given_product_z: given_z,
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

    fn given_z(&self, at: (usize, usize)) -> f64 {
        z_score(self.given[at], 0.0, self.given_error[at])
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
        let given = self.given.indexed_iter().map(move |((i, j), product)| {
            let half_width = t * self.given_error[[i, j]];
            let (score_column, given_column, product) = (i, d + j, *product);
            let verdict = Verdict::ConditionOff { score_column, given_column, product, half_width };
            Fault { excess: self.given_z((i, j)).abs(), verdict }
        });
        means.chain(products).chain(given)
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
mod tests {
    use super::super::testing::{Changed, Linear};
    use super::*;
    use crate::oracle::{Banana, Gaussian, GaussianMixture, Oracle};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn correlated() -> Gaussian {
        let covariance = array![[1.0, 0.6, 0.0], [0.6, 4.0, -0.5], [0.0, -0.5, 0.2]];
        Gaussian::new(array![5.0, 0.0, -3.0], covariance).unwrap()
    }

    fn mixture() -> GaussianMixture {
        let means = array![[-2.0, 0.0, 1.0], [2.0, 1.0, 0.0]];
        GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.9).unwrap()
    }

    /// How many of `repetitions` fresh samples of 2000 rows are judged consistent.
    fn consistent(p: &dyn Oracle, score: &dyn Score, repetitions: u64) -> usize {
        let judge = |seed: u64| {
            let x = p.sample(2000, &mut ChaCha8Rng::seed_from_u64(seed));
            stein_check(score, x.view(), 0.05).unwrap().verdict.is_consistent()
        };
        (0..repetitions).filter(|seed| judge(*seed)).count()
    }

    fn check(p: &dyn Oracle, score: &dyn Score) -> SteinReport {
        let x = p.sample(4000, &mut ChaCha8Rng::seed_from_u64(99));
        stein_check(score, x.view(), 0.05).unwrap()
    }

    #[test]
    fn true_scores_pass_as_often_as_stated() {
        let banana = Banana::new(3, 1.0, 0.4, 0.7).unwrap();
        let oracles: [&dyn Oracle; 3] = [&correlated(), &mixture(), &banana];
        for (k, p) in oracles.into_iter().enumerate() {
            let score: &dyn Score = p;
            let passed = consistent(p, score, 200);
            assert!(passed >= 182, "oracle {k}: {passed} of 200");
        }
    }

    #[test]
    fn wrong_scales_nearly_never_pass() {
        for factor in [1.2, 0.8, -1.0] {
            let (gaussian, mixture) = (correlated(), mixture());
            let wrong = |score| Changed { score, factor, shift: Array1::zeros(3) };
            let passed = consistent(&gaussian, &wrong(&gaussian), 50)
                + consistent(&mixture, &wrong(&mixture), 50);
            assert!(passed <= 2, "factor {factor}: {passed} of 100 passed");
        }
    }

    #[test]
    fn verdict_names_scale_and_sign() {
        let p = correlated();
        let with = |factor| check(&p, &Changed { score: &p, factor, shift: Array1::zeros(3) });
        let large = with(1.5);
        assert!(
            matches!(large.verdict, Verdict::ScaleOff { slope, .. } if (1.4..1.6).contains(&slope))
        );
        assert!(large.verdict.to_string().contains("times too large"), "{}", large.verdict);
        let small = with(0.5);
        assert!(
            matches!(small.verdict, Verdict::ScaleOff { slope, .. } if (0.45..0.55).contains(&slope))
        );
        assert!(small.verdict.to_string().contains("too small: 0."), "{}", small.verdict);
        let inverted = with(-1.0);
        assert!(matches!(inverted.verdict, Verdict::SignInverted { .. }));
        assert!(inverted.verdict.to_string().contains("sign is inverted"));
        assert!((inverted.slope.mean + 1.0).abs() < 0.1);
    }

    #[test]
    fn verdict_names_the_column_of_a_wrong_mean() {
        let p = correlated();
        let wrong = Changed { score: &p, factor: 1.0, shift: array![0.0, 0.0, 3.0] };
        let report = check(&p, &wrong);
        let Verdict::MeanOff { column: 2, mean, .. } = report.verdict else {
            panic!("{:?}", report.verdict)
        };
        // The standardised score has the shift times the sd.
        assert!((mean - 3.0 * 0.2f64.sqrt()).abs() < 0.2, "{mean}");
        assert_eq!(report.mean_max_z, report.mean_z[2].abs());
        let names = ["a", "b", "c"].map(String::from);
        assert!(report.verdict.describe(&names).contains("off in column \"c\""));
        assert!(report.verdict.to_string().contains("off in column 3"));
        // Nothing else is touched by it, estimate or error.
        let right = check(&p, &p);
        assert!((&report.product_z - &right.product_z).iter().all(|e| e.abs() < 1e-9));
        assert!((report.slope.mean - right.slope.mean).abs() < 1e-9);
    }

    /// The precision of the diagonal alone: right by column, blind to the correlation.
    #[test]
    fn verdict_names_a_missing_dependence() {
        let p = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.7], [0.7, 1.0]]).unwrap();
        let report = check(&p, &Linear { a: Array2::eye(2), b: array![0.0, 0.0] });
        let Verdict::DependenceOff { product, .. } = report.verdict else {
            panic!("{:?}", report.verdict)
        };
        assert!((product + 0.7).abs() < 0.1);
    }

    #[test]
    fn verdict_names_one_column_of_wrong_scale() {
        let p = Gaussian::standard(3).unwrap();
        let a = Array2::from_diag(&array![1.0, 1.6, 1.0]);
        let report = check(&p, &Linear { a, b: Array1::zeros(3) });
        let Verdict::ColumnScaleOff { column: 1, slope, .. } = report.verdict else {
            panic!("{:?}", report.verdict)
        };
        assert!((slope - 1.6).abs() < 0.15);
    }

    /// x given c where (x, c) is jointly Gaussian: mean b c, variance v.
    struct Regression {
        b: f64,
        v: f64,
        c: Array2<f64>,
    }

    impl Score for Regression {
        fn dim(&self) -> usize {
            1
        }
        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            (&self.c * self.b - x) / self.v
        }
        fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            Array1::from_elem(x.nrows(), -1.0 / self.v)
        }
    }

    fn regression_rows(seed: u64) -> (Array2<f64>, Array2<f64>) {
        let p = Gaussian::new(array![1.0, 3.0], array![[2.0, 0.9], [0.9, 1.0]]).unwrap();
        let rows = p.sample(2000, &mut ChaCha8Rng::seed_from_u64(seed));
        let column = |k: usize| (&rows.column(k) - [1.0, 3.0][k]).insert_axis(Axis(1));
        (column(0), column(1))
    }

    #[test]
    fn conditional_scores_pass_as_often_as_stated_and_a_wrong_slope_in_c_is_named() {
        let check = |b: f64, v: f64, seed: u64| {
            let (x, c) = regression_rows(seed);
            let score = Regression { b, v, c: c.clone() };
            stein_check_given(&score, x.view(), c.view(), 0.05).unwrap()
        };
        let (b, v) = (0.9, 2.0 - 0.81);
        let passed = (0..100).filter(|seed| check(b, v, *seed).verdict.is_consistent()).count();
        assert!(passed >= 89, "{passed}");
        // Without c the score is that of x alone: the other identities hold, this one does not.
        let blind = check(0.0, 2.0, 7);
        let Verdict::ConditionOff { score_column: 0, given_column: 1, product, .. } = blind.verdict
        else {
            panic!("{:?}", blind.verdict)
        };
        // E[s_z c] = -sd E[x c] / 2 with E[x c] = 0.9, sd = sqrt 2.
        assert!((product + 0.9 / 2.0 * 2f64.sqrt()).abs() < 0.08, "{product}");
        assert!(blind.product_max_z < blind.critical_z && blind.mean_max_z < blind.critical_z);
        let names = ["x", "c"].map(String::from);
        assert!(blind.verdict.describe(&names).contains("condition in column \"c\""));
    }

    #[test]
    fn a_constant_condition_passes_and_other_rows_are_refused() {
        let (x, c) = regression_rows(3);
        let score = Regression { b: 0.9, v: 1.19, c };
        let constant = Array2::from_elem((2000, 1), 4.0);
        let report = stein_check_given(&score, x.view(), constant.view(), 0.05).unwrap();
        assert_eq!(report.given_max_z, 0.0);
        assert!(stein_check_given(&score, x.view(), array![[1.0]].view(), 0.05).is_err());
    }

    /// Another unit and origin for every column, the score's with it: nothing changes.
    #[test]
    fn is_free_of_units_and_origin() {
        struct Moved<'a>(&'a dyn Score, Array1<f64>, Array1<f64>);
        impl Score for Moved<'_> {
            fn dim(&self) -> usize {
                self.0.dim()
            }
            fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
                self.0.score(((&x - &self.2) / &self.1).view()) / &self.1
            }
            fn trace(&self, _: ArrayView2<'_, f64>) -> Array1<f64> {
                Array1::zeros(0)
            }
        }
        let p = mixture();
        let x = p.sample(500, &mut ChaCha8Rng::seed_from_u64(1));
        let (unit, origin) = (array![1e-3, 50.0, 2.0], array![7.0, -1e3, 0.5]);
        let moved = Moved(&p, unit.clone(), origin.clone());
        let here = stein_check(&p, x.view(), 0.05).unwrap();
        let there = stein_check(&moved, (&x * &unit + &origin).view(), 0.05).unwrap();
        assert!((&here.product_z - &there.product_z).iter().all(|e| e.abs() < 1e-6));
        assert!((&here.mean_z - &there.mean_z).iter().all(|e| e.abs() < 1e-6));
        assert!((here.slope.mean - there.slope.mean).abs() < 1e-9);
    }

    /// One column, three rows x = -1, 0, 1 (sd 1), s = -2x: products -2, 0, -2; covariance -2.
    #[test]
    fn estimates_by_hand() {
        let x = array![[-1.0], [0.0], [1.0]];
        let report =
            stein_check(&Linear { a: array![[2.0]], b: array![0.0] }, x.view(), 0.05).unwrap();
        assert!((report.product[[0, 0]] + 2.0).abs() < 1e-14);
        assert!((report.slope.mean - 2.0).abs() < 1e-14);
        // Products -2, 0, -2 have variance 4/3, so the standard error is 2/3 and z = -1.5.
        assert!((report.product_z[[0, 0]] + 1.5).abs() < 1e-12);
        assert_eq!(report.mean_max_z, 0.0);
        // Two degrees of freedom: F(t) = 1/2 + t/(2 sqrt(2 + t^2)), at 1 - 0.05/6.
        let u: f64 = 1.0 - 0.05 / 3.0;
        let expected = u * (2.0 / (1.0 - u * u)).sqrt();
        assert!((report.critical_z - expected).abs() < 1e-6, "{}", report.critical_z);
    }

    /// Two-sided 5% over 13 statements at many rows: the normal quantile at 1 - 0.05/26 is 2.8905.
    #[test]
    fn critical_value_is_the_quantile() {
        assert!((critical_z(10_000_000, 3, 0, 0.05).unwrap() - 2.8905).abs() < 1e-3);
        // 784 columns: level/2 over 615,441 statements, 1 - Phi(5.369) = 4.0e-8.
        let many = critical_z(1_000_000, 784, 0, 0.05).unwrap();
        assert!((5.3..5.5).contains(&many), "{many}");
    }

    /// A score that does not depend on x at all: no spread, no slope.
    #[test]
    fn constant_score_is_called_too_small() {
        let p = Gaussian::standard(2).unwrap();
        let report = check(&p, &Linear { a: Array2::zeros((2, 2)), b: array![0.0, 0.0] });
        assert!(report.verdict.to_string().contains("too small: 0.000"), "{}", report.verdict);
        assert_eq!(report.mean_max_z, 0.0);
    }

    #[test]
    fn refuses_what_cannot_be_judged() {
        let p = Gaussian::standard(2).unwrap();
        let constant = array![[1.0, 2.0], [1.0, 3.0], [1.0, 4.0]];
        let error = stein_check(&p, constant.view(), 0.05).unwrap_err();
        assert!(error.to_string().contains("column 1"), "{error}");
        assert!(stein_check(&p, array![[1.0, 2.0], [2.0, 1.0]].view(), 0.05).is_err());
        assert!(stein_check(&p, array![[1.0], [2.0], [4.0]].view(), 0.05).is_err());
        assert!(stein_check(&p, Array2::eye(2).view(), 1.5).is_err());
    }

    /// A report of d columns without fault, to be changed: every error 0.1, the slope's 0.05.
    fn faultless(d: usize, w: usize) -> Fitted {
        Fitted {
            mean: Array1::zeros(d),
            mean_error: Array1::from_elem(d, 0.1),
            product: -Array2::<f64>::eye(d),
            product_error: Array2::from_elem((d, d), 0.1),
            given: Array2::zeros((d, w)),
            given_error: Array2::from_elem((d, w), 0.1),
            slope: Estimate { mean: 1.0, standard_error: 0.05, n: 50 },
        }
    }

    fn judged(change: impl FnOnce(&mut Fitted)) -> SteinReport {
        let mut fitted = faultless(3, 2);
        change(&mut fitted);
        fitted.report(4.0, 0.05)
    }

    /// Statements by hand, each a little outside and a little inside its band of 4 errors.
    #[test]
    fn each_fault_is_named_with_its_place_and_band() {
        assert_eq!(judged(|_| ()).verdict, Verdict::Consistent);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        for sign in [1.0, -1.0] {
            let of = |size: f64| judged(|f| f.mean[1] = sign * size);
            assert!(of(0.39).verdict.is_consistent());
            let Verdict::MeanOff { column: 1, mean, half_width } = of(0.41).verdict else {
                panic!()
            };
            assert!(near(mean, sign * 0.41) && near(half_width, 0.4));
            assert!(near(of(0.41).mean_max_z, 4.1) && near(of(0.41).mean_z[1], sign * 4.1));

            let of = |size: f64| judged(|f| f.product[[2, 1]] = sign * size);
            assert!(of(0.39).verdict.is_consistent());
            let Verdict::DependenceOff { score_column: 2, data_column: 1, product, half_width } =
                of(0.41).verdict
            else {
                panic!()
            };
            assert!(near(product, sign * 0.41) && near(half_width, 0.4));
            assert!(
                near(of(0.41).product_max_z, 4.1) && near(of(0.41).product_z[[2, 1]], sign * 4.1)
            );

            let of = |size: f64| judged(|f| f.given[[2, 1]] = sign * size);
            assert!(of(0.39).verdict.is_consistent());
            let Verdict::ConditionOff { score_column: 2, given_column: 4, product, half_width } =
                of(0.41).verdict
            else {
                panic!()
            };
            assert!(near(product, sign * 0.41) && near(half_width, 0.4));
            assert!(
                near(of(0.41).given_max_z, 4.1)
                    && near(of(0.41).given_product_z[[2, 1]], sign * 4.1)
            );

            let of = |size: f64| judged(|f| f.product[[1, 1]] = -1.0 - sign * size);
            assert!(of(0.39).verdict.is_consistent());
            let Verdict::ColumnScaleOff { column: 1, slope, half_width } = of(0.41).verdict else {
                panic!()
            };
            assert!(near(slope, 1.0 + sign * 0.41) && near(half_width, 0.4));

            // The slope alone, with all columns' products in its band: one factor.
            let of = |size: f64| judged(|f| f.slope.mean = 1.0 + sign * size);
            assert!(of(0.19).verdict.is_consistent());
            let Verdict::ScaleOff { slope, half_width } = of(0.21).verdict else { panic!() };
            assert!(near(slope, 1.0 + sign * 0.21) && near(half_width, 0.2));
        }
    }

    #[test]
    fn the_worst_fault_is_told_and_a_sign_before_all() {
        let both = judged(|f| (f.mean[0], f.product[[0, 1]]) = (0.5, 0.6));
        assert!(matches!(
            both.verdict,
            Verdict::DependenceOff { score_column: 0, data_column: 1, .. }
        ));
        let both = judged(|f| (f.mean[0], f.product[[0, 1]]) = (0.6, 0.5));
        assert!(matches!(both.verdict, Verdict::MeanOff { column: 0, .. }));
        // Below 0 with its whole band, or not.
        let inverted = judged(|f| (f.slope.mean, f.mean[0]) = (-0.21, 9.0));
        let Verdict::SignInverted { slope, half_width } = inverted.verdict else { panic!() };
        assert!(slope == -0.21 && (half_width - 0.2).abs() < 1e-12);
        let perhaps = judged(|f| (f.slope.mean, f.mean[0]) = (-0.19, 9.0));
        assert!(matches!(perhaps.verdict, Verdict::MeanOff { .. }));
        // One factor in all columns, of which one is furthest off; and two columns in opposite ways, where
        // the slope is off because of the one.
        let one = judged(|f| {
            f.slope.mean = 1.5;
            f.product = Array2::from_diag(&array![-1.5, -1.55, -1.45]);
        });
        assert!(matches!(one.verdict, Verdict::ScaleOff { slope: 1.5, .. }), "{:?}", one.verdict);
        let wide = judged(|f| {
            f.slope = Estimate { mean: 1.5, standard_error: 0.2, n: 50 };
            f.product = Array2::from_diag(&array![-1.5, -1.55, -1.45]);
        });
        assert!(
            matches!(wide.verdict, Verdict::ColumnScaleOff { column: 1, .. }),
            "{:?}",
            wide.verdict
        );
        let column_first = judged(|f| {
            f.slope = Estimate { mean: 1.5, standard_error: 0.1, n: 50 };
            f.product = Array2::from_diag(&array![-1.5, -1.55, -1.45]);
        });
        assert!(matches!(column_first.verdict, Verdict::ScaleOff { slope: 1.5, .. }));
        let mixed = judged(|f| {
            f.slope.mean = 1.5;
            f.product = Array2::from_diag(&array![-1.0, -1.2, -2.3]);
        });
        assert!(
            matches!(mixed.verdict, Verdict::ColumnScaleOff { column: 2, .. }),
            "{:?}",
            mixed.verdict
        );
        let overall = judged(|f| {
            f.slope = Estimate { mean: 1.5, standard_error: 0.01, n: 50 };
            f.product = Array2::from_diag(&array![-1.0, -2.3, -1.2]);
        });
        assert!(
            matches!(overall.verdict, Verdict::ColumnScaleOff { column: 1, .. }),
            "{:?}",
            overall.verdict
        );
    }

    #[test]
    fn verdicts_in_words_name_the_right_columns() {
        let names = ["a", "b", "c"].map(String::from);
        let half_width = 0.5;
        let words = |verdict: Verdict| verdict.describe(&names);
        let dependence = words(Verdict::DependenceOff {
            score_column: 2,
            data_column: 0,
            product: 0.25,
            half_width,
        });
        assert!(
            dependence.contains("\"c\" (score) and column \"a\" (data) is off: 0.250 +- 0.500"),
            "{dependence}"
        );
        let condition = words(Verdict::ConditionOff {
            score_column: 1,
            given_column: 3,
            product: 0.25,
            half_width,
        });
        assert!(condition.contains("score of column \"b\"") && condition.contains("in column 4:"));
        let column = words(Verdict::ColumnScaleOff { column: 1, slope: 1.25, half_width });
        assert!(column.contains("column \"b\" is 1.250 (+- 0.500) times too large"), "{column}");
        let small = words(Verdict::ScaleOff { slope: 0.75, half_width });
        assert!(small.contains("too small: 0.750 (+- 0.500)"), "{small}");
        assert!(
            words(Verdict::SignInverted { slope: -0.25, half_width })
                .contains("slope -0.250 +- 0.500")
        );
    }

    /// 2 + 4 + 6 + 1 statements are as many as 3 + 9 + 1; a condition's unit and origin do not matter.
    #[test]
    fn conditions_count_and_have_no_unit() {
        let at = |d, w| critical_z(40, d, w, 0.05).unwrap();
        assert_eq!(at(2, 3), at(3, 0));
        assert!(at(2, 3) > at(2, 2));
        let (x, c) = regression_rows(5);
        let score = Regression { b: 0.5, v: 1.19, c: c.clone() };
        let of = |c: Array2<f64>| stein_check_given(&score, x.view(), c.view(), 0.05).unwrap();
        let (here, there) = (of(c.clone()), of(&c * 250.0 + 7.0));
        assert!((here.given_product[[0, 0]] - there.given_product[[0, 0]]).abs() < 1e-9);
        assert!((here.given_product_z[[0, 0]] - there.given_product_z[[0, 0]]).abs() < 1e-7);
    }

    /// Three centred rows: sums of products 3 and 0, over n - 1.
    #[test]
    fn covariances_and_errors_by_hand() {
        let s = array![[0.0], [-3.0], [3.0]];
        let z = array![[-1.0, 2.0], [0.0, -1.0], [1.0, -1.0]];
        let (found, error) = covariance(&s, &z);
        assert_eq!(found, array![[1.5, 0.0]]);
        // Products 0, 0, 3: squares 9 less 9/3, over 2, over 3. Products 0, 3, -3: squares 18.
        assert!((error[[0, 0]] - 1.0).abs() < 1e-15 && (error[[0, 1]] - 3f64.sqrt()).abs() < 1e-15);
        assert_eq!((z_score(3.0, 1.0, 0.5), z_score(1.0, 1.0, 0.0)), (4.0, 0.0));
        assert_eq!(z_score(0.5, 1.0, 0.0), f64::NEG_INFINITY);
    }

    #[test]
    fn levels_lie_between_0_and_1() {
        let p = Gaussian::standard(1).unwrap();
        let x = array![[1.0], [2.0], [4.0]];
        for level in [0.0, 1.0, 1.5, -0.1, f64::NAN] {
            assert!(stein_check(&p, x.view(), level).is_err(), "{level}");
        }
        assert!(stein_check(&p, x.view(), 0.999).is_ok());
    }
}
