//! The rows that a loss pass takes at once.

use gradlogp_numeric::Real;

/// What comes with rows beside the objective's own terms, which a pass has to know before it sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// Weights of a domain with a boundary, and their derivatives.
    Weights,
    /// The score g of a base that the model's s adds to: J(g + s) = J(g) + J(s) + E[g.s].
    Base,
}

/// Some rows of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Tile<'a, T> {
    /// Number of rows n.
    pub rows: usize,
    /// x, n x d.
    pub x: &'a [T],
    /// Contexts by slot.
    pub contexts: &'a [&'a [T]],
    /// Random slices, \[M, n, [`super::LossPass::slice_width`]\], for objectives that use them.
    pub slices: &'a [T],
    /// Standard normal noise, n x d, for objectives that use it; or the scores to fit to.
    pub noise: &'a [T],
    /// Factors of the rows' losses, n; empty for 1.
    pub weights: &'a [T],
    /// Square roots of the weights on a bounded domain, n x d; empty without one.
    pub roots: &'a [T],
    /// d of a term d.s of the loss, n x d: derivatives of the weights on a domain, or the score of a base that the model's
    /// adds to; empty without either.
    pub linear: &'a [T],
}

impl<T: Real> Tile<'_, T> {
    pub(super) fn weight(&self, row: usize) -> T {
        self.weights.get(row).copied().unwrap_or(T::ONE)
    }
}

impl<'a, T> Tile<'a, T> {
    /// Row `r` of n x `width` numbers; empty where there are none.
    pub(super) fn row(data: &'a [T], r: usize, width: usize) -> &'a [T] {
        data.get(r * width..(r + 1) * width).unwrap_or(&[])
    }
}
