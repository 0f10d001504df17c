//! Covectors pulled back through a graph, and the adjoint of that: what reverse mode does, as an
//! operation that can itself be differentiated.
//!
//! A sweep pulls covectors u from the output to the input: for a node y of inputs x with local Jacobian
//! K(x, theta), x gets u_x += K^T u_y, beside whatever was put there before (a seed). Its adjoint pushes the other way: with
//! A for the adjoint of u, A_y += K A_x, the parameters get dK/dtheta : (u_y A_x^T) and the value x gets
//! dK/dx : (u_y A_x^T). In a *squared* sweep every entry of K is squared (Kingma & LeCun 2010).

use crate::graph::{Graph, NodeId, Op};
use crate::kernel::vector::{add_assign, add_row_sums, add_to_rows, axpy, dot};
use crate::kernel::{Mat, MatMut, Real, matmul};

/// One array per node, n x its width.
pub(super) type PerNode<T> = Vec<Vec<T>>;

/// A graph at some rows: values, and the slopes of its activations.
pub(super) struct Network<'a, T> {
    graph: &'a Graph,
    parameters: &'a [T],
    rows: usize,
    values: PerNode<T>,
    /// h', h'' and h''' at the input of each activation; empty for other nodes.
    slopes: Vec<[Vec<T>; 3]>,
}

impl<'a, T: Real> Network<'a, T> {
    /// Evaluates every node.
    pub(super) fn new(
        (graph, parameters): (&'a Graph, &'a [T]),
        rows: usize,
        x: &[T],
        contexts: &[&[T]],
    ) -> Self {
        let slopes = graph.nodes().iter().map(|_| Default::default()).collect();
        let mut network = Network { graph, parameters, rows, values: Vec::new(), slopes };
        for (at, node) in graph.nodes().iter().enumerate() {
            let mut y = vec![T::ZERO; rows * node.width];
            network.evaluate(at, &node.op, (x, contexts), &mut y);
            network.values.push(y);
        }
        network
    }

    fn evaluate(&mut self, at: usize, op: &Op, (x, contexts): (&[T], &[&[T]]), y: &mut [T]) {
        let width = self.graph.nodes()[at].width;
        match op {
            Op::Input => y.copy_from_slice(&x[..y.len()]),
            Op::Context { slot } => y.copy_from_slice(&contexts[*slot][..y.len()]),
            Op::Affine { input, weight, bias } => {
                let (index, inner) = (self.graph.parameters(), self.width(*input));
                let w = Mat::new(&self.parameters[index.range(*weight)], width, inner);
                let x = Mat::new(&self.values[input.0], self.rows, inner);
                matmul(MatMut::new(y, self.rows, width), x, w.t(), false);
                if let Some(bias) = bias {
                    add_to_rows(y, &self.parameters[index.range(*bias)]);
                }
            }
            Op::Activation { input, function } => {
                let at_each = self.values[input.0].iter().map(|a| function.taylor(*a));
                let mut slopes: [Vec<T>; 3] = Default::default();
                for (y, taylor) in y.iter_mut().zip(at_each) {
                    *y = taylor[0];
                    slopes.iter_mut().zip(&taylor[1..]).for_each(|(s, t)| s.push(*t));
                }
                self.slopes[at] = slopes;
            }
            Op::Multiply { inputs: [a, b] } => {
                let factors = self.values[a.0].iter().zip(&self.values[b.0]);
                y.iter_mut().zip(factors).for_each(|(y, (a, b))| *y = *a * *b);
            }
            Op::SquaredNorm { input } => {
                let rows = self.values[input.0].chunks(self.width(*input));
                y.iter_mut().zip(rows).for_each(|(y, x)| *y = dot(x, x));
            }
            // The linear ones are their own tangents.
            Op::Add { .. }
            | Op::Concat { .. }
            | Op::Slice { .. }
            | Op::Sum { .. }
            | Op::Scale { .. } => {
                let (out, values) = (y, &self.values);
                self.push_linear(at, op, false, values, out);
            }
        }
    }

    fn width(&self, id: NodeId) -> usize {
        self.graph.nodes()[id.0].width
    }

    /// Zeros for every node.
    pub(super) fn zeros(&self) -> PerNode<T> {
        self.graph.nodes().iter().map(|n| vec![T::ZERO; self.rows * n.width]).collect()
    }

    /// Position of the input node.
    pub(super) fn input(&self) -> usize {
        self.graph.nodes().iter().position(|n| n.op == Op::Input).unwrap_or(0)
    }

    /// Pulls `u`, which holds the seeds, back through every node.
    pub(super) fn pull(&self, u: &mut PerNode<T>, squared: bool) {
        for (at, node) in self.graph.nodes().iter().enumerate().rev() {
            let (before, rest) = u.split_at_mut(at);
            let out = rest[0].as_slice();
            self.pull_node(at, &node.op, squared, before, out);
        }
    }

    fn pull_node(&self, at: usize, op: &Op, squared: bool, u: &mut [Vec<T>], out: &[T]) {
        let width = self.graph.nodes()[at].width;
        match op {
            Op::Input | Op::Context { .. } => {}
            Op::Affine { input, weight, .. } => {
                let inner = self.width(*input);
                let w = self.weight(*weight, squared);
                let target = MatMut::new(&mut u[input.0], self.rows, inner);
                matmul(target, Mat::new(out, self.rows, width), Mat::new(&w, width, inner), true);
            }
            Op::Add { inputs } => inputs.iter().for_each(|i| add_assign(&mut u[i.0], out)),
            Op::Scale { input, factor } => {
                axpy(&mut u[input.0], coefficient(*factor, squared), out)
            }
            Op::Concat { inputs } => {
                let mut start = 0;
                for i in inputs {
                    let w = self.width(*i);
                    for (u, out) in u[i.0].chunks_mut(w).zip(out.chunks(width)) {
                        add_assign(u, &out[start..start + w]);
                    }
                    start += w;
                }
            }
            Op::Slice { input, start } => {
                let inner = self.width(*input);
                for (u, out) in u[input.0].chunks_mut(inner).zip(out.chunks(width)) {
                    add_assign(&mut u[*start..start + width], out);
                }
            }
            Op::Sum { input } => {
                let inner = self.width(*input);
                for (u, out) in u[input.0].chunks_mut(inner).zip(out) {
                    u.iter_mut().for_each(|u| *u += *out);
                }
            }
            Op::Activation { .. } | Op::SquaredNorm { .. } | Op::Multiply { .. } => {
                for e in self.entries(at, op, squared) {
                    u[e.input][e.column] += e.slope * out[e.row];
                }
            }
        }
    }

    /// Every entry of the Jacobian of a node that is not linear.
    fn entries<'s>(
        &'s self,
        at: usize,
        op: &'s Op,
        squared: bool,
    ) -> Box<dyn Iterator<Item = Entry<T>> + 's> {
        let two = T::of(2.0);
        // K and dK, or K^2 and 2 K dK.
        let pair = move |k: T, dk: T| if squared { (k * k, two * k * dk) } else { (k, dk) };
        match op {
            Op::Activation { input, .. } => {
                let [first, second, _] = &self.slopes[at];
                let both = first.iter().zip(second).enumerate();
                Box::new(both.map(move |(j, (h1, h2))| {
                    let (slope, bend) = pair(*h1, *h2);
                    Entry { input: input.0, column: j, row: j, slope, value: input.0, bend }
                }))
            }
            Op::SquaredNorm { input } => {
                let inner = self.width(*input);
                Box::new(self.values[input.0].iter().enumerate().map(move |(j, x)| {
                    let (slope, bend) = pair(two * *x, two);
                    Entry { input: input.0, column: j, row: j / inner, slope, value: input.0, bend }
                }))
            }
            Op::Multiply { inputs: [a, b] } => {
                let factor = move |this: &'s NodeId, other: &'s NodeId| {
                    self.values[other.0].iter().enumerate().map(move |(j, x)| {
                        let (slope, bend) = pair(*x, T::ONE);
                        Entry { input: this.0, column: j, row: j, slope, value: other.0, bend }
                    })
                };
                Box::new(factor(a, b).chain(factor(b, a)))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    fn weight(&self, weight: crate::graph::ParameterId, squared: bool) -> Vec<T> {
        let w = &self.parameters[self.graph.parameters().range(weight)];
        w.iter().map(|w| if squared { *w * *w } else { *w }).collect()
    }

    /// The adjoint of [`Network::pull`]: from `a`, which holds the seeds of the adjoints of `u`, adds to the
    /// gradient of the parameters and to `value_bar`.
    pub(super) fn push(
        &self,
        u: &PerNode<T>,
        a: &mut PerNode<T>,
        squared: bool,
        gradient: &mut [T],
        value_bar: &mut PerNode<T>,
    ) {
        for (at, node) in self.graph.nodes().iter().enumerate() {
            let (before, rest) = a.split_at_mut(at);
            let out = &mut rest[0];
            match &node.op {
                Op::Input | Op::Context { .. } => {}
                Op::Affine { input, weight, .. } => {
                    let (width, inner) = (node.width, self.width(*input));
                    let below = Mat::new(&before[input.0], self.rows, inner);
                    let w = self.weight(*weight, squared);
                    let target = MatMut::new(out, self.rows, width);
                    matmul(target, below, Mat::new(&w, width, inner).t(), true);
                    let above = Mat::new(&u[at], self.rows, width).t();
                    let range = self.graph.parameters().range(*weight);
                    if squared {
                        let mut product = vec![T::ZERO; width * inner];
                        matmul(MatMut::new(&mut product, width, inner), above, below, false);
                        let plain = &self.parameters[range.clone()];
                        for ((g, w), p) in gradient[range].iter_mut().zip(plain).zip(product) {
                            *g += T::of(2.0) * *w * p;
                        }
                    } else {
                        let target = MatMut::new(&mut gradient[range], width, inner);
                        matmul(target, above, below, true);
                    }
                }
                Op::Activation { .. } | Op::SquaredNorm { .. } | Op::Multiply { .. } => {
                    for e in self.entries(at, &node.op, squared) {
                        let below = before[e.input][e.column];
                        out[e.row] += e.slope * below;
                        value_bar[e.value][e.column] += e.bend * u[at][e.row] * below;
                    }
                }
                linear => self.push_linear(at, linear, squared, before, out),
            }
        }
    }

    /// out += K a for the nodes that only move, add or scale numbers.
    fn push_linear(&self, at: usize, op: &Op, squared: bool, a: &[Vec<T>], out: &mut [T]) {
        let width = self.graph.nodes()[at].width;
        match op {
            Op::Add { inputs } => inputs.iter().for_each(|i| add_assign(out, &a[i.0])),
            Op::Scale { input, factor } => axpy(out, coefficient(*factor, squared), &a[input.0]),
            Op::Concat { inputs } => {
                let mut start = 0;
                for i in inputs {
                    let w = self.width(*i);
                    for (out, a) in out.chunks_mut(width).zip(a[i.0].chunks(w)) {
                        add_assign(&mut out[start..start + w], a);
                    }
                    start += w;
                }
            }
            Op::Slice { input, start } => {
                let inner = self.width(*input);
                for (out, a) in out.chunks_mut(width).zip(a[input.0].chunks(inner)) {
                    add_assign(out, &a[*start..start + width]);
                }
            }
            Op::Sum { input } => {
                let rows = a[input.0].chunks(self.width(*input));
                out.iter_mut().zip(rows).for_each(|(out, a)| a.iter().for_each(|a| *out += *a));
            }
            _ => {}
        }
    }

    /// Ordinary reverse mode: from the adjoints of all values to the gradient of the parameters.
    pub(super) fn backpropagate(&self, value_bar: &mut PerNode<T>, gradient: &mut [T]) {
        self.pull(value_bar, false);
        for (at, node) in self.graph.nodes().iter().enumerate() {
            let Op::Affine { input, weight, bias } = &node.op else { continue };
            let (index, inner) = (self.graph.parameters(), self.width(*input));
            let above = Mat::new(&value_bar[at], self.rows, node.width).t();
            let below = Mat::new(&self.values[input.0], self.rows, inner);
            let target = &mut gradient[index.range(*weight)];
            matmul(MatMut::new(target, node.width, inner), above, below, true);
            if let Some(bias) = bias {
                add_row_sums(&mut gradient[index.range(*bias)], &value_bar[at]);
            }
        }
    }

    /// The second derivatives of the nodes that are not linear, each weighted with the covector `u` of
    /// the node's output: c = h'' u for an activation, 2u for every column of a squared norm.
    pub(super) fn curvatures(&self, u: &PerNode<T>) -> Vec<Bend<T>> {
        self.bending()
            .map(|(node, input)| {
                let c = match self.graph.nodes()[node].op {
                    Op::SquaredNorm { .. } => {
                        let width = self.width(NodeId(input));
                        let twice = u[node].iter().map(|u| T::of(2.0) * *u);
                        twice.flat_map(|c| std::iter::repeat_n(c, width)).collect()
                    }
                    _ => {
                        u[node].iter().zip(&self.slopes[node][1]).map(|(u, h2)| *u * *h2).collect()
                    }
                };
                Bend { node, input, c }
            })
            .collect()
    }

    pub(super) fn bending(&self) -> impl Iterator<Item = (usize, usize)> {
        bending_nodes(self.graph)
    }

    /// The adjoint of [`Network::curvatures`] for one node.
    pub(super) fn curvature_adjoint(
        &self,
        bend: &Bend<T>,
        c_bar: &[T],
        u: &PerNode<T>,
        u_bar: &mut PerNode<T>,
        value_bar: &mut PerNode<T>,
    ) {
        let &Bend { node, input, .. } = bend;
        if let Op::SquaredNorm { .. } = self.graph.nodes()[node].op {
            let rows = c_bar.chunks(self.width(NodeId(input)));
            for (u_bar, c_bar) in u_bar[node].iter_mut().zip(rows) {
                c_bar.iter().for_each(|c| *u_bar += T::of(2.0) * *c);
            }
            return;
        }
        let [_, second, third] = &self.slopes[node];
        for (j, c_bar) in c_bar.iter().enumerate() {
            u_bar[node][j] += second[j] * *c_bar;
            value_bar[input][j] += third[j] * u[node][j] * *c_bar;
        }
    }
}

/// One entry of a node's Jacobian.
struct Entry<T> {
    /// The node and the element of it that the output depends on.
    input: usize,
    column: usize,
    /// The element of the output.
    row: usize,
    /// The entry, squared where asked for.
    slope: T,
    /// The node whose same element the entry depends on, and its derivative with respect to that.
    value: usize,
    bend: T,
}

/// A node that is not linear, its input, and its weighted second derivatives, n x the input's width.
pub(super) struct Bend<T> {
    pub(super) node: usize,
    pub(super) input: usize,
    pub(super) c: Vec<T>,
}

/// The nodes with second derivatives and their inputs, in order.
pub(super) fn bending_nodes(graph: &Graph) -> impl Iterator<Item = (usize, usize)> {
    graph.nodes().iter().enumerate().filter_map(|(at, node)| match node.op {
        Op::Activation { input, .. } | Op::SquaredNorm { input } => Some((at, input.0)),
        _ => None,
    })
}

fn coefficient<T: Real>(factor: f64, squared: bool) -> T {
    T::of(if squared { factor * factor } else { factor })
}
