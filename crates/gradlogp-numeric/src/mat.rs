//! Views of matrices: what a product reads and writes.

use std::ops::Range;

/// A read-only matrix: element (i, j) is at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub struct Mat<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

/// A writable row-major matrix.
pub struct MatMut<'a, T> {
    pub(crate) data: &'a mut [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Row-major view of the first `rows * cols` elements.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Mat { data: &data[..rows * cols], rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// Some columns.
    pub fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.end <= self.cols, "columns of a smaller matrix");
        Mat { data: &self.data[columns.start * self.col_stride..], cols: columns.len(), ..self }
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Mat {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

impl<'a, T> MatMut<'a, T> {
    /// Row-major view of the first `rows * cols` elements.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        MatMut { data: &mut data[..rows * cols], rows, cols, row_stride: cols }
    }

    /// Some rows and columns.
    pub fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.cols, "part of a smaller matrix");
        // A part without elements may begin behind the last one.
        let start = (rows.start * self.row_stride + columns.start).min(self.data.len());
        MatMut {
            data: &mut self.data[start..],
            rows: rows.len(),
            cols: columns.len(),
            row_stride: self.row_stride,
        }
    }
}
