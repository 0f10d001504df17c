//! The trace of the Jacobian of a score field with one or two hidden layers, without following any direction.
//!
//! For y = W3 h(W2 h(W1 x)), with h'1 and h'2 the derivatives at the two activations,
//!
//! tr(grad y) = sum_i (W3 D2 W2 D1 W1)_ii = h'2 . P h'1, with P = W2 * C (elementwise) and C = (W1 W3)^T,
//!
//! one product with P per row whatever the number of columns d, where following d unit vectors takes d products
//! with W2 and with W3. P is the same for all rows. With one hidden layer, W3 h(W1 x), the trace is
//! diag(C) . h'1, and a skip connection around the second layer adds just that. Of one hidden layer no more of C than
//! its diagonal is formed: memory grows with the units, not with their square.
//!
//! Adjoint, with Q that of the trace: H'2 += Q P h'1, H'1 += P^T (Q h'2), P_bar += (Q h'2) h'1^T; and at the end
//! W2 += P_bar * C, C_bar = P_bar * W2, W3 += (C_bar W1)^T, W1 += (W3 C_bar)^T.

use std::ops::Range;

use super::unit_tangents::UnitTangents;
use crate::graph::{Graph, NodeId, Op, ParameterId};
use gradlogp_numeric::vector::{axpy, dot, row_dots, scale_each_row};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// A graph whose trace can be had.
#[derive(Debug, Clone)]
struct Plan {
    /// W1, its columns that meet x, and its shape.
    inner: (ParameterId, Range<usize>, [usize; 2]),
    /// The first activation.
    first: usize,
    /// W2 and the second activation, with two hidden layers.
    second: Option<(ParameterId, usize)>,
    /// Whether h(W1 x) also goes to the last layer past the second.
    direct: bool,
    /// W3 and its shape.
    outer: (ParameterId, [usize; 2]),
    /// What the output is multiplied by.
    factor: f64,
}

/// The trace of every row, its adjoint, and what they need.
#[derive(Debug, Clone)]
pub(super) struct Trace<T> {
    plan: Plan,
    /// C, outer x inner units, and its adjoint.
    cross: Vec<T>,
    cross_bar: Vec<T>,
    /// P, and its adjoint.
    through: Vec<T>,
    through_bar: Vec<T>,
    diagonal: Vec<T>,
    diagonal_bar: Vec<T>,
    /// P h'1, rows x outer units.
    mixed: Vec<T>,
    /// Q h'2, the same shape.
    weighted: Vec<T>,
    /// The traces.
    pub(super) traces: Vec<T>,
    /// Their adjoints, to be filled before the adjoint pass.
    pub(super) traces_bar: Vec<T>,
}

/// Plans the trace of a graph: where the derivatives are kept, and the rest. None where x goes through more than
/// two activations, or through products.
pub(super) fn plan<T>(graph: &Graph) -> Option<(Vec<UnitTangents<T>>, Trace<T>)> {
    let plan = read(graph)?;
    let mut tangents: Vec<UnitTangents<T>> =
        graph.nodes().iter().map(|_| UnitTangents::None).collect();
    for activation in
        std::iter::once(plan.first).chain(plan.second.map(|(_, activation)| activation))
    {
        tangents[activation] =
            UnitTangents::Derivative { derivative: Vec::new(), derivative_bar: Vec::new() };
    }
    let [cross, cross_bar, through, through_bar, diagonal, diagonal_bar, mixed, weighted] =
        [const { Vec::new() }; 8];
    let [traces, traces_bar] = [const { Vec::new() }; 2];
    let trace = Trace {
        plan,
        cross,
        cross_bar,
        through,
        through_bar,
        diagonal,
        diagonal_bar,
        mixed,
        weighted,
        traces,
        traces_bar,
    };
    Some((tangents, trace))
}

/// Reads the graph from its output back to x.
fn read(graph: &Graph) -> Option<Plan> {
    let nodes = graph.nodes();
    let mut moves: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes {
        moves.push(node.op == Op::Input || node.op.inputs().iter().any(|i| moves[i.0]));
    }
    // Past what does not move with x.
    let peel = |mut id: NodeId| {
        while let Op::Add { inputs: [a, b] } = nodes[id.0].op {
            match (moves[a.0], moves[b.0]) {
                (true, false) => id = a,
                (false, true) => id = b,
                _ => break,
            }
        }
        id
    };
    let affine = |id: NodeId| match nodes[id.0].op {
        Op::Affine { input, weight, .. } => {
            Some((peel(input), weight, [nodes[id.0].width, nodes[input.0].width]))
        }
        _ => None,
    };
    let activation = |id: NodeId| match nodes[id.0].op {
        Op::Activation { input, .. } => Some(peel(input)),
        _ => None,
    };
    let d = graph.input_width();
    let (mut output, mut factor) = (peel(NodeId(nodes.len() - 1)), 1.0);
    while let Op::Scale { input, factor: by } = nodes[output.0].op {
        (output, factor) = (peel(input), factor * by);
    }
    let (last, outer, shape) = affine(output)?;
    if shape[0] != d {
        return None;
    }
    let (last, skip) = match nodes[last.0].op {
        Op::Add { inputs: [a, b] } if activation(b).is_some_and(|at| comes_from(nodes, at, a)) => {
            (b, Some(a))
        }
        _ => (last, None),
    };
    let (before, weight, inner_shape) = affine(activation(last)?)?;
    let (first, inner, second) = match units(graph, before) {
        Some(columns) => (last, (weight, columns, inner_shape), None),
        None => {
            let (source, inner, shape) = affine(activation(before)?)?;
            (before, (inner, units(graph, source)?, shape), Some((weight, last.0)))
        }
    };
    let fits = skip.is_none_or(|skip| second.is_some() && peel(skip) == first);
    let direct = second.is_none() || skip.is_some();
    let outer = (outer, shape);
    fits.then_some(Plan { inner, first: first.0, second, direct, outer, factor })
}

/// Whether `at` is an affine map of `source`.
fn comes_from(nodes: &[crate::graph::Node], at: NodeId, source: NodeId) -> bool {
    matches!(nodes[at.0].op, Op::Affine { input, .. } if input == source)
}

/// The columns of a node in which x lies, beside columns that do not move.
fn units(graph: &Graph, id: NodeId) -> Option<Range<usize>> {
    let (nodes, d) = (graph.nodes(), graph.input_width());
    match &nodes[id.0].op {
        Op::Input => Some(0..d),
        Op::Concat { inputs } => {
            let is_x = |input: &NodeId| nodes[input.0].op == Op::Input;
            let at = inputs.iter().position(is_x)?;
            let others = inputs.iter().enumerate().filter(|(k, _)| *k != at);
            let still = |id: &NodeId| matches!(nodes[id.0].op, Op::Context { .. });
            let start: usize = inputs[..at].iter().map(|id| nodes[id.0].width).sum();
            others.map(|(_, id)| id).all(still).then_some(start..start + d)
        }
        _ => None,
    }
}

/// h' of one activation, rows x units, and its adjoint.
type Derivative<'a, T> = (&'a [T], &'a mut Vec<T>);

impl<T: Real> Trace<T> {
    /// Units of the two layers that C joins.
    fn units(&self) -> (usize, usize) {
        (self.plan.outer.1[1], self.plan.inner.2[0])
    }

    /// C and P, which all rows share; adjoints zeroed.
    pub(super) fn prepare(&mut self, graph: &Graph, parameters: &[T]) {
        if self.plan.second.is_none() {
            return self.prepare_diagonal(graph, parameters);
        }
        let (outer, inner) = self.units();
        let index = graph.parameters();
        for buffer in [&mut self.cross, &mut self.through_bar] {
            buffer.resize(outer * inner, T::ZERO);
        }
        self.through_bar.fill(T::ZERO);
        let last = &parameters[index.range(self.plan.outer.0)];
        let (weight, columns, [out, width]) = &self.plan.inner;
        let first = Mat::new(&parameters[index.range(*weight)], *out, *width);
        let first = first.columns(columns.clone());
        let last = Mat::new(last, columns.len(), outer);
        matmul(MatMut::new(&mut self.cross, outer, inner), last.t(), first.t(), false);
        let factor = T::of(self.plan.factor);
        self.cross.iter_mut().for_each(|c| *c *= factor);
        self.diagonal.clear();
        self.diagonal_bar.clear();
        if self.plan.direct {
            self.diagonal.extend(self.cross.iter().step_by(inner + 1).copied());
            self.diagonal_bar.resize(inner, T::ZERO);
        }
        if let Some((weight, _)) = self.plan.second {
            let weight = &parameters[index.range(weight)];
            self.through.clear();
            self.through.extend(self.cross.iter().zip(weight).map(|(c, w)| *c * *w));
        }
    }

    /// diag(C) of one hidden layer: sum_j W1_kj W3_jk.
    fn prepare_diagonal(&mut self, graph: &Graph, parameters: &[T]) {
        let inner = self.units().1;
        self.diagonal.resize(inner, T::ZERO);
        self.diagonal.fill(T::ZERO);
        self.diagonal_bar.clear();
        self.diagonal_bar.resize(inner, T::ZERO);
        let index = graph.parameters();
        let (weight, columns, [_, width]) = &self.plan.inner;
        let first = &parameters[index.range(*weight)];
        let last = &parameters[index.range(self.plan.outer.0)];
        let factor = T::of(self.plan.factor);
        for (k, sum) in self.diagonal.iter_mut().enumerate() {
            let row = &first[k * width + columns.start..k * width + columns.end];
            for (a, b) in row.iter().zip(last.iter().skip(k).step_by(inner)) {
                *sum = a.mul_add(*b, *sum);
            }
            *sum *= factor;
        }
    }

    /// Adds to the adjoints of W1 and W3 of one hidden layer what all rows share.
    fn finish_diagonal(&self, graph: &Graph, parameters: &[T], gradient: &mut [T]) {
        let inner = self.units().1;
        let index = graph.parameters();
        let (weight, columns, [_, width]) = &self.plan.inner;
        let (first, last) = (index.range(*weight).start, index.range(self.plan.outer.0).start);
        let factor = T::of(self.plan.factor);
        for (k, bar) in self.diagonal_bar.iter().enumerate() {
            let bar = *bar * factor;
            for (j, column) in columns.clone().enumerate() {
                let (a, b) = (first + k * width + column, last + j * inner + k);
                gradient[a] = bar.mul_add(parameters[b], gradient[a]);
                gradient[b] = bar.mul_add(parameters[a], gradient[b]);
            }
        }
    }

    /// The trace of every row, from the derivatives that the forward pass left in `tangents`.
    pub(super) fn forward(&mut self, tangents: &mut [UnitTangents<T>], rows: usize) {
        let (outer, inner) = self.units();
        let ((first, _), second) = self.derivatives(tangents);
        self.traces.resize(rows, T::ZERO);
        self.traces_bar.resize(rows, T::ZERO);
        self.traces.fill(T::ZERO);
        if let Some((second, _)) = second {
            self.mixed.resize(rows * outer, T::ZERO);
            let through = Mat::new(&self.through, outer, inner).t();
            let mixed = MatMut::new(&mut self.mixed, rows, outer);
            matmul(mixed, Mat::new(first, rows, inner), through, false);
            row_dots(&mut self.traces, second, &self.mixed, outer);
        }
        if self.plan.direct {
            for (trace, derivative) in self.traces.iter_mut().zip(first.chunks_exact(inner)) {
                *trace += dot(derivative, &self.diagonal);
            }
        }
    }

    /// Sets the adjoints of the derivatives, and adds to those of C and P.
    pub(super) fn adjoint(&mut self, tangents: &mut [UnitTangents<T>]) {
        let (outer, inner) = self.units();
        let rows = self.traces_bar.len();
        let ((first, first_bar), second) = self.derivatives(tangents);
        first_bar.resize(rows * inner, T::ZERO);
        first_bar.fill(T::ZERO);
        if let Some((second, second_bar)) = second {
            second_bar.resize(rows * outer, T::ZERO);
            self.weighted.resize(rows * outer, T::ZERO);
            scale_each_row(second_bar, &self.mixed, &self.traces_bar);
            scale_each_row(&mut self.weighted, second, &self.traces_bar);
            let weighted = Mat::new(&self.weighted, rows, outer);
            let through = Mat::new(&self.through, outer, inner);
            matmul(MatMut::new(first_bar, rows, inner), weighted, through, false);
            let target = MatMut::new(&mut self.through_bar, outer, inner);
            matmul(target, weighted.t(), Mat::new(first, rows, inner), true);
        }
        if self.plan.direct {
            let rows = first.chunks_exact(inner).zip(first_bar.chunks_exact_mut(inner));
            for ((derivative, bar), weight) in rows.zip(&self.traces_bar) {
                axpy(bar, *weight, &self.diagonal);
                axpy(&mut self.diagonal_bar, *weight, derivative);
            }
        }
    }

    /// Adds to the adjoints of W1, W2 and W3 what all rows share.
    pub(super) fn finish(&mut self, graph: &Graph, parameters: &[T], gradient: &mut [T]) {
        if self.plan.second.is_none() {
            return self.finish_diagonal(graph, parameters, gradient);
        }
        let (outer, inner) = self.units();
        let index = graph.parameters();
        self.cross_bar.clear();
        self.cross_bar.resize(outer * inner, T::ZERO);
        if let Some((weight, _)) = self.plan.second {
            let range = index.range(weight);
            let weights = parameters[range.clone()].iter().zip(&mut gradient[range]);
            let cross = self.cross.iter().zip(&mut self.cross_bar);
            for ((bar, (weight, weight_bar)), (cross, cross_bar)) in
                self.through_bar.iter().zip(weights).zip(cross)
            {
                *weight_bar = bar.mul_add(*cross, *weight_bar);
                *cross_bar = *bar * *weight;
            }
        }
        let diagonal = self.cross_bar.iter_mut().step_by(inner + 1);
        diagonal.zip(&self.diagonal_bar).for_each(|(c, bar)| *c += *bar);
        let factor = T::of(self.plan.factor);
        self.cross_bar.iter_mut().for_each(|c| *c *= factor);
        let (weight, columns, [out, width]) = &self.plan.inner;
        let (first_range, last_range) = (index.range(*weight), index.range(self.plan.outer.0));
        let first = Mat::new(&parameters[first_range.clone()], *out, *width);
        let first = first.columns(columns.clone());
        let last = Mat::new(&parameters[last_range.clone()], columns.len(), outer);
        let bar = Mat::new(&self.cross_bar, outer, inner);
        let last_bar = MatMut::new(&mut gradient[last_range], columns.len(), outer);
        matmul(last_bar, first.t(), bar.t(), true);
        let first_bar = MatMut::new(&mut gradient[first_range], *out, *width);
        matmul(first_bar.part(0..*out, columns.clone()), bar.t(), last.t(), true);
    }

    /// Floating-point operations in the products: per row, and once for all rows.
    pub(super) fn operations(&self, adjoint: bool) -> (usize, usize) {
        let (outer, inner) = self.units();
        let times = if adjoint { 3 } else { 1 };
        let columns = self.plan.inner.1.len();
        match self.plan.second {
            Some(_) => (2 * outer * inner * times, 2 * outer * inner * times * columns),
            None => (0, 2 * inner * times * columns),
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let shared = [&self.cross, &self.cross_bar, &self.through, &self.through_bar];
        let rows = [&self.mixed, &self.weighted, &self.traces, &self.traces_bar];
        shared.iter().chain(&rows).map(|v| v.capacity() * size_of::<T>()).sum()
    }

    fn derivatives<'a>(
        &self,
        tangents: &'a mut [UnitTangents<T>],
    ) -> (Derivative<'a, T>, Option<Derivative<'a, T>>) {
        let Some((_, second)) = self.plan.second else {
            return (derivative(&mut tangents[self.plan.first]), None);
        };
        let (before, after) = tangents.split_at_mut(second);
        (derivative(&mut before[self.plan.first]), Some(derivative(&mut after[0])))
    }
}

fn derivative<T>(tangents_here: &mut UnitTangents<T>) -> Derivative<'_, T> {
    match tangents_here {
        UnitTangents::Derivative { derivative, derivative_bar } => (derivative, derivative_bar),
        _ => unreachable!("the plan put derivatives at the activations"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use gradlogp_numeric::Activation;

    /// 3 -> 6 -> 5 -> 3, or with one hidden layer 3 -> 6 -> 3.
    fn trace(two: bool) -> Trace<f64> {
        let mut b = GraphBuilder::new();
        let x = b.input(3);
        let h = b.affine(x, 6, "a");
        let mut h = b.activation(h, Activation::Tanh);
        if two {
            h = b.affine(h, 5, "b");
            h = b.activation(h, Activation::Tanh);
        }
        b.affine(h, 3, "c");
        plan::<f64>(&b.build().unwrap()).unwrap().1
    }

    #[test]
    fn operations_are_those_of_the_products() {
        // Per row 5 x 6 multiply-adds, and once those of W1 W3 with 3 columns between; thrice with adjoints.
        assert_eq!(trace(true).operations(false), (2 * 30, 2 * 30 * 3));
        assert_eq!(trace(true).operations(true), (3 * 2 * 30, 3 * 2 * 30 * 3));
        // The diagonal alone.
        assert_eq!(trace(false).operations(false), (0, 2 * 6 * 3));
    }

    #[test]
    fn bytes_are_those_of_all_buffers() {
        let mut t = trace(true);
        assert_eq!(t.bytes(), 0);
        (t.cross, t.cross_bar) = (vec![0.0; 2], vec![0.0; 3]);
        (t.through, t.through_bar) = (vec![0.0; 5], vec![0.0; 7]);
        (t.mixed, t.weighted) = (vec![0.0; 11], vec![0.0; 13]);
        (t.traces, t.traces_bar) = (vec![0.0; 17], vec![0.0; 19]);
        assert_eq!(t.bytes(), 8 * 77);
    }
}
