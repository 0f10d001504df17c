//! One family on threads: centres, G and b, losses, and the gradient of a training step through the
//! solve.

use std::sync::Arc;

use rayon::prelude::*;

use super::estimator::{KernelBatch, Rule};
use super::family::{KernelFamily, Layout};
use super::layer::Centres;
use super::phi::noise_width;
use super::solve::{Moments, Solution};
use super::worker::{Context, Worker, merge};
use crate::Result;
use crate::engine::shard_rows;
use crate::graph::Graph;
use crate::jet::{Inputs, Request, Tape};
use crate::objective::Objective;
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::add_assign;

/// Passes of one family and objective, with their buffers. Call inside
/// [`Threads::install`](crate::engine::Threads::install).
pub(super) struct Engine<T: Real> {
    pub(super) layout: Layout,
    pub(super) rule: Rule,
    graph: Arc<Graph>,
    dim: usize,
    inducing: usize,
    base_precision: f64,
    workers: Vec<Worker<T>>,
    centre_tapes: Vec<Tape<T>>,
    centres: Vec<Centres<T>>,
    /// Adjoints of the centres of the step at hand, M x H each.
    centre_bars: Vec<Vec<T>>,
}

/// What a training step found.
#[derive(Debug, Clone)]
pub(super) struct StepLoss {
    /// Mean loss of the second half.
    pub(super) loss: f64,
    /// The coefficients fitted to the first.
    pub(super) alpha: Vec<f64>,
    /// What was added to lambda.
    pub(super) jitter: f64,
}

fn narrow<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::of(*x)).collect()
}

impl<T: Real> Engine<T> {
    pub(super) fn new(family: &KernelFamily, objective: Objective, threads: usize) -> Result<Self> {
        let layout = family.layout()?;
        let graph = Arc::new(family.feature_graph()?);
        let tape = || Tape::new(&graph, Request::Value);
        let mut engine = Engine {
            rule: Rule::new(&objective, family.dim, layout.kernels, noise_width(&graph))?,
            dim: family.dim,
            inducing: family.inducing,
            base_precision: 1.0 / (family.base_sd * family.base_sd),
            workers: Vec::new(),
            centre_tapes: (0..layout.kernels).map(|_| tape()).collect(),
            centres: Vec::new(),
            centre_bars: Vec::new(),
            graph,
            layout,
        };
        engine.workers = (0..threads.max(1)).map(|_| Worker::new(&engine.context(&[]))).collect();
        Ok(engine)
    }

    fn context<'a>(&'a self, theta: &'a [T]) -> Context<'a, T> {
        Context {
            graph: &self.graph,
            layout: &self.layout,
            rule: self.rule,
            dim: self.dim,
            inducing: self.inducing,
            base_precision: self.base_precision,
            theta,
            centres: &self.centres,
        }
    }

    /// Features of the inducing points for these parameters. Everything else reads them.
    pub(super) fn place(&mut self, theta: &[T]) {
        let rho = self.layout.weights(theta);
        let points = &theta[self.layout.inducing.clone()];
        self.centres.clear();
        for (r, tape) in self.centre_tapes.iter_mut().enumerate() {
            let inputs = Inputs { rows: self.inducing, x: points, contexts: &[], directions: &[] };
            tape.forward(&self.graph, &theta[self.layout.net(r)], inputs);
            let width = 10f64.powf(theta[self.layout.log_width(r)].to_f64());
            let features = tape.output().data.to_vec();
            self.centres.push(Centres::new(features, self.inducing, width, rho[r]));
        }
    }

    /// Runs `pass` on every worker's share of the rows and leaves the sums in the first.
    fn over_rows(
        &mut self,
        theta: &[T],
        rows: usize,
        pass: impl Fn(&Context<'_, T>, &mut Worker<T>, std::ops::Range<usize>) + Sync,
    ) {
        let mut workers = std::mem::take(&mut self.workers);
        let shards = workers.len();
        let context = self.context(theta);
        workers.par_iter_mut().enumerate().for_each(|(k, worker)| {
            worker.clear(&context);
            pass(&context, worker, shard_rows(rows, shards, k));
        });
        if let [first, others @ ..] = workers.as_mut_slice() {
            others.iter().for_each(|other| merge(first, other));
        }
        self.workers = workers;
    }

    /// Adds G and b of `batch`.
    pub(super) fn add_moments(
        &mut self,
        theta: &[T],
        batch: &KernelBatch<T>,
        moments: &mut Moments,
    ) {
        self.over_rows(theta, batch.rows, |c, worker, range| worker.moments(c, batch, range));
        let first = &self.workers[0];
        moments.rows += batch.rows;
        add_assign(&mut moments.gram, &first.gram_sum);
        add_assign(&mut moments.linear, &first.linear_sum);
    }

    /// Loss per row, and dL/dalpha of their mean.
    pub(super) fn losses(
        &mut self,
        theta: &[T],
        alpha: &[f64],
        batch: &KernelBatch<T>,
    ) -> (Vec<f64>, Vec<f64>) {
        let alpha = narrow::<T>(alpha);
        self.over_rows(theta, batch.rows, |c, worker, range| {
            worker.loss(c, batch, range, &alpha, None);
        });
        let n = batch.rows as f64;
        let first = &self.workers[0];
        (first.losses.clone(), first.alpha_bar.iter().map(|h| h / n).collect())
    }

    /// The mean loss on `loss_half` with alpha fitted to `fit_half`; writes its gradient with respect to
    /// everything in `theta`.
    pub(super) fn step(
        &mut self,
        theta: &[T],
        fit_half: &KernelBatch<T>,
        loss_half: &KernelBatch<T>,
        gradient: &mut [T],
    ) -> Result<StepLoss> {
        self.place(theta);
        let mut moments = Moments::new(self.inducing);
        self.add_moments(theta, fit_half, &mut moments);
        let lambda = 10f64.powf(theta[self.layout.log_lambda].to_f64());
        let solution = moments.solve(lambda)?;
        gradient.fill(T::ZERO);
        self.centre_bars = self.centres.iter().map(|c| vec![T::ZERO; c.points.len()]).collect();
        let mut loss = 0.0;
        let alpha = narrow::<T>(&solution.alpha);
        let share = 1.0 / loss_half.rows as f64;
        self.over_rows(theta, loss_half.rows, |c, worker, range| {
            worker.loss(c, loss_half, range, &alpha, Some(share));
        });
        self.workers[0].losses.iter().for_each(|l| loss += l * share);
        let solved = solution.inverse_times(&self.workers[0].alpha_bar);
        self.add_gradient(gradient);
        let narrow_solved = narrow::<T>(&solved);
        let share = 1.0 / fit_half.rows as f64;
        self.over_rows(theta, fit_half.rows, |c, worker, range| {
            worker.through_solve(c, fit_half, range, &alpha, &narrow_solved, share);
        });
        self.add_gradient(gradient);
        gradient[self.layout.log_lambda] = T::of(lambda_gradient(&solution, &solved, lambda));
        self.centres_adjoint(theta, gradient);
        Ok(StepLoss { loss, jitter: solution.jitter, alpha: solution.alpha })
    }

    /// Adds what the workers summed; the centres' adjoints wait for [`Engine::centres_adjoint`].
    fn add_gradient(&mut self, gradient: &mut [T]) {
        let first = &self.workers[0];
        let nets = first.gradient.len();
        add_assign(&mut gradient[..nets], &first.gradient);
        let mut excess = vec![T::ZERO; self.layout.kernels];
        for (r, (own, centres)) in first.own.iter().zip(&self.centres).enumerate() {
            let features = centres.points.len() / self.inducing;
            // |c|^2 / 2 is a function of c.
            let mut bar = own.points.clone();
            for (m, half) in own.half_norms.iter().enumerate() {
                for j in m * features..(m + 1) * features {
                    bar[j] += *half * centres.points[j];
                }
            }
            add_assign(&mut self.centre_bars[r], &bar);
            let stretch: f64 = own.stretch.iter().map(|s| s.to_f64()).sum();
            gradient[self.layout.log_width(r)] -= T::of(stretch * std::f64::consts::LN_10);
            excess[r] = T::of(own.weight.iter().map(|w| w.to_f64()).sum());
        }
        let total: f64 = excess.iter().map(|e| e.to_f64()).sum();
        for (r, e) in excess.iter().enumerate() {
            let rho = self.centres[r].weight.to_f64();
            gradient[self.layout.logit(r)] += T::of(e.to_f64() - rho * total);
        }
    }

    /// From the centres to the networks and the inducing points.
    fn centres_adjoint(&mut self, theta: &[T], gradient: &mut [T]) {
        let places = self.layout.inducing.clone();
        let mut one = vec![T::ZERO; places.len()];
        for (r, tape) in self.centre_tapes.iter_mut().enumerate() {
            let net = self.layout.net(r);
            let slot = &mut gradient[net.clone()];
            let mut backward = tape.backward();
            backward.bar().data.copy_from_slice(&self.centre_bars[r]);
            backward.run(&self.graph, &theta[net], Some(slot), Some(&mut one));
            add_assign(&mut gradient[places.clone()], &one);
        }
    }
}

/// dL / d log10 lambda = -(y.alpha) lambda ln 10, with y = (G + lambda I)^-1 dL/dalpha.
pub(super) fn lambda_gradient(solution: &Solution, solved: &[f64], lambda: f64) -> f64 {
    let product: f64 = solution.alpha.iter().zip(solved).map(|(a, y)| a * y).sum();
    -product * lambda * std::f64::consts::LN_10
}
