//! Estimating the variance of each column during warm-up, for samplers that scale their steps by it.
//!
//! Positions are collected in windows that double in length; at the end of each the scale of column j
//! becomes the standard deviation of all chains and steps in it (Welford's sums), regularized as in
//! Stan: variance n/(n + 5) v + 5/(n + 5) 1e-3 v_0, with v_0 the scale before. The step size is then adapted
//! anew. The first and the last steps belong to no window: the first are not yet in the bulk, the last
//! settle the step size. Window lengths are those of the Stan reference manual ("Automatic parameter
//! tuning"): 75 first, then 25, 50, 100, ..., then 50; 15% and 10% of a warm-up below 150 steps.

use ndarray::{Array2, ArrayView2};
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

/// Mean and sum of squares of every column so far, over all chains or of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ColumnVariance {
    count: f64,
    /// Chains that are apart; 0 where all are taken together.
    #[serde(default)]
    apart: usize,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl ColumnVariance {
    /// Nothing of `d` columns yet; of `apart` chains each by itself, or with 0 of all together.
    pub(super) fn new(d: usize, apart: usize) -> Self {
        let length = d * apart.max(1);
        ColumnVariance { count: 0.0, apart, mean: vec![0.0; length], squares: vec![0.0; length] }
    }

    /// Numbers in a scale.
    pub(super) fn len(&self) -> usize {
        self.mean.len()
    }

    /// Whether these can be sums over rows of `d` columns, of `apart` chains each by itself, or with 0 of all together.
    pub(super) fn is_sound(&self, d: usize, apart: usize) -> bool {
        let length = d.checked_mul(apart.max(1));
        let finite = self.mean.iter().all(|x| x.is_finite());
        let sums = self.squares.iter().chain([&self.count]).all(|x| *x >= 0.0 && x.is_finite());
        let lengths = [Some(self.mean.len()), Some(self.squares.len())];
        finite && sums && self.apart == apart && lengths == [length; 2]
    }

    /// Takes in the rows of `position`.
    pub(super) fn add(&mut self, position: ArrayView2<'_, f64>) {
        let d = position.ncols();
        for (chain, row) in position.outer_iter().enumerate() {
            if self.apart == 0 || chain == 0 {
                self.count += 1.0;
            }
            let from = if self.apart == 0 { 0 } else { chain * d };
            let (means, sums) = (&mut self.mean[from..from + d], &mut self.squares[from..from + d]);
            for ((x, mean), squares) in row.iter().zip(means).zip(sums) {
                let miss = x - *mean;
                *mean += miss / self.count;
                *squares += miss * (x - *mean);
            }
        }
    }

    /// Standard deviations, drawn a little towards `before`: 1 x d, or chains x d.
    pub(super) fn scale(&self, before: &Array2<f64>) -> Array2<f64> {
        let n = self.count;
        let mut scale = before.clone();
        for (scale, squares) in scale.iter_mut().zip(&self.squares) {
            let variance = squares / (n - 1.0).max(1.0);
            *scale = (n / (n + 5.0) * variance + 5.0 / (n + 5.0) * 1e-3 * *scale * *scale).sqrt();
        }
        scale
    }
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
        let mut variance = ColumnVariance::new(2, 0);
        variance.add(array![[1.0, 0.0], [3.0, 0.0]].view());
        variance.add(array![[5.0, 6.0]].view());
        let found = variance.scale(&array![[2.0, 1.0]]);
        let expected = [
            (3.0 / 8.0 * 4.0 + 5.0 / 8.0 * 4e-3f64).sqrt(),
            (3.0 / 8.0 * 12.0 + 5.0 / 8.0 * 1e-3f64).sqrt(),
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        }
    }

    /// Of each chain by itself: what it would be alone.
    #[test]
    fn spreads_of_chains_apart_are_those_of_each() {
        let steps = [array![[1.0, 5.0], [0.0, 7.0]], array![[3.0, 5.5], [9.0, -7.0]]];
        let (mut apart, before) = (ColumnVariance::new(2, 2), array![[2.0, 1.0], [0.5, 3.0]]);
        steps.iter().for_each(|x| apart.add(x.view()));
        let found = apart.scale(&before);
        for chain in 0..2 {
            let mut alone = ColumnVariance::new(2, 0);
            let one = |x: &Array2<f64>| x.slice(ndarray::s![chain..chain + 1, ..]).to_owned();
            steps.iter().for_each(|x| alone.add(one(x).view()));
            assert_eq!(alone.scale(&one(&before)), one(&found));
        }
    }
}
