//! Loops over plain vectors.

use crate::Real;
use crate::loops::Loops;

/// y += x.
pub fn add_assign<T: Real>(y: &mut [T], x: &[T]) {
    <T as Loops>::add_assign(y, x);
}

/// y += a x.
pub fn axpy<T: Real>(y: &mut [T], a: T, x: &[T]) {
    <T as Loops>::axpy(y, a, x);
}

/// y += factor a * b, elementwise, as (factor a_i) b_i + y_i with one rounding of the sum.
pub fn add_product<T: Real>(y: &mut [T], factor: T, a: &[T], b: &[T]) {
    <T as Loops>::add_product(y, factor, a, b);
}

/// Sum of x_i y_i. Sixteen partial sums, in an order that does not depend on the machine.
pub fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    <T as Loops>::dot(x, y)
}

/// out = rows of `matrix`, each times `factors`, elementwise.
pub fn scale_rows<T: Real>(out: &mut [T], matrix: &[T], factors: &[T]) {
    <T as Loops>::scale_rows(out, matrix, factors);
}

/// out = rows of `matrix`, row i times `factors[i]`.
pub fn scale_each_row<T: Real>(out: &mut [T], matrix: &[T], factors: &[T]) {
    <T as Loops>::scale_each_row(out, matrix, factors);
}

/// out_i = x_i . y_i over the rows of two row-major matrices. Sixteen partial sums each.
pub fn row_dots<T: Real>(out: &mut [T], x: &[T], y: &[T], width: usize) {
    <T as Loops>::row_dots(out, x, y, width);
}

/// out = the sum of the rows of a row-major matrix, added to out.
pub fn add_row_sums<T: Real>(out: &mut [T], matrix: &[T]) {
    <T as Loops>::add_row_sums(out, matrix);
}

/// Adds `row` to every row of a row-major matrix.
pub fn add_to_rows<T: Real>(matrix: &mut [T], row: &[T]) {
    <T as Loops>::add_to_rows(matrix, row);
}

/// What `instances.rs` compiles for each scalar type.
pub(crate) mod generic {
    use crate::Real;
    use crate::simd::dispatch;

    /// y += x.
    pub(crate) fn add_assign<T: Real>(y: &mut [T], x: &[T]) {
        dispatch(
            #[inline(always)]
            || y.iter_mut().zip(x).for_each(|(y, x)| *y += *x),
        )
    }

    /// y += a x.
    pub(crate) fn axpy<T: Real>(y: &mut [T], a: T, x: &[T]) {
        dispatch(
            #[inline(always)]
            || y.iter_mut().zip(x).for_each(|(y, x)| *y = a.mul_add(*x, *y)),
        )
    }

    /// y += factor a * b, elementwise.
    pub(crate) fn add_product<T: Real>(y: &mut [T], factor: T, a: &[T], b: &[T]) {
        dispatch(
            #[inline(always)]
            || {
                for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                    *y = (factor * *a).mul_add(*b, *y);
                }
            },
        )
    }

    /// Sum of x_i y_i. Sixteen partial sums, in an order that does not depend on the machine.
    pub(crate) fn dot<T: Real>(x: &[T], y: &[T]) -> T {
        dispatch(
            #[inline(always)]
            || dot_inline(x, y),
        )
    }

    #[inline(always)]
    fn dot_inline<T: Real>(x: &[T], y: &[T]) -> T {
        const LANES: usize = 16;
        let mut sums = [T::ZERO; LANES];
        let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
        let mut rest = T::ZERO;
        for (x, y) in xs.remainder().iter().zip(ys.remainder()) {
            rest = x.mul_add(*y, rest);
        }
        for (x, y) in xs.zip(ys) {
            for k in 0..LANES {
                sums[k] = x[k].mul_add(y[k], sums[k]);
            }
        }
        for part in sums {
            rest += part;
        }
        rest
    }

    /// out = rows of `matrix`, each times `factors`, elementwise.
    pub(crate) fn scale_rows<T: Real>(out: &mut [T], matrix: &[T], factors: &[T]) {
        let width = factors.len();
        dispatch(
            #[inline(always)]
            || {
                for (out, row) in out.chunks_exact_mut(width).zip(matrix.chunks_exact(width)) {
                    for j in 0..width {
                        out[j] = row[j] * factors[j];
                    }
                }
            },
        )
    }

    /// out = rows of `matrix`, row i times `factors[i]`.
    pub(crate) fn scale_each_row<T: Real>(out: &mut [T], matrix: &[T], factors: &[T]) {
        let width = matrix.len() / factors.len().max(1);
        if width == 0 {
            return;
        }
        dispatch(
            #[inline(always)]
            || {
                let rows = out.chunks_exact_mut(width).zip(matrix.chunks_exact(width));
                for ((out, row), factor) in rows.zip(factors) {
                    for j in 0..width {
                        out[j] = row[j] * *factor;
                    }
                }
            },
        )
    }

    /// out_i = x_i . y_i over the rows of two row-major matrices. Sixteen partial sums each.
    pub(crate) fn row_dots<T: Real>(out: &mut [T], x: &[T], y: &[T], width: usize) {
        dispatch(
            #[inline(always)]
            || {
                // Loops and not closures: only what is inlined here is compiled for the instruction set.
                let rows = x.chunks_exact(width).zip(y.chunks_exact(width));
                for (o, (x, y)) in out.iter_mut().zip(rows) {
                    *o = dot_inline(x, y);
                }
            },
        )
    }

    /// out = the sum of the rows of a row-major matrix, added to out.
    pub(crate) fn add_row_sums<T: Real>(out: &mut [T], matrix: &[T]) {
        dispatch(
            #[inline(always)]
            || {
                for row in matrix.chunks_exact(out.len()) {
                    out.iter_mut().zip(row).for_each(|(o, x)| *o += *x);
                }
            },
        )
    }

    /// Adds `row` to every row of a row-major matrix.
    pub(crate) fn add_to_rows<T: Real>(matrix: &mut [T], row: &[T]) {
        dispatch(
            #[inline(always)]
            || {
                for target in matrix.chunks_exact_mut(row.len()) {
                    target.iter_mut().zip(row).for_each(|(t, x)| *t += *x);
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_covers_blocks_and_tail() {
        let x: Vec<f64> = (1..=37).map(f64::from).collect();
        // 1^2 + ... + 37^2 = 37 * 38 * 75 / 6.
        assert_eq!(dot(&x, &x), 17575.0);
    }

    #[test]
    fn rows_scaled_and_multiplied() {
        let mut out = [0.0; 4];
        scale_rows(&mut out, &[1.0, 2.0, 3.0, 4.0], &[10.0, -1.0]);
        assert_eq!(out, [10.0, -2.0, 30.0, -4.0]);
        let mut each = [0.0; 4];
        scale_each_row(&mut each, &[1.0, 2.0, 3.0, 4.0], &[10.0, -1.0]);
        assert_eq!(each, [10.0, 20.0, -3.0, -4.0]);
        let mut dots = [0.0; 2];
        row_dots(&mut dots, &[1.0, 2.0, 3.0, 4.0], &out, 2);
        assert_eq!(dots, [6.0, 74.0]);
    }

    #[test]
    fn row_sums_add_to_what_is_there() {
        let mut out = [1.0, 1.0];
        add_row_sums(&mut out, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(out, [5.0, 7.0]);
    }
}
