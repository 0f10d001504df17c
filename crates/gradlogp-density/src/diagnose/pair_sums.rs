//! Sums over pairs of rows, in tiles: what the kernel Stein discrepancy and the energy distance
//! are made of.
//!
//! For a symmetric K (n x n, never stored) and weight columns w_b (n x B):
//!
//! ```text
//! Q_b = sum_{i,j} w_ib w_jb K_ij
//! ```
//!
//! Memory is that of the weights and of one tile per thread, so n may be 100,000; time is O(n^2 B / 2).
//! Tiles are added in a fixed order: the same rows give the same bits on any number of threads.

use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a tile's side.
const TILE: usize = 256;

/// K at the rows of two ranges: `|first| x |second|`.
pub(super) type Tile<'a> = &'a (dyn Fn(Range<usize>, Range<usize>) -> Array2<f64> + Sync);

/// Q_b for every column of `weights` (n x B): B values.
pub(super) fn quadratic_forms(weights: ArrayView2<'_, f64>, tile: Tile<'_>) -> Array1<f64> {
    let (n, columns) = weights.dim();
    let count = n.div_ceil(TILE);
    let range = |k: usize| k * TILE..((k + 1) * TILE).min(n);
    let rows = |range: Range<usize>| weights.slice_axis(Axis(0), Slice::from(range));
    let parts: Vec<Array1<f64>> = (0..count)
        .into_par_iter()
        .map(|a| {
            let mut sum = Array1::zeros(columns);
            for b in a..count {
                let product = tile(range(a), range(b)).dot(&rows(range(b)));
                // K is symmetric: what lies beside the diagonal counts twice.
                let times = if a == b { 1.0 } else { 2.0 };
                sum.scaled_add(times, &(&product * &rows(range(a))).sum_axis(Axis(0)));
            }
            sum
        })
        .collect();
    parts.into_iter().fold(Array1::zeros(columns), |sum, part| sum + part)
}

/// |x_i - y_j|^2 by rows: n x m.
pub(super) fn squared_distances(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Array2<f64> {
    let norm = |rows: ArrayView2<'_, f64>| rows.map_axis(Axis(1), |r| r.dot(&r));
    let mut out = x.dot(&y.t()) * -2.0;
    out += &norm(x).insert_axis(Axis(1));
    out += &norm(y);
    out.mapv_inplace(|q| q.max(0.0));
    out
}

/// Most rows whose distances are sorted for their median.
const MEDIAN_ROWS: usize = 1000;

/// The median distance between different rows, of at most 1000 of them at even distances: the usual
/// width of a kernel. None where it is 0 or there is no pair.
pub(super) fn median_distance(x: ArrayView2<'_, f64>) -> Option<f64> {
    let keep = x.nrows().min(MEDIAN_ROWS);
    let index: Vec<usize> = (0..keep).map(|k| k * x.nrows() / keep).collect();
    let rows = x.select(Axis(0), &index);
    let squares = squared_distances(rows.view(), rows.view());
    let mut above: Vec<f64> =
        (0..keep).flat_map(|i| (i + 1..keep).map(move |j| (i, j))).map(|at| squares[at]).collect();
    let middle = above.len() / 2;
    if above.is_empty() {
        return None;
    }
    let (_, median, _) = above.select_nth_unstable_by(middle, f64::total_cmp);
    Some(median.sqrt()).filter(|h| *h > 1e-12 && h.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    #[test]
    fn tiles_add_up_to_the_double_sum() {
        let n = 2 * TILE + 37;
        let kernel = |i: usize, j: usize| ((i * j) % 11) as f64 - 0.1 * (i + j) as f64 / n as f64;
        let weights = Array2::from_shape_fn((n, 3), |(i, b)| ((i * (b + 2)) % 5) as f64 - 1.5);
        let tile = |a: Range<usize>, b: Range<usize>| {
            Array2::from_shape_fn((a.len(), b.len()), |(i, j)| kernel(a.start + i, b.start + j))
        };
        let found = quadratic_forms(weights.view(), &tile);
        for b in 0..3 {
            let w = weights.column(b);
            let mut sum = 0.0;
            for i in 0..n {
                for j in 0..n {
                    sum += w[i] * w[j] * kernel(i, j);
                }
            }
            assert!((found[b] - sum).abs() < 1e-9 * sum.abs().max(1.0), "{} {sum}", found[b]);
        }
    }

    #[test]
    fn distances_by_hand() {
        let x = array![[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]];
        let q = squared_distances(x.view(), x.slice(s![1.., ..]));
        assert_eq!(q, array![[25.0, 1.0], [0.0, 18.0], [18.0, 0.0]]);
        // 1, sqrt 18, 5.
        assert_eq!(median_distance(x.view()), Some(18f64.sqrt()));
        assert_eq!(median_distance(array![[1.0], [1.0], [1.0]].view()), None);
        assert_eq!(median_distance(array![[1.0]].view()), None);
    }
}
