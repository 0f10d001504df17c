//! Copies of operands in the order in which the tiles read them.

use std::ops::Range;

use crate::Real;
use crate::mat::Mat;

/// Rows `rows` of A, columns `inner`, as panels of HEIGHT rows, each panel column by column.
///
/// For an A whose columns are contiguous (`row_stride` 1).
#[inline(always)]
pub(crate) fn columns_of_a<T: Real, const HEIGHT: usize>(
    out: &mut [T],
    a: Mat<'_, T>,
    rows: Range<usize>,
    inner: Range<usize>,
) {
    let panel = HEIGHT * inner.len();
    for (at, p) in inner.enumerate() {
        let column = &a.data[p * a.col_stride + rows.start..][..rows.len()];
        let mut start = at * HEIGHT;
        let mut parts = column.chunks_exact(HEIGHT);
        for part in &mut parts {
            // Of known length: moves, not a call.
            out[start..start + HEIGHT].copy_from_slice(part);
            start += panel;
        }
        let rest = parts.remainder();
        if !rest.is_empty() {
            out[start..start + rest.len()].copy_from_slice(rest);
        }
    }
}

/// The same rows and columns of an A whose rows are contiguous, as rows `stride` apart.
#[inline(always)]
pub(crate) fn rows_of_a<T: Real>(
    out: &mut [T],
    a: Mat<'_, T>,
    rows: Range<usize>,
    inner: Range<usize>,
    stride: usize,
) {
    for (out, i) in out.chunks_mut(stride).zip(rows) {
        let row = &a.data[i * a.row_stride..][inner.clone()];
        out[..row.len()].copy_from_slice(row);
    }
}

/// Columns `columns` of B, rows `inner`, as panels of `width` columns, each panel row by row; the last
/// panel is filled up with zeros.
#[inline(always)]
pub(crate) fn panels_of_b<T: Real>(
    out: &mut [T],
    b: Mat<'_, T>,
    inner: Range<usize>,
    columns: Range<usize>,
    width: usize,
) {
    let depth = inner.len();
    let panels = out.chunks_mut(depth * width);
    for (panel, first) in panels.zip(columns.clone().step_by(width)) {
        let columns = first..columns.end.min(first + width);
        if columns.len() < width {
            panel.fill(T::ZERO);
        }
        if b.col_stride == 1 {
            for (out, p) in panel.chunks_mut(width).zip(inner.clone()) {
                let row = &b.data[p * b.row_stride..][columns.clone()];
                if row.len() == width {
                    // Of known length: moves, not a call.
                    out[..width].copy_from_slice(&row[..width]);
                } else {
                    out[..row.len()].copy_from_slice(row);
                }
            }
        } else {
            transposed_panel(panel, b, inner.clone(), columns, width);
        }
    }
}

/// One panel of a B whose columns are not `col_stride` 1, in blocks of 4 x 4 where columns are contiguous.
#[inline(always)]
fn transposed_panel<T: Real>(
    panel: &mut [T],
    b: Mat<'_, T>,
    inner: Range<usize>,
    columns: Range<usize>,
    width: usize,
) {
    let contiguous = b.row_stride == 1;
    for j in (0..columns.len()).step_by(4) {
        let some = 4.min(columns.len() - j);
        let start = (columns.start + j) * b.col_stride;
        let mut p = 0;
        if contiguous && some == 4 {
            while p + 4 <= inner.len() {
                let from = &b.data[start + inner.start + p..];
                T::transpose4(from, b.col_stride, &mut panel[p * width + j..], width);
                p += 4;
            }
        }
        for p in p..inner.len() {
            for k in 0..some {
                let from = start + k * b.col_stride + (inner.start + p) * b.row_stride;
                panel[p * width + j + k] = b.data[from];
            }
        }
    }
}
