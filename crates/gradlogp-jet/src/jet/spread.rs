//! What becomes of the unit directions of a Laplacian or a trace at each node: planned from the graph, like a
//! [`Form`](super::Form), and with the buffers that [`super::gram`] needs.

use super::gram::{Metric, Squared};
use crate::graph::{Graph, NodeId, Op};
use gradlogp_numeric::Real;

/// The first orders of one node along e_1 ... e_d.
#[derive(Debug, Clone)]
pub(super) enum Spread<T> {
    /// All zero.
    None,
    /// The unit vectors themselves, in the columns from `start` on.
    Units { start: usize },
    /// The same for all rows, behind an affine map of the unit vectors.
    Shared(Metric<T>),
    /// Those of the node `of`, times a slope per row and column.
    Scaled { of: usize, slope: Vec<T>, slope_bar: Vec<T> },
    /// Not needed, but the slope of the bend is, for [`super::trace`].
    Slope { slope: Vec<T>, slope_bar: Vec<T> },
    /// Only the sum of their squares is known; `by` is the bend before the affine map.
    Squares { by: usize, sums: Squared<T> },
    /// Those of an earlier node, to which only what does not move was added.
    Same { of: usize },
    /// Not known: nothing that bends may follow.
    Gone,
}

impl<T: Real> Spread<T> {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Spread::Shared(metric) => metric.bytes(),
            Spread::Scaled { slope, slope_bar, .. } | Spread::Slope { slope, slope_bar } => {
                (slope.capacity() + slope_bar.capacity()) * size_of::<T>()
            }
            Spread::Squares { sums, .. } => sums.bytes(),
            Spread::None | Spread::Units { .. } | Spread::Same { .. } | Spread::Gone => 0,
        }
    }
}

/// The node whose first orders the node `at` has.
pub(super) fn source<T>(spreads: &[Spread<T>], at: usize) -> usize {
    match spreads.get(at) {
        Some(Spread::Same { of }) => *of,
        _ => at,
    }
}

/// Plans every node; None where a graph needs more than sums of squares (a third bend, a product).
pub(super) fn plan<T>(graph: &Graph) -> Option<Vec<Spread<T>>> {
    let mut spreads: Vec<Spread<T>> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let next = next(&node.op, graph, &spreads)?;
        spreads.push(next);
    }
    Some(spreads)
}

fn next<T>(op: &Op, graph: &Graph, before: &[Spread<T>]) -> Option<Spread<T>> {
    let at = |id: &NodeId| source(before, id.0);
    let of = |id: &NodeId| &before[at(id)];
    let still = |id: &NodeId| matches!(of(id), Spread::None);
    if op.inputs().iter().all(still) && *op != Op::Input {
        return Some(Spread::None);
    }
    match op {
        Op::Input => Some(Spread::Units { start: 0 }),
        Op::Affine { input, .. } => Some(match of(input) {
            Spread::Units { start } => Spread::Shared(Metric::new(*start)),
            Spread::Scaled { .. } => Spread::Squares { by: at(input), sums: Squared::new() },
            Spread::Shared(_) => return None,
            _ => Spread::Gone,
        }),
        Op::Activation { input, .. } => match of(input) {
            Spread::Shared(_) => {
                Some(Spread::Scaled { of: at(input), slope: Vec::new(), slope_bar: Vec::new() })
            }
            Spread::Squares { .. } => Some(Spread::Gone),
            _ => None,
        },
        Op::Concat { inputs } => Some(joined(inputs, graph, before)),
        Op::SquaredNorm { input } => {
            matches!(of(input), Spread::Units { .. }).then_some(Spread::Gone)
        }
        Op::Add { inputs: [a, b] } => Some(match (still(a), still(b)) {
            (true, false) => Spread::Same { of: at(b) },
            (false, true) => Spread::Same { of: at(a) },
            _ => Spread::Gone,
        }),
        Op::Slice { .. } | Op::Sum { .. } | Op::Scale { .. } => Some(Spread::Gone),
        Op::Multiply { .. } | Op::Context { .. } => None,
    }
}

/// Unit vectors beside columns that do not move stay unit vectors.
fn joined<T>(inputs: &[NodeId], graph: &Graph, before: &[Spread<T>]) -> Spread<T> {
    let mut column = 0;
    let mut found = None;
    for input in inputs {
        match (&before[input.0], found) {
            (Spread::None, _) => {}
            (Spread::Units { start }, None) => found = Some(column + start),
            _ => return Spread::Gone,
        }
        column += graph.nodes()[input.0].width;
    }
    found.map_or(Spread::Gone, |start| Spread::Units { start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_slopes_and_their_adjoints() {
        let (slope, slope_bar) = (vec![0.0; 3], vec![0.0; 2]);
        assert_eq!(Spread::<f64>::Slope { slope, slope_bar }.bytes(), 8 * 5);
    }
}
