//! Covectors pulled back through a graph, and the adjoint of that: what reverse mode does, as an
//! operation that can itself be differentiated.
//!
//! A sweep pulls covectors u from the output to the input: for a node y of inputs x with local Jacobian
//! K(x, theta), x gets u_x += K^T u_y, beside whatever was put there before (a seed). Its adjoint pushes the
//! other way: with A for the adjoint of u, A_y += K A_x, the parameters get dK/dtheta : (u_y A_x^T) and the
//! value x gets dK/dx : (u_y A_x^T). In a *squared* sweep every entry of K is squared (Kingma & LeCun 2010).

use crate::graph::{Graph, Node, NodeId, Op, ParameterId};
use gradlogp_numeric::vector::{add_assign, add_row_sums, add_to_rows, axpy, dot};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// One array per node, n x its width.
pub(super) type PerNode<T> = Vec<Vec<T>>;

/// What a network holds at some rows; kept, so that the next rows need no new memory.
pub(super) struct Held<T> {
    values: PerNode<T>,
    /// h', h'' and h''' at the input of each activation; empty for other nodes.
    derivatives: Vec<[Vec<T>; 3]>,
    /// The squares of all parameters; empty where no sweep is squared.
    squares: Vec<T>,
}

/// A graph at some rows: its values, and the derivatives of its activations.
#[derive(Clone, Copy)]
pub(super) struct Network<'a, T> {
    graph: &'a Graph,
    parameters: &'a [T],
    rows: usize,
    held: &'a Held<T>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held { values: Vec::new(), derivatives: Vec::new(), squares: Vec::new() }
    }
}

impl<T: Real> Held<T> {
    /// Evaluates every node.
    pub(super) fn evaluate<'a>(
        &'a mut self,
        (graph, parameters): (&'a Graph, &'a [T]),
        rows: usize,
        x: &[T],
        contexts: &[&[T]],
    ) -> Network<'a, T> {
        zero(&mut self.values, graph, rows);
        self.derivatives.resize_with(graph.nodes().len(), Default::default);
        for (at, node) in graph.nodes().iter().enumerate() {
            let (before, rest) = self.values.split_at_mut(at);
            let y = rest[0].as_mut_slice();
            match &node.op {
                Op::Input => y.copy_from_slice(&x[..y.len()]),
                Op::Context { slot } => y.copy_from_slice(&contexts[*slot][..y.len()]),
                op => value((graph, parameters), op, before, &mut self.derivatives[at], y),
            }
        }
        Network { graph, parameters, rows, held: self }
    }

    /// Prepares squared sweeps with these parameters.
    pub(super) fn square(&mut self, parameters: &[T]) {
        self.squares.clear();
        self.squares.extend(parameters.iter().map(|w| *w * *w));
    }

    /// Bytes held at present.
    pub(super) fn bytes(&self) -> usize {
        let derivatives = self.derivatives.iter().flatten().map(Vec::len).sum::<usize>();
        bytes(&self.values) + (derivatives + self.squares.len()) * size_of::<T>()
    }
}

/// Bytes of one array per node.
pub(super) fn bytes<T>(arrays: &PerNode<T>) -> usize {
    arrays.iter().map(Vec::len).sum::<usize>() * size_of::<T>()
}

fn zero<T: Real>(arrays: &mut PerNode<T>, graph: &Graph, rows: usize) {
    arrays.resize_with(graph.nodes().len(), Vec::new);
    for (array, node) in arrays.iter_mut().zip(graph.nodes()) {
        array.clear();
        array.resize(rows * node.width, T::ZERO);
    }
}

/// The value `y`, zero so far, of a node that reads others, and its derivatives if it is an activation.
fn value<T: Real>(
    (graph, parameters): (&Graph, &[T]),
    op: &Op,
    values: &[Vec<T>],
    derivatives: &mut [Vec<T>; 3],
    y: &mut [T],
) {
    let at = values.len();
    let (index, width) = (graph.parameters(), graph.nodes()[at].width);
    match op {
        Op::Affine { input, weight, bias } => {
            let (inner, rows) = (graph.nodes()[input.0].width, y.len() / width);
            let w = Mat::new(&parameters[index.range(*weight)], width, inner);
            let x = Mat::new(&values[input.0], rows, inner);
            matmul(MatMut::new(y, rows, width), x, w.t(), false);
            if let Some(bias) = bias {
                add_to_rows(y, &parameters[index.range(*bias)]);
            }
        }
        Op::Activation { input, function } => {
            derivatives.iter_mut().for_each(Vec::clear);
            for (y, a) in y.iter_mut().zip(&values[input.0]) {
                let taylor = function.taylor(*a);
                *y = taylor[0];
                derivatives.iter_mut().zip(&taylor[1..]).for_each(|(s, t)| s.push(*t));
            }
        }
        Op::Multiply { inputs: [a, b] } => {
            let factors = values[a.0].iter().zip(&values[b.0]);
            y.iter_mut().zip(factors).for_each(|(y, (a, b))| *y = *a * *b);
        }
        Op::SquaredNorm { input } => {
            let rows = values[input.0].chunks(graph.nodes()[input.0].width);
            y.iter_mut().zip(rows).for_each(|(y, x)| *y = dot(x, x));
        }
        // The linear ones are their own tangents.
        _ => push_linear(graph, at, false, values, y),
    }
}

impl<T: Real> Network<'_, T> {
    fn width(&self, id: NodeId) -> usize {
        self.graph.nodes()[id.0].width
    }

    /// Makes `arrays` zeros for every node.
    pub(super) fn zero(&self, arrays: &mut PerNode<T>) {
        zero(arrays, self.graph, self.rows);
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
                matmul(target, Mat::new(out, self.rows, width), Mat::new(w, width, inner), true);
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
                self.for_each_entry(at, squared, |e| {
                    u[e.input][e.column] += e.first * out[e.row];
                });
            }
        }
    }

    /// Every entry of the Jacobian of a node that is not linear.
    fn for_each_entry(&self, at: usize, squared: bool, mut act: impl FnMut(Entry<T>)) {
        let two = T::of(2.0);
        // K and dK, or K^2 and 2 K dK.
        let pair = |k: T, dk: T| if squared { (k * k, two * k * dk) } else { (k, dk) };
        let values = &self.held.values;
        match &self.graph.nodes()[at].op {
            Op::Activation { input, .. } => {
                let [first, second, _] = &self.held.derivatives[at];
                for (j, (h1, h2)) in first.iter().zip(second).enumerate() {
                    let (first, second) = pair(*h1, *h2);
                    let input = input.0;
                    act(Entry { input, column: j, row: j, first, value: input, second });
                }
            }
            Op::SquaredNorm { input } => {
                let (inner, input) = (self.width(*input), input.0);
                for (j, x) in values[input].iter().enumerate() {
                    let (first, second) = pair(two * *x, two);
                    act(Entry { input, column: j, row: j / inner, first, value: input, second });
                }
            }
            Op::Multiply { inputs: [a, b] } => {
                for (this, other) in [(a.0, b.0), (b.0, a.0)] {
                    for (j, x) in values[other].iter().enumerate() {
                        let (first, second) = pair(*x, T::ONE);
                        act(Entry { input: this, column: j, row: j, first, value: other, second });
                    }
                }
            }
            _ => {}
        }
    }

    fn weight(&self, weight: ParameterId, squared: bool) -> &[T] {
        let all = if squared { &self.held.squares } else { self.parameters };
        &all[self.graph.parameters().range(weight)]
    }

    /// From derivatives with respect to the squares of the parameters, as [`Network::push`] of a squared sweep
    /// gives them, adds those with respect to the parameters.
    pub(super) fn add_unsquared(&self, by_squares: &[T], gradient: &mut [T]) {
        for ((g, w), by_square) in gradient.iter_mut().zip(self.parameters).zip(by_squares) {
            *g += T::of(2.0) * *w * *by_square;
        }
    }

    /// The adjoint of [`Network::pull`]: from `a`, which holds the seeds of the adjoints of `u`, adds to the
    /// gradient of the parameters, or of their squares in a squared sweep, and to `value_bar`.
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
                    matmul(target, below, Mat::new(w, width, inner).t(), true);
                    let above = Mat::new(&u[at], self.rows, width).t();
                    let range = self.graph.parameters().range(*weight);
                    let target = MatMut::new(&mut gradient[range], width, inner);
                    matmul(target, above, below, true);
                }
                Op::Activation { .. } | Op::SquaredNorm { .. } | Op::Multiply { .. } => {
                    self.for_each_entry(at, squared, |e| {
                        let below = before[e.input][e.column];
                        out[e.row] += e.first * below;
                        value_bar[e.value][e.column] += e.second * u[at][e.row] * below;
                    });
                }
                _ => push_linear(self.graph, at, squared, before, out),
            }
        }
    }

    /// Ordinary reverse mode: from the adjoints of all values to the gradient of the parameters.
    pub(super) fn backpropagate(&self, value_bar: &mut PerNode<T>, gradient: &mut [T]) {
        self.pull(value_bar, false);
        for (at, node) in self.graph.nodes().iter().enumerate() {
            let Op::Affine { input, weight, bias } = &node.op else { continue };
            let (index, inner) = (self.graph.parameters(), self.width(*input));
            let above = Mat::new(&value_bar[at], self.rows, node.width).t();
            let below = Mat::new(&self.held.values[input.0], self.rows, inner);
            let target = &mut gradient[index.range(*weight)];
            matmul(MatMut::new(target, node.width, inner), above, below, true);
            if let Some(bias) = bias {
                add_row_sums(&mut gradient[index.range(*bias)], &value_bar[at]);
            }
        }
    }

    /// The second derivatives of the nodes that are not linear, each weighted with the covector `u` of
    /// the node's output: c = h'' u for an activation, 2u for every column of a squared norm.
    pub(super) fn curvatures(&self, u: &PerNode<T>, nonlinearities: &mut [Nonlinearity<T>]) {
        for Nonlinearity { node, units, c, .. } in nonlinearities {
            c.clear();
            match self.graph.nodes()[*node].op {
                Op::SquaredNorm { .. } => {
                    let twice = u[*node].iter().map(|u| T::of(2.0) * *u);
                    c.extend(twice.flat_map(|c| std::iter::repeat_n(c, *units)));
                }
                _ => {
                    let second = &self.held.derivatives[*node][1];
                    c.extend(u[*node].iter().zip(second).map(|(u, h2)| *u * *h2));
                }
            }
        }
    }

    /// The adjoint of [`Network::curvatures`] for one node.
    pub(super) fn curvature_adjoint(
        &self,
        nonlinearity: &Nonlinearity<T>,
        c_bar: &[T],
        u: &PerNode<T>,
        (u_bar, value_bar): (&mut PerNode<T>, &mut PerNode<T>),
    ) {
        let &Nonlinearity { node, input, units, .. } = nonlinearity;
        if let Op::SquaredNorm { .. } = self.graph.nodes()[node].op {
            let rows = c_bar.chunks(units);
            for (u_bar, c_bar) in u_bar[node].iter_mut().zip(rows) {
                c_bar.iter().for_each(|c| *u_bar += T::of(2.0) * *c);
            }
            return;
        }
        let [_, second, third] = &self.held.derivatives[node];
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
    first: T,
    /// The node whose same element the entry depends on, and its derivative with respect to that.
    value: usize,
    second: T,
}

/// A node with second derivatives.
pub(super) struct Nonlinearity<T> {
    node: usize,
    pub(super) input: usize,
    /// The input's width.
    pub(super) units: usize,
    /// Its weighted second derivatives, n x units.
    pub(super) c: Vec<T>,
}

/// The nodes with second derivatives, in order.
pub(super) fn nonlinearities<T>(graph: &Graph) -> Vec<Nonlinearity<T>> {
    let of = |(node, of): (usize, &Node)| match of.op {
        Op::Activation { input, .. } | Op::SquaredNorm { input } => {
            let units = graph.nodes()[input.0].width;
            Some(Nonlinearity { node, input: input.0, units, c: Vec::new() })
        }
        _ => None,
    };
    graph.nodes().iter().enumerate().filter_map(of).collect()
}

/// out += K a for the nodes that only move, add or scale numbers.
fn push_linear<T: Real>(graph: &Graph, at: usize, squared: bool, a: &[Vec<T>], out: &mut [T]) {
    let width = graph.nodes()[at].width;
    match &graph.nodes()[at].op {
        Op::Add { inputs } => inputs.iter().for_each(|i| add_assign(out, &a[i.0])),
        Op::Scale { input, factor } => axpy(out, coefficient(*factor, squared), &a[input.0]),
        Op::Concat { inputs } => {
            let mut start = 0;
            for i in inputs {
                let w = graph.nodes()[i.0].width;
                for (out, a) in out.chunks_mut(width).zip(a[i.0].chunks(w)) {
                    add_assign(&mut out[start..start + w], a);
                }
                start += w;
            }
        }
        Op::Slice { input, start } => {
            let inner = graph.nodes()[input.0].width;
            for (out, a) in out.chunks_mut(width).zip(a[input.0].chunks(inner)) {
                add_assign(out, &a[*start..start + width]);
            }
        }
        Op::Sum { input } => {
            let rows = a[input.0].chunks(graph.nodes()[input.0].width);
            out.iter_mut().zip(rows).for_each(|(out, a)| a.iter().for_each(|a| *out += *a));
        }
        _ => {}
    }
}

fn coefficient<T: Real>(factor: f64, squared: bool) -> T {
    T::of(if squared { factor * factor } else { factor })
}
