//! Matrix products on strided views.
//!
//! Made for the products of a network's layers: a few hundred rows, up to some thousand columns, row-major
//! throughout. At these sizes what costs is not the arithmetic but moving operands to where it happens,
//! so `blocked.rs` copies as little as it can.

use pulp::Arch;

use crate::Real;
use crate::blocked::Product;
pub use crate::mat::{Mat, MatMut};
use crate::narrow::Dots;

/// Fewest columns of C that are computed as tiles where both operands are contiguous along the sum.
const NARROW: usize = 8;

/// C = A B, or C += A B where `accumulate`. Single-threaded: callers parallelise over rows.
///
/// # Panics
/// When the shapes do not fit, which is a bug of the caller.
pub fn matmul<T: Real>(c: MatMut<'_, T>, a: Mat<'_, T>, b: Mat<'_, T>, accumulate: bool) {
    T::matmul(c, a, b, accumulate);
}

/// As [`matmul`], by the instructions of `simd`.
pub(crate) fn generic<T: Real>(
    simd: Arch,
    c: MatMut<'_, T>,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    accumulate: bool,
) {
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
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    let (n, stride) = (c.cols, c.row_stride);
    if a.cols == 0 {
        if !accumulate {
            c.data.chunks_mut(stride).take(c.rows).for_each(|row| row[..n].fill(T::ZERO));
        }
        return;
    }
    if n < NARROW && a.col_stride == 1 && b.row_stride == 1 {
        return simd.dispatch(Dots { c: c.data, c_rows: stride, a, b, accumulate });
    }
    T::scratch().with_borrow_mut(|scratch| {
        // C^T = B^T A^T, where the columns of A make the better vectors.
        let turned = a.row_stride == 1 && n < a.rows && n <= 16;
        let product = if turned {
            Product {
                c: c.data,
                c_rows: 1,
                c_cols: stride,
                a: b.t(),
                b: a.t(),
                accumulate,
                scratch,
            }
        } else {
            Product { c: c.data, c_rows: stride, c_cols: 1, a, b, accumulate, scratch }
        };
        simd.dispatch(product);
    });
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

    /// Every orientation, overwriting and adding, at sizes around all block boundaries, against sums in
    /// f64. Small integers: exact in both precisions, whatever the order.
    fn check<T: Real>(m: usize, k: usize, n: usize) {
        let entry = |i: usize, j: usize, salt: usize| ((i * 7 + j * 13 + salt) % 9) as f64 - 4.0;
        let store = |rows: usize, cols: usize, salt: usize, transposed: bool| -> Vec<T> {
            let (outer, inner) = if transposed { (cols, rows) } else { (rows, cols) };
            let at = |o, i| if transposed { entry(i, o, salt) } else { entry(o, i, salt) };
            (0..outer * inner).map(|q| T::of(at(q / inner, q % inner))).collect()
        };
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let (a, b) = (store(m, k, 1, ta), store(k, n, 5, tb));
            let a_mat = if ta { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
            let b_mat = if tb { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
            let mut c = vec![T::of(3.0); m * n];
            matmul(MatMut::new(&mut c, m, n), a_mat, b_mat, true);
            let mut d = vec![T::of(f64::NAN); m * n];
            matmul(MatMut::new(&mut d, m, n), a_mat, b_mat, false);
            for i in 0..m {
                for j in 0..n {
                    let want: f64 = (0..k).map(|p| entry(i, p, 1) * entry(p, j, 5)).sum();
                    let (c, d) = (c[i * n + j].to_f64(), d[i * n + j].to_f64());
                    assert_eq!((c, d), (want + 3.0, want), "{m} {k} {n} {ta} {tb} at {i} {j}");
                }
            }
        }
    }

    #[test]
    fn products_of_all_sizes() {
        let sizes = [
            (1, 1, 1),
            (1, 7, 33),
            (3, 2, 5),
            (5, 64, 1),
            (13, 3, 16),
            (23, 17, 15),
            (12, 40, 32),
            (50, 33, 129),
            (31, 130, 7),
            (64, 9, 48),
            (7, 401, 35),
        ];
        for (m, k, n) in sizes {
            check::<f32>(m, k, n);
            check::<f64>(m, k, n);
        }
    }

    #[test]
    fn products_with_long_strides() {
        // Rows of A 2048 bytes apart, columns of B beyond one block, A^T with a long stride.
        check::<f32>(245, 512, 131);
        check::<f32>(37, 805, 140);
        check::<f64>(250, 256, 70);
        check::<f32>(513, 30, 66);
    }

    #[test]
    fn parts_of_matrices() {
        // A = [[1, 2, 3], [4, 5, 6]]: its last two columns, times their transpose, into the lower
        // right of a 3 x 3.
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let part = Mat::new(&a, 2, 3).columns(1..3);
        let mut c = [1.0; 9];
        matmul(MatMut::new(&mut c, 3, 3).part(1..3, 1..3), part, part.t(), true);
        assert_eq!(c, [1.0, 1.0, 1.0, 1.0, 14.0, 29.0, 1.0, 29.0, 62.0]);
        // Larger, so that tiles and their edges are met: a block of C = A^T A.
        let (n, w) = (70, 50);
        let a: Vec<f32> = (0..n * w).map(|i| (i % 7) as f32 - 3.0).collect();
        let whole = Mat::new(&a, n, w);
        let (mut c, mut d) = (vec![0.0; w * w], vec![0.0; w * w]);
        matmul(MatMut::new(&mut c, w, w), whole.t(), whole, false);
        let target = MatMut::new(&mut d, w, w).part(3..w, 3..35);
        matmul(target, whole.columns(3..w).t(), whole.columns(3..35), false);
        for (k, (c, d)) in c.into_iter().zip(d).enumerate() {
            let inside = k / w >= 3 && (3..35).contains(&(k % w));
            assert_eq!(d, if inside { c } else { 0.0 }, "{k}");
        }
    }

    #[test]
    fn an_empty_sum_is_zero() {
        let mut c = [1.0f32; 4];
        matmul(MatMut::new(&mut c, 2, 2), Mat::new(&[], 2, 0), Mat::new(&[], 0, 2), true);
        assert_eq!(c, [1.0; 4]);
        matmul(MatMut::new(&mut c, 2, 2), Mat::new(&[], 2, 0), Mat::new(&[], 0, 2), false);
        assert_eq!(c, [0.0; 4]);
    }
}
