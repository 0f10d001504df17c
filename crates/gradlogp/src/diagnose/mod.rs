//! How far to trust a score: pure functions of a score and rows it has not seen.
//!
//! [`exact_loss`] is the held-out objective on a scale common to all training losses,
//! [`stein_check`] needs no truth, [`fisher_divergence`] does.

mod exact_loss;
mod fisher;
mod paired;
mod stein;

pub use exact_loss::{exact_loss, exact_loss_rows};
pub use fisher::{FisherDivergence, fisher_divergence};
pub use paired::{Paired, paired_difference};
pub use stein::{SteinReport, Verdict, stein_check, stein_check_given};

use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array2, ArrayView1, ArrayView2};

/// A mean over rows, with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error, sd / sqrt(n), sd with divisor n - 1; NaN for fewer than two rows.
    pub standard_error: f64,
    /// Rows.
    pub n: usize,
}

impl Estimate {
    /// The mean of `values`, taken as independent. NaN where there are none.
    ///
    /// ```
    /// use gradlogp::diagnose::Estimate;
    ///
    /// let found = Estimate::of(ndarray::array![1.0, 3.0].view());
    /// assert_eq!((found.mean, found.standard_error, found.n), (2.0, 1.0, 2));
    /// ```
    pub fn of(values: ArrayView1<'_, f64>) -> Self {
        let n = values.len();
        let mean = values.mean().unwrap_or(f64::NAN);
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let variance = if n > 1 { squares / (n - 1) as f64 } else { f64::NAN };
        Self { mean, standard_error: (variance / n as f64).sqrt(), n }
    }
}

/// Refuses rows with another number of columns than the score's, and fewer than `least` rows.
fn check_rows(
    operation: &'static str,
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
    least: usize,
) -> Result<()> {
    if x.ncols() == score.dim() && x.nrows() >= least {
        return Ok(());
    }
    let expected = vec![x.nrows().max(least), score.dim()];
    Err(Error::Shape { operation, expected, found: x.shape().to_vec() })
}

/// s(x), refused where a value is not finite.
fn finite_score(
    operation: &'static str,
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
) -> Result<Array2<f64>> {
    let s = score.score(x);
    let bad = |row: &ArrayView1<'_, f64>| row.iter().any(|v| !v.is_finite());
    let count = s.outer_iter().filter(bad).count();
    match s.outer_iter().position(|row| bad(&row)) {
        None => Ok(s),
        Some(first) => Err(Error::Numerical {
            operation,
            message: format!(
                "the score is not finite on {count} of {} rows, first on row {}",
                s.nrows(),
                first + 1
            ),
        }),
    }
}

#[cfg(test)]
mod testing {
    use super::*;
    use ndarray::Array1;

    /// s(x) = -A (x - b), MATH 4.
    pub(super) struct Linear {
        pub(super) a: Array2<f64>,
        pub(super) b: Array1<f64>,
    }

    impl Score for Linear {
        fn dim(&self) -> usize {
            self.b.len()
        }

        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            -(&x - &self.b).dot(&self.a.t())
        }

        fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            Array1::from_elem(x.nrows(), -self.a.diag().sum())
        }
    }

    /// c s(x) + shift.
    pub(super) struct Changed<'a> {
        pub(super) score: &'a dyn Score,
        pub(super) factor: f64,
        pub(super) shift: Array1<f64>,
    }

    impl Score for Changed<'_> {
        fn dim(&self) -> usize {
            self.score.dim()
        }

        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            self.score.score(x) * self.factor + &self.shift
        }

        fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            self.score.trace(x) * self.factor
        }
    }
}
