//! The loops around the tiles: which part of which operand is in which cache.
//!
//! C is cut into tiles of at most 12 x 2 vectors (6 x 2 where there are only 16 registers). The inner
//! dimension is cut into blocks of [`DEPTH`], of which a few panels of B are packed at a time, since
//! their order in memory is rarely the one in which tiles read them. A is read where it lies, unless
//! its stride is so long that its rows would evict each other from the first-level cache.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::Real;
use crate::mat::Mat;
use crate::pack;
use crate::tile::{Operands, tile};

/// Longest inner dimension of one pass.
const DEPTH: usize = 400;
/// Most rows of A packed at once.
const HEIGHT: usize = 240;
/// Panels of B packed at once.
const PANELS: usize = 4;
/// Bytes between consecutive elements of A from which on it is packed.
const LONG_STRIDE: usize = 1024;
/// Rows of A that are packed lie so many elements further apart than they are long.
const PADDING: usize = 16;

/// C = A B or C += A B, element (i, j) of C at `i * c_rows + j * c_cols`.
pub(crate) struct Product<'a, T> {
    pub(crate) c: &'a mut [T],
    pub(crate) c_rows: usize,
    pub(crate) c_cols: usize,
    pub(crate) a: Mat<'a, T>,
    pub(crate) b: Mat<'a, T>,
    pub(crate) accumulate: bool,
    pub(crate) scratch: &'a mut Vec<T>,
}

impl<T: Real> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.run::<S, 12>(simd);
        } else {
            self.run::<S, 6>(simd);
        }
    }
}

/// How A is handed to the tiles.
#[derive(Clone, Copy, PartialEq)]
enum PackedA {
    /// As it lies.
    No,
    /// Row by row, closer together.
    Rows,
    /// In panels of one tile's height.
    Panels,
}

/// Part of A and B in use, and where B is found.
struct Block<'a, T> {
    rows: Range<usize>,
    inner: Range<usize>,
    columns: Range<usize>,
    packed: PackedA,
    a: &'a [T],
    /// None: B is read where it lies.
    b: Option<&'a [T]>,
    accumulate: bool,
}

impl<T: Real> Product<'_, T> {
    fn packing(&self, width: usize) -> PackedA {
        let (rows, cols) = (self.a.row_stride * size_of::<T>(), self.a.col_stride * size_of::<T>());
        // Packing pays where each element is used often enough.
        if self.b.cols <= 2 * width {
            PackedA::No
        } else if self.a.col_stride == 1 && rows > LONG_STRIDE && rows.is_multiple_of(LONG_STRIDE) {
            PackedA::Rows
        } else if self.a.row_stride == 1 && cols > LONG_STRIDE {
            PackedA::Panels
        } else {
            PackedA::No
        }
    }

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let width = 2 * T::count::<S>();
        let (m, n, k) = (self.a.rows, self.b.cols, self.a.cols);
        let packed = self.packing(width);
        let depth = k.div_ceil(k.div_ceil(DEPTH));
        let height = match packed {
            PackedA::No => m,
            _ => m.div_ceil(m.div_ceil(HEIGHT)).next_multiple_of(ROWS),
        };
        let a_len = if packed == PackedA::No { 0 } else { height * (depth + PADDING) };
        let b_len = depth * width * PANELS.min(n.div_ceil(width));
        let mut scratch = std::mem::take(self.scratch);
        if scratch.len() < a_len + b_len + ROWS * width {
            scratch.resize(a_len + b_len + ROWS * width, T::ZERO);
        }
        let (pack_a, rest) = scratch.split_at_mut(a_len);
        let (pack_b, edge) = rest.split_at_mut(b_len);
        for p in (0..k).step_by(depth) {
            let inner = p..k.min(p + depth);
            for i in (0..m).step_by(height) {
                let rows = i..m.min(i + height);
                match packed {
                    PackedA::No => {}
                    PackedA::Rows => {
                        let stride = inner.len() + PADDING;
                        pack::rows_of_a(pack_a, self.a, rows.clone(), inner.clone(), stride);
                    }
                    PackedA::Panels => {
                        pack::columns_of_a::<_, ROWS>(pack_a, self.a, rows.clone(), inner.clone());
                    }
                }
                for j in (0..n).step_by(PANELS * width) {
                    let columns = j..n.min(j + PANELS * width);
                    let in_place = self.b.col_stride == 1
                        && columns.len().is_multiple_of(width / 2)
                        && rows.len() <= 4 * ROWS;
                    if !in_place {
                        pack::panels_of_b(pack_b, self.b, inner.clone(), columns.clone(), width);
                    }
                    let block = Block {
                        rows: rows.clone(),
                        inner: inner.clone(),
                        columns,
                        packed,
                        a: pack_a,
                        b: if in_place { None } else { Some(pack_b) },
                        accumulate: self.accumulate || p > 0,
                    };
                    self.tiles::<S, ROWS>(simd, &block, edge);
                }
            }
        }
        *self.scratch = scratch;
    }

    /// All tiles of one block, panel by panel.
    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize>(&mut self, simd: S, block: &Block<'_, T>, edge: &mut [T]) {
        let lanes = T::count::<S>();
        let (width, depth) = (2 * lanes, block.inner.len());
        for (panel, j) in block.columns.clone().step_by(width).enumerate() {
            let columns = j..block.columns.end.min(j + width);
            let (b, b_rows) = match block.b {
                None => {
                    (&self.b.data[block.inner.start * self.b.row_stride + j..], self.b.row_stride)
                }
                Some(packed) => (&packed[panel * depth * width..], width),
            };
            let vectors = columns.len().div_ceil(lanes);
            assert!(b.len() >= (depth - 1) * b_rows + vectors * lanes);
            let mut i = 0;
            while i < block.rows.len() {
                let left = block.rows.len() - i;
                let height = [ROWS, 8, 4, 2, 1].into_iter().find(|h| *h <= left.min(ROWS));
                let height = height.unwrap_or(1);
                let (a, a_rows, a_cols) = self.rows_of_a::<ROWS>(block, i);
                assert!(a.len() > (height - 1) * a_rows + (depth - 1) * a_cols);
                let o =
                    Operands { inner: depth, a: a.as_ptr(), a_rows, a_cols, b: b.as_ptr(), b_rows };
                let rows = block.rows.start + i..block.rows.start + i + height;
                self.one_tile::<S, ROWS>(simd, o, rows, columns.clone(), block.accumulate, edge);
                i += height;
            }
        }
    }

    /// A from row `i` of the block on, with its strides.
    #[inline(always)]
    fn rows_of_a<'b, const ROWS: usize>(
        &'b self,
        block: &'b Block<'_, T>,
        i: usize,
    ) -> (&'b [T], usize, usize) {
        let depth = block.inner.len();
        match block.packed {
            PackedA::No => {
                let (rows, cols) = (self.a.row_stride, self.a.col_stride);
                let start = (block.rows.start + i) * rows + block.inner.start * cols;
                (&self.a.data[start..], rows, cols)
            }
            PackedA::Rows => (&block.a[i * (depth + PADDING)..], depth + PADDING, 1),
            PackedA::Panels => {
                let (panel, within) = (i / ROWS, i % ROWS);
                (&block.a[panel * ROWS * depth + within..], 1, ROWS)
            }
        }
    }

    /// One tile: straight into C where it is whole, else by way of `edge`.
    #[allow(unsafe_code, clippy::too_many_arguments)]
    #[inline(always)]
    fn one_tile<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        o: Operands<T>,
        rows: Range<usize>,
        columns: Range<usize>,
        accumulate: bool,
        edge: &mut [T],
    ) {
        let lanes = T::count::<S>();
        let (width, half) = (2 * lanes, columns.len() <= lanes);
        let whole = self.c_cols == 1 && columns.len().is_multiple_of(lanes);
        let (target, stride, add) = if whole {
            let start = rows.start * self.c_rows + columns.start;
            (&mut self.c[start..], self.c_rows, accumulate)
        } else {
            (&mut *edge, width, false)
        };
        assert!(target.len() >= (rows.len() - 1) * stride + columns.len());
        let c = target.as_mut_ptr();
        macro_rules! of {
            ($height:expr) => {
                // SAFETY: the lengths of A, B and C were asserted, here and by the caller; C is a unique
                // borrow.
                unsafe {
                    if half {
                        tile::<T, S, $height, 1>(simd, T::ZERO, o, c, stride, add)
                    } else {
                        tile::<T, S, $height, 2>(simd, T::ZERO, o, c, stride, add)
                    }
                }
            };
        }
        match rows.len() {
            8 => of!(8),
            4 => of!(4),
            2 => of!(2),
            1 => of!(1),
            _ => of!(ROWS),
        }
        if !whole {
            for (row, sums) in rows.zip(edge.chunks(width)) {
                for (j, sum) in columns.clone().zip(sums) {
                    let c = &mut self.c[row * self.c_rows + j * self.c_cols];
                    *c = if accumulate { *c + *sum } else { *sum };
                }
            }
        }
    }
}
