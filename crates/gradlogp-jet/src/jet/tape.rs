//! Runs a graph on jets: forward, then adjoints back, in buffers that are kept between runs.

use super::activation::{GramTerms, GramTermsBar};
use super::affine::Slot;
use super::form::{Extent, First, Form, Jet, JetMut, Request};
use super::gram::Metric;
use super::projected::{Orders, Projected};
use super::trace::Trace;
use super::unit_tangents::{UnitTangents, source};
use super::{
    activation, add, affine, concat, gram, multiply, projected, scale, slice, squared_norm, sum,
    trace, unit_tangents,
};
use crate::graph::{Graph, NodeId, Op, ParameterId};
use gradlogp_numeric::activation::Squares;
use gradlogp_numeric::vector::add_assign;
use gradlogp_numeric::{Mat, MatMut, Real};

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
    /// The unit directions of a Laplacian at each node; empty if none is asked for.
    tangents: Vec<UnitTangents<T>>,
    trace: Option<Trace<T>>,
    projected: Option<Projected<T>>,
    /// Per parameter, whether its gradient has not been written since [`Tape::prepare`]; empty where gradients are
    /// added to what is there.
    fresh: Vec<bool>,
}

impl<T: Real> Tape<T> {
    /// Plans the coefficients of every node of `graph` for `request`.
    ///
    /// # Panics
    /// When a Laplacian, a trace or projections are asked of a graph that has none, see
    /// [`super::has_laplacian`], [`super::has_trace`] and [`super::has_projected`].
    pub fn new(graph: &Graph, request: Request) -> Self {
        let (mut tangents, mut trace, mut projected) = (Vec::new(), None, None);
        match request {
            Request::Laplacian { .. } => {
                tangents = unit_tangents::plan(graph).expect("has_laplacian comes first");
            }
            Request::Trace => {
                let (planned, traced) = trace::plan(graph).expect("has_trace comes first");
                (tangents, trace) = (planned, Some(traced));
            }
            Request::Projected { .. } => {
                projected = Some(projected::plan(graph).expect("has_projected comes first"));
            }
            Request::Value | Request::First { .. } | Request::Second { .. } => {}
        }
        let mut forms: Vec<Form> = Vec::with_capacity(graph.nodes().len());
        for (at, node) in graph.nodes().iter().enumerate() {
            let mut form = node_form(&node.op, node.width, request, &forms, &tangents);
            if projected.as_ref().is_some_and(|p: &Projected<T>| p.last == at) {
                form.first = First::Zero;
            }
            forms.push(form);
        }
        let nodes = forms.len();
        Tape {
            request,
            forms,
            extent: Extent::of(request, 0),
            values: vec![Vec::new(); nodes],
            saved: vec![Vec::new(); nodes],
            bars: vec![None; nodes],
            pool: Vec::new(),
            tangents,
            trace,
            projected,
            fresh: Vec::new(),
        }
    }

    /// From now on until [`Tape::finish`] the gradient is formed anew: what it holds is overwritten by the first
    /// [`Backward::run`] and need not be zero.
    pub fn start_gradient(&mut self, graph: &Graph) {
        self.fresh.clear();
        self.fresh.resize(graph.parameters().iter().count(), true);
    }

    /// For a Laplacian or a trace: computes what all rows share. To be called when parameters have changed and
    /// before the first [`Tape::forward`].
    pub fn prepare(&mut self, graph: &Graph, parameters: &[T]) {
        for (metric, (columns, out, inner, range)) in shared(&mut self.tangents, graph) {
            let weight = Mat::new(&parameters[range], out, inner);
            metric.prepare(weight.columns(columns), out);
        }
        if let Some(trace) = &mut self.trace {
            trace.prepare(graph, parameters);
        }
    }

    /// For a Laplacian or a trace: adds the part of the gradient that all rows share. To be called after the
    /// last [`Backward::run`], once for each [`Tape::prepare`]. Ends what [`Tape::start_gradient`] began.
    pub fn finish(&mut self, graph: &Graph, parameters: &[T], gradient: &mut [T]) {
        for ((_, range), fresh) in graph.parameters().iter().zip(self.fresh.drain(..)) {
            if fresh {
                gradient[range].fill(T::ZERO);
            }
        }
        for (metric, (columns, out, inner, range)) in shared(&mut self.tangents, graph) {
            let weight = Mat::new(&parameters[range.clone()], out, inner);
            let bar = MatMut::new(&mut gradient[range], out, inner);
            metric.finish(weight.columns(columns.clone()), bar.part(0..out, columns));
        }
        if let Some(trace) = &mut self.trace {
            trace.finish(graph, parameters, gradient);
        }
    }

    /// Rows of working space per data row that a Laplacian or a trace needs beyond [`Request::coefficients`].
    pub fn extra_rows(&self) -> usize {
        let squared = |(at, s): (usize, &UnitTangents<T>)| match s {
            // Two buffers of width x inner, of which the second may lie in a farther cache.
            UnitTangents::Squares { .. } => self.forms[at].width / 2,
            _ => 0,
        };
        let traced = if self.trace.is_some() { 2 } else { 0 };
        traced + self.tangents.iter().enumerate().map(squared).sum::<usize>()
    }

    /// The request it was planned for.
    pub fn request(&self) -> Request {
        self.request
    }

    /// Bytes held at present.
    pub fn bytes(&self) -> usize {
        let all = self.values.iter().chain(&self.saved).chain(&self.pool);
        let bars = self.bars.iter().flatten();
        let kept: usize = all.chain(bars).map(|v| v.capacity() * size_of::<T>()).sum();
        let traced = self.trace.as_ref().map_or(0, Trace::bytes)
            + self.projected.as_ref().map_or(0, Projected::bytes);
        kept + traced + self.tangents.iter().map(UnitTangents::bytes).sum::<usize>()
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
        for (at, (node, form)) in graph.nodes().iter().zip(&self.forms).enumerate() {
            let Op::Affine { input, .. } = node.op else { continue };
            let inner = self.forms[input.0].width;
            let one = 2 * form.stack_rows(extent) * form.width * inner;
            let adjoint = match graph.nodes()[input.0].op {
                Op::Input => want_input,
                Op::Context { .. } => false,
                _ => parameters || want_input,
            };
            sum += one * (1 + usize::from(parameters) + usize::from(adjoint));
            if let Some(UnitTangents::Squares { .. }) = self.tangents.get(at) {
                sum += rows * gram::operations(form.width, inner, parameters);
            }
        }
        if let Some(trace) = &self.trace {
            sum += rows * trace.operations(parameters).0;
        }
        if let Some(projected) = &self.projected {
            let copies = if self.request.along() == First::Shared { 1 } else { rows };
            sum += projected.operations(self.request.directions() * copies, parameters);
        }
        sum as u64
    }

    /// The same of [`Tape::prepare`] and, where asked, [`Tape::finish`], whatever the number of rows.
    pub fn shared_operations(&self, graph: &Graph, parameters: bool) -> u64 {
        let traced = self.trace.as_ref().map_or(0, |trace| trace.operations(parameters).1);
        let mut sum = traced as u64;
        for (tangents_here, node) in self.tangents.iter().zip(graph.nodes()) {
            if let UnitTangents::Shared(_) = tangents_here {
                let one = 2 * node.width * node.width * graph.input_width();
                sum += (one * (1 + usize::from(parameters))) as u64;
            }
        }
        sum
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
        if let Some(trace) = &mut self.trace {
            trace.forward(&mut self.tangents, inputs.rows);
        }
        if let Some(projected) = &mut self.projected {
            let orders = orders(graph, self.request, &self.values, projected.last, inputs.rows);
            projected.forward(graph, parameters, orders, inputs.rows);
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
        let planned = at.min(self.tangents.len());
        let (tangents_before, tangents_here) = self.tangents.split_at_mut(planned);
        let tangents_here = tangents_here.first_mut();
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
                if let Some(UnitTangents::Squares { by, sums }) = tangents_here {
                    let (metric, derivative) = gram_and_derivative(tangents_before, *by);
                    sums.forward(metric, weight, derivative);
                }
            }
            Op::Activation { input, function } => {
                let saved = &mut self.saved[at];
                let len = extent.rows * y.form.width;
                saved.resize(len, T::ZERO);
                let derivative = match tangents_here {
                    Some(
                        UnitTangents::Scaled { derivative, .. }
                        | UnitTangents::Derivative { derivative, .. },
                    ) => {
                        derivative.resize(len, T::ZERO);
                        derivative.as_mut_slice()
                    }
                    _ => &mut [],
                };
                let (kind, squares) = squares(tangents_before, input.0);
                let gram_terms = GramTerms { kind, squares, derivative };
                activation::forward(*function, jet(*input), y, saved, gram_terms);
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
            Op::SquaredNorm { input } => {
                let form = y.form;
                let x = jet(*input);
                squared_norm::forward(x, JetMut { form, extent, data: &mut *y.data });
                if let Some(UnitTangents::Units { .. }) =
                    tangents_before.get(source(tangents_before, input.0))
                {
                    squared_norm::add_units(y, graph.input_width());
                }
            }
        }
    }

    /// The coefficients of the output node, after [`Tape::forward`].
    pub fn output(&self) -> Jet<'_, T> {
        let last = self.forms.len() - 1;
        Jet { form: self.forms[last], extent: self.extent, data: &self.values[last] }
    }

    /// The trace of the Jacobian of every row, or the sum of its projections on the directions, after
    /// [`Tape::forward`]; empty if neither was asked for.
    pub fn traces(&self) -> &[T] {
        match (&self.trace, &self.projected) {
            (Some(trace), _) => &trace.traces,
            (_, Some(projected)) => &projected.traces,
            _ => &[],
        }
    }

    /// The way back of the last [`Tape::forward`], from an adjoint of the output that is zero so far.
    pub fn backward(&mut self) -> Backward<'_, T> {
        let last = self.forms.len() - 1;
        let (mut data, _) = self.take_bar(last);
        data.fill(T::ZERO);
        Backward { bar: data, tape: self }
    }

    /// Carries the adjoint of the output back, see [`Backward::run`].
    fn carry_back(
        &mut self,
        bar: Vec<T>,
        graph: &Graph,
        parameters: &[T],
        mut gradient: Option<&mut [T]>,
        mut x_bar: Option<&mut [T]>,
    ) {
        let last = self.forms.len() - 1;
        self.bars[last] = Some(bar);
        if let Some(trace) = &mut self.trace {
            trace.adjoint(&mut self.tangents);
        }
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
                let range = index.range(*weight);
                let mut gradient = gradient;
                if let Some(gradient) = gradient.as_deref_mut() {
                    let mut fresh = |id: ParameterId| {
                        self.fresh
                            .get_mut(id.0)
                            .is_some_and(|fresh| std::mem::replace(fresh, false))
                    };
                    let fresh = (fresh(*weight), bias.is_some_and(fresh));
                    let (data, bias_data) = affine_slots(gradient, index, *weight, *bias);
                    let weight_bar = Slot { data, fresh: fresh.0 };
                    let bias_bar = bias_data.map(|data| Slot { data, fresh: fresh.1 });
                    affine::adjoint_parameters(self.jet(*input), y_bar, weight_bar, bias_bar);
                    let weight_bar = &mut gradient[range.clone()];
                    adjoint_squares(&mut self.tangents, at, &parameters[range.clone()], weight_bar);
                }
                if wanted(*input) {
                    let (mut data, new) = self.take_bar(input.0);
                    let x_bar = JetMut { form: self.forms[input.0], extent, data: &mut data };
                    affine::adjoint_input(&parameters[range.clone()], y_bar, x_bar, !new);
                    if let Some(projected) = self.projected.as_mut().filter(|p| p.last == at) {
                        let orders = orders(graph, self.request, &self.values, at, extent.rows);
                        let values = extent.rows * self.forms[input.0].width;
                        let weight_bar = gradient.map(|gradient| &mut gradient[range]);
                        projected.adjoint(orders, &mut data[values..], new, weight_bar);
                    }
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
        function: gradlogp_numeric::Activation,
        mut bar: Vec<T>,
    ) -> Option<Vec<T>> {
        let (form, extent) = (self.forms[input.0], self.extent);
        let alone = form.first != First::Shared && self.bars[input.0].is_none();
        let mut target = if alone { Vec::new() } else { self.take_zeroed_bar(input.0) };
        let values = extent.rows * form.width;
        let shared = if form.first == First::Shared { values } else { target.len() };
        let (value_bar, shared_bar) = target.split_at_mut(shared);
        let jet = |id: usize| Jet { form: self.forms[id], extent, data: &self.values[id] };
        let (x, y) = (jet(input.0), jet(at));
        let gram_terms = gram_terms_bar(&mut self.tangents, at, input.0);
        activation::adjoint(function, x, y, &self.saved[at], &mut bar, shared_bar, gram_terms);
        if alone {
            bar.truncate(form.stack_rows(extent) * form.width);
            self.bars[input.0] = Some(bar);
            return None;
        }
        let len = value_bar.len();
        add_assign(value_bar, &bar[..len]);
        self.bars[input.0] = Some(target);
        Some(bar)
    }

    /// A buffer for the adjoint of `at`, holding what has been added so far.
    fn take_zeroed_bar(&mut self, at: usize) -> Vec<T> {
        let (mut bar, new) = self.take_bar(at);
        if new {
            bar.fill(T::ZERO);
        }
        bar
    }
}

/// The way back of one run: first the adjoint of the output is filled, then it is carried to the parameters
/// and to x.
#[derive(Debug)]
#[must_use = "nothing happens before `run`"]
pub struct Backward<'a, T> {
    tape: &'a mut Tape<T>,
    bar: Vec<T>,
}

impl<T: Real> Backward<'_, T> {
    /// As [`Tape::output`].
    pub fn output(&self) -> Jet<'_, T> {
        self.tape.output()
    }

    /// As [`Tape::traces`].
    pub fn traces(&self) -> &[T] {
        self.tape.traces()
    }

    /// The adjoint of the output, to be filled.
    pub fn bar(&mut self) -> JetMut<'_, T> {
        let last = self.tape.forms.len() - 1;
        JetMut { form: self.tape.forms[last], extent: self.tape.extent, data: &mut self.bar }
    }

    /// The adjoint of [`Tape::traces`], every number of which has to be written.
    pub fn traces_bar(&mut self) -> &mut [T] {
        match (&mut self.tape.trace, &mut self.tape.projected) {
            (Some(trace), _) => &mut trace.traces_bar,
            (_, Some(projected)) => &mut projected.traces_bar,
            _ => &mut [],
        }
    }

    /// Adds to (or, after [`Tape::start_gradient`], first overwrites) the gradient of the parameters (flat, same
    /// layout) and, where asked, writes the adjoint of x (n x d).
    pub fn run(
        self,
        graph: &Graph,
        parameters: &[T],
        gradient: Option<&mut [T]>,
        x_bar: Option<&mut [T]>,
    ) {
        self.tape.carry_back(self.bar, graph, parameters, gradient, x_bar);
    }
}

fn node_form<T>(
    op: &Op,
    width: usize,
    request: Request,
    forms: &[Form],
    tangents: &[UnitTangents<T>],
) -> Form {
    let of = |id: &NodeId| forms[id.0];
    let tangents_here = |id: &NodeId| tangents.get(source(tangents, id.0));
    let curved = request.curved();
    match op {
        Op::Input => Form { width, first: request.along(), second: false },
        Op::Context { .. } => Form { width, first: First::Zero, second: false },
        Op::Affine { input, .. } => affine::form(of(input), width),
        Op::Activation { input, .. } => {
            let squares = matches!(
                tangents_here(input),
                Some(UnitTangents::Shared(_) | UnitTangents::Squares { .. })
            );
            activation::form(of(input), curved, squares)
        }
        Op::Add { inputs: [a, b] } => add::form(of(a), of(b)),
        Op::Multiply { inputs: [a, b] } => multiply::form(of(a), of(b), curved),
        Op::Concat { inputs } => concat::form(inputs.iter().map(of)),
        Op::Slice { input, .. } => slice::form(of(input), width),
        Op::Sum { input } => sum::form(of(input)),
        Op::Scale { input, .. } => of(input),
        Op::SquaredNorm { input } => {
            let units = matches!(tangents_here(input), Some(UnitTangents::Units { .. }));
            squared_norm::form(of(input), curved, units)
        }
    }
}

/// The directions, and the first orders that the last affine map `last` would take.
fn orders<'a, T>(
    graph: &Graph,
    request: Request,
    values: &'a [Vec<T>],
    last: usize,
    rows: usize,
) -> Orders<'a, T> {
    let nodes = graph.nodes();
    let input = nodes.iter().position(|node| node.op == Op::Input).unwrap_or(0);
    let before = nodes[last].op.inputs()[0].0;
    Orders {
        along: request.along(),
        directions: &values[input][rows * nodes[input].width..],
        first: &values[before][rows * nodes[before].width..],
    }
}

/// Columns that unit vectors meet, shape and place of the weights of each affine map of the input.
type InputWeight = (std::ops::Range<usize>, usize, usize, std::ops::Range<usize>);

/// Every affine map of the unit vectors.
fn shared<'a, T>(
    tangents: &'a mut [UnitTangents<T>],
    graph: &'a Graph,
) -> impl Iterator<Item = (&'a mut Metric<T>, InputWeight)> {
    tangents.iter_mut().zip(graph.nodes()).filter_map(move |(tangents_here, node)| {
        let (UnitTangents::Shared(metric), Op::Affine { input, weight, .. }) =
            (tangents_here, &node.op)
        else {
            return None;
        };
        let columns = metric.start..metric.start + graph.input_width();
        let inner = graph.nodes()[input.0].width;
        Some((metric, (columns, node.width, inner, graph.parameters().range(*weight))))
    })
}

/// The Gram matrix behind an activation, and the derivative of that activation.
fn gram_and_derivative<T>(tangents: &[UnitTangents<T>], activation: usize) -> (&Metric<T>, &[T]) {
    match &tangents[activation] {
        UnitTangents::Scaled { of, derivative, .. } => match &tangents[*of] {
            UnitTangents::Shared(metric) => (metric, derivative),
            _ => unreachable!("scaled unit tangents are those of an affine map of the input"),
        },
        _ => unreachable!("squares come behind an activation"),
    }
}

/// The sums of squares that a node hands to the activation behind it.
fn squares<T>(tangents: &[UnitTangents<T>], node: usize) -> (Squares, &[T]) {
    match tangents.get(source(tangents, node)) {
        Some(UnitTangents::Shared(metric)) => (Squares::Shared, &metric.diagonal),
        Some(UnitTangents::Squares { sums, .. }) => (Squares::PerRow, &sums.sums),
        _ => (Squares::None, &[]),
    }
}

/// The adjoints that the activation `at`, behind `input`, takes and gives.
fn gram_terms_bar<T>(
    tangents: &mut [UnitTangents<T>],
    at: usize,
    input: usize,
) -> GramTermsBar<'_, T> {
    let nothing = GramTermsBar {
        kind: Squares::None,
        squares: &[],
        squares_bar: &mut [],
        derivative_bar: &[],
    };
    if tangents.is_empty() {
        return nothing;
    }
    let input = source(tangents, input);
    let (before, here) = tangents.split_at_mut(at);
    let derivative_bar: &[T] = match &here[0] {
        UnitTangents::Scaled { derivative_bar, .. }
        | UnitTangents::Derivative { derivative_bar, .. } => derivative_bar,
        _ => &[],
    };
    match &mut before[input] {
        UnitTangents::Shared(Metric { diagonal, diagonal_bar, .. }) => GramTermsBar {
            kind: Squares::Shared,
            squares: diagonal,
            squares_bar: diagonal_bar,
            derivative_bar,
        },
        UnitTangents::Squares { sums, .. } => {
            let (squares, squares_bar) = sums.sums_and_bar();
            GramTermsBar { kind: Squares::PerRow, squares, squares_bar, derivative_bar }
        }
        _ => GramTermsBar { derivative_bar, ..nothing },
    }
}

/// The adjoint of the sums of squares behind the affine map `at`, if there are any.
fn adjoint_squares<T: Real>(
    tangents: &mut [UnitTangents<T>],
    at: usize,
    weight: &[T],
    weight_bar: &mut [T],
) {
    if tangents.is_empty() {
        return;
    }
    let (before, here) = tangents.split_at_mut(at);
    let UnitTangents::Squares { by, sums } = &mut here[0] else { return };
    let (before, activation) = before.split_at_mut(*by);
    let UnitTangents::Scaled { of, derivative, derivative_bar } = &mut activation[0] else {
        return;
    };
    let UnitTangents::Shared(metric) = &mut before[*of] else { return };
    derivative_bar.clear();
    derivative_bar.resize(derivative.len(), T::ZERO);
    sums.adjoint(metric, weight, weight_bar, derivative, derivative_bar);
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
