//! First orders along the unit directions of a Laplacian or a trace at each node: planned from the graph, like a
//! [`Form`](super::Form), and with the buffers that [`super::gram`] needs.

use super::gram::{Metric, Squared};
use crate::graph::{Graph, NodeId, Op};
use gradlogp_numeric::Real;

/// The first orders of one node along e_1 ... e_d.
#[derive(Debug, Clone)]
pub(super) enum UnitTangents<T> {
    /// All zero.
    None,
    /// The unit vectors themselves, in the columns from `start` on.
    Units { start: usize },
    /// The same for all rows, behind an affine map of the unit vectors.
    Shared(Metric<T>),
    /// Those of the node `of`, times a derivative per row and column.
    Scaled { of: usize, derivative: Vec<T>, derivative_bar: Vec<T> },
    /// Not needed, but the derivative of the activation is, for [`super::trace`].
    Derivative { derivative: Vec<T>, derivative_bar: Vec<T> },
    /// Only the sum of their squares is known; `by` is the activation before the affine map.
    Squares { by: usize, sums: Squared<T> },
    /// Those of an earlier node, to which only what does not move was added.
    Same { of: usize },
    /// Not known: no nonlinearity may follow.
    Gone,
}

impl<T: Real> UnitTangents<T> {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            UnitTangents::Shared(metric) => metric.bytes(),
            UnitTangents::Scaled { derivative, derivative_bar, .. }
            | UnitTangents::Derivative { derivative, derivative_bar } => {
                (derivative.capacity() + derivative_bar.capacity()) * size_of::<T>()
            }
            UnitTangents::Squares { sums, .. } => sums.bytes(),
            UnitTangents::None
            | UnitTangents::Units { .. }
            | UnitTangents::Same { .. }
            | UnitTangents::Gone => 0,
        }
    }
}

/// The node whose first orders the node `at` has.
pub(super) fn source<T>(tangents: &[UnitTangents<T>], at: usize) -> usize {
    match tangents.get(at) {
        Some(UnitTangents::Same { of }) => *of,
        _ => at,
    }
}

/// Plans every node; None where a graph needs more than sums of squares (a third activation, a product).
pub(super) fn plan<T>(graph: &Graph) -> Option<Vec<UnitTangents<T>>> {
    let mut tangents: Vec<UnitTangents<T>> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let next = next(&node.op, graph, &tangents)?;
        tangents.push(next);
    }
    Some(tangents)
}

fn next<T>(op: &Op, graph: &Graph, before: &[UnitTangents<T>]) -> Option<UnitTangents<T>> {
    let at = |id: &NodeId| source(before, id.0);
    let of = |id: &NodeId| &before[at(id)];
    let still = |id: &NodeId| matches!(of(id), UnitTangents::None);
    if op.inputs().iter().all(still) && *op != Op::Input {
        return Some(UnitTangents::None);
    }
    match op {
        Op::Input => Some(UnitTangents::Units { start: 0 }),
        Op::Affine { input, .. } => Some(match of(input) {
            UnitTangents::Units { start } => UnitTangents::Shared(Metric::new(*start)),
            UnitTangents::Scaled { .. } => {
                UnitTangents::Squares { by: at(input), sums: Squared::new() }
            }
            UnitTangents::Shared(_) => return None,
            _ => UnitTangents::Gone,
        }),
        Op::Activation { input, .. } => match of(input) {
            UnitTangents::Shared(_) => Some(UnitTangents::Scaled {
                of: at(input),
                derivative: Vec::new(),
                derivative_bar: Vec::new(),
            }),
            UnitTangents::Squares { .. } => Some(UnitTangents::Gone),
            _ => None,
        },
        Op::Concat { inputs } => Some(joined(inputs, graph, before)),
        Op::SquaredNorm { input } => {
            matches!(of(input), UnitTangents::Units { .. }).then_some(UnitTangents::Gone)
        }
        Op::Add { inputs: [a, b] } => Some(match (still(a), still(b)) {
            (true, false) => UnitTangents::Same { of: at(b) },
            (false, true) => UnitTangents::Same { of: at(a) },
            _ => UnitTangents::Gone,
        }),
        Op::Slice { .. } | Op::Sum { .. } | Op::Scale { .. } => Some(UnitTangents::Gone),
        Op::Multiply { .. } | Op::Context { .. } => None,
    }
}

/// Unit vectors beside columns that do not move stay unit vectors.
fn joined<T>(inputs: &[NodeId], graph: &Graph, before: &[UnitTangents<T>]) -> UnitTangents<T> {
    let mut column = 0;
    let mut found = None;
    for input in inputs {
        match (&before[input.0], found) {
            (UnitTangents::None, _) => {}
            (UnitTangents::Units { start }, None) => found = Some(column + start),
            _ => return UnitTangents::Gone,
        }
        column += graph.nodes()[input.0].width;
    }
    found.map_or(UnitTangents::Gone, |start| UnitTangents::Units { start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_slopes_and_their_adjoints() {
        let (derivative, derivative_bar) = (vec![0.0; 3], vec![0.0; 2]);
        assert_eq!(UnitTangents::<f64>::Derivative { derivative, derivative_bar }.bytes(), 8 * 5);
    }
}
