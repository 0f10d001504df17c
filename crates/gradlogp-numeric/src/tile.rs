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
    // Loops over an index, not over iterators: incremental builds do not inline these early enough to
    // keep `sums` in registers.
    // SAFETY: the caller's promise; p < inner, i < ROWS, j < VECTORS throughout.
    unsafe {
        let (mut a, mut b) = (o.a, o.b);
        let mut p = 0;
        while p < o.inner {
            let mut row = [T::splat(simd, zero); VECTORS];
            let mut j = 0;
            while j < VECTORS {
                row[j] = b.add(j * lanes).cast::<T::Vector<S>>().read_unaligned();
                j += 1;
            }
            let mut i = 0;
            while i < ROWS {
                let factor = T::splat(simd, *a.add(i * o.a_rows));
                let mut j = 0;
                while j < VECTORS {
                    sums[i][j] = T::fused(simd, factor, row[j], sums[i][j]);
                    j += 1;
                }
                i += 1;
            }
            a = a.wrapping_add(o.a_cols);
            b = b.wrapping_add(o.b_rows);
            p += 1;
        }
        let mut i = 0;
        while i < ROWS {
            let mut j = 0;
            while j < VECTORS {
                let at = c.add(i * c_rows + j * lanes).cast::<T::Vector<S>>();
                let sum = sums[i][j];
                let sum = if accumulate { T::sum(simd, at.read_unaligned(), sum) } else { sum };
                at.write_unaligned(sum);
                j += 1;
            }
            i += 1;
        }
    }
}
