//! Matrix products on strided views, by the `gemm` crate.

use super::Real;

/// A read-only matrix: element (i, j) is at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A writable row-major matrix.
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Row-major view of the first `rows * cols` elements.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Mat { data: &data[..rows * cols], rows, cols, row_stride: cols, col_stride: 1 }
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
        MatMut { data: &mut data[..rows * cols], rows, cols }
    }
}

/// C = A B, or C += A B where `accumulate`. Single-threaded: callers parallelise over rows.
///
/// # Panics
/// When the shapes do not fit, which is a bug of the caller.
#[allow(unsafe_code)]
pub fn matmul<T: Real>(c: MatMut<'_, T>, a: Mat<'_, T>, b: Mat<'_, T>, accumulate: bool) {
    assert!(
        a.cols == b.rows && c.rows == a.rows && c.cols == b.cols,
        "matmul: ({}, {}) * ({}, {}) into ({}, {})",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        c.rows,
        c.cols
    );
    // SAFETY: every view's constructor checked that rows * cols elements exist behind its pointer,
    // its strides address only those, and `c` is a unique borrow.
    unsafe {
        gemm::gemm(
            c.rows,
            c.cols,
            a.cols,
            c.data.as_mut_ptr(),
            1,
            c.cols as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_orientations() {
        // A = [[1, 2, 3], [4, 5, 6]], B = [[1, 0], [2, 1], [0, 3]]: A B = [[5, 11], [14, 23]].
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 2.0, 1.0, 0.0, 3.0];
        let mut c = [100.0; 4];
        matmul(MatMut::new(&mut c, 2, 2), Mat::new(&a, 2, 3), Mat::new(&b, 3, 2), false);
        assert_eq!(c, [5.0, 11.0, 14.0, 23.0]);
        // B^T A^T = (A B)^T, added.
        matmul(MatMut::new(&mut c, 2, 2), Mat::new(&b, 3, 2).t(), Mat::new(&a, 2, 3).t(), true);
        assert_eq!(c, [10.0, 25.0, 25.0, 46.0]);
    }
}
