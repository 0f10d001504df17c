//! The innermost loop of the matrix product: one tile of C, held in registers.

use pulp::Simd;

use crate::lanes::Lanes;

/// Where a tile's operands lie. The strides count elements.
#[derive(Clone, Copy)]
pub(crate) struct Operands<T> {
    /// Common length of the rows of A and the columns of B.
    pub(crate) inner: usize,
    /// A, whose element (i, p) is at `i * a_rows + p * a_cols`.
    pub(crate) a: *const T,
    pub(crate) a_rows: usize,
    pub(crate) a_cols: usize,
    /// B, whose element (p, j) is at `p * b_rows + j`.
    pub(crate) b: *const T,
    pub(crate) b_rows: usize,
}

/// Writes (or, with `accumulate`, adds) A B to the ROWS x (VECTORS * lanes) tile at `c`.
///
/// Elements of A are broadcast where they lie and B comes in whole vectors, so A needs no packing.
/// ROWS * VECTORS sums stay in registers for the whole of `inner`.
///
/// # Safety
/// All elements named by `o` must be readable, and `VECTORS * lanes` elements in each of ROWS
/// rows of `c`, `c_rows` apart, writable and not read through `o`.
#[allow(unsafe_code)]
#[inline(always)]
pub(crate) unsafe fn tile<T: Lanes, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    zero: T,
    o: Operands<T>,
    c: *mut T,
    c_rows: usize,
    accumulate: bool,
) {
    let lanes = T::count::<S>();
    let mut sums = [[T::splat(simd, zero); VECTORS]; ROWS];
    // SAFETY: the caller's promise; p < inner, i < ROWS, j < VECTORS throughout.
    unsafe {
        let (mut a, mut b) = (o.a, o.b);
        for _ in 0..o.inner {
            let mut row = [T::splat(simd, zero); VECTORS];
            for (j, vector) in row.iter_mut().enumerate() {
                *vector = b.add(j * lanes).cast::<T::Vector<S>>().read_unaligned();
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let factor = T::splat(simd, *a.add(i * o.a_rows));
                for (sum, vector) in sums.iter_mut().zip(row) {
                    *sum = T::fused(simd, factor, vector, *sum);
                }
            }
            a = a.wrapping_add(o.a_cols);
            b = b.wrapping_add(o.b_rows);
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (j, sum) in sums.into_iter().enumerate() {
                let at = c.add(i * c_rows + j * lanes).cast::<T::Vector<S>>();
                let sum = if accumulate { T::sum(simd, at.read_unaligned(), sum) } else { sum };
                at.write_unaligned(sum);
            }
        }
    }
}
