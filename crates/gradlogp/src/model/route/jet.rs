//! Projections, curvature and score from jets (MATH 5).
//!
//! | | score field, output y = s | potential, output y = f |
//! |---|---|---|
//! | p_m = v_m.s | v_m.y0 | y1^(m) |
//! | q = sum_m v_m.(grad s) v_m | sum_m v_m.y1^(m) | y2 |
//! | s | y0 | grad f, by one reverse pass |
//! | adjoints | Y0 = sum_m P_m v_m + S, Y1^(m) = Q v_m | Y1^(m) = P_m, Y2 = Q, Y1^(u) = 1 |
//!
//! The exact loss of a potential with many columns asks for its Laplacian as a whole (`jet/gram.rs`), that of a
//! score field for its trace (`jet/trace.rs`), and for the score apart from it.
//!
//! For the score term of a potential, u = S held constant is one more first-order direction that
//! does not enter y2: d/dtheta of the term is S . d(grad f)/dtheta = d/dtheta (u.grad f) = d/dtheta y1^(u).
//!
//! On a domain with a boundary (MATH (7)), with w and d the weights and their derivatives of a row, every
//! direction v becomes sqrt(w) v and s becomes sqrt(w) s, columnwise, which turns q into sum_m v_m.(sqrt(w)
//! grad s sqrt(w)) v_m, of expectation sum_j w_j ds_j/dx_j over slices, and |s|^2 into sum_j w_j s_j^2;
//! objectives do not notice. The rest, d.s, is a score term. So is g.s, where the model's score s adds to the score g of a
//! base: J(g + s) = J(g) + J(s) + E[g.s], of which the first term is no model's.

use super::{GradientOf, Network, Route};
use crate::graph::Graph;
use crate::jet::{
    Backward, Coefficient, First, Inputs, Request, Tape, has_laplacian, has_projected, has_trace,
};
use crate::model::ModelKind;
use crate::model::derivatives::first_width;
use crate::model::tile::{Beside, Tile};
use crate::objective::{Directions, ExactApart, RowLoss, Slices};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::{axpy, dot};

/// Most unit vectors handled at once by an exact loss: bounds its memory at
/// 2 + 64 coefficients per row, whatever d is.
const LARGEST_BLOCK: usize = 64;

/// Whether the Laplacian of a potential is cheaper than d second orders: per row, layer behind layer, a
/// training step takes three products with each direction, or two (one of them half) with the Gram matrix.
fn laplacian_is_cheaper(graph: &Graph) -> bool {
    // 1.8 and not 1.6: forming the factors of the products costs a little, too.
    1.8 * (first_width(graph) as f64) < 3.0 * graph.input_width() as f64 && has_laplacian(graph)
}

/// One objective on one graph by jets, in kept buffers.
pub(super) struct JetRoute<T: Real> {
    /// Carries the directions of the slice term, and u.
    tape: Tape<T>,
    /// Gives grad f; only for the score term of a potential.
    reverse: Option<Tape<T>>,
    rows: Rows<T>,
}

/// What stands between the tapes and the objective.
struct Rows<T: Real> {
    kind: ModelKind,
    rule: Box<dyn RowLoss<T>>,
    /// Whether every row has unit vectors of its own.
    per_row: bool,
    /// Whether the curvature comes as a whole, along no direction.
    whole: bool,
    dim: usize,
    x: Vec<T>,
    directions: Vec<T>,
    score: Vec<T>,
    score_bar: Vec<T>,
    /// sqrt(w) s of one row.
    weighted: Vec<T>,
    projections: Vec<T>,
    projections_bar: Vec<T>,
}

impl<T: Real> JetRoute<T> {
    /// `exact` where the rule is the exact loss: its trace may then be taken as a whole.
    pub(super) fn new(
        kind: ModelKind,
        graph: &Graph,
        rule: Box<dyn RowLoss<T>>,
        exact: bool,
        beside: Beside,
    ) -> Self {
        let bounded = beside == Beside::Weights;
        let dim = graph.input_width();
        // A trace is always cheaper than following the unit vectors: fewer products, with fewer rows.
        let whole = exact
            && !bounded
            && match kind {
                ModelKind::LogDensity => laplacian_is_cheaper(graph),
                ModelKind::Score => has_trace(graph),
            };
        let rule = if whole { Box::new(ExactApart) } else { rule };
        let linear = beside != Beside::Nothing;
        let reverse = kind == ModelKind::LogDensity && (rule.has_score_term() || linear);
        // u is another one for every row, and all directions of a pass are of one kind.
        let per_row = bounded || (reverse && !whole);
        let (first, count) = match rule.directions() {
            Directions::None => (First::Zero, 0),
            Directions::Slices(m) => (First::PerRow, m),
            Directions::Basis if whole => (First::Zero, 0),
            Directions::Basis if per_row => (First::PerRow, block(dim)),
            Directions::Basis => (First::Shared, block(dim)),
        };
        let request = match kind {
            ModelKind::Score if whole => Request::Trace,
            ModelKind::Score if count > 0 && has_projected(graph) => {
                Request::Projected { along: first, count }
            }
            ModelKind::Score => Request::first(first, count),
            ModelKind::LogDensity if whole => Request::Laplacian { count: 1 },
            ModelKind::LogDensity if reverse => Request::second(First::PerRow, count + 1, count),
            ModelKind::LogDensity => Request::second(first, count, count),
        };
        JetRoute {
            tape: Tape::new(graph, request),
            reverse: reverse.then(|| Tape::new(graph, Request::Value)),
            rows: Rows {
                kind,
                rule,
                per_row,
                whole,
                dim,
                x: Vec::new(),
                directions: Vec::new(),
                score: Vec::new(),
                score_bar: Vec::new(),
                weighted: vec![T::ZERO; dim],
                projections: vec![T::ZERO; count],
                projections_bar: vec![T::ZERO; count],
            },
        }
    }
}

impl<T: Real> Route<T> for JetRoute<T> {
    fn rule(&self) -> &dyn RowLoss<T> {
        self.rows.rule.as_ref()
    }

    fn slices(&self) -> usize {
        match self.rows.rule.directions() {
            Directions::Slices(m) => m,
            Directions::None | Directions::Basis => 0,
        }
    }

    fn slice_width(&self) -> usize {
        self.rows.dim
    }

    fn coefficients(&self) -> usize {
        self.tape.request().coefficients() + self.tape.extra_rows()
    }

    fn begin(&mut self, network: Network<'_, T>, gradient: Option<&mut [T]>) {
        self.tape.prepare(network.graph, network.parameters);
        if gradient.is_some() {
            self.tape.start_gradient(network.graph);
        }
    }

    fn end(&mut self, network: Network<'_, T>, gradient: &mut [T]) {
        self.tape.finish(network.graph, network.parameters, gradient);
    }

    fn product_operations(&self, graph: &Graph, rows: usize) -> u64 {
        let reverse = self.reverse.as_ref();
        let score = reverse.map_or(0, |t| t.product_operations(graph, rows, false, true));
        let blocks = self.rows.blocks() as u64;
        score + blocks * self.tape.product_operations(graph, rows, true, false)
    }

    fn shared_operations(&self, graph: &Graph) -> u64 {
        self.tape.shared_operations(graph, true)
    }

    fn bytes(&self) -> usize {
        self.tape.bytes() + self.reverse.as_ref().map_or(0, Tape::bytes)
    }

    fn run(
        &mut self,
        network: Network<'_, T>,
        tile: Tile<'_, T>,
        losses: &mut [T],
        mut gradient: Option<GradientOf<'_, T>>,
    ) {
        let Network { graph, parameters } = network;
        let rows = &mut self.rows;
        let weight = gradient.as_ref().map_or(T::ZERO, |gradient| gradient.weight);
        rows.place_points(tile);
        rows.score_bar.resize(tile.rows * rows.dim, T::ZERO);
        if let Some(reverse) = &mut self.reverse {
            rows.potential_score(reverse, network, tile, losses);
        }
        for block in 0..rows.blocks() {
            rows.place_directions(tile, block, self.reverse.is_some());
            let inputs = Inputs {
                rows: tile.rows,
                x: &rows.x,
                contexts: tile.contexts,
                directions: &rows.directions,
            };
            self.tape.forward(graph, parameters, inputs);
            let mut backward = self.tape.backward();
            match rows.kind {
                ModelKind::Score => rows.score_rows(&mut backward, tile, block, losses, weight),
                ModelKind::LogDensity => {
                    let u = self.reverse.is_some() && block == 0;
                    rows.potential_rows(&mut backward, tile, u, losses, weight);
                }
            }
            if let Some(gradient) = &mut gradient {
                backward.run(graph, parameters, Some(gradient.sum), None);
            }
        }
    }
}

impl<T: Real> Rows<T> {
    /// Blocks of directions, each with a pass of its own.
    fn blocks(&self) -> usize {
        match self.rule.directions() {
            Directions::Basis if !self.projections.is_empty() => {
                self.dim.div_ceil(self.projections.len())
            }
            _ => 1,
        }
    }

    /// x, or x + sigma z.
    fn place_points(&mut self, tile: Tile<'_, T>) {
        self.x.clear();
        self.x.extend_from_slice(&tile.x[..tile.rows * self.dim]);
        if let Some(sigma) = self.rule.noise() {
            axpy(&mut self.x, T::of(sigma), &tile.noise[..tile.rows * self.dim]);
        }
    }

    /// The slices, or one block of unit vectors; after them u, if any.
    fn place_directions(&mut self, tile: Tile<'_, T>, block: usize, with_u: bool) {
        self.directions.clear();
        match self.rule.directions() {
            Directions::None => {}
            Directions::Slices(m) => {
                self.directions.extend_from_slice(&tile.slices[..m * tile.rows * self.dim]);
            }
            Directions::Basis => {
                // None for a Laplacian.
                let count = self.projections.len();
                let copies = if self.per_row { tile.rows } else { 1 };
                self.directions.resize(count * copies * self.dim, T::ZERO);
                // Past the last column the direction stays zero and adds nothing.
                for (k, i) in (block * count..self.dim).take(count).enumerate() {
                    for r in 0..copies {
                        self.directions[(k * copies + r) * self.dim + i] = T::ONE;
                    }
                }
            }
        }
        if !tile.roots.is_empty() {
            for directions in self.directions.chunks_mut(tile.rows * self.dim) {
                directions.iter_mut().zip(tile.roots).for_each(|(v, root)| *v = *root * *v);
            }
        }
        if with_u {
            self.directions.extend_from_slice(&self.score_bar);
        }
    }

    /// grad f by a reverse pass, then the score term of every row.
    fn potential_score(
        &mut self,
        reverse: &mut Tape<T>,
        Network { graph, parameters }: Network<'_, T>,
        tile: Tile<'_, T>,
        losses: &mut [T],
    ) {
        let n = tile.rows * self.dim;
        self.score.resize(n, T::ZERO);
        let (x, contexts) = (self.x.as_slice(), tile.contexts);
        reverse.forward(
            graph,
            parameters,
            Inputs { rows: tile.rows, x, contexts, directions: &[] },
        );
        let mut backward = reverse.backward();
        backward.bar().data.fill(T::ONE);
        backward.run(graph, parameters, None, Some(&mut self.score[..n]));
        for (r, loss) in losses.iter_mut().enumerate() {
            let row = r * self.dim..(r + 1) * self.dim;
            let (score, bar) = (&self.score[row.clone()], &mut self.score_bar[row]);
            *loss += score_term(self.rule.as_ref(), tile, r, score, &mut self.weighted, bar);
        }
    }

    fn potential_rows(
        &mut self,
        backward: &mut Backward<'_, T>,
        tile: Tile<'_, T>,
        with_u: bool,
        losses: &mut [T],
        weight: T,
    ) {
        let slices = self.projections.len();
        let has_slices = slices > 0 || self.whole;
        for r in 0..tile.rows {
            let weight = weight * tile.weight(r);
            if has_slices {
                let output = backward.output();
                for (m, p) in self.projections.iter_mut().enumerate() {
                    *p = output.row(Coefficient::First(m), r).map_or(T::ZERO, |y| y[0]);
                }
                let q = output.row(Coefficient::Second, r).map_or(T::ZERO, |y| y[0]);
                let seen = Slices { projections: &self.projections, noise: &[], curvature: q };
                let term = self.rule.slice_term(seen, &mut self.projections_bar);
                losses[r] += term.loss;
                let mut bar = backward.bar();
                for (m, p_bar) in self.projections_bar.iter().enumerate() {
                    if let Some(bar) = bar.row_mut(Coefficient::First(m), r) {
                        bar[0] = weight * *p_bar;
                    }
                }
                if let Some(bar) = bar.row_mut(Coefficient::Second, r) {
                    bar[0] = weight * term.curvature_bar;
                }
            }
            if with_u {
                let mut bar = backward.bar();
                if let Some(bar) = bar.row_mut(Coefficient::First(slices), r) {
                    bar[0] = weight;
                }
            }
        }
    }

    fn score_rows(
        &mut self,
        backward: &mut Backward<'_, T>,
        tile: Tile<'_, T>,
        block: usize,
        losses: &mut [T],
        weight: T,
    ) {
        let (d, slices) = (self.dim, self.projections.len());
        let shared = self.rule.directions() == Directions::Basis && !self.per_row;
        let direction = |m: usize, r: usize| {
            let at = if shared { m } else { m * tile.rows + r };
            at * d..(at + 1) * d
        };
        for r in 0..tile.rows {
            let weight = weight * tile.weight(r);
            let output = backward.output();
            let s = output.value(r);
            let s_bar = &mut self.score_bar[r * d..(r + 1) * d];
            s_bar.fill(T::ZERO);
            if block == 0 {
                let rule = self.rule.as_ref();
                losses[r] += score_term(rule, tile, r, s, &mut self.weighted, s_bar);
            }
            let traced = backward.traces().get(r).copied();
            let mut q = traced.unwrap_or(T::ZERO);
            for m in 0..slices {
                let v = &self.directions[direction(m, r)];
                self.projections[m] = dot(v, s);
                q += output.row(Coefficient::First(m), r).map_or(T::ZERO, |y1| dot(v, y1));
            }
            let mut q_bar = T::ZERO;
            if slices > 0 || traced.is_some() {
                let seen = Slices { projections: &self.projections, noise: &[], curvature: q };
                let term = self.rule.slice_term(seen, &mut self.projections_bar);
                losses[r] += term.loss;
                q_bar = term.curvature_bar;
            }
            if traced.is_some() {
                backward.traces_bar()[r] = weight * q_bar;
            }
            let mut bar = backward.bar();
            for m in 0..slices {
                let v = &self.directions[direction(m, r)];
                axpy(s_bar, self.projections_bar[m], v);
                if let Some(bar) = bar.row_mut(Coefficient::First(m), r) {
                    axpy(bar, weight * q_bar, v);
                }
            }
            if let Some(bar) = bar.row_mut(Coefficient::Value, r) {
                axpy(bar, weight, s_bar);
            }
        }
    }
}

/// Unit vectors handled at once by an exact loss in d columns.
fn block(dim: usize) -> usize {
    dim.div_ceil(dim.div_ceil(LARGEST_BLOCK))
}

/// The objective's score term of row `r`, of sqrt(w) s where there are weights, and d.s; writes the
/// adjoint of s.
fn score_term<T: Real>(
    rule: &dyn RowLoss<T>,
    tile: Tile<'_, T>,
    r: usize,
    score: &[T],
    weighted: &mut [T],
    score_bar: &mut [T],
) -> T {
    let d = score.len();
    score_bar.fill(T::ZERO);
    let mut loss = T::ZERO;
    if rule.has_score_term() {
        let (noise, roots) = (Tile::row(tile.noise, r, d), Tile::row(tile.roots, r, d));
        weighted.copy_from_slice(score);
        weighted.iter_mut().zip(roots).for_each(|(s, root)| *s = *root * *s);
        loss = rule.score_term(weighted, noise, score_bar);
        score_bar.iter_mut().zip(roots).for_each(|(bar, root)| *bar = *root * *bar);
    }
    let linear = Tile::row(tile.linear, r, d);
    if !linear.is_empty() {
        loss += dot(linear, score);
        axpy(score_bar, T::ONE, linear);
    }
    loss
}
