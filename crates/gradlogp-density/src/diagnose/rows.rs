//! What all checks need of rows: that they fit, columns of width 1, some of them by chance.

use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, CowArray, Ix2, concatenate};
use rand::Rng;

/// Refuses rows with another number of columns than the score's, and fewer than `least` rows.
pub(super) fn check_rows(
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
pub(super) fn enough_rows(
    operation: &'static str,
    x: ArrayView2<'_, f64>,
    least: usize,
) -> Result<()> {
    match x.nrows() {
        found if found < least => Err(Error::TooFewRows { operation, found, least }),
        _ => Ok(()),
    }
}

/// The same numbers, each row behind the one before: sums over them are then of one order, however the caller's rows lie in
/// memory. Strides are compared, since a single column may have any.
pub(super) fn row_after_row<'a>(x: impl Into<CowArray<'a, f64, Ix2>>) -> Array2<f64> {
    let x = x.into();
    let (rows, columns) = x.dim();
    match x.strides() == [columns as isize, 1] {
        true => x.into_owned(),
        false => {
            let mut numbers = x.iter();
            Array2::from_shape_simple_fn((rows, columns), || {
                numbers.next().copied().unwrap_or(f64::NAN)
            })
        }
    }
}

/// s(x), refused where a value is not finite.
pub(super) fn finite_score(
    operation: &'static str,
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
) -> Result<Array2<f64>> {
    let s = row_after_row(score.score(row_after_row(x).view()));
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
pub(super) fn standardize(x: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array1<f64>)> {
    let x = row_after_row(x);
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
pub(super) fn check_pair(
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

/// The rows of x, then those of y, standardized together; a column that is constant in both is 0.
pub(super) fn pool(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
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
pub(super) fn subset(x: ArrayView2<'_, f64>, most: usize, rng: &mut dyn Rng) -> Array2<f64> {
    let keep = most.min(x.nrows());
    x.select(Axis(0), &rand::seq::index::sample(rng, x.nrows(), keep).into_vec())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Linear;
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
    fn pooled_columns_are_standardized_together() {
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
