//! Runs a graph on jets: forward, then adjoints back, in buffers that are kept between runs.

use super::form::{Extent, First, Form, Jet, JetMut, Request};
use super::{activation, add, affine, concat, multiply, scale, slice, squared_norm, sum};
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::Real;
use crate::kernel::vector::add_assign;

/// What a run reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a, T> {
    /// Number of rows n.
    pub rows: usize,
    /// x, n x d.
    pub x: &'a [T],
    /// Contexts by slot, each n x its width.
    pub contexts: &'a [&'a [T]],
    /// Directions: \[M, d\] when shared, \[M, n, d\] when per row, empty when there are none.
    pub directions: &'a [T],
}

/// The coefficients of every node for one batch of rows, and room for their adjoints.
///
/// Nothing is allocated after the first run with the largest number of rows.
#[derive(Debug, Clone)]
pub struct Tape<T> {
    request: Request,
    forms: Vec<Form>,
    extent: Extent,
    values: Vec<Vec<T>>,
    /// Per activation node, one number per element that makes its derivatives cheap.
    saved: Vec<Vec<T>>,
    bars: Vec<Option<Vec<T>>>,
    pool: Vec<Vec<T>>,
}

impl<T: Real> Tape<T> {
    /// Plans the coefficients of every node of `graph` for `request`.
    pub fn new(graph: &Graph, request: Request) -> Self {
        let mut forms: Vec<Form> = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            forms.push(node_form(&node.op, node.width, request, &forms));
        }
        let nodes = forms.len();
        Tape {
            request,
            forms,
            extent: Extent { rows: 0, directions: request.directions, curved: request.curved },
            values: vec![Vec::new(); nodes],
            saved: vec![Vec::new(); nodes],
            bars: vec![None; nodes],
            pool: Vec::new(),
        }
    }

    /// The request it was planned for.
    pub fn request(&self) -> Request {
        self.request
    }

    /// Bytes held at present.
    pub fn bytes(&self) -> usize {
        let all = self.values.iter().chain(&self.saved).chain(&self.pool);
        let bars = self.bars.iter().flatten();
        all.chain(bars).map(|v| v.capacity() * size_of::<T>()).sum()
    }

    /// Floating-point operations in the matrix products of one run over `rows` rows: forward, and,
    /// where asked, the adjoints of parameters and of inputs. Two per multiply-add.
    pub fn product_operations(
        &self,
        graph: &Graph,
        rows: usize,
        parameters: bool,
        want_input: bool,
    ) -> u64 {
        let extent = Extent { rows, ..self.extent };
        let mut sum = 0;
        for (node, form) in graph.nodes().iter().zip(&self.forms) {
            let Op::Affine { input, .. } = node.op else { continue };
            let inner = self.forms[input.0].width;
            let one = 2 * form.stack_rows(extent) * form.width * inner;
            let adjoint = match graph.nodes()[input.0].op {
                Op::Input => want_input,
                Op::Context { .. } => false,
                _ => parameters || want_input,
            };
            sum += one * (1 + usize::from(parameters) + usize::from(adjoint));
        }
        sum as u64
    }

    /// Computes every coefficient of every node.
    ///
    /// # Panics
    /// When a slice is shorter than the graph and the request need.
    pub fn forward(&mut self, graph: &Graph, parameters: &[T], inputs: Inputs<'_, T>) {
        self.extent.rows = inputs.rows;
        for (at, node) in graph.nodes().iter().enumerate() {
            let len = self.forms[at].stack_rows(self.extent) * self.forms[at].width;
            self.values[at].resize(len, T::ZERO);
            self.forward_node(graph, parameters, inputs, at, &node.op);
        }
    }

    fn forward_node(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        inputs: Inputs<'_, T>,
        at: usize,
        op: &Op,
    ) {
        let (before, rest) = self.values.split_at_mut(at);
        let (forms, extent) = (&self.forms, self.extent);
        let jet = |id: NodeId| Jet { form: forms[id.0], extent, data: &before[id.0] };
        let mut y = JetMut { form: forms[at], extent, data: &mut rest[0] };
        match op {
            Op::Input => {
                let values = inputs.rows * y.form.width;
                y.data[..values].copy_from_slice(&inputs.x[..values]);
                let directions = y.data.len() - values;
                y.data[values..].copy_from_slice(&inputs.directions[..directions]);
            }
            Op::Context { slot } => {
                let len = y.data.len();
                y.data.copy_from_slice(&inputs.contexts[*slot][..len]);
            }
            Op::Affine { input, weight, bias } => {
                let index = graph.parameters();
                let weight = &parameters[index.range(*weight)];
                let bias = bias.map(|b| &parameters[index.range(b)]);
                affine::forward(jet(*input), weight, bias, y);
            }
            Op::Activation { input, function } => {
                let saved = &mut self.saved[at];
                saved.resize(extent.rows * y.form.width, T::ZERO);
                activation::forward(*function, jet(*input), y, saved);
            }
            Op::Add { inputs: [a, b] } => add::forward(jet(*a), jet(*b), y),
            Op::Multiply { inputs: [a, b] } => multiply::forward(jet(*a), jet(*b), y),
            Op::Concat { inputs } => {
                let mut start = 0;
                for input in inputs {
                    concat::forward(jet(*input), start, &mut y);
                    start += forms[input.0].width;
                }
            }
            Op::Slice { input, start } => slice::forward(jet(*input), *start, y),
            Op::Sum { input } => sum::forward(jet(*input), y),
            Op::Scale { input, factor } => scale::forward(T::of(*factor), jet(*input), y),
            Op::SquaredNorm { input } => squared_norm::forward(jet(*input), y),
        }
    }

    /// The coefficients of the output node, after [`Tape::forward`].
    pub fn output(&self) -> Jet<'_, T> {
        let last = self.forms.len() - 1;
        Jet { form: self.forms[last], extent: self.extent, data: &self.values[last] }
    }

    /// The adjoint of the output, zeroed, to be filled before [`Tape::adjoint`].
    pub fn output_bar(&mut self) -> JetMut<'_, T> {
        let last = self.forms.len() - 1;
        let (bar, _) = self.take_bar(last);
        let data = self.bars[last].insert(bar);
        data.fill(T::ZERO);
        JetMut { form: self.forms[last], extent: self.extent, data }
    }

    /// The adjoint of the output as [`Tape::output_bar`] left it, to be filled further.
    ///
    /// # Panics
    /// When [`Tape::output_bar`] was not called since the last [`Tape::adjoint`].
    pub fn current_bar(&mut self) -> JetMut<'_, T> {
        let last = self.forms.len() - 1;
        let data = self.bars[last].as_mut().expect("output_bar comes first");
        JetMut { form: self.forms[last], extent: self.extent, data }
    }

    /// Carries the adjoint set in [`Tape::output_bar`] back: adds to the gradient of the parameters
    /// (flat, same layout) and, where asked, writes the adjoint of x (n x d).
    ///
    /// # Panics
    /// When [`Tape::output_bar`] was not called after the last [`Tape::forward`].
    pub fn adjoint(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        mut gradient: Option<&mut [T]>,
        mut x_bar: Option<&mut [T]>,
    ) {
        for (at, node) in graph.nodes().iter().enumerate().rev() {
            let Some(bar) = self.bars[at].take() else { continue };
            if node.op == Op::Input
                && let Some(x_bar) = x_bar.as_deref_mut()
            {
                x_bar.copy_from_slice(&bar[..x_bar.len()]);
            }
            let want_input = x_bar.is_some();
            let bar = self.adjoint_node(
                graph,
                parameters,
                gradient.as_deref_mut(),
                want_input,
                (at, &node.op),
                bar,
            );
            self.pool.extend(bar);
        }
    }

    /// A buffer for the adjoint of `at`, and whether it is new (contents then arbitrary).
    fn take_bar(&mut self, at: usize) -> (Vec<T>, bool) {
        if let Some(bar) = self.bars[at].take() {
            return (bar, false);
        }
        let mut bar = self.pool.pop().unwrap_or_default();
        bar.resize(self.forms[at].stack_rows(self.extent) * self.forms[at].width, T::ZERO);
        (bar, true)
    }

    /// Adds to the adjoint of `target` through `add`, which sees it zeroed if it is new.
    fn accumulate(&mut self, target: NodeId, add: impl FnOnce(&Self, &mut JetMut<'_, T>)) {
        let (mut data, new) = self.take_bar(target.0);
        if new {
            data.fill(T::ZERO);
        }
        let form = self.forms[target.0];
        add(self, &mut JetMut { form, extent: self.extent, data: &mut data });
        self.bars[target.0] = Some(data);
    }

    fn jet(&self, id: NodeId) -> Jet<'_, T> {
        Jet { form: self.forms[id.0], extent: self.extent, data: &self.values[id.0] }
    }

    /// Passes the adjoint of one node to its inputs and returns its buffer if that is free again.
    fn adjoint_node(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        gradient: Option<&mut [T]>,
        want_input: bool,
        (at, op): (usize, &Op),
        bar: Vec<T>,
    ) -> Option<Vec<T>> {
        let (form, extent) = (self.forms[at], self.extent);
        let y_bar = Jet { form, extent, data: &bar };
        // Whether anything at or below a node needs its adjoint.
        let wanted = |id: NodeId| match graph.nodes()[id.0].op {
            Op::Input => want_input,
            Op::Context { .. } => false,
            _ => true,
        };
        match op {
            Op::Input | Op::Context { .. } => {}
            Op::Affine { input, weight, bias } => {
                let index = graph.parameters();
                if let Some(gradient) = gradient {
                    let (weight_bar, bias_bar) = affine_slots(gradient, index, *weight, *bias);
                    affine::adjoint_parameters(self.jet(*input), y_bar, weight_bar, bias_bar);
                }
                if wanted(*input) {
                    let (mut data, new) = self.take_bar(input.0);
                    let x_bar = JetMut { form: self.forms[input.0], extent, data: &mut data };
                    affine::adjoint_input(&parameters[index.range(*weight)], y_bar, x_bar, !new);
                    self.bars[input.0] = Some(data);
                }
            }
            Op::Activation { input, function } => {
                return self.adjoint_activation(at, *input, *function, bar);
            }
            Op::Add { inputs } => {
                for input in inputs {
                    if wanted(*input) {
                        self.accumulate(*input, |_, bar| add::adjoint(y_bar, bar));
                    }
                }
            }
            Op::Multiply { inputs: [a, b] } => {
                for (this, other) in [(a, b), (b, a)] {
                    if wanted(*this) {
                        self.accumulate(*this, |tape, bar| {
                            multiply::adjoint(tape.jet(*other), y_bar, bar)
                        });
                    }
                }
            }
            Op::Concat { inputs } => {
                let mut start = 0;
                for input in inputs {
                    if wanted(*input) {
                        self.accumulate(*input, |_, bar| concat::adjoint(y_bar, start, bar));
                    }
                    start += self.forms[input.0].width;
                }
            }
            Op::Slice { input, start } if wanted(*input) => {
                self.accumulate(*input, |_, bar| slice::adjoint(y_bar, *start, bar));
            }
            Op::Sum { input } if wanted(*input) => {
                self.accumulate(*input, |_, bar| sum::adjoint(y_bar, bar));
            }
            Op::Scale { input, factor } if wanted(*input) => {
                self.accumulate(*input, |_, bar| scale::adjoint(T::of(*factor), y_bar, bar));
            }
            Op::SquaredNorm { input } if wanted(*input) => {
                self.accumulate(*input, |tape, bar| {
                    squared_norm::adjoint(tape.jet(*input), y_bar, bar)
                });
            }
            Op::Slice { .. } | Op::Sum { .. } | Op::Scale { .. } | Op::SquaredNorm { .. } => {}
        }
        Some(bar)
    }

    /// The activation's adjoint is formed in the buffer of its output and handed on as it is.
    fn adjoint_activation(
        &mut self,
        at: usize,
        input: NodeId,
        function: crate::kernel::Activation,
        mut bar: Vec<T>,
    ) -> Option<Vec<T>> {
        let (form, extent) = (self.forms[input.0], self.extent);
        if form.first != First::Shared && self.bars[input.0].is_none() {
            let (x, y) = (self.jet(input), self.jet(NodeId(at)));
            activation::adjoint(function, x, y, &self.saved[at], &mut bar, &mut []);
            bar.truncate(form.stack_rows(extent) * form.width);
            self.bars[input.0] = Some(bar);
            return None;
        }
        let (mut target, new) = self.take_bar(input.0);
        if new {
            target.fill(T::ZERO);
        }
        let values = extent.rows * form.width;
        let (x, y) = (self.jet(input), self.jet(NodeId(at)));
        if form.first == First::Shared {
            let (value_bar, shared_bar) = target.split_at_mut(values);
            activation::adjoint(function, x, y, &self.saved[at], &mut bar, shared_bar);
            add_assign(value_bar, &bar[..values]);
        } else {
            activation::adjoint(function, x, y, &self.saved[at], &mut bar, &mut []);
            let len = target.len();
            add_assign(&mut target, &bar[..len]);
        }
        self.bars[input.0] = Some(target);
        Some(bar)
    }
}

fn node_form(op: &Op, width: usize, request: Request, forms: &[Form]) -> Form {
    let of = |id: &NodeId| forms[id.0];
    let curved = request.curved;
    match op {
        Op::Input => Form { width, first: request.first, second: false },
        Op::Context { .. } => Form { width, first: First::Zero, second: false },
        Op::Affine { input, .. } => affine::form(of(input), width),
        Op::Activation { input, .. } => activation::form(of(input), curved),
        Op::Add { inputs: [a, b] } => add::form(of(a), of(b)),
        Op::Multiply { inputs: [a, b] } => multiply::form(of(a), of(b), curved),
        Op::Concat { inputs } => concat::form(inputs.iter().map(of)),
        Op::Slice { input, .. } => slice::form(of(input), width),
        Op::Sum { input } => sum::form(of(input)),
        Op::Scale { input, .. } => of(input),
        Op::SquaredNorm { input } => squared_norm::form(of(input), curved),
    }
}

/// The places of W and b in the flat gradient, borrowed together.
fn affine_slots<'a, T>(
    gradient: &'a mut [T],
    index: &crate::graph::ParameterIndex,
    weight: crate::graph::ParameterId,
    bias: Option<crate::graph::ParameterId>,
) -> (&'a mut [T], Option<&'a mut [T]>) {
    let weight = index.range(weight);
    let Some(bias) = bias.map(|b| index.range(b)) else {
        return (&mut gradient[weight], None);
    };
    if weight.start < bias.start {
        let (low, high) = gradient.split_at_mut(bias.start);
        (&mut low[weight], Some(&mut high[..bias.len()]))
    } else {
        let (low, high) = gradient.split_at_mut(weight.start);
        (&mut high[..weight.len()], Some(&mut low[bias]))
    }
}
