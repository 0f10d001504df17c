//! Mean loss and gradient over a batch.

use std::sync::Arc;

use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::shard_rows;
use super::stream::{StreamId, stream};
use crate::domain::Domain;
use crate::model::{Beside, LossPass, Model, Points, Tile};
use crate::objective::{Objective, RowLoss};
use crate::slice::SliceDistribution;
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::{add_assign, dot};

/// Rows of the stacked matrices that one pass aims at: enough to keep matrix products efficient, few
/// enough to keep a layer's coefficients in the second-level cache.
const STACK_ROWS: usize = 1024;

/// Parameters per task when gradients are added; fewer are not worth a hand-off between threads.
const CHUNK: usize = 1 << 16;

/// Names the random draws of one evaluation.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// What they are for.
    pub stream: StreamId,
    /// Step.
    pub step: u64,
}

/// One of several contiguous parts of a batch, of about the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 0.
    pub part: usize,
    /// How many there are.
    pub of: usize,
}

impl Part {
    /// All of it.
    pub const WHOLE: Part = Part { part: 0, of: 1 };
}

/// Evaluates one objective with one slice distribution on models that share a graph.
pub struct LossEngine<T: Real> {
    distribution: SliceDistribution,
    domain: Option<Arc<Domain>>,
    shards: Vec<Shard<T>>,
    /// Sum of squares of each chunk of the gradient.
    squares: Vec<f64>,
}

struct Shard<T: Real> {
    pass: LossPass<T>,
    gradient: Vec<T>,
    losses: Vec<T>,
    slices: Vec<T>,
    scratch: Vec<T>,
    noise: Vec<T>,
    roots: Vec<T>,
    weight_derivatives: Vec<T>,
    /// One row, its weights and their derivatives.
    of_row: [Vec<f64>; 3],
}

impl<T: Real> LossEngine<T> {
    /// An engine with one shard per thread.
    pub fn new(
        model: &Model<T>,
        objective: &Objective,
        distribution: SliceDistribution,
        threads: usize,
    ) -> Self {
        LossEngine::on_domain(None, model, objective, distribution, threads)
    }

    /// An engine for rows of a domain with a boundary, in the model's units: MATH (7). The objective
    /// must be one that [`Objective::check_bounded`] allows.
    // Linked by crates that use an engine, not compiled anew in them; so is `run`.
    #[inline(never)]
    pub fn on_domain(
        domain: Option<&Domain>,
        model: &Model<T>,
        objective: &Objective,
        distribution: SliceDistribution,
        threads: usize,
    ) -> Self {
        let beside = beside(domain);
        let pass = || LossPass::new(model.kind(), model.graph(), objective, beside);
        LossEngine::of(domain, pass, distribution, threads)
    }

    /// An engine for a model whose score adds to that of a base, which comes with the rows ([`Points::base`]).
    /// The losses are those of the sum less those of the base. The objective must add no noise to the rows.
    #[inline(never)]
    pub fn on_base(
        model: &Model<T>,
        objective: &Objective,
        distribution: SliceDistribution,
        threads: usize,
    ) -> Self {
        let pass = || LossPass::new(model.kind(), model.graph(), objective, Beside::Base);
        LossEngine::of(None, pass, distribution, threads)
    }

    /// An engine for a loss of your own, which gets its projections, curvature and score by jets; `domain` as above,
    /// for losses without noise.
    pub fn with_loss(
        domain: Option<&Domain>,
        model: &Model<T>,
        loss: &Arc<dyn RowLoss<T>>,
        distribution: SliceDistribution,
        threads: usize,
    ) -> Self
    where
        T: 'static,
    {
        let pass = || {
            let loss = Box::new(Arc::clone(loss));
            LossPass::with_rule(model.kind(), model.graph(), loss, beside(domain))
        };
        LossEngine::of(domain, pass, distribution, threads)
    }

    fn of(
        domain: Option<&Domain>,
        pass: impl Fn() -> LossPass<T>,
        distribution: SliceDistribution,
        threads: usize,
    ) -> Self {
        let shard = || Shard {
            pass: pass(),
            gradient: Vec::new(),
            losses: Vec::new(),
            slices: Vec::new(),
            scratch: Vec::new(),
            noise: Vec::new(),
            roots: Vec::new(),
            weight_derivatives: Vec::new(),
            of_row: Default::default(),
        };
        let domain = domain.cloned().map(Arc::new);
        let shards = (0..threads.max(1)).map(|_| shard()).collect();
        LossEngine { distribution, domain, shards, squares: Vec::new() }
    }

    /// Bytes held in passes at present.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|s| s.pass.bytes()).sum()
    }

    /// Floating-point operations in the matrix products of one loss and gradient over `rows` rows.
    pub fn product_operations(&self, model: &Model<T>, rows: usize) -> u64 {
        // Rows add up exactly but for what is shared between them, which every shard does for itself.
        let (pass, shards) = (&self.shards[0].pass, self.shards.len() as u64);
        pass.product_operations(model.graph(), rows)
            + shards * pass.shared_operations(model.graph())
    }

    /// Mean (weighted) loss over the rows of `points`, and its gradient, which [`LossEngine::gradient`] holds
    /// afterwards. Call inside [`Threads::install`](super::Threads::install).
    pub fn loss_and_gradient<'a>(
        &mut self,
        model: &Model<T>,
        points: impl Into<Points<'a, T>>,
        draw: Draw,
    ) -> f64 {
        self.run(model, points.into(), draw, Part::WHOLE)
    }

    /// What one part of the rows of `points` adds to their mean loss and to its gradient: with the draws that they have
    /// in the whole, so that the gradients of all parts sum up to that of the whole.
    ///
    /// # Panics
    /// For a part that is not there.
    pub fn part_of_loss_and_gradient<'a>(
        &mut self,
        model: &Model<T>,
        points: impl Into<Points<'a, T>>,
        draw: Draw,
        part: Part,
    ) -> f64 {
        assert!(part.part < part.of, "part {} of {}", part.part, part.of);
        self.run(model, points.into(), draw, part)
    }

    #[inline(never)]
    fn run(&mut self, model: &Model<T>, points: Points<'_, T>, draw: Draw, part: Part) -> f64 {
        let rows = points.x.len() / model.dim();
        self.for_each_shard(model, points, draw, Some(T::of(1.0 / rows as f64)), part);
        self.add_gradients();
        self.row_losses().sum::<f64>() / rows as f64
    }

    /// Loss of every row of `points`. Call inside [`Threads::install`](super::Threads::install).
    pub fn losses<'a>(
        &mut self,
        model: &Model<T>,
        points: impl Into<Points<'a, T>>,
        draw: Draw,
    ) -> Vec<f64> {
        self.for_each_shard(model, points.into(), draw, None, Part::WHOLE);
        self.row_losses().collect()
    }

    /// Gradient of the last mean loss.
    pub fn gradient(&self) -> &[T] {
        &self.shards[0].gradient
    }

    /// Euclidean norm of [`LossEngine::gradient`].
    pub fn gradient_norm(&self) -> f64 {
        self.squares.iter().sum::<f64>().sqrt()
    }

    /// Adds the shards' gradients into the first one's and takes the sum's squares in the same pass.
    /// Chunks run in parallel; each sum is formed in the order of the shards.
    fn add_gradients(&mut self) {
        let (first, others) = self.shards.split_at_mut(1);
        let total = &mut first[0].gradient;
        self.squares.resize(total.len().div_ceil(CHUNK), 0.0);
        let add = |(k, (sum, squares)): (usize, (&mut [T], &mut f64))| {
            for shard in others.iter() {
                add_assign(sum, &shard.gradient[k * CHUNK..k * CHUNK + sum.len()]);
            }
            *squares = dot(sum, sum).to_f64();
        };
        if total.len() <= CHUNK {
            total.chunks_mut(CHUNK).zip(&mut self.squares).enumerate().for_each(add);
        } else {
            (total.par_chunks_mut(CHUNK), &mut self.squares)
                .into_par_iter()
                .enumerate()
                .for_each(add);
        }
    }

    fn row_losses(&self) -> impl Iterator<Item = f64> {
        self.shards.iter().flat_map(|s| s.losses.iter().map(|l| l.to_f64()))
    }

    fn for_each_shard(
        &mut self,
        model: &Model<T>,
        points: Points<'_, T>,
        draw: Draw,
        weight: Option<T>,
        Part { part, of }: Part,
    ) {
        let (distribution, count, domain) =
            (self.distribution, self.shards.len(), self.domain.as_deref());
        let rows = points.x.len() / model.dim();
        self.shards.par_iter_mut().enumerate().for_each(|(k, shard)| {
            let range = shard_rows(rows, of * count, part * count + k);
            shard.losses.resize(range.len(), T::ZERO);
            if weight.is_some() {
                shard.gradient.resize(model.parameters.len(), T::ZERO);
            }
            shard.run(model, points, range, (distribution, domain), draw, weight);
        });
    }
}

fn beside(domain: Option<&Domain>) -> Beside {
    if domain.is_some() { Beside::Weights } else { Beside::Nothing }
}

impl<T: Real> Shard<T> {
    fn run(
        &mut self,
        model: &Model<T>,
        points: Points<'_, T>,
        range: std::ops::Range<usize>,
        (distribution, domain): (SliceDistribution, Option<&Domain>),
        draw: Draw,
        weight: Option<T>,
    ) {
        let d = model.dim();
        let most = (STACK_ROWS / self.pass.coefficients()).max(1);
        // Tiles of about the same size.
        let tile = range.len().div_ceil(range.len().div_ceil(most).max(1)).max(1);
        let gradient = weight.map(|_| self.gradient.as_mut_slice());
        self.pass.begin(model.graph(), &model.parameters, gradient);
        for start in range.clone().step_by(tile) {
            let rows = start..(start + tile).min(range.end);
            self.draw(distribution, d, rows.clone(), draw);
            let some = points.some(model.graph(), rows.clone());
            if let Some(domain) = domain {
                self.weights(domain, some.x);
            }
            let tile = Tile {
                rows: rows.len(),
                x: some.x,
                contexts: &some.contexts,
                slices: &self.slices,
                noise: if some.targets.is_empty() { &self.noise } else { some.targets },
                weights: some.weights,
                roots: &self.roots,
                linear: if some.base.is_empty() { &self.weight_derivatives } else { some.base },
            };
            let losses = &mut self.losses[rows.start - range.start..rows.end - range.start];
            let gradient = weight.map(|w| (self.gradient.as_mut_slice(), w));
            self.pass.run(model.graph(), &model.parameters, tile, losses, gradient);
        }
        if weight.is_some() {
            self.pass.end(model.graph(), &model.parameters, &mut self.gradient);
        }
    }

    /// Weights of some rows, as MATH (7) has them.
    fn weights(&mut self, domain: &Domain, x: &[T]) {
        let d = domain.dim();
        self.of_row.iter_mut().for_each(|numbers| numbers.resize(d, 0.0));
        let [row, weights, weight_derivatives] = &mut self.of_row;
        self.roots.clear();
        self.weight_derivatives.clear();
        for x in x.chunks(d) {
            row.iter_mut().zip(x).for_each(|(row, x)| *row = x.to_f64());
            domain.weights(row, weights, weight_derivatives);
            self.roots.extend(weights.iter().map(|w| T::of(w.sqrt())));
            self.weight_derivatives.extend(weight_derivatives.iter().map(|s| T::of(*s)));
        }
    }

    /// Fresh slices and noise for some rows (MATH 2, trap 2: never reused).
    fn draw(
        &mut self,
        distribution: SliceDistribution,
        d: usize,
        rows: std::ops::Range<usize>,
        draw: Draw,
    ) {
        let n = rows.len();
        let mut rng = stream(draw.seed, draw.stream, draw.step, rows.start);
        let m = self.pass.slices();
        if m > 0 {
            let width = self.pass.slice_width();
            self.slices.resize(m * n * width, T::ZERO);
            self.scratch.resize(m * width, T::ZERO);
            for r in 0..n {
                distribution.draw(&mut rng, width, &mut self.scratch);
                for (slice, v) in self.scratch.chunks(width).enumerate() {
                    let at = (slice * n + r) * width;
                    self.slices[at..at + width].copy_from_slice(v);
                }
            }
        }
        if self.pass.rule().noise().is_some() {
            self.noise.clear();
            self.noise.extend((0..n * d).map(|_| T::of(StandardNormal.sample(&mut rng))));
        }
    }
}
