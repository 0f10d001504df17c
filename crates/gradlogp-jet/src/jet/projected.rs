//! The curvature of a score field along its directions, sum_m v_m . (grad s) v_m, without the last layer's first
//! orders.
//!
//! For s = factor (W h + b) + what does not move, v . (grad s) v = u . h1 with u = factor W^T v: one product, as
//! W h1 is one. But in the adjoint, with Q that of the curvature, H1 = Q u is at hand, where W^T (Q v) would be
//! another product; W gets factor Q v h1^T, as it would. One of the three products of the last layer is saved,
//! and with directions that all rows share all three, since then W^T v is shared, too.

use super::form::First;
use crate::graph::{Graph, NodeId, Op, ParameterId};
use gradlogp_numeric::vector::{axpy, dot};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// The curvatures of all rows, their adjoints, and what they need.
#[derive(Debug, Clone)]
pub(super) struct Projected<T> {
    /// The last affine map; behind it, all first orders are left out.
    pub(super) last: usize,
    weight: ParameterId,
    /// Outputs and inputs of the last affine map.
    shape: [usize; 2],
    factor: f64,
    /// u, one row per direction, and per data row unless shared.
    covectors: Vec<T>,
    /// Q v, or sum_r Q h1 where v is shared.
    weighted: Vec<T>,
    /// The curvatures.
    pub(super) traces: Vec<T>,
    /// Their adjoints, to be filled before the adjoint pass.
    pub(super) traces_bar: Vec<T>,
}

/// Directions and first orders at the input of the last layer.
pub(super) struct Orders<'a, T> {
    /// How the directions are given.
    pub(super) along: First,
    /// v, rows of d.
    pub(super) directions: &'a [T],
    /// h1, one row per direction and data row.
    pub(super) first: &'a [T],
}

/// Plans it; None where the output is not an affine map, scaled perhaps, plus what does not move with x.
pub(super) fn plan<T>(graph: &Graph) -> Option<Projected<T>> {
    let nodes = graph.nodes();
    let mut moves: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes {
        moves.push(node.op == Op::Input || node.op.inputs().iter().any(|i| moves[i.0]));
    }
    let is_activation = |id: NodeId| match &nodes[id.0].op {
        Op::Activation { .. } => true,
        Op::Add { inputs } => {
            inputs.iter().any(|i| moves[i.0] && matches!(nodes[i.0].op, Op::Activation { .. }))
        }
        _ => false,
    };
    let (mut at, mut factor) = (NodeId(nodes.len() - 1), 1.0);
    loop {
        match nodes[at.0].op {
            Op::Scale { input, factor: by } => (at, factor) = (input, factor * by),
            Op::Add { inputs: [a, b] } if moves[a.0] != moves[b.0] => {
                at = if moves[a.0] { a } else { b };
            }
            // Behind an activation: before one, first orders may be shared by all rows and cost nothing.
            Op::Affine { input, weight, .. } if is_activation(input) => {
                let shape = [nodes[at.0].width, nodes[input.0].width];
                let [covectors, weighted, traces, traces_bar] = [const { Vec::new() }; 4];
                return (moves[input.0] && shape[0] == graph.input_width()).then_some(Projected {
                    last: at.0,
                    weight,
                    shape,
                    factor,
                    covectors,
                    weighted,
                    traces,
                    traces_bar,
                });
            }
            _ => return None,
        }
    }
}

impl<T: Real> Projected<T> {
    /// The curvature of every row.
    pub(super) fn forward(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        orders: Orders<'_, T>,
        rows: usize,
    ) {
        let [out, inner] = self.shape;
        let weight = &parameters[graph.parameters().range(self.weight)];
        let count = orders.directions.len() / out;
        self.covectors.resize(count * inner, T::ZERO);
        let covectors = MatMut::new(&mut self.covectors, count, inner);
        matmul(
            covectors,
            Mat::new(orders.directions, count, out),
            Mat::new(weight, out, inner),
            false,
        );
        if self.factor != 1.0 {
            let factor = T::of(self.factor);
            self.covectors.iter_mut().for_each(|u| *u *= factor);
        }
        self.traces.resize(rows, T::ZERO);
        self.traces_bar.resize(rows, T::ZERO);
        self.traces.fill(T::ZERO);
        for (k, h1) in orders.first.chunks_exact(inner).enumerate() {
            let u = covector(&self.covectors, orders.along, k, rows, inner);
            self.traces[k % rows] += dot(u, h1);
        }
    }

    /// Adds Q u to the adjoint of h1 (or writes it, where that is new) and, where asked, what belongs to W to its
    /// gradient.
    pub(super) fn adjoint(
        &mut self,
        orders: Orders<'_, T>,
        first_bar: &mut [T],
        new: bool,
        weight_bar: Option<&mut [T]>,
    ) {
        let [out, inner] = self.shape;
        let rows = self.traces_bar.len();
        if new {
            first_bar.fill(T::ZERO);
        }
        for (k, bar) in first_bar.chunks_exact_mut(inner).enumerate() {
            let u = covector(&self.covectors, orders.along, k, rows, inner);
            axpy(bar, self.traces_bar[k % rows], u);
        }
        let Some(weight_bar) = weight_bar else { return };
        let target = MatMut::new(weight_bar, out, inner);
        let factor = T::of(self.factor);
        self.weighted.clear();
        if orders.along == First::Shared {
            let count = orders.directions.len() / out;
            self.weighted.resize(count * inner, T::ZERO);
            for (k, h1) in orders.first.chunks_exact(inner).enumerate() {
                let m = k / rows;
                let sum = &mut self.weighted[m * inner..(m + 1) * inner];
                axpy(sum, factor * self.traces_bar[k % rows], h1);
            }
            let directions = Mat::new(orders.directions, count, out);
            matmul(target, directions.t(), Mat::new(&self.weighted, count, inner), true);
        } else {
            let count = orders.first.len() / inner;
            self.weighted.resize(count * out, T::ZERO);
            let all = self.weighted.chunks_exact_mut(out).zip(orders.directions.chunks_exact(out));
            for (k, (weighted, v)) in all.enumerate() {
                axpy(weighted, factor * self.traces_bar[k % rows], v);
            }
            let weighted = Mat::new(&self.weighted, count, out);
            matmul(target, weighted.t(), Mat::new(orders.first, count, inner), true);
        }
    }

    /// Floating-point operations of the products.
    pub(super) fn operations(&self, directions: usize, parameters: bool) -> usize {
        2 * directions * self.shape[0] * self.shape[1] * (1 + usize::from(parameters))
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let all = [&self.covectors, &self.weighted, &self.traces, &self.traces_bar];
        all.iter().map(|v| v.capacity() * size_of::<T>()).sum()
    }
}

/// u of the `k`-th first order, of data row `k % rows` along direction `k / rows`.
fn covector<T>(covectors: &[T], along: First, k: usize, rows: usize, inner: usize) -> &[T] {
    let at = if along == First::Shared { k / rows } else { k };
    &covectors[at * inner..(at + 1) * inner]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use gradlogp_numeric::Activation;

    #[test]
    fn bytes_are_those_of_all_buffers() {
        let mut b = GraphBuilder::new();
        let x = b.input(3);
        let h = b.affine(x, 6, "a");
        let h = b.activation(h, Activation::Tanh);
        b.affine(h, 3, "c");
        let mut p = plan::<f64>(&b.build().unwrap()).unwrap();
        assert_eq!((p.bytes(), p.operations(4, false)), (0, 2 * 4 * 18));
        (p.covectors, p.weighted) = (vec![0.0; 2], vec![0.0; 3]);
        (p.traces, p.traces_bar) = (vec![0.0; 5], vec![0.0; 7]);
        assert_eq!(p.bytes(), 8 * 17);
    }
}
