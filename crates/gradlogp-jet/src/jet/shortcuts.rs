//! What can be asked of a graph without following directions through it.

use super::{projected, trace, unit_tangents};
use crate::graph::Graph;

/// Whether [`Request::Laplacian`](super::Request::Laplacian) can be asked of a graph: x goes through an affine
/// map, an activation, an affine map and an activation, and from then on only through linear maps; beside that
/// |x|^2 may be added.
pub fn has_laplacian(graph: &Graph) -> bool {
    unit_tangents::plan::<f32>(graph).is_some()
}

/// Whether [`Request::Trace`](super::Request::Trace) can be asked of a graph: it has as many outputs as inputs,
/// and x goes through an affine map, an activation, perhaps another affine map and activation, and an affine
/// map.
pub fn has_trace(graph: &Graph) -> bool {
    trace::plan::<f32>(graph).is_some()
}

/// Whether [`Request::Projected`](super::Request::Projected) can be asked of a graph: it has as many outputs as
/// inputs, the last of its maps affine.
pub fn has_projected(graph: &Graph) -> bool {
    projected::plan::<f32>(graph).is_some()
}
