//! Projections, curvature and score by central differences (Pang et al. 2020; MATH (5)).
//!
//! Every row x becomes the rows x + eps v_m and x - eps v_m, and x itself where it is needed, stacked
//! in one pass for values only. With + and - for the outputs there:
//!
//! | | score field, output y = s | potential, output y = f |
//! |---|---|---|
//! | p_m = v_m.s | v_m.s_m | (f+ - f-) / (2 eps) |
//! | q = sum_m v_m.(grad s) v_m | sum_m v_m.(s+ - s-) / (2 eps) | sum_m (f+ + f- - 2 f) / eps^2 |
//! | s | s_m = (s+ + s-) / 2, one per slice; the score term is their mean | not there |
//!
//! Each is exact up to O(eps^2) and rounding. No jet is needed: any network that can be evaluated
//! can be trained so.

use super::{GradientOf, Network, Route};
use crate::graph::{Graph, MAX_CONTEXTS};
use crate::jet::{Backward, Coefficient, Inputs, JetMut, Request, Tape};
use crate::model::ModelKind;
use crate::model::tile::Tile;
use crate::objective::{DifferenceOrder, Differences, RowLoss, Slices};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::{axpy, dot};

/// One objective on one graph by differences of values, in kept buffers.
pub(super) struct DifferenceRoute<T: Real> {
    tape: Tape<T>,
    rule: Box<dyn RowLoss<T>>,
    /// The rows, noised where the objective adds noise.
    x: Vec<T>,
    stencil: Stencil<T>,
}

impl<T: Real> DifferenceRoute<T> {
    pub(super) fn new(
        kind: ModelKind,
        graph: &Graph,
        rule: Box<dyn RowLoss<T>>,
        differences: Differences,
    ) -> Self {
        DifferenceRoute {
            tape: Tape::new(graph, Request::Value),
            stencil: Stencil::new(kind, graph.input_width(), differences, rule.as_ref()),
            rule,
            x: Vec::new(),
        }
    }
}

impl<T: Real> Route<T> for DifferenceRoute<T> {
    fn rule(&self) -> &dyn RowLoss<T> {
        self.rule.as_ref()
    }

    fn slices(&self) -> usize {
        self.stencil.slices
    }

    fn slice_width(&self) -> usize {
        self.stencil.dim
    }

    fn coefficients(&self) -> usize {
        self.stencil.points()
    }

    fn begin(&mut self, network: Network<'_, T>, gradient: Option<&mut [T]>) {
        if gradient.is_some() {
            self.tape.start_gradient(network.graph);
        }
    }

    fn end(&mut self, network: Network<'_, T>, gradient: &mut [T]) {
        self.tape.finish(network.graph, network.parameters, gradient);
    }

    fn product_operations(&self, graph: &Graph, rows: usize) -> u64 {
        self.tape.product_operations(graph, rows * self.stencil.points(), true, false)
    }

    fn shared_operations(&self, _: &Graph) -> u64 {
        0
    }

    fn bytes(&self) -> usize {
        self.tape.bytes()
    }

    fn run(
        &mut self,
        Network { graph, parameters }: Network<'_, T>,
        tile: Tile<'_, T>,
        losses: &mut [T],
        gradient: Option<GradientOf<'_, T>>,
    ) {
        let n = tile.rows * self.stencil.dim;
        self.x.clear();
        self.x.extend_from_slice(&tile.x[..n]);
        if let Some(sigma) = self.rule.noise() {
            axpy(&mut self.x, T::of(sigma), &tile.noise[..n]);
        }
        let weight = gradient.as_ref().map_or(T::ZERO, |gradient| gradient.weight);
        self.stencil.forward(&mut self.tape, (graph, parameters), tile, &self.x);
        let mut backward = self.tape.backward();
        self.stencil.rows(&mut backward, self.rule.as_ref(), tile, losses, weight);
        if let Some(gradient) = gradient {
            backward.run(graph, parameters, Some(gradient.sum), None);
        }
    }
}

/// The points of the differences and what is seen there, in kept buffers.
struct Stencil<T> {
    kind: ModelKind,
    dim: usize,
    slices: usize,
    eps: T,
    /// Whether x itself is one of the points.
    centre: bool,
    points: Vec<T>,
    contexts: Vec<Vec<T>>,
    noise: Vec<T>,
    projections: Vec<T>,
    projections_bar: Vec<T>,
    /// s_m and its adjoint, slice by slice, M x d.
    means: Vec<T>,
    means_bar: Vec<T>,
}

impl<T: Real> Stencil<T> {
    fn new(kind: ModelKind, dim: usize, differences: Differences, rule: &dyn RowLoss<T>) -> Self {
        let Differences { slices, .. } = differences;
        let centre = kind == ModelKind::LogDensity && rule.has_curvature();
        let order = if centre { DifferenceOrder::Second } else { DifferenceOrder::First };
        let whole = if kind == ModelKind::Score { slices * dim } else { 0 };
        Stencil {
            kind,
            dim,
            slices,
            eps: T::of(differences.eps::<T>(dim, order)),
            centre,
            points: Vec::new(),
            contexts: Vec::new(),
            noise: vec![T::ZERO; slices],
            projections: vec![T::ZERO; slices],
            projections_bar: vec![T::ZERO; slices],
            means: vec![T::ZERO; whole],
            means_bar: vec![T::ZERO; whole],
        }
    }

    /// Points per row.
    fn points(&self) -> usize {
        2 * self.slices + usize::from(self.centre)
    }

    /// Evaluates the points around `x` (n x d).
    fn forward(
        &mut self,
        tape: &mut Tape<T>,
        (graph, parameters): (&Graph, &[T]),
        tile: Tile<'_, T>,
        x: &[T],
    ) {
        self.place(graph, tile, x);
        let context = |slot| self.contexts.get(slot).map_or(&[][..], Vec::as_slice);
        let contexts: [&[T]; MAX_CONTEXTS] = std::array::from_fn(context);
        let rows = tile.rows * self.points();
        let inputs = Inputs { rows, x: &self.points, contexts: &contexts, directions: &[] };
        tape.forward(graph, parameters, inputs);
    }

    /// Writes the losses of the rows without their weights, and `weight` times the adjoint of their weighted sum.
    fn rows(
        &mut self,
        backward: &mut Backward<'_, T>,
        rule: &dyn RowLoss<T>,
        tile: Tile<'_, T>,
        losses: &mut [T],
        weight: T,
    ) {
        for (r, loss) in losses.iter_mut().enumerate().take(tile.rows) {
            for m in 0..self.slices {
                let noise = row(tile.noise, r, self.dim);
                let v = row(tile.slices, m * tile.rows + r, self.dim);
                self.noise[m] = dot(&v[..noise.len()], noise);
            }
            let weight = weight * tile.weight(r);
            *loss = match self.kind {
                ModelKind::LogDensity => self.potential_row(backward, rule, tile.rows, r, weight),
                ModelKind::Score => self.score_row(backward, rule, tile, r, weight),
            };
        }
    }

    /// Blocks of n rows: x if needed, x + eps v_0, x - eps v_0, x + eps v_1, ...
    fn place(&mut self, graph: &Graph, tile: Tile<'_, T>, x: &[T]) {
        let block = tile.rows * self.dim;
        self.points.clear();
        for _ in 0..self.points() {
            self.points.extend_from_slice(&x[..block]);
        }
        let first = usize::from(self.centre) * block;
        let pairs = self.points[first..].chunks_mut(block.max(1)).enumerate();
        for (k, points) in pairs {
            let eps = if k % 2 == 0 { self.eps } else { -self.eps };
            axpy(points, eps, &tile.slices[k / 2 * block..(k / 2 + 1) * block]);
        }
        let widths = graph.context_widths();
        self.contexts.resize(widths.len(), Vec::new());
        for ((stacked, context), width) in self.contexts.iter_mut().zip(tile.contexts).zip(widths) {
            stacked.clear();
            for _ in 0..2 * self.slices + usize::from(self.centre) {
                stacked.extend_from_slice(&context[..tile.rows * width]);
            }
        }
    }

    /// Stacked rows of x + eps v_m and x - eps v_m.
    fn pair(&self, rows: usize, r: usize, m: usize) -> (usize, usize) {
        let plus = (usize::from(self.centre) + 2 * m) * rows + r;
        (plus, plus + rows)
    }

    fn potential_row(
        &mut self,
        backward: &mut Backward<'_, T>,
        rule: &dyn RowLoss<T>,
        rows: usize,
        r: usize,
        weight: T,
    ) -> T {
        let f = |at: usize| backward.output().value(at)[0];
        let (half, square) = (T::of(0.5) / self.eps, T::ONE / (self.eps * self.eps));
        let mut q = T::ZERO;
        for m in 0..self.slices {
            let (plus, minus) = self.pair(rows, r, m);
            self.projections[m] = (f(plus) - f(minus)) * half;
            if self.centre {
                // The differences first: they are small, their parts are not.
                q += ((f(plus) - f(r)) - (f(r) - f(minus))) * square;
            }
        }
        let seen = Slices { projections: &self.projections, noise: &self.noise, curvature: q };
        let term = rule.slice_term(seen, &mut self.projections_bar);
        let mut bar = backward.bar();
        let q_bar = if self.centre { term.curvature_bar * square } else { T::ZERO };
        for m in 0..self.slices {
            let (plus, minus) = self.pair(rows, r, m);
            let p_bar = self.projections_bar[m] * half;
            add(&mut bar, plus, weight * (q_bar + p_bar));
            add(&mut bar, minus, weight * (q_bar - p_bar));
            if self.centre {
                add(&mut bar, r, T::of(-2.0) * weight * q_bar);
            }
        }
        term.loss
    }

    fn score_row(
        &mut self,
        backward: &mut Backward<'_, T>,
        rule: &dyn RowLoss<T>,
        tile: Tile<'_, T>,
        r: usize,
        weight: T,
    ) -> T {
        let (rows, d) = (tile.rows, self.dim);
        let half = T::of(0.5) / self.eps;
        let share = T::of(1.0 / self.slices as f64);
        let (mut q, mut loss) = (T::ZERO, T::ZERO);
        self.means_bar.fill(T::ZERO);
        for m in 0..self.slices {
            let (plus, minus) = self.pair(rows, r, m);
            let (v, output) = (row(tile.slices, m * rows + r, d), backward.output());
            let mean = &mut self.means[m * d..(m + 1) * d];
            for ((mean, up), down) in
                mean.iter_mut().zip(output.value(plus)).zip(output.value(minus))
            {
                *mean = T::of(0.5) * (*up + *down);
            }
            q += (dot(v, output.value(plus)) - dot(v, output.value(minus))) * half;
            self.projections[m] = dot(v, mean);
            if rule.has_score_term() {
                let bar = &mut self.means_bar[m * d..(m + 1) * d];
                loss += share * rule.score_term(mean, row(tile.noise, r, d), bar);
                bar.iter_mut().for_each(|bar| *bar = share * *bar);
            }
        }
        let seen = Slices { projections: &self.projections, noise: &self.noise, curvature: q };
        let term = rule.slice_term(seen, &mut self.projections_bar);
        let mut bar = backward.bar();
        for m in 0..self.slices {
            let (plus, minus) = self.pair(rows, r, m);
            let v = row(tile.slices, m * rows + r, d);
            let mean_bar = &mut self.means_bar[m * d..(m + 1) * d];
            axpy(mean_bar, self.projections_bar[m], v);
            for (at, q_bar) in [(plus, term.curvature_bar), (minus, -term.curvature_bar)] {
                if let Some(bar) = bar.row_mut(Coefficient::Value, at) {
                    axpy(bar, weight * T::of(0.5), mean_bar);
                    axpy(bar, weight * q_bar * half, v);
                }
            }
        }
        loss + term.loss
    }
}

/// Row `r` of rows of `width`; empty where there are none.
fn row<T>(data: &[T], r: usize, width: usize) -> &[T] {
    data.get(r * width..(r + 1) * width).unwrap_or(&[])
}

fn add<T: Real>(bar: &mut JetMut<'_, T>, at: usize, by: T) {
    if let Some(bar) = bar.row_mut(Coefficient::Value, at) {
        bar[0] += by;
    }
}
