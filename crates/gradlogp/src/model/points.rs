//! Rows of a model: the points x with their contexts.

use crate::graph::{Graph, MAX_CONTEXTS};
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// Rows, borrowed: n points and their contexts.
///
/// ```
/// use gradlogp::model::Points;
///
/// let (x, c) = ([0.1, 0.2, 0.3, 0.4], [5.0, 6.0]);
/// // Two points of two columns, each with one given number.
/// let points = Points::with_contexts(&x, &[&c]);
/// assert_eq!(points.contexts[0], [5.0, 6.0]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Points<'a, T> {
    /// x, n x d.
    pub x: &'a [T],
    /// Contexts by slot, each n x its width; those that the graph does not have are empty.
    pub contexts: [&'a [T]; MAX_CONTEXTS],
    /// Factors of the rows' losses, n; empty for 1.
    pub weights: &'a [T],
    /// Scores to fit to, n x d, for [`Objective::Regression`](crate::Objective::Regression); else empty.
    pub targets: &'a [T],
    /// The score of a base that the model's adds to, n x d; empty without one.
    pub base: &'a [T],
}

impl<'a, T> From<&'a [T]> for Points<'a, T> {
    fn from(x: &'a [T]) -> Self {
        Points { x, contexts: [&[]; MAX_CONTEXTS], weights: &[], targets: &[], base: &[] }
    }
}

impl<'a, T> From<&'a Vec<T>> for Points<'a, T> {
    fn from(x: &'a Vec<T>) -> Self {
        x.as_slice().into()
    }
}

impl<'a, T> From<&'a PointSet<T>> for Points<'a, T> {
    fn from(set: &'a PointSet<T>) -> Self {
        let contexts = std::array::from_fn(|slot| set.context(slot));
        Points { contexts, base: &set.base, ..Points::from(&set.x) }
    }
}

impl<'a, T> Points<'a, T> {
    /// Points with contexts, those of slot 0 first.
    ///
    /// # Panics
    /// With more than [`MAX_CONTEXTS`] of them.
    pub fn with_contexts(x: &'a [T], contexts: &[&'a [T]]) -> Self {
        let mut points = Points::from(x);
        points.contexts[..contexts.len()].copy_from_slice(contexts);
        points
    }

    /// The number of rows, if x and every context of `graph` have the same.
    ///
    /// # Errors
    /// Names the slice whose length does not fit.
    pub fn rows(&self, graph: &Graph) -> Result<usize> {
        let d = graph.input_width();
        let rows = self.x.len() / d;
        let refuse = |operation, expected, found| {
            Err(Error::Shape { operation, expected: vec![expected], found: vec![found] })
        };
        if self.x.len() != rows * d {
            return refuse("numbers in x, a multiple of its columns", rows * d, self.x.len());
        }
        for (context, width) in self.contexts.iter().zip(graph.context_widths()) {
            if context.len() != rows * width {
                return refuse("numbers in a context", rows * width, context.len());
            }
        }
        if !self.base.is_empty() && self.base.len() != self.x.len() {
            return refuse("numbers in scores of a base", self.x.len(), self.base.len());
        }
        Ok(rows)
    }

    /// Some of the rows; `graph` tells how wide x and the contexts are.
    ///
    /// # Panics
    /// When there are not so many rows.
    pub fn some(&self, graph: &Graph, rows: std::ops::Range<usize>) -> Self {
        let widths = graph.context_widths();
        let cut = |values: &'a [T], width: usize| &values[rows.start * width..rows.end * width];
        let cut_some =
            |values: &'a [T], width| if values.is_empty() { &[] } else { cut(values, width) };
        Points {
            x: cut(self.x, graph.input_width()),
            contexts: std::array::from_fn(|slot| cut(self.contexts[slot], widths[slot])),
            weights: cut_some(self.weights, 1),
            targets: cut_some(self.targets, graph.input_width()),
            base: cut_some(self.base, graph.input_width()),
        }
    }
}

/// Rows, owned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PointSet<T> {
    /// x, n x d.
    pub x: Vec<T>,
    /// Contexts by slot, each n x its width, as many as the graph has.
    pub contexts: Vec<Vec<T>>,
    /// The score of a base that the model's adds to, n x d; empty without one.
    pub base: Vec<T>,
}

impl<T> From<Vec<T>> for PointSet<T> {
    fn from(x: Vec<T>) -> Self {
        PointSet { x, contexts: Vec::new(), base: Vec::new() }
    }
}

impl<T> PointSet<T> {
    fn context(&self, slot: usize) -> &[T] {
        self.contexts.get(slot).map_or(&[], Vec::as_slice)
    }
}

impl<T: Real> PointSet<T> {
    /// A copy of borrowed rows.
    pub fn copy_of(points: Points<'_, T>, graph: &Graph) -> Self {
        let mut set = PointSet { base: points.base.to_vec(), ..PointSet::from(points.x.to_vec()) };
        set.contexts.extend(points.contexts[..graph.contexts()].iter().map(|c| c.to_vec()));
        set
    }

    /// Replaces the points, not their contexts, by the `chosen` ones of `from`, of `dim` columns.
    pub fn gather_points(&mut self, from: &PointSet<T>, dim: usize, chosen: &[usize]) {
        gather(&mut self.x, &from.x, dim, chosen);
    }

    /// Replaces the rows by the `chosen` ones of `from`, which belongs to `graph`. Allocates nothing
    /// once there is room.
    pub fn gather(&mut self, from: &PointSet<T>, graph: &Graph, chosen: &[usize]) {
        gather(&mut self.x, &from.x, graph.input_width(), chosen);
        let base = if from.base.is_empty() { &[][..] } else { chosen };
        gather(&mut self.base, &from.base, graph.input_width(), base);
        let widths = graph.context_widths();
        self.contexts.resize_with(graph.contexts(), Vec::new);
        for (slot, to) in self.contexts.iter_mut().enumerate() {
            gather(to, from.context(slot), widths[slot], chosen);
        }
    }
}

fn gather<T: Copy>(to: &mut Vec<T>, from: &[T], width: usize, chosen: &[usize]) {
    to.clear();
    for row in chosen {
        to.extend_from_slice(&from[row * width..(row + 1) * width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    fn graph() -> Graph {
        let mut b = GraphBuilder::new();
        let x = b.input(2);
        // Slot 1 before slot 0: order in the graph does not matter.
        let c1 = b.context(1, 3);
        let c0 = b.context(0, 1);
        let all = b.concat(&[x, c0, c1]);
        b.affine(all, 2, "net");
        b.build().unwrap()
    }

    fn set() -> PointSet<f32> {
        let count = |n: usize, from: usize| (from..from + n).map(|k| k as f32).collect();
        PointSet {
            x: count(8, 0),
            contexts: vec![count(4, 100), count(12, 200)],
            base: count(8, 300),
        }
    }

    #[test]
    fn rows_are_gathered_and_cut_with_their_contexts() {
        let (graph, set) = (graph(), set());
        let mut some = PointSet::default();
        some.gather(&set, &graph, &[2, 0]);
        assert_eq!(some.x, [4.0, 5.0, 0.0, 1.0]);
        assert_eq!(some.base, [304.0, 305.0, 300.0, 301.0]);
        assert_eq!(some.contexts[0], [102.0, 100.0]);
        assert_eq!(some.contexts[1], [206.0, 207.0, 208.0, 200.0, 201.0, 202.0]);
        let cut = Points::from(&set).some(&graph, 2..3);
        assert_eq!((cut.x, cut.contexts[0]), (&[4.0, 5.0][..], &[102.0][..]));
        assert_eq!(cut.base, [304.0, 305.0]);
        assert_eq!(cut.contexts[1], [206.0, 207.0, 208.0]);
        assert_eq!(PointSet::copy_of(cut, &graph).contexts.len(), 2);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let graph = graph();
        assert_eq!(Points::from(&set()).rows(&graph).unwrap(), 4);
        let short = PointSet { contexts: vec![vec![0.0; 4], vec![0.0; 11]], ..set() };
        let error = Points::from(&short).rows(&graph).unwrap_err().to_string();
        assert!(error.contains("context") && error.contains("12"), "{error}");
        assert!(Points::from(&set().x).rows(&graph).is_err());
        assert!(Points::from(&vec![0.0f32; 3]).rows(&graph).is_err());
    }
}
