//! The passes over some rows, tile by tile, in kept buffers: G and b, the loss for a given alpha, and
//! the two adjoints of a training step.
//!
//! With r_i = v_i.s + o_i, the loss half of a batch has the adjoints K2 = (w/n) alpha and K1_i = (c/n) r_i
//! alpha, and dL/dalpha = h = mean of w k2 + c sum_i r_i k1_i. Through alpha = -A^-1 b, A = G + lambda I, and with
//! y = A^-1 h, the fitting half has dL = -y.(dA alpha + db): adjoints K2 = -(w/n) y and
//! K1_i = -(c/n) (r_i y + (v_i . grad f_y) alpha), f_y = sum_m y_m k_m. Neither forms a matrix over pairs of
//! inducing points, MATH (61).
//!
//! Where the gradient enters along all unit vectors but the curvature does not, the sum over i of r_i times a
//! first-order coefficient is one coefficient along the vector r itself: the adjoint pass then has two
//! directions in place of d, and r comes from one reverse pass.

use std::ops::Range;
use std::sync::Arc;

use super::diagonal::Diagonal;
use super::estimator::{KernelBatch, Rule, Sweep};
use super::family::Layout;
use super::layer::{CentreBars, Centres, Extent, KernelBars, Layer};
use super::phi::{Phi, SecondOrder};
use super::propagation::Propagation;
use crate::graph::Graph;
use crate::jet::{First, Inputs, Request, Tape};
use gradlogp_numeric::vector::{add_assign, add_row_sums, axpy, dot};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// Stacked rows that one pass aims at.
const STACK_ROWS: usize = 640;

/// Rows of G that are computed up to their diagonal together.
const GRAM_BLOCK: usize = 64;

/// What all passes of one evaluation read.
pub(super) struct Context<'a, T> {
    pub(super) graph: &'a Arc<Graph>,
    pub(super) layout: &'a Layout,
    pub(super) rule: Rule,
    pub(super) dim: usize,
    pub(super) inducing: usize,
    /// 1 / tau^2.
    pub(super) base_precision: f64,
    pub(super) theta: &'a [T],
    pub(super) centres: &'a [Centres<T>],
}

/// Tapes and buffers of one thread, and what it adds up.
pub(super) struct Worker<T> {
    full: Vec<Tape<T>>,
    short: Vec<Tape<T>>,
    value: Vec<Tape<T>>,
    sweeps: Vec<Box<dyn SecondOrder<T>>>,
    layers: Vec<Layer<T>>,
    directions: Vec<T>,
    short_directions: Vec<T>,
    k1: Vec<T>,
    k2: Vec<T>,
    feature_bar: Vec<T>,
    gram: Vec<T>,
    sums: Vec<T>,
    /// Sum of G over the rows seen, M x M.
    pub(super) gram_sum: Vec<f64>,
    /// Sum of b.
    pub(super) linear_sum: Vec<f64>,
    /// Loss per row.
    pub(super) losses: Vec<f64>,
    /// dL/dalpha.
    pub(super) alpha_bar: Vec<f64>,
    /// Gradient of the networks' parameters, as laid out in the flat vector.
    pub(super) gradient: Vec<T>,
    pub(super) own: Vec<CentreBars<T>>,
}

/// Some rows of a batch.
#[derive(Clone, Copy)]
struct Tile<'a, T> {
    rows: usize,
    x: &'a [T],
    random: &'a [T],
}

impl<T: Real> Worker<T> {
    pub(super) fn new(c: &Context<'_, T>) -> Self {
        let kernels = c.layout.kernels;
        let rule = c.rule;
        let count = rule.slices + rule.basis;
        // The unit vectors are shared by all rows; beside slices, or where no layer would spread them
        // over the rows, they are copied to each.
        let shared = rule.slices == 0 && !c.graph.parameters().is_empty();
        let first = if shared { First::Shared } else { First::PerRow };
        let full = Request::second(first, count, rule.curved);
        let short = Request::second(First::PerRow, rule.slices + 2, rule.curved);
        let tapes = |request| -> Vec<Tape<T>> {
            (0..kernels).map(|_| Tape::new(c.graph, request)).collect()
        };
        Worker {
            full: tapes(full),
            short: if rule.collapses() { tapes(short) } else { Vec::new() },
            value: if rule.collapses() { tapes(Request::Value) } else { Vec::new() },
            sweeps: rule
                .sweep
                .map_or(Vec::new(), |sweep| (0..kernels).map(|_| second_order(sweep)).collect()),
            layers: vec![Layer::default(); kernels],
            directions: Vec::new(),
            short_directions: Vec::new(),
            k1: Vec::new(),
            k2: Vec::new(),
            feature_bar: Vec::new(),
            gram: Vec::new(),
            sums: Vec::new(),
            gram_sum: Vec::new(),
            linear_sum: Vec::new(),
            losses: Vec::new(),
            alpha_bar: Vec::new(),
            gradient: Vec::new(),
            own: vec![CentreBars::default(); kernels],
        }
    }

    /// Forgets what was added up.
    pub(super) fn clear(&mut self, c: &Context<'_, T>) {
        let m = c.inducing;
        for (sum, len) in [
            (&mut self.gram_sum, m * m),
            (&mut self.linear_sum, m),
            (&mut self.alpha_bar, m),
            (&mut self.losses, 0),
        ] {
            sum.clear();
            sum.resize(len, 0.0);
        }
        self.gradient.clear();
        self.gradient.resize(c.layout.net(c.layout.kernels).start, T::ZERO);
        for (own, centres) in self.own.iter_mut().zip(c.centres) {
            own.clear(m, centres.points.len() / m);
        }
    }

    fn tiles<'b>(
        &self,
        c: &Context<'_, T>,
        batch: &'b KernelBatch<T>,
        range: Range<usize>,
    ) -> Vec<Tile<'b, T>> {
        let coefficients = self.full[0].request().coefficients();
        let step = (STACK_ROWS / coefficients).max(1);
        let random = batch.random.len() / batch.rows.max(1);
        let mut out = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let end = (start + step).min(range.end);
            out.push(Tile {
                rows: end - start,
                x: &batch.x[start * c.dim..end * c.dim],
                random: &batch.random[start * random..end * random],
            });
            start = end;
        }
        out
    }

    /// Adds G and b of the rows.
    pub(super) fn moments(
        &mut self,
        c: &Context<'_, T>,
        batch: &KernelBatch<T>,
        range: Range<usize>,
    ) {
        let m = c.inducing;
        self.gram.clear();
        self.gram.resize(m * m, T::ZERO);
        self.sums.clear();
        self.sums.resize(m, T::ZERO);
        for tile in self.tiles(c, batch, range) {
            self.forward(c, tile);
            let (first, rows) = self.gradient_rows(c, tile);
            add_lower_gram(&mut self.gram, Mat::new(&self.k1[first * m..], rows, m), m);
            let targets = targets(c, tile, &self.directions);
            let mut part = vec![T::ZERO; m];
            if c.rule.curvature > 0.0 {
                add_row_sums(&mut part, &self.k2);
                part.iter_mut().for_each(|p| *p *= T::of(c.rule.curvature / c.rule.square));
            }
            let k1 = Mat::new(&self.k1[first * m..], rows, m).t();
            matmul(MatMut::new(&mut part, m, 1), k1, Mat::new(&targets, rows, 1), true);
            add_assign(&mut self.sums, &part);
        }
        for i in 0..m {
            for j in i + 1..m {
                self.gram[i * m + j] = self.gram[j * m + i];
            }
        }
        let square = c.rule.square;
        self.gram_sum.iter_mut().zip(&self.gram).for_each(|(s, g)| *s += square * g.to_f64());
        self.linear_sum.iter_mut().zip(&self.sums).for_each(|(s, b)| *s += square * b.to_f64());
    }

    /// First row of k1 that enters squares, and how many do.
    fn gradient_rows(&self, c: &Context<'_, T>, tile: Tile<'_, T>) -> (usize, usize) {
        match c.rule.basis {
            0 => (0, c.rule.slices * tile.rows),
            d => (c.rule.slices * tile.rows, d * tile.rows),
        }
    }

    /// The losses of the rows for `alpha`, and dL/dalpha; with `share` = 1/n also the adjoint.
    pub(super) fn loss(
        &mut self,
        c: &Context<'_, T>,
        batch: &KernelBatch<T>,
        range: Range<usize>,
        alpha: &[T],
        share: Option<f64>,
    ) {
        let n = share.unwrap_or(1.0);
        for tile in self.tiles(c, batch, range) {
            let (curvature, square) = (T::of(c.rule.curvature * n), T::of(c.rule.square * n));
            if c.rule.collapses() {
                let mut r = self.gradient_of(c, tile, alpha);
                add_assign(&mut r, &by_row(&targets(c, tile, &[]), tile.rows));
                self.record(c, tile, false, &r);
                let zeros = vec![T::ZERO; r.len()];
                let scaled: Vec<T> = r.iter().map(|r| square * *r).collect();
                // After the losses: the short pass overwrites k2, which does not depend on it.
                self.forward_short(c, tile, [&scaled, &zeros]);
                self.record_curvature(c, tile, alpha);
                self.add_alpha_bar(c, tile, curvature, c.rule.slices, &vec![T::ONE; tile.rows]);
                if share.is_some() {
                    let first = unit_rows(c.rule.slices, tile.rows, [None, Some(0)]);
                    self.adjoint(c, tile, true, [alpha, alpha], &first, [T::ZERO, curvature]);
                }
            } else {
                self.forward(c, tile);
                let targets = targets(c, tile, &self.directions);
                let r = self.projections(c, tile, alpha, &targets);
                self.record(c, tile, true, &r);
                self.record_curvature(c, tile, alpha);
                let scaled: Vec<T> = r.iter().map(|r| square * *r).collect();
                self.add_alpha_bar(c, tile, curvature, 0, &scaled);
                if share.is_some() {
                    let first = [vec![T::ZERO; scaled.len()], scaled];
                    self.adjoint(c, tile, false, [alpha, alpha], &first, [T::ZERO, curvature]);
                }
            }
        }
    }

    /// The adjoint of the fitting half through the solve, `share` = 1/n.
    pub(super) fn through_solve(
        &mut self,
        c: &Context<'_, T>,
        batch: &KernelBatch<T>,
        range: Range<usize>,
        alpha: &[T],
        solved: &[T],
        share: f64,
    ) {
        let curvature = T::of(-c.rule.curvature * share);
        let square = T::of(-c.rule.square * share);
        let scale = |r: Vec<T>| -> Vec<T> { r.iter().map(|r| square * *r).collect() };
        for tile in self.tiles(c, batch, range) {
            if c.rule.collapses() {
                let mut r = self.gradient_of(c, tile, alpha);
                add_assign(&mut r, &by_row(&targets(c, tile, &[]), tile.rows));
                let y = self.gradient_of(c, tile, solved);
                self.forward_short(c, tile, [&scale(r), &scale(y)]);
                let first = unit_rows(c.rule.slices, tile.rows, [Some(0), Some(1)]);
                self.adjoint(c, tile, true, [solved, alpha], &first, [curvature, T::ZERO]);
            } else {
                self.forward(c, tile);
                let targets = targets(c, tile, &self.directions);
                let r = self.projections(c, tile, alpha, &targets);
                let y = self.projections(c, tile, solved, &vec![T::ZERO; targets.len()]);
                let first = [scale(r), scale(y)];
                self.adjoint(c, tile, false, [solved, alpha], &first, [curvature, T::ZERO]);
            }
        }
    }

    /// k1 and k2 along all directions.
    fn forward(&mut self, c: &Context<'_, T>, tile: Tile<'_, T>) {
        let request = self.full[0].request();
        self.directions.clear();
        push_slices(&mut self.directions, c, tile);
        let copies = if request.along() == First::Shared { 1 } else { tile.rows };
        for i in 0..c.rule.basis {
            for _ in 0..copies {
                let at = self.directions.len();
                self.directions.resize(at + c.dim, T::ZERO);
                self.directions[at + i] = T::ONE;
            }
        }
        let directions = std::mem::take(&mut self.directions);
        run_kernels(
            c,
            tile,
            &mut self.full,
            &mut self.layers,
            &mut self.sweeps,
            &directions,
            [&mut self.k1, &mut self.k2],
        );
        self.directions = directions;
    }

    /// k1 along the slices and two vectors per row (n x d each), and k2.
    fn forward_short(&mut self, c: &Context<'_, T>, tile: Tile<'_, T>, vectors: [&[T]; 2]) {
        let mut directions = std::mem::take(&mut self.short_directions);
        directions.clear();
        push_slices(&mut directions, c, tile);
        vectors.iter().for_each(|v| directions.extend_from_slice(v));
        run_kernels(
            c,
            tile,
            &mut self.short,
            &mut self.layers,
            &mut self.sweeps,
            &directions,
            [&mut self.k1, &mut self.k2],
        );
        self.short_directions = directions;
    }

    /// sum over m of `weights` grad k, n x d, by a reverse pass.
    fn gradient_of(&mut self, c: &Context<'_, T>, tile: Tile<'_, T>, weights: &[T]) -> Vec<T> {
        let extent = Extent { rows: tile.rows, directions: 0, curved: 0 };
        let mut out = vec![T::ZERO; tile.rows * c.dim];
        let mut one = out.clone();
        for (r, tape) in self.value.iter_mut().enumerate() {
            let net = &c.theta[c.layout.net(r)];
            let inputs = Inputs { rows: tile.rows, x: tile.x, contexts: &[], directions: &[] };
            tape.forward(c.graph, net, inputs);
            let layer = &mut self.layers[r];
            layer.forward(tape.output(), extent, &c.centres[r], None, &mut [], &mut []);
            self.feature_bar.resize(tape.output().data.len(), T::ZERO);
            let bar = &mut self.feature_bar;
            layer.pull_back(tape.output(), tile.rows, &c.centres[r], weights, bar);
            let mut backward = tape.backward();
            backward.bar().data.copy_from_slice(bar);
            backward.run(c.graph, net, None, Some(&mut one));
            add_assign(&mut out, &one);
        }
        out
    }

    /// v_i . grad of sum_m `weights` k + target, D x n.
    fn projections(
        &self,
        c: &Context<'_, T>,
        tile: Tile<'_, T>,
        weights: &[T],
        targets: &[T],
    ) -> Vec<T> {
        let m = c.inducing;
        let (first, rows) = self.gradient_rows(c, tile);
        let mut out = targets.to_vec();
        let k1 = Mat::new(&self.k1[first * m..], rows, m);
        matmul(MatMut::new(&mut out, rows, 1), k1, Mat::new(weights, m, 1), true);
        out
    }

    /// Half squares of r: D x n where `along`, otherwise n x d.
    fn record(&mut self, c: &Context<'_, T>, tile: Tile<'_, T>, along: bool, r: &[T]) {
        let n = tile.rows;
        let width = r.len() / n;
        let half = 0.5 * c.rule.square;
        self.losses.extend((0..n).map(|row| {
            let at = |i: usize| match along {
                true => r[i * n + row].to_f64(),
                false => r[row * width + i].to_f64(),
            };
            half * (0..width).map(|i| at(i) * at(i)).sum::<f64>()
        }));
    }

    /// The second-order part of the losses just recorded, from k2.
    fn record_curvature(&mut self, c: &Context<'_, T>, tile: Tile<'_, T>, alpha: &[T]) {
        if c.rule.curvature == 0.0 {
            return;
        }
        let at = self.losses.len() - tile.rows;
        for (row, loss) in self.losses[at..].iter_mut().enumerate() {
            let kernel = dot(&self.k2[row * c.inducing..(row + 1) * c.inducing], alpha).to_f64();
            // u.(grad q) u = -|u|^2 / tau^2.
            let squares: f64 = match c.rule.slices {
                0 => c.dim as f64,
                s => {
                    let v = &tile.random[row * s * c.dim..(row + 1) * s * c.dim];
                    v.iter().map(|v| v.to_f64() * v.to_f64()).sum()
                }
            };
            *loss += c.rule.curvature * (kernel - c.base_precision * squares);
        }
    }

    /// Adds curvature * sum of k2 + sum of `factors` k1, k1 from direction `from` on.
    fn add_alpha_bar(
        &mut self,
        c: &Context<'_, T>,
        tile: Tile<'_, T>,
        curvature: T,
        from: usize,
        factors: &[T],
    ) {
        let m = c.inducing;
        let mut part = vec![T::ZERO; m];
        if c.rule.curvature > 0.0 {
            add_row_sums(&mut part, &self.k2);
            part.iter_mut().for_each(|p| *p *= curvature);
        }
        let first = from * tile.rows;
        let k1 = Mat::new(&self.k1[first * m..], factors.len(), m).t();
        matmul(MatMut::new(&mut part, m, 1), k1, Mat::new(factors, factors.len(), 1), true);
        self.alpha_bar.iter_mut().zip(&part).for_each(|(s, p)| *s += p.to_f64());
    }

    /// Adjoint of the pass just made: of the networks' parameters and of the centres.
    fn adjoint(
        &mut self,
        c: &Context<'_, T>,
        tile: Tile<'_, T>,
        short: bool,
        over: [&[T]; 2],
        first: &[Vec<T>; 2],
        second: [T; 2],
    ) {
        let tapes = if short { &mut self.short } else { &mut self.full };
        let curves = c.rule.curvature > 0.0;
        let bars = KernelBars { over, first: [&first[0], &first[1]], second, curves };
        for (r, tape) in tapes.iter_mut().enumerate() {
            let request = tape.request();
            let extent = Extent {
                rows: tile.rows,
                directions: request.directions(),
                curved: request.curved(),
            };
            let net = c.layout.net(r);
            self.feature_bar.resize(tape.output().data.len(), T::ZERO);
            let bar = &mut self.feature_bar;
            let own = &mut self.own[r];
            let p = tape.output();
            let layer = &mut self.layers[r];
            let sweep = self.sweeps.get_mut(r);
            let excess_bar = sweep.is_some().then(|| layer.excess_bar(bars, tile.rows));
            layer.adjoint(p, extent, &c.centres[r], bars, bar, own);
            if let (Some(sweep), Some(excess_bar)) = (sweep, excess_bar) {
                let phi = Phi::new(c.graph, &c.theta[net.clone()]);
                let value = tile.rows * c.centres[r].features();
                let into = (&mut bar[..value], &mut self.gradient[net.clone()], own);
                sweep.adjoint(&phi, &p.data[..value], &c.centres[r], &excess_bar, into);
            }
            let mut backward = tape.backward();
            backward.bar().data.copy_from_slice(bar);
            let gradient = &mut self.gradient[net.clone()];
            backward.run(c.graph, &c.theta[net], Some(gradient), None);
        }
    }
}

/// Adds K^T K, of which what lies above the diagonal is left out where it can be.
fn add_lower_gram<T: Real>(out: &mut [T], k: Mat<'_, T>, m: usize) {
    for start in (0..m).step_by(GRAM_BLOCK) {
        let end = (start + GRAM_BLOCK).min(m);
        let part = MatMut::new(out, m, m).part(start..end, 0..end);
        matmul(part, k.columns(start..end).t(), k.columns(0..end), true);
    }
}

/// Runs every kernel over the rows and sums k1 and k2.
fn run_kernels<T: Real>(
    c: &Context<'_, T>,
    tile: Tile<'_, T>,
    tapes: &mut [Tape<T>],
    layers: &mut [Layer<T>],
    sweeps: &mut [Box<dyn SecondOrder<T>>],
    directions: &[T],
    [k1, k2]: [&mut Vec<T>; 2],
) {
    let request = tapes[0].request();
    let extent =
        Extent { rows: tile.rows, directions: request.directions(), curved: request.curved() };
    for (sum, len) in [(&mut *k1, request.directions() * tile.rows), (&mut *k2, tile.rows)] {
        sum.clear();
        sum.resize(len * c.inducing, T::ZERO);
    }
    for (r, (tape, layer)) in tapes.iter_mut().zip(layers).enumerate() {
        let net = &c.theta[c.layout.net(r)];
        let inputs = Inputs { rows: tile.rows, x: tile.x, contexts: &[], directions };
        tape.forward(c.graph, net, inputs);
        let centres = &c.centres[r];
        let p = tape.output();
        match sweeps.get_mut(r) {
            None => layer.forward(p, extent, centres, None, k1, k2),
            Some(sweep) => {
                let value = &p.data[..tile.rows * centres.features()];
                let noise = noise_of(c, tile, r);
                sweep.forward(&Phi::new(c.graph, net), tile.x, &noise, value, centres);
                layer.forward(p, extent, centres, Some(sweep.excess()), k1, k2);
            }
        }
    }
}

fn second_order<T: Real>(sweep: Sweep) -> Box<dyn SecondOrder<T>> {
    match sweep {
        Sweep::Diagonal => Box::new(Diagonal::new()),
        Sweep::Random { draws, .. } => Box::new(Propagation::new(draws)),
    }
}

/// The noise of the sweeps of kernel `r`, \[n, draws, width\].
fn noise_of<T: Real>(c: &Context<'_, T>, tile: Tile<'_, T>, r: usize) -> Vec<T> {
    let Some(Sweep::Random { draws, kernels, width }) = c.rule.sweep else { return Vec::new() };
    let one = draws * width;
    let rows = tile.random.chunks(kernels * one);
    rows.flat_map(|row| row[r * one..(r + 1) * one].iter().copied()).collect()
}

/// The slices of a tile, \[M, n, d\].
fn push_slices<T: Real>(out: &mut Vec<T>, c: &Context<'_, T>, tile: Tile<'_, T>) {
    for s in 0..c.rule.slices {
        for row in 0..tile.rows {
            let at = (row * c.rule.slices + s) * c.dim;
            out.extend_from_slice(&tile.random[at..at + c.dim]);
        }
    }
}

/// v_i.q + o_i for the directions that enter squares, D x n: the unit vectors, or else the slices at the
/// start of `directions`.
fn targets<T: Real>(c: &Context<'_, T>, tile: Tile<'_, T>, directions: &[T]) -> Vec<T> {
    let (n, d) = (tile.rows, c.dim);
    let base = T::of(-c.base_precision);
    if c.rule.basis == 0 {
        let along = directions.chunks(d).take(c.rule.slices * n).enumerate();
        return along.map(|(k, v)| base * dot(v, &tile.x[k % n * d..][..d])).collect();
    }
    let noise = c.rule.sigma.map(|sigma| T::of(1.0 / (sigma * sigma)));
    let mut out = Vec::with_capacity(n * d);
    for i in 0..d {
        for row in 0..n {
            let at = row * d + i;
            let offset = noise.map_or(T::ZERO, |s| s * tile.random[at]);
            out.push(base.mul_add(tile.x[at], offset));
        }
    }
    out
}

/// D x n to n x D.
fn by_row<T: Real>(x: &[T], n: usize) -> Vec<T> {
    let width = x.len() / n;
    (0..n * width).map(|k| x[(k % width) * n + k / width]).collect()
}

/// Factors of the short pass: 1 on one of the two vectors beside the slices, or on none.
fn unit_rows<T: Real>(slices: usize, n: usize, which: [Option<usize>; 2]) -> [Vec<T>; 2] {
    which.map(|which| {
        let mut out = vec![T::ZERO; (slices + 2) * n];
        if let Some(k) = which {
            out[(slices + k) * n..(slices + k + 1) * n].fill(T::ONE);
        }
        out
    })
}

/// Adds the sums of `other` to those of `into`.
pub(super) fn merge<T: Real>(into: &mut Worker<T>, other: &Worker<T>) {
    for (sum, part) in [
        (&mut into.gram_sum, &other.gram_sum),
        (&mut into.linear_sum, &other.linear_sum),
        (&mut into.alpha_bar, &other.alpha_bar),
    ] {
        axpy(sum, 1.0, part);
    }
    into.losses.extend_from_slice(&other.losses);
    add_assign(&mut into.gradient, &other.gradient);
    for (own, part) in into.own.iter_mut().zip(&other.own) {
        add_assign(&mut own.points, &part.points);
        add_assign(&mut own.half_norms, &part.half_norms);
        add_assign(&mut own.stretch, &part.stretch);
        add_assign(&mut own.weight, &part.weight);
    }
}
