//! Where the coefficients of an activation's input and output lie.

/// Elements handled at once: a few vector registers, small enough for scratch in the first cache.
pub(super) const CHUNK: usize = 64;

/// Where the coefficients of an activation's input and output lie.
///
/// Output (and an input whose first order is not shared) is stacked \[value | first order, one block
/// per direction | second order\], each block `rows * width` long. A shared first order is one row
/// of `width` per direction, the same for every data row.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Data rows.
    pub rows: usize,
    /// Elements per row.
    pub width: usize,
    /// First-order directions; 0 where the input has no first order.
    pub directions: usize,
    /// The first `curved` of them enter the second order.
    pub curved: usize,
    /// The input's first order is shared by all rows.
    pub shared: bool,
    /// The input has a second order.
    pub input_second: bool,
    /// Beside the directions, squares summed elsewhere enter the second order.
    pub squares: Squares,
}

/// Where the sums over directions of squared first orders lie that do not come from the directions
/// themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squares {
    /// There are none.
    None,
    /// One row, the same for all data rows.
    Shared,
    /// One per element of the value block.
    PerRow,
}

/// One run of up to [`CHUNK`] consecutive elements of the value block.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// First element, in the value block.
    pub(super) start: usize,
    /// Where the input's first order along direction 0 starts for these elements.
    pub(super) first: usize,
    pub(super) len: usize,
}

impl Layout {
    pub(super) fn block(&self) -> usize {
        self.rows * self.width
    }
    /// Distance between the input's first-order coefficients along consecutive directions.
    pub(super) fn input_stride(&self) -> usize {
        if self.shared { self.width } else { self.block() }
    }
    pub(super) fn input_second_start(&self) -> usize {
        self.block() + self.directions * self.input_stride()
    }
    /// Whether the output has a second order of its own making.
    pub(super) fn has_second(&self) -> bool {
        self.curved > 0 || self.squares != Squares::None
    }
    /// Where the squares of a span start.
    pub(super) fn squares_start(&self, span: Span) -> usize {
        if self.squares == Squares::Shared { span.start % self.width } else { span.start }
    }
    pub(super) fn output_second_start(&self) -> usize {
        self.block() * (1 + self.directions)
    }

    /// Calls `f` on all spans, full ones with the constant length so that its loops unroll.
    #[inline(always)]
    pub(super) fn for_each_span(&self, mut f: impl FnMut(Span)) {
        let block = self.block();
        // A shared row is indexed by column, so spans must not cross rows.
        let by_row = self.shared || self.squares == Squares::Shared;
        let (runs, length) = if by_row { (self.rows, self.width) } else { (1, block) };
        for run in 0..runs {
            let base = run * length;
            let first = |offset: usize| block + if self.shared { offset } else { base + offset };
            let mut offset = 0;
            while offset + CHUNK <= length {
                f(Span { start: base + offset, first: first(offset), len: CHUNK });
                offset += CHUNK;
            }
            if offset < length {
                f(Span { start: base + offset, first: first(offset), len: length - offset });
            }
        }
    }
}

/// Buffers of one forward call.
pub struct Forward<'a, T> {
    /// The input's coefficients.
    pub input: &'a [T],
    /// Receives the output's coefficients.
    pub output: &'a mut [T],
    /// Receives the number that makes derivatives cheap, one per element of the value block.
    pub saved: &'a mut [T],
    /// As [`Layout::squares`] says; else empty.
    pub squares: &'a [T],
    /// Receives h'(a0), unless empty.
    pub derivative: &'a mut [T],
}

/// Buffers of one adjoint call.
pub struct Adjoint<'a, T> {
    /// The input's coefficients.
    pub input: &'a [T],
    /// The output's coefficients.
    pub output: &'a [T],
    /// What [`forward`](super::forward) saved.
    pub saved: &'a [T],
    /// In: adjoint of the output. Out: adjoint of the input, in the same places, except for a
    /// shared first order, which goes to `shared_bar`.
    pub bar: &'a mut [T],
    /// Where the adjoint of a shared first order is added: `directions * width`.
    pub shared_bar: &'a mut [T],
    /// As [`Layout::squares`] says; else empty.
    pub squares: &'a [T],
    /// Where their adjoint is written (one per row), or added (shared); empty if there are none.
    pub squares_bar: &'a mut [T],
    /// The adjoint of h'(a0), one per element of the value block, unless empty.
    pub derivative_bar: &'a [T],
}
