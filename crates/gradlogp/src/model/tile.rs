//! The rows that a loss pass takes at once.

use gradlogp_numeric::Real;

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
    /// Derivatives of the weights, n x d; empty without a domain.
    pub weight_derivatives: &'a [T],
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
