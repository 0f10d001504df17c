//! Learning the spread of each column during warm-up, for samplers that scale their steps by it.
//!
//! Positions are collected in windows that double in length; at the end of each the scale of column j
//! becomes the standard deviation of all chains and steps in it (Welford's sums), regularised as in
//! Stan: variance n/(n + 5) v + 5/(n + 5) 1e-3 v_0, with v_0 the scale before. The step size is then adapted
//! anew. The first and the last steps belong to no window: the first are not yet in the bulk, the last
//! settle the step size. Window lengths are those of the Stan reference manual ("Automatic parameter
//! tuning"): 75 first, then 25, 50, 100, ..., then 50; 15% and 10% of a warm-up below 150 steps.

use ndarray::{Array1, ArrayView2, Axis, Zip};
use serde::{Deserialize, Serialize};

/// Ends of the windows in a warm-up of so many steps, each counted in steps done; and the first step
/// that belongs to one.
pub(super) fn windows(warm_up: usize) -> (usize, Vec<usize>) {
    if warm_up < 20 {
        return (warm_up, Vec::new());
    }
    let (first, last) = if warm_up < 150 { (warm_up * 15 / 100, warm_up / 10) } else { (75, 50) };
    let end = warm_up - last;
    let (mut ends, mut start, mut length) = (Vec::new(), first, 25.min(end - first));
    while start < end {
        // A window that would leave less than its double for the next takes all that is left.
        start = if start + 3 * length > end { end } else { start + length };
        ends.push(start);
        length *= 2;
    }
    (first, ends)
}

/// Mean and sum of squares of every column so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Spread {
    /// Nothing of `d` columns yet.
    pub(super) fn new(d: usize) -> Self {
        Spread { count: 0.0, mean: vec![0.0; d], squares: vec![0.0; d] }
    }

    /// Number of columns.
    pub(super) fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Whether these can be sums over rows of `d` columns.
    pub(super) fn is_sound(&self, d: usize) -> bool {
        let finite = self.mean.iter().all(|x| x.is_finite());
        let sums = self.squares.iter().chain([&self.count]).all(|x| *x >= 0.0 && x.is_finite());
        finite && sums && (self.mean.len(), self.squares.len()) == (d, d)
    }

    /// Takes in the rows of `position`.
    pub(super) fn add(&mut self, position: ArrayView2<'_, f64>) {
        for row in position.outer_iter() {
            self.count += 1.0;
            for ((x, mean), squares) in row.iter().zip(&mut self.mean).zip(&mut self.squares) {
                let miss = x - *mean;
                *mean += miss / self.count;
                *squares += miss * (x - *mean);
            }
        }
    }

    /// Standard deviations, drawn a little towards `before`.
    pub(super) fn scale(&self, before: &Array1<f64>) -> Array1<f64> {
        let n = self.count;
        let mut scale = before.clone();
        let squares = Array1::from(self.squares.clone());
        Zip::from(&mut scale).and(&squares).for_each(|scale, squares| {
            let variance = squares / (n - 1.0).max(1.0);
            *scale = (n / (n + 5.0) * variance + 5.0 / (n + 5.0) * 1e-3 * *scale * *scale).sqrt();
        });
        scale
    }
}

/// [`Spread::scale`] as one row.
pub(super) fn as_row(scale: Array1<f64>) -> ndarray::Array2<f64> {
    scale.insert_axis(Axis(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn windows_double_and_fill_the_warm_up() {
        assert_eq!(windows(1000), (75, vec![100, 150, 250, 450, 950]));
        assert_eq!(windows(150), (75, vec![100]));
        assert_eq!(windows(100), (15, vec![40, 90]));
        assert_eq!(windows(19), (19, vec![]));
        for n in 20..2000 {
            let (first, ends) = windows(n);
            assert!(first < ends[0] && *ends.last().unwrap() < n, "{n}: {ends:?}");
            assert!(ends.windows(2).all(|pair| pair[0] < pair[1]), "{n}: {ends:?}");
        }
    }

    /// By hand: the columns 1, 3, 5 and 0, 0, 6 have variances 4 and 12.
    #[test]
    fn spread_is_the_standard_deviation() {
        let mut spread = Spread::new(2);
        spread.add(array![[1.0, 0.0], [3.0, 0.0]].view());
        spread.add(array![[5.0, 6.0]].view());
        let found = spread.scale(&array![2.0, 1.0]);
        let expected = [
            (3.0 / 8.0 * 4.0 + 5.0 / 8.0 * 4e-3f64).sqrt(),
            (3.0 / 8.0 * 12.0 + 5.0 / 8.0 * 1e-3f64).sqrt(),
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        }
    }
}
