//! Small summaries that decide what a figure shows: ranges, quantiles, distances.

use gradlogp::diagnose::ks_distance;
use ndarray::{Array2, ArrayView1, ArrayView2};

/// Most points of one scatter plot.
pub(super) const MOST_POINTS: usize = 1500;

/// Beyond this, differences and squares overflow; such values are left out of figures.
const LARGEST: f64 = 1e150;

/// Whether a value can be drawn.
pub(super) fn is_usable(v: f64) -> bool {
    v.abs() < LARGEST
}

/// The values that can be drawn, in their order.
pub(super) fn usable(values: ArrayView1<'_, f64>) -> Vec<f64> {
    values.iter().copied().filter(|&v| is_usable(v)).collect()
}

/// A sorted copy. The values must be finite.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    gradlogp::stats::sorted(values.iter().copied())
}

/// The q-quantile of sorted values by linear interpolation; None for an empty slice.
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    gradlogp::stats::quantile(sorted, q)
}

/// Least and greatest value after widening a range without width, so that lo < hi always.
pub(super) fn widen(lo: f64, hi: f64) -> (f64, f64) {
    let size = lo.abs().max(hi.abs());
    if hi - lo > 1e-13 * size && hi - lo > 1e-140 {
        return (lo, hi);
    }
    let half = if size > 1e-140 { 0.1 * size } else { 1.0 };
    (0.5 * (lo + hi) - half, 0.5 * (lo + hi) + half)
}

/// A range that shows the bulk: all values, unless a few lie far out (by more than half the width of
/// the middle 99%).
/// (0, 1) if there are none.
pub(super) fn robust_range(values: &[f64]) -> (f64, f64) {
    let values = sorted(values);
    let at = |q| quantile(&values, q);
    let (Some(lo), Some(hi), Some(a), Some(b)) = (at(0.0), at(1.0), at(0.005), at(0.995)) else {
        return (0.0, 1.0);
    };
    let bulk = b - a;
    if bulk <= 0.0 { widen(lo, hi) } else { widen(lo.max(a - 0.5 * bulk), hi.min(b + 0.5 * bulk)) }
}

/// The data's [`robust_range`], extended towards the bulk of the samples by at most 60% of its
/// width on each side, so that a diverged sampler cannot flatten the picture; 4% margin.
pub(super) fn joint_range(data: &[f64], samples: &[f64]) -> (f64, f64) {
    if data.is_empty() {
        return robust_range(samples);
    }
    let (mut lo, mut hi) = robust_range(data);
    let width = hi - lo;
    let samples = sorted(samples);
    if let (Some(a), Some(b)) = (quantile(&samples, 0.005), quantile(&samples, 0.995)) {
        (lo, hi) = (lo.min(a).max(lo - 0.6 * width), hi.max(b).min(hi + 0.6 * width));
    }
    let margin = 0.04 * (hi - lo);
    (lo - margin, hi + margin)
}

/// Mean and standard deviation (n - 1); NaN where they do not exist.
pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    (mean, if n > 1.0 { (square / (n - 1.0)).sqrt() } else { f64::NAN })
}

/// At most `most` rows at even distances, always the same ones.
pub(super) fn thin(rows: ArrayView2<'_, f64>, most: usize) -> Array2<f64> {
    let n = rows.nrows();
    let keep = n.min(most);
    let index: Vec<usize> = (0..keep).map(|k| k * n / keep).collect();
    rows.select(ndarray::Axis(0), &index)
}

/// For each column the distance between data and samples; empty without samples.
pub(super) fn column_distances(
    data: ArrayView2<'_, f64>,
    samples: Option<ArrayView2<'_, f64>>,
) -> Vec<f64> {
    let Some(samples) = samples else { return Vec::new() };
    (0..data.ncols())
        .map(|j| ks_distance(&usable(data.column(j)), &usable(samples.column(j))))
        .collect()
}

/// Which of `count` columns to show when only `most` fit: those with the largest distances (the
/// first ones without distances), in table order.
pub(super) fn choose_columns(count: usize, distances: &[f64], most: usize) -> Vec<usize> {
    let mut index: Vec<usize> = (0..count).collect();
    if count > most && distances.len() == count {
        let rank = |j: usize| if distances[j].is_nan() { f64::INFINITY } else { distances[j] };
        index.sort_by(|&i, &j| rank(j).total_cmp(&rank(i)));
    }
    index.truncate(most);
    index.sort_unstable();
    index
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        let values = [0.0, 1.0, 2.0, 10.0];
        assert_eq!(quantile(&values, 0.5), Some(1.5));
        assert_eq!(quantile(&values, 1.0), Some(10.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_diverged_sampler_does_not_flatten_the_picture() {
        let data: Vec<f64> = (0..100).map(f64::from).collect();
        let (lo, hi) = joint_range(&data, &[1e9; 50]);
        assert!(lo < 0.0 && lo > -20.0 && hi > 99.0 && hi < 200.0, "{lo} {hi}");
    }

    #[test]
    fn one_outlier_does_not_set_the_range() {
        let mut data: Vec<f64> = (0..1000).map(f64::from).collect();
        data.push(1e7);
        let (lo, hi) = robust_range(&data);
        assert!(lo == 0.0 && hi > 999.0 && hi < 4000.0, "{lo} {hi}");
    }

    #[test]
    fn constant_columns_get_a_width() {
        for v in [0.0, 5.0, -1e12, 1e-200] {
            let (lo, hi) = robust_range(&[v; 4]);
            assert!(lo < v && v < hi, "{v}: {lo} {hi}");
        }
        let (lo, hi) = robust_range(&[]);
        assert!(lo < hi);
    }

    #[test]
    fn the_worst_columns_are_chosen_and_stay_in_order() {
        assert_eq!(choose_columns(4, &[0.1, 0.9, 0.2, 0.8], 2), [1, 3]);
        assert_eq!(choose_columns(4, &[], 2), [0, 1]);
        assert_eq!(choose_columns(2, &[0.1, 0.9], 6), [0, 1]);
    }

    #[test]
    fn thinning_keeps_the_first_row_and_the_count() {
        let rows = array![[0.0], [1.0], [2.0], [3.0], [4.0]];
        assert_eq!(thin(rows.view(), 2).column(0).to_vec(), [0.0, 2.0]);
        assert_eq!(thin(rows.view(), 9).nrows(), 5);
        assert_eq!(thin(Array2::zeros((0, 3)).view(), 9).nrows(), 0);
    }
}
