//! From jets to objectives and back: how projections, curvature and score come out of a model, and
//! how their adjoints return (MATH 5).
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
//! On a domain with a boundary (MATH (7)), with w and d the weights and slopes of a row, every direction v becomes
//! sqrt(w) v and s becomes sqrt(w) s, columnwise, which turns q into sum_m v_m.(sqrt(w) grad s sqrt(w)) v_m, of
//! expectation sum_j w_j ds_j/dx_j over slices, and |s|^2 into sum_j w_j s_j^2; objectives do not
//! notice. The rest, d.s, is a score term.
//!
//! Objectives by finite differences take values at shifted points instead: `stencil.rs`. Those by a second
//! backward sweep are in `second_sweep.rs`.

use super::derivatives::first_width;
use super::second_sweep::{self, SecondPass};
use super::stencil::Stencil;
use super::{Model, ModelKind};
use crate::Result;
use crate::graph::Graph;
use crate::jet::{
    Coefficient, First, Inputs, Request, Tape, has_laplacian, has_projected, has_trace,
};
use crate::objective::{Directions, ExactApart, Objective, RowLoss, Slices};
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

/// Some rows of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Tile<'a, T> {
    /// Number of rows n.
    pub rows: usize,
    /// x, n x d.
    pub x: &'a [T],
    /// Contexts by slot.
    pub contexts: &'a [&'a [T]],
    /// Random slices, \[M, n, [`LossPass::slice_width`]\], for objectives that use them.
    pub slices: &'a [T],
    /// Standard normal noise, n x d, for objectives that use it; or the scores to fit to.
    pub noise: &'a [T],
    /// Factors of the rows' losses, n; empty for 1.
    pub weights: &'a [T],
    /// Square roots of the weights on a bounded domain, n x d; empty without one.
    pub roots: &'a [T],
    /// Slopes of the weights, n x d; empty without a domain.
    pub slopes: &'a [T],
}

impl<T: Real> Tile<'_, T> {
    pub(super) fn weight(&self, row: usize) -> T {
        self.weights.get(row).copied().unwrap_or(T::ONE)
    }
}

impl<'a, T> Tile<'a, T> {
    /// Row `r` of n x `width` numbers; empty where there are none.
    fn row(data: &'a [T], r: usize, width: usize) -> &'a [T] {
        data.get(r * width..(r + 1) * width).unwrap_or(&[])
    }
}

/// Computes losses and gradients of one objective on one graph, tile by tile, in kept buffers.
pub struct LossPass<T: Real> {
    kind: ModelKind,
    rule: Box<dyn RowLoss<T>>,
    /// Carries the directions of the slice term, and u.
    tape: Tape<T>,
    /// Gives grad f; only for the score term of a potential.
    reverse: Option<Tape<T>>,
    /// For objectives by finite differences; the tape then carries values only.
    stencil: Option<Stencil<T>>,
    /// For objectives by a second backward sweep; the tape is then not used.
    second: Option<SecondPass<T>>,
    /// Whether rows come with weights.
    bounded: bool,
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

impl<T: Real> LossPass<T> {
    /// Refuses models that the objective is not for.
    ///
    /// # Errors
    /// Score fields and networks with products of units, for objectives by a second backward sweep.
    pub fn check(objective: &Objective, model: &Model<T>) -> Result<()> {
        second_sweep::check(objective, model)
    }

    /// Plans the passes, for a model that [`LossPass::check`] allows; `bounded` where rows will come with weights.
    pub fn new(kind: ModelKind, graph: &Graph, objective: &Objective, bounded: bool) -> Self {
        let dim = graph.input_width();
        let laplacian = *objective == Objective::Exact
            && kind == ModelKind::Potential
            && !bounded
            && laplacian_is_cheaper(graph);
        // Always cheaper than following the unit vectors: fewer products, with fewer rows.
        let trace = *objective == Objective::Exact
            && kind == ModelKind::Score
            && !bounded
            && has_trace(graph);
        let rule: Box<dyn RowLoss<T>> = match laplacian || trace {
            true => Box::new(ExactApart),
            false => objective.row_loss(kind == ModelKind::Score),
        };
        let stencil = objective.differences().map(|d| Stencil::new(kind, dim, d, rule.as_ref()));
        let (first, count) = match rule.directions() {
            Directions::None => (First::Zero, 0),
            Directions::Slices(m) => (First::PerRow, m),
            Directions::Basis if laplacian || trace => (First::Zero, 0),
            Directions::Basis if bounded => (First::PerRow, block(dim)),
            Directions::Basis => (First::Shared, block(dim)),
        };
        let reverse = kind == ModelKind::Potential && (rule.has_score_term() || bounded);
        let second = objective.second_sweep().map(|sweep| SecondPass::new(graph, sweep));
        let reverse = reverse && second.is_none();
        let request = match kind {
            _ if second.is_some() => Request::VALUE,
            _ if stencil.is_some() => Request::VALUE,
            ModelKind::Score if trace => Request::trace(),
            ModelKind::Score if count > 0 && has_projected(graph) => {
                Request::projected(first, count)
            }
            ModelKind::Score => Request::first(first, count),
            ModelKind::Potential if laplacian => Request::laplacian(1),
            ModelKind::Potential if reverse => Request::second(First::PerRow, count + 1, count),
            ModelKind::Potential => Request::second(first, count, count),
        };
        LossPass {
            kind,
            rule,
            tape: Tape::new(graph, request),
            reverse: reverse.then(|| Tape::new(graph, Request::VALUE)),
            stencil,
            second,
            bounded,
            dim,
            x: Vec::new(),
            directions: Vec::new(),
            score: Vec::new(),
            score_bar: Vec::new(),
            weighted: vec![T::ZERO; dim],
            projections: vec![T::ZERO; count],
            projections_bar: vec![T::ZERO; count],
        }
    }

    /// The objective's needs.
    pub fn rule(&self) -> &dyn RowLoss<T> {
        self.rule.as_ref()
    }

    /// Random slices to draw for every row.
    pub fn slices(&self) -> usize {
        match (&self.second, &self.stencil, self.rule.directions()) {
            (Some(second), ..) => second.slices(),
            (None, Some(stencil), _) => stencil.slices(),
            (None, None, Directions::Slices(m)) => m,
            (None, None, _) => 0,
        }
    }

    /// Numbers of one slice: d, or one per unit that is not linear for curvature propagation.
    pub fn slice_width(&self) -> usize {
        self.second.as_ref().map_or(self.dim, SecondPass::noise_width)
    }

    /// Rows on the tape per data row.
    fn points(&self) -> usize {
        self.stencil.as_ref().map_or(1, Stencil::points)
    }

    /// Rows of working space per data row in the widest pass, mostly coefficients.
    pub fn coefficients(&self) -> usize {
        if self.second.is_some() {
            return 2 + 2 * self.slices();
        }
        self.points() * self.tape.request().coefficients() + self.tape.extra_rows()
    }

    /// To be called before the first of a set of tiles with the same parameters. Where their gradient will be
    /// taken, it is formed anew: what it holds is overwritten.
    pub fn begin(&mut self, graph: &Graph, parameters: &[T], gradient: Option<&mut [T]>) {
        self.tape.prepare(graph, parameters);
        if let Some(second) = &mut self.second {
            second.prepare(parameters);
        }
        match gradient {
            // Their gradients are added up outside of the tape.
            Some(gradient) if self.second.is_some() => gradient.fill(T::ZERO),
            Some(_) => self.tape.start_gradient(graph),
            None => {}
        }
    }

    /// To be called after the last tile of a set whose gradient was taken: adds what they share.
    pub fn end(&mut self, graph: &Graph, parameters: &[T], gradient: &mut [T]) {
        self.tape.finish(graph, parameters, gradient);
    }

    /// Floating-point operations in the matrix products of one loss and gradient over `rows` rows.
    pub fn product_operations(&self, graph: &Graph, rows: usize) -> u64 {
        if let Some(second) = &self.second {
            return second.product_operations(graph, rows);
        }
        let reverse = self.reverse.as_ref();
        let score = reverse.map_or(0, |t| t.product_operations(graph, rows, false, true));
        let blocks = self.blocks() as u64;
        let rows = rows * self.points();
        score + blocks * self.tape.product_operations(graph, rows, true, false)
    }

    /// The same of [`LossPass::begin`] and [`LossPass::end`].
    pub fn shared_operations(&self, graph: &Graph) -> u64 {
        self.tape.shared_operations(graph, true)
    }

    /// Bytes held at present.
    pub fn bytes(&self) -> usize {
        let tapes = self.tape.bytes() + self.reverse.as_ref().map_or(0, Tape::bytes);
        tapes + self.second.as_ref().map_or(0, SecondPass::bytes)
    }

    /// Writes the (weighted) loss of every row and, where a gradient is given, adds to it
    /// `weight` times the gradient of their sum with respect to the parameters.
    pub fn run(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        tile: Tile<'_, T>,
        losses: &mut [T],
        gradient: Option<(&mut [T], T)>,
    ) {
        losses.fill(T::ZERO);
        if let Some(second) = &mut self.second {
            second.run(self.rule.as_ref(), (graph, parameters), tile, losses, gradient);
        } else {
            self.run_passes(graph, parameters, tile, losses, gradient);
        }
        for (loss, weight) in losses.iter_mut().zip(tile.weights) {
            *loss *= *weight;
        }
    }

    /// Losses without the rows' weights, and the gradient with them, by passes of the tape.
    fn run_passes(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        tile: Tile<'_, T>,
        losses: &mut [T],
        mut gradient: Option<(&mut [T], T)>,
    ) {
        self.place_points(tile);
        let weight = gradient.as_ref().map_or(T::ZERO, |(_, weight)| *weight);
        if let Some(stencil) = &mut self.stencil {
            let network = (graph, parameters);
            stencil.run(
                &mut self.tape,
                self.rule.as_ref(),
                network,
                (tile, &self.x),
                losses,
                weight,
            );
            if let Some((gradient, _)) = gradient {
                self.tape.adjoint(graph, parameters, Some(gradient), None);
            }
            return;
        }
        self.score_bar.resize(tile.rows * self.dim, T::ZERO);
        if self.reverse.is_some() {
            self.potential_score(graph, parameters, tile, losses);
        }
        for block in 0..self.blocks() {
            self.place_directions(tile, block);
            let inputs = Inputs {
                rows: tile.rows,
                x: &self.x,
                contexts: tile.contexts,
                directions: &self.directions,
            };
            self.tape.forward(graph, parameters, inputs);
            self.tape.output_bar();
            match self.kind {
                ModelKind::Score => self.score_rows(tile, block, losses, weight),
                ModelKind::Potential => self.potential_rows(tile, block, losses, weight),
            }
            if let Some((gradient, _)) = &mut gradient {
                self.tape.adjoint(graph, parameters, Some(gradient), None);
            }
        }
    }

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
    fn place_directions(&mut self, tile: Tile<'_, T>, block: usize) {
        self.directions.clear();
        match self.rule.directions() {
            Directions::None => {}
            Directions::Slices(m) => {
                self.directions.extend_from_slice(&tile.slices[..m * tile.rows * self.dim]);
            }
            Directions::Basis => {
                // None for a Laplacian.
                let count = self.projections.len();
                let copies = if self.bounded { tile.rows } else { 1 };
                self.directions.resize(count * copies * self.dim, T::ZERO);
                // Past the last column the direction stays zero and adds nothing.
                for (k, i) in (block * count..self.dim).take(count).enumerate() {
                    for r in 0..copies {
                        self.directions[(k * copies + r) * self.dim + i] = T::ONE;
                    }
                }
            }
        }
        if self.bounded {
            for directions in self.directions.chunks_mut(tile.rows * self.dim) {
                directions.iter_mut().zip(tile.roots).for_each(|(v, root)| *v = *root * *v);
            }
        }
        if self.reverse.is_some() {
            self.directions.extend_from_slice(&self.score_bar);
        }
    }

    /// grad f by a reverse pass, then the score term of every row.
    fn potential_score(
        &mut self,
        graph: &Graph,
        parameters: &[T],
        tile: Tile<'_, T>,
        losses: &mut [T],
    ) {
        let Some(reverse) = &mut self.reverse else { return };
        let n = tile.rows * self.dim;
        self.score.resize(n, T::ZERO);
        let (x, contexts) = (self.x.as_slice(), tile.contexts);
        reverse.forward(
            graph,
            parameters,
            Inputs { rows: tile.rows, x, contexts, directions: &[] },
        );
        reverse.output_bar().data.fill(T::ONE);
        reverse.adjoint(graph, parameters, None, Some(&mut self.score[..n]));
        for (r, loss) in losses.iter_mut().enumerate() {
            let row = r * self.dim..(r + 1) * self.dim;
            let (score, bar) = (&self.score[row.clone()], &mut self.score_bar[row]);
            *loss += score_term(self.rule.as_ref(), tile, r, score, &mut self.weighted, bar);
        }
    }

    fn potential_rows(&mut self, tile: Tile<'_, T>, block: usize, losses: &mut [T], weight: T) {
        let slices = self.projections.len();
        let has_slices = slices > 0 || self.tape.request().laplacian;
        for r in 0..tile.rows {
            let weight = weight * tile.weight(r);
            if has_slices {
                let output = self.tape.output();
                for (m, p) in self.projections.iter_mut().enumerate() {
                    *p = output.row(Coefficient::First(m), r).map_or(T::ZERO, |y| y[0]);
                }
                let q = output.row(Coefficient::Second, r).map_or(T::ZERO, |y| y[0]);
                let seen = Slices { projections: &self.projections, noise: &[], curvature: q };
                let term = self.rule.slice_term(seen, &mut self.projections_bar);
                losses[r] += term.loss;
                let mut bar = self.tape.current_bar();
                for (m, p_bar) in self.projections_bar.iter().enumerate() {
                    if let Some(bar) = bar.row_mut(Coefficient::First(m), r) {
                        bar[0] = weight * *p_bar;
                    }
                }
                if let Some(bar) = bar.row_mut(Coefficient::Second, r) {
                    bar[0] = weight * term.curvature_bar;
                }
            }
            if self.reverse.is_some() && block == 0 {
                let mut bar = self.tape.current_bar();
                if let Some(bar) = bar.row_mut(Coefficient::First(slices), r) {
                    bar[0] = weight;
                }
            }
        }
    }

    fn score_rows(&mut self, tile: Tile<'_, T>, block: usize, losses: &mut [T], weight: T) {
        let (d, slices) = (self.dim, self.projections.len());
        let shared = self.rule.directions() == Directions::Basis && !self.bounded;
        let direction = |m: usize, r: usize| {
            let at = if shared { m } else { m * tile.rows + r };
            at * d..(at + 1) * d
        };
        for r in 0..tile.rows {
            let weight = weight * tile.weight(r);
            let output = self.tape.output();
            let s = output.value(r);
            let s_bar = &mut self.score_bar[r * d..(r + 1) * d];
            s_bar.fill(T::ZERO);
            if block == 0 {
                let rule = self.rule.as_ref();
                losses[r] += score_term(rule, tile, r, s, &mut self.weighted, s_bar);
            }
            let traced = self.tape.traces().get(r).copied();
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
                self.tape.traces_bar()[r] = weight * q_bar;
            }
            let mut bar = self.tape.current_bar();
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
    let slopes = Tile::row(tile.slopes, r, d);
    if !slopes.is_empty() {
        loss += dot(slopes, score);
        axpy(score_bar, T::ONE, slopes);
    }
    loss
}
