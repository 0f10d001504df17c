//! The ways to projections, curvature and score of a row, and back: jets, finite differences of values, and
//! the second backward sweeps of two older estimates. Any of the three runs any objective that it is for.

mod covectors;
mod differences;
mod jet;
mod second_sweep;

pub(in crate::model) use second_sweep::check;

use super::ModelKind;
use super::tile::Tile;
use crate::graph::Graph;
use crate::objective::{Objective, RowLoss};
use gradlogp_numeric::Real;

/// A graph and its parameters.
#[derive(Clone, Copy)]
pub(super) struct Network<'a, T> {
    pub(super) graph: &'a Graph,
    pub(super) parameters: &'a [T],
}

/// Where `weight` times the gradient of the sum of the rows' losses is added.
pub(super) struct GradientOf<'a, T> {
    pub(super) sum: &'a mut [T],
    pub(super) weight: T,
}

/// One objective on one graph, tile by tile, in kept buffers.
pub(super) trait Route<T: Real>: Send + Sync {
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

    /// Writes the losses of the rows of a tile, without their weights, over zeros, and, where asked, adds the gradient of
    /// their weighted sum.
    fn run(
        &mut self,
        network: Network<'_, T>,
        tile: Tile<'_, T>,
        losses: &mut [T],
        gradient: Option<GradientOf<'_, T>>,
    );
}

/// The way that an objective takes on a model; `bounded` where rows will come with weights of a domain.
pub(super) fn plan<T: Real>(
    kind: ModelKind,
    graph: &Graph,
    objective: &Objective,
    bounded: bool,
) -> Box<dyn Route<T>> {
    let rule = objective.row_loss(kind == ModelKind::Score);
    if let Some(sweep) = objective.second_sweep() {
        return Box::new(second_sweep::SecondSweepRoute::new(graph, rule, sweep));
    }
    match objective.differences() {
        Some(differences) => {
            Box::new(differences::DifferenceRoute::new(kind, graph, rule, differences))
        }
        None => by_jets(kind, graph, rule, *objective == Objective::Exact, bounded),
    }
}

/// Any losses of rows, by jets; `exact` where they are those of the exact loss.
pub(super) fn by_jets<T: Real>(
    kind: ModelKind,
    graph: &Graph,
    rule: Box<dyn RowLoss<T>>,
    exact: bool,
    bounded: bool,
) -> Box<dyn Route<T>> {
    Box::new(jet::JetRoute::new(kind, graph, rule, exact, bounded))
}
