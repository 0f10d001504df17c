//! Where the rows of a step come from.

use crate::graph::Graph;
use crate::model::{PointSet, Points};

/// Rows of data that become the points of a step. What it makes of them is a pure function of (step, rows), so
/// that a resumed run sees what an uninterrupted one would have seen.
pub trait Batches: Send + Sync {
    /// Number of rows of data.
    fn rows(&self) -> usize;

    /// The points that the `chosen` rows become in `step` (counted from 0). Allocates nothing once there is room.
    fn fill(&mut self, step: u64, chosen: &[usize]) -> Points<'_, f32>;
}

/// Rows as they stand in a table.
#[derive(Debug, Clone)]
pub(super) struct TableRows {
    table: PointSet<f32>,
    rows: usize,
    graph: Graph,
    batch: PointSet<f32>,
}

impl TableRows {
    /// All `rows` rows of `table`, which belongs to `graph`.
    pub(super) fn new(table: PointSet<f32>, rows: usize, graph: &Graph) -> Self {
        TableRows { table, rows, graph: graph.clone(), batch: PointSet::default() }
    }
}

impl Batches for TableRows {
    fn rows(&self) -> usize {
        self.rows
    }

    fn fill(&mut self, _: u64, chosen: &[usize]) -> Points<'_, f32> {
        self.batch.gather(&self.table, &self.graph, chosen);
        Points::from(&self.batch)
    }
}
