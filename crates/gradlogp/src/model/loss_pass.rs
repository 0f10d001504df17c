//! Computes losses and gradients of one objective on one graph: the meeting of models and objectives, neither of which
//! knows the other. How projections, curvature and score come out of a model is up to a `route`.

use super::route::{self, GradientOf, Network, Route};
use super::tile::{Beside, Tile};
use super::{Model, ModelKind};
use crate::Result;
use crate::graph::Graph;
use crate::objective::{Objective, RowLoss};
use gradlogp_numeric::Real;

/// Computes losses and gradients of one objective on one graph, tile by tile, in kept buffers.
pub struct LossPass<T: Real> {
    route: Box<dyn Route<T>>,
}

impl<T: Real> LossPass<T> {
    /// Refuses models that the objective is not for.
    ///
    /// # Errors
    /// Score fields and networks with products of units, for objectives by a second backward sweep.
    pub fn check(objective: &Objective, model: &Model<T>) -> Result<()> {
        route::check(objective, model)
    }

    /// Plans the passes, for a model that [`LossPass::check`] allows; `beside` is what rows will come with.
    pub fn new(kind: ModelKind, graph: &Graph, objective: &Objective, beside: Beside) -> Self {
        LossPass { route: route::plan(kind, graph, objective, beside) }
    }

    /// The passes of losses of your own, by jets; `beside` as above.
    pub fn with_rule(
        kind: ModelKind,
        graph: &Graph,
        rule: Box<dyn RowLoss<T>>,
        beside: Beside,
    ) -> Self {
        LossPass { route: route::by_jets(kind, graph, rule, false, beside) }
    }

    /// The objective's needs.
    pub fn rule(&self) -> &dyn RowLoss<T> {
        self.route.rule()
    }

    /// Random slices to draw for every row.
    pub fn slices(&self) -> usize {
        self.route.slices()
    }

    /// Numbers of one slice: d, or one per unit that is not linear for curvature propagation.
    pub fn slice_width(&self) -> usize {
        self.route.slice_width()
    }

    /// Rows of working space per data row in the widest pass, mostly coefficients.
    pub fn coefficients(&self) -> usize {
        self.route.coefficients()
    }

    /// To be called before the first of a set of tiles with the same parameters. Where their gradient will be
    /// taken, it is formed anew: what it holds is overwritten.
    pub fn begin(&mut self, graph: &Graph, parameters: &[T], gradient: Option<&mut [T]>) {
        self.route.begin(Network { graph, parameters }, gradient);
    }

    /// To be called after the last tile of a set whose gradient was taken: adds what they share.
    pub fn end(&mut self, graph: &Graph, parameters: &[T], gradient: &mut [T]) {
        self.route.end(Network { graph, parameters }, gradient);
    }

    /// Floating-point operations in the matrix products of one loss and gradient over `rows` rows.
    pub fn product_operations(&self, graph: &Graph, rows: usize) -> u64 {
        self.route.product_operations(graph, rows)
    }

    /// The same of [`LossPass::begin`] and [`LossPass::end`].
    pub fn shared_operations(&self, graph: &Graph) -> u64 {
        self.route.shared_operations(graph)
    }

    /// Bytes held at present.
    pub fn bytes(&self) -> usize {
        self.route.bytes()
    }

    /// Writes the (weighted) loss of every row and, where a gradient is given, adds to it
    /// `weight` times the gradient of their sum with respect to the parameters.
    pub fn run(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        tile: Tile<'_, T>,
        losses: &mut [T],
        gradient: Option<(&mut [T], T)>,
    ) {
        losses.fill(T::ZERO);
        let gradient = gradient.map(|(sum, weight)| GradientOf { sum, weight });
        self.route.run(Network { graph, parameters }, tile, losses, gradient);
        for (loss, weight) in losses.iter_mut().zip(tile.weights) {
            *loss *= *weight;
        }
    }
}
