//! How far to trust a score: pure functions of a score and rows it has not seen.
//!
//! [`exact_loss`] is the held-out objective on a scale common to all training losses,
//! [`stein_check`] and [`kernel_stein_discrepancy`] need no truth, [`fisher_divergence`] does.
//! Two samples, of data and of a model, are compared by [`energy_distance`], [`classifier_test`] and
//! [`column_tests`]. [`Baselines`] are what a fit has to beat. [`estimate_normaliser`] makes log densities absolute, or says why not, and
//! [`false_alarm_threshold`] turns them into alarms.

mod annealing;
mod anomaly;
mod baseline;
mod bounded_stein;
mod classifier;
mod copies;
mod energy;
mod exact_loss;
mod fisher;
mod importance;
mod kolmogorov;
mod ksd;
mod normaliser;
mod pair_sums;
mod paired;
mod proposal;
mod stein;
mod test_functions;
mod whitened;

pub use anomaly::{false_alarm_threshold, mean_over_scales, path_difference, score_norm};
pub use baseline::{Baseline, BaselineComparison, Baselines};
pub use bounded_stein::stein_check_within;
pub use classifier::{ClassifierConfig, ClassifierTest, classifier_test};
pub use copies::{Copies, copies_of};
pub use energy::{EnergyConfig, EnergyDistance, energy_distance};
pub use exact_loss::{exact_loss, exact_loss_rows};
pub use fisher::{FisherDivergence, fisher_divergence};
pub use importance::LogMean;
pub use kolmogorov::{
    KolmogorovSmirnov, column_tests, kolmogorov_smirnov, kolmogorov_tail, ks_distance, ks_uniform,
};
pub use ksd::{KernelSteinDiscrepancy, KsdConfig, SteinKernel, kernel_stein_discrepancy};
pub use normaliser::{
    Likelihood, LogZ, Normaliser, NormaliserConfig, Refusal, estimate_normaliser, likelihood,
};
pub use paired::{Paired, paired_difference};
pub use proposal::{Proposals, fit_proposals};
pub use stein::{SteinReport, Verdict, stein_check, stein_check_given};
pub use test_functions::{ColumnFunction, Shape, SteinStatement, TestFunction, test_functions};

use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};
use rand::Rng;

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
    if x.ncols() != score.dim() {
        let expected = vec![x.nrows().max(least), score.dim()];
        return Err(Error::Shape { operation, expected, found: x.shape().to_vec() });
    }
    enough_rows(operation, x, least)
}

/// Refuses fewer rows than an operation needs.
fn enough_rows(operation: &'static str, x: ArrayView2<'_, f64>, least: usize) -> Result<()> {
    match x.nrows() {
        found if found < least => Err(Error::TooFewRows { operation, found, least }),
        _ => Ok(()),
    }
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

/// (x - m)/sd and sd, with divisor n - 1.
fn standardise(x: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array1<f64>)> {
    let mean = x.mean_axis(Axis(0)).unwrap_or_default();
    let sd = x.std_axis(Axis(0), 1.0);
    match sd.iter().position(|sd| !(*sd > 0.0 && sd.is_finite())) {
        None => Ok(((&x - &mean) / &sd, sd)),
        Some(column) => Err(Error::data(
            "held-out rows",
            format!("column {} is constant or not finite there", column + 1),
        )),
    }
}

/// Refuses two samples with other columns than each other's, or fewer than `least` rows.
fn check_pair(
    operation: &'static str,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    least: usize,
) -> Result<()> {
    for (rows, columns) in [(x, y.ncols().max(1)), (y, x.ncols().max(1))] {
        if rows.ncols() != columns {
            let expected = vec![rows.nrows().max(least), columns];
            return Err(Error::Shape { operation, expected, found: rows.shape().to_vec() });
        }
    }
    enough_rows(operation, x, least)?;
    enough_rows(operation, y, least)
}

/// The rows of x, then those of y, standardised together; a column that is constant in both is 0.
fn pool(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    let rows = concatenate![Axis(0), x, y];
    if let Some(at) = rows.outer_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
        let (side, row) = if at < x.nrows() { ("first", at) } else { ("second", at - x.nrows()) };
        let message = format!("row {} of the {side} sample is not finite", row + 1);
        return Err(Error::data("rows to compare", message));
    }
    let mean = rows.mean_axis(Axis(0)).unwrap_or_default();
    let sd = rows.std_axis(Axis(0), 1.0).mapv(|sd| if sd > 0.0 { sd } else { 1.0 });
    Ok((rows - &mean) / &sd)
}

/// At most `most` of the rows, by chance, in random order.
fn subset(x: ArrayView2<'_, f64>, most: usize, rng: &mut dyn Rng) -> Array2<f64> {
    let keep = most.min(x.nrows());
    x.select(Axis(0), &rand::seq::index::sample(rng, x.nrows(), keep).into_vec())
}

#[cfg(test)]
mod testing {
    use super::*;

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

#[cfg(test)]
mod tests {
    use super::testing::Linear;
    use super::*;
    use ndarray::array;
    use rand::SeedableRng;

    fn shapes(error: Error) -> (Vec<usize>, Vec<usize>) {
        match error {
            Error::Shape { expected, found, .. } => (expected, found),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn estimates_by_hand() {
        let found = Estimate::of(array![1.0, 2.0, 6.0].view());
        assert_eq!((found.mean, found.n), (3.0, 3));
        // Squares 4 + 1 + 9 over 2, over 3 rows.
        assert!((found.standard_error - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let one = Estimate::of(array![5.0].view());
        assert!(one.mean == 5.0 && one.standard_error.is_nan());
        assert!(Estimate::of(array![].view()).mean.is_nan());
    }

    #[test]
    fn rows_of_other_shape_are_refused_with_the_shape_needed() {
        let score = Linear { a: Array2::eye(2), b: array![0.0, 0.0] };
        let check = |n, d, least| check_rows("check", &score, Array2::zeros((n, d)).view(), least);
        assert!(check(3, 2, 3).is_ok() && check(0, 2, 0).is_ok());
        let few = check(2, 2, 3).unwrap_err().to_string();
        assert_eq!(few, "2 rows are too few for the check, at least 3 are needed");
        assert_eq!(shapes(check(5, 1, 3).unwrap_err()), (vec![5, 2], vec![5, 1]));
        let pair = |a, b| check_pair("check", Array2::zeros(a).view(), Array2::zeros(b).view(), 2);
        assert!(pair((2, 3), (4, 3)).is_ok() && pair((4, 3), (2, 3)).is_ok());
        for (a, b) in [((1, 3), (4, 3)), ((4, 3), (1, 3))] {
            let few = pair(a, b).unwrap_err().to_string();
            assert_eq!(few, "1 row is too few for the check, at least 2 are needed");
        }
        assert_eq!(shapes(pair((4, 2), (5, 3)).unwrap_err()), (vec![4, 3], vec![4, 2]));
        assert_eq!(shapes(pair((4, 0), (5, 0)).unwrap_err()), (vec![4, 1], vec![4, 0]));
    }

    #[test]
    fn pooled_columns_are_standardised_together() {
        let z = pool(array![[0.0, 7.0], [2.0, 7.0]].view(), array![[4.0, 7.0]].view()).unwrap();
        assert_eq!(z, array![[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]);
        let message = |x: [[f64; 1]; 2], y: [[f64; 1]; 2]| {
            pool(array![x[0], x[1]].view(), array![y[0], y[1]].view()).unwrap_err().to_string()
        };
        let of = message([[0.0], [f64::NAN]], [[0.0], [1.0]]);
        assert!(of.contains("row 2 of the first sample"), "{of}");
        let of = message([[0.0], [1.0]], [[f64::INFINITY], [1.0]]);
        assert!(of.contains("row 1 of the second sample"), "{of}");
    }

    #[test]
    fn subsets_are_different_rows_in_random_order() {
        let x = Array2::from_shape_fn((50, 1), |(i, _)| i as f64);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let few = subset(x.view(), 20, &mut rng);
        let mut sorted = few.column(0).to_vec();
        sorted.sort_by(f64::total_cmp);
        assert!(few.column(0).to_vec() != sorted && few.nrows() == 20);
        sorted.dedup();
        assert_eq!(sorted.len(), 20);
        assert_eq!(subset(x.view(), 60, &mut rng).nrows(), 50);
    }
}
