//! Loops over rows.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Axis};

/// log(2 pi), the constant of every Gaussian.
pub(super) const LN_2PI: f64 = 1.837_877_066_409_345_3;

/// One number per row.
pub(super) fn map_rows(
    x: ArrayView2<'_, f64>,
    mut value: impl FnMut(ArrayView1<'_, f64>) -> f64,
) -> Array1<f64> {
    x.outer_iter().map(&mut value).collect()
}

/// One row per row, written in place.
pub(super) fn map_rows_into(
    x: ArrayView2<'_, f64>,
    mut fill: impl FnMut(ArrayView1<'_, f64>, ArrayViewMut1<'_, f64>),
) -> Array2<f64> {
    let mut out = Array2::zeros(x.dim());
    for (row, into) in x.axis_iter(Axis(0)).zip(out.axis_iter_mut(Axis(0))) {
        fill(row, into);
    }
    out
}
