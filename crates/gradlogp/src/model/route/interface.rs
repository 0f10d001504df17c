//! The interface of all routes.

use crate::graph::Graph;
use crate::model::tile::Tile;
use crate::objective::RowLoss;
use gradlogp_numeric::Real;

/// A graph and its parameters.
#[derive(Clone, Copy)]
pub(in crate::model) struct Network<'a, T> {
    pub(in crate::model) graph: &'a Graph,
    pub(in crate::model) parameters: &'a [T],
}

/// Where `weight` times the gradient of the sum of the rows' losses is added.
pub(in crate::model) struct GradientOf<'a, T> {
    pub(in crate::model) sum: &'a mut [T],
    pub(in crate::model) weight: T,
}

/// One objective on one graph, tile by tile, in kept buffers.
pub(in crate::model) trait Route<T: Real>: Send + Sync {
    /// The losses of rows.
    fn rule(&self) -> &dyn RowLoss<T>;

    /// Random slices to draw for every row.
    fn slices(&self) -> usize;

    /// Numbers of one slice.
    fn slice_width(&self) -> usize;

    /// Rows of working space per data row in the widest pass, mostly coefficients.
    fn coefficients(&self) -> usize;

    /// Called before the first of a set of tiles with the same parameters. Where their gradient will be taken, it is
    /// formed anew: what it holds is overwritten.
    fn begin(&mut self, network: Network<'_, T>, gradient: Option<&mut [T]>);

    /// Called after the last tile of a set whose gradient was taken: adds what they share.
    fn end(&mut self, network: Network<'_, T>, gradient: &mut [T]);

    /// Floating-point operations in the matrix products of one loss and gradient over `rows` rows.
    fn product_operations(&self, graph: &Graph, rows: usize) -> u64;

    /// The same of [`Route::begin`] and [`Route::end`].
    fn shared_operations(&self, graph: &Graph) -> u64;

    /// Bytes held at present.
    fn bytes(&self) -> usize;

    /// Writes the losses of the rows of a tile, without their weights, over zeros, and, where asked, adds the
    /// gradient of their weighted sum.
    fn run(
        &mut self,
        network: Network<'_, T>,
        tile: Tile<'_, T>,
        losses: &mut [T],
        gradient: Option<GradientOf<'_, T>>,
    );
}
