//! Which route an objective takes on a model.

use super::interface::Route;
use super::{differences, jet, second_sweep};
use crate::graph::Graph;
use crate::model::ModelKind;
use crate::model::tile::Beside;
use crate::objective::{Objective, RowLoss};
use gradlogp_numeric::Real;

/// The way that an objective takes on a model; `beside` is what rows will come with.
pub(in crate::model) fn plan<T: Real>(
    kind: ModelKind,
    graph: &Graph,
    objective: &Objective,
    beside: Beside,
) -> Box<dyn Route<T>> {
    let rule = objective.row_loss(kind == ModelKind::Score);
    if let Some(sweep) = objective.second_sweep() {
        return Box::new(second_sweep::SecondSweepRoute::new(graph, rule, sweep));
    }
    match objective.differences() {
        Some(differences) => {
            Box::new(differences::DifferenceRoute::new(kind, graph, rule, differences))
        }
        None => by_jets(kind, graph, rule, *objective == Objective::Exact, beside),
    }
}

/// Any losses of rows, by jets; `exact` where they are those of the exact loss.
pub(in crate::model) fn by_jets<T: Real>(
    kind: ModelKind,
    graph: &Graph,
    rule: Box<dyn RowLoss<T>>,
    exact: bool,
    beside: Beside,
) -> Box<dyn Route<T>> {
    Box::new(jet::JetRoute::new(kind, graph, rule, exact, beside))
}
