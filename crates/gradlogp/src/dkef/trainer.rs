//! Training by the two halves of a batch: alpha is fitted to one in closed form, the loss on the other is
//! differentiated through that fit (Wenliang et al. 2019, algorithm 1).

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, lambda_gradient};
use super::estimator::KernelBatch;
use super::family::{KernelFamily, choose};
use super::solve::Moments;
use crate::engine::Threads;
use crate::model::Model;
use crate::objective::Objective;
use crate::slice::SliceDistribution;
use crate::stats::upper_median;
use crate::train::{AdamW, HeldOutLoss, HistoryPoint, Stop, Update};
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// Rows of one streaming pass over all training rows: memory is O(M^2) whatever their number.
const STREAM_ROWS: usize = 1024;

/// How a family is trained. The defaults are those of the published experiments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelConfig {
    /// What is minimized: one that [`Objective::check_kernel_family`] allows.
    #[serde(rename = "estimator", with = "super::estimator::stored")]
    pub objective: Objective,
    /// Distribution of the slices.
    #[serde(rename = "law", alias = "slice_distribution")]
    pub slice_distribution: SliceDistribution,
    /// Most steps.
    pub steps: u64,
    /// Rows per step: half of them fit alpha, half give the loss.
    pub batch: usize,
    /// Learning rate of Adam.
    #[serde(rename = "rate", alias = "learning_rate")]
    pub learning_rate: f64,
    /// Largest gradient norm.
    #[serde(rename = "clip", alias = "max_gradient_norm")]
    pub max_gradient_norm: f64,
    /// Steps between validations.
    pub evaluate_every: u64,
    /// Training rows that a validation fits alpha to, drawn anew each time.
    pub validation_rows: usize,
    /// Stop after so many validations without a better one, as [`crate::train::TrainConfig::patience`]; 0: never.
    pub patience: u64,
    /// Steps that tune lambda on held-out rows at the end.
    pub lambda_steps: u64,
    /// Their learning rate.
    pub lambda_rate: f64,
    /// Rows per step of these.
    pub lambda_batch: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads; 0 takes one per core.
    pub threads: usize,
}

impl Default for KernelConfig {
    fn default() -> Self {
        KernelConfig {
            objective: Objective::SsmVr { slices: 1 },
            slice_distribution: SliceDistribution::Rademacher,
            steps: 3000,
            batch: 200,
            learning_rate: 0.01,
            max_gradient_norm: 100.0,
            evaluate_every: 1,
            validation_rows: 1000,
            patience: 200,
            lambda_steps: 1000,
            lambda_rate: 1e-3,
            lambda_batch: 100,
            seed: 0,
            threads: 0,
        }
    }
}

impl KernelConfig {
    /// Refuses settings that cannot be used.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        self.objective.validate()?;
        self.objective.check_kernel_family()?;
        if self.batch < 2 {
            return Err(Error::config("batch", "needs two rows: one half fits, the other judges"));
        }
        if self.evaluate_every == 0 {
            return Err(Error::config("evaluate_every", "must be at least 1"));
        }
        for (name, rows) in
            [("validation_rows", self.validation_rows), ("lambda_batch", self.lambda_batch)]
        {
            if rows == 0 {
                return Err(Error::config(name, "must be at least 1"));
            }
        }
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if !(positive(self.learning_rate)
            && positive(self.lambda_rate)
            && self.max_gradient_norm > 0.0)
        {
            return Err(Error::config(
                "learning_rate",
                "rates and the clip must be positive numbers",
            ));
        }
        Ok(())
    }
}

/// One step as an observer sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelStep {
    /// Steps taken.
    pub step: u64,
    /// Loss of the step, on the scale of its objective.
    pub loss: f64,
    /// Norm of its gradient before clipping.
    pub gradient_norm: f64,
    /// Held-out loss by the same objective, where it was evaluated.
    pub validation: Option<HeldOutLoss>,
    /// lambda after the step.
    pub lambda: f64,
}

/// What a step finds before it moves.
#[derive(Debug, Clone)]
pub struct KernelGradient<T> {
    /// Mean loss of the second half.
    pub loss: f64,
    /// alpha, fitted to the first half.
    pub alpha: Vec<f64>,
    /// Gradient of the loss through the fit, as laid out in [`KernelFamily::layout`].
    pub gradient: Vec<T>,
}

/// A fitted family.
#[derive(Debug, Clone)]
pub struct KernelFit {
    /// As settings.
    pub family: KernelFamily,
    /// Networks, widths, weights, inducing points and log10 lambda; [`KernelFamily::layout`].
    pub theta: Vec<f64>,
    /// alpha, fitted to all training rows.
    pub alpha: Vec<f64>,
    /// What came of it.
    pub record: KernelRecord,
}

/// What is known of a fitted family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelRecord {
    /// The ridge lambda.
    pub lambda: f64,
    /// Condition number of G + lambda I over all training rows.
    pub condition: f64,
    /// What had to be added to lambda so that the matrix could be factorized.
    pub jitter: f64,
    /// Largest jitter of any step.
    pub largest_jitter: f64,
}

impl KernelFit {
    /// The density as a potential network; `constant` is added to log p.
    ///
    /// # Errors
    /// As [`KernelFamily::potential`].
    pub fn potential(&self, constant: f64) -> Result<Model<f32>> {
        self.family.potential(&self.theta, &self.alpha, constant)
    }
}

/// Trains a [`KernelFamily`] on rows.
pub struct KernelTrainer<T: Real> {
    pub(super) family: KernelFamily,
    pub(super) config: KernelConfig,
    pub(super) threads: Threads,
    pub(super) engine: Engine<T>,
    pub(super) x: Vec<T>,
    pub(super) held_out: Vec<T>,
    pub(super) theta: Vec<T>,
    pub(super) best: Option<(u64, HeldOutLoss, Vec<T>)>,
    pub(super) adam: AdamW<T>,
    gradient: Vec<T>,
    pub(super) rng: ChaCha8Rng,
    pub(super) order: Vec<usize>,
    pub(super) at: usize,
    pub(super) step: u64,
    pub(super) largest_jitter: f64,
    pub(super) history: Vec<HistoryPoint>,
    pub(super) losses: (f64, u64),
}

/// Compiled with this crate, whatever the level of those that call them: a function that is not inlined is linked where
/// this crate has an instance of it, not compiled anew.
#[allow(clippy::type_complexity)]
mod instances {
    use super::*;

    static _NEW: fn(KernelFamily, Vec<f32>, Vec<f32>, KernelConfig) -> Result<KernelTrainer<f32>> =
        KernelTrainer::new;
    static _RUN: fn(
        &mut KernelTrainer<f32>,
        &mut dyn FnMut(&KernelStep) -> ControlFlow<()>,
    ) -> Stop = KernelTrainer::run;
    static _FINISH: fn(&mut KernelTrainer<f32>) -> Result<KernelFit> = KernelTrainer::finish;
    static _CHOOSE: fn(&mut KernelTrainer<f32>, &[f64], &[f64]) -> Result<KernelFit> =
        KernelTrainer::choose;
}

impl<T: Real> KernelTrainer<T> {
    /// A trainer at its initial parameters. `x` and `held_out` are n x d.
    ///
    /// # Errors
    /// Settings that cannot be used, or no rows.
    #[inline(never)]
    pub fn new(
        family: KernelFamily,
        x: Vec<T>,
        held_out: Vec<T>,
        config: KernelConfig,
    ) -> Result<Self> {
        config.validate()?;
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let theta = family.initialize(&x, &mut rng)?;
        Self::with_parameters(family, x, held_out, config, theta)
    }

    /// The same from given parameters.
    ///
    /// # Errors
    /// As [`KernelTrainer::new`]; [`Error::Shape`] where `theta` has another length.
    pub fn with_parameters(
        family: KernelFamily,
        x: Vec<T>,
        held_out: Vec<T>,
        config: KernelConfig,
        theta: Vec<T>,
    ) -> Result<Self> {
        config.validate()?;
        let layout = family.layout()?;
        if theta.len() != layout.len() {
            return Err(Error::Shape {
                operation: "kernel family",
                expected: vec![layout.len()],
                found: vec![theta.len()],
            });
        }
        if x.len() < 2 * family.dim || held_out.len() < family.dim {
            let message = "a kernel family needs two training rows and a held-out one at least";
            return Err(Error::data("training rows", message));
        }
        let threads = Threads::new(config.threads)?;
        Ok(KernelTrainer {
            engine: Engine::new(&family, config.objective, threads.count())?,
            adam: AdamW::new(&theta),
            gradient: vec![T::ZERO; theta.len()],
            // Another stream than that of the initial parameters.
            rng: ChaCha8Rng::seed_from_u64(config.seed ^ 0x6b65_726e_656c),
            family,
            config,
            threads,
            x,
            held_out,
            theta,
            best: None,
            order: Vec::new(),
            at: 0,
            step: 0,
            largest_jitter: 0.0,
            history: Vec::new(),
            losses: (0.0, 0),
        })
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Step and held-out loss of the best parameters.
    pub fn best(&self) -> Option<(u64, HeldOutLoss)> {
        self.best.as_ref().map(|(step, loss, _)| (*step, *loss))
    }

    /// Parameters at present.
    pub fn theta(&self) -> &[T] {
        &self.theta
    }

    /// Held-out losses so far, one in twenty.
    pub fn history(&self) -> &[HistoryPoint] {
        &self.history
    }

    /// Takes steps until they are done, patience ends, or the observer breaks off; goes on where it is called
    /// again.
    #[inline(never)]
    pub fn run(&mut self, observe: &mut dyn FnMut(&KernelStep) -> ControlFlow<()>) -> Stop {
        while self.step < self.config.steps {
            let since = self.step - self.best.as_ref().map_or(0, |best| best.0);
            // One step further than the last of these validations.
            let patience = self.config.patience.saturating_mul(self.config.evaluate_every);
            if patience > 0 && since > patience {
                return Stop::Patience;
            }
            let step = match self.take_step() {
                Ok(step) => step,
                Err(error) => return Stop::Diverged { message: error.to_string() },
            };
            if observe(&step).is_break() {
                return Stop::Interrupted;
            }
        }
        Stop::Completed
    }

    /// One step, and the validation that may follow.
    ///
    /// # Errors
    /// [`Error::Diverged`] or [`Error::Numerical`] where numbers are no longer finite.
    pub fn take_step(&mut self) -> Result<KernelStep> {
        let (loss, gradient_norm) = self.train_step()?;
        let validation = match self.step.is_multiple_of(self.config.evaluate_every) {
            true => Some(self.validate()?),
            false => None,
        };
        Ok(KernelStep {
            step: self.step,
            loss,
            gradient_norm,
            validation,
            lambda: 10f64.powf(self.theta[self.engine.layout.log_lambda].to_f64()),
        })
    }

    /// One step without validation: (loss, norm of its gradient).
    ///
    /// # Errors
    /// As [`KernelTrainer::take_step`].
    pub fn train_step(&mut self) -> Result<(f64, f64)> {
        let halves = self.next_batches();
        self.step_on(&halves)
    }

    /// The halves of the next step: the one that alpha is fitted to, and the one that gives the loss.
    pub fn next_batches(&mut self) -> [KernelBatch<T>; 2] {
        let half = (self.config.batch / 2).max(1);
        let rows = [self.next_rows(half), self.next_rows(half)];
        rows.map(|rows| self.draw(rows))
    }

    /// Loss, alpha and gradient at the present parameters; nothing moves.
    ///
    /// # Errors
    /// [`Error::Numerical`] where alpha cannot be solved for.
    pub fn gradient_on(&mut self, [fit, loss]: &[KernelBatch<T>; 2]) -> Result<KernelGradient<T>> {
        let KernelTrainer { threads, engine, theta, gradient, .. } = self;
        let found = threads.install(|| engine.step(theta, fit, loss, gradient))?;
        Ok(KernelGradient { loss: found.loss, alpha: found.alpha, gradient: gradient.clone() })
    }

    /// One step on given halves, without validation: (loss, norm of its gradient).
    ///
    /// # Errors
    /// As [`KernelTrainer::take_step`].
    pub fn step_on(&mut self, [fit, loss]: &[KernelBatch<T>; 2]) -> Result<(f64, f64)> {
        let KernelTrainer { threads, engine, theta, gradient, .. } = self;
        let found = threads.install(|| engine.step(theta, fit, loss, gradient))?;
        self.largest_jitter = self.largest_jitter.max(found.jitter);
        let update = Update {
            rate: self.config.learning_rate,
            decay: 0.0,
            clip: self.config.max_gradient_norm,
            ema: 0.0,
        };
        let norm = self.adam.update(&mut self.theta, &self.gradient, update);
        self.step += 1;
        if !(norm.is_finite() && found.loss.is_finite()) {
            let message = "the loss is no longer finite; use a lower rate or a larger lambda";
            return Err(Error::Diverged {
                step: self.step,
                rows: Vec::new(),
                message: message.into(),
            });
        }
        self.losses = (self.losses.0 + found.loss, self.losses.1 + 1);
        Ok((found.loss, norm))
    }

    /// The next rows of the shuffled training set; the last batch of a pass may be smaller.
    fn next_rows(&mut self, count: usize) -> Vec<usize> {
        if self.at >= self.order.len() {
            self.order = (0..self.x.len() / self.family.dim).collect();
            self.order.shuffle(&mut self.rng);
            self.at = 0;
        }
        let end = (self.at + count).min(self.order.len());
        let rows = self.order[self.at..end].to_vec();
        self.at = end;
        rows
    }

    fn draw(&mut self, rows: Vec<usize>) -> KernelBatch<T> {
        let d = self.family.dim;
        let x = rows.iter().flat_map(|r| self.x[r * d..(r + 1) * d].iter().copied()).collect();
        self.engine.rule.draw(x, d, self.config.slice_distribution, &mut self.rng)
    }

    /// The held-out loss with alpha fitted to some training rows; keeps the parameters if it is the best.
    fn validate(&mut self) -> Result<HeldOutLoss> {
        let n = self.x.len() / self.family.dim;
        let rows = choose(n, self.config.validation_rows.min(n), &mut self.rng);
        let fit = self.draw(rows);
        let held_out = self.engine.rule.draw(
            self.held_out.clone(),
            self.family.dim,
            self.config.slice_distribution,
            &mut self.rng,
        );
        let m = self.family.inducing;
        let lambda = 10f64.powf(self.theta[self.engine.layout.log_lambda].to_f64());
        let KernelTrainer { threads, engine, theta, .. } = self;
        let (losses, jitter) = threads.install(|| -> Result<_> {
            engine.place(theta);
            let mut moments = Moments::new(m);
            engine.add_moments(theta, &fit, &mut moments);
            let solution = moments.solve(lambda)?;
            Ok((engine.losses(theta, &solution.alpha, &held_out).0, solution.jitter))
        })?;
        self.largest_jitter = self.largest_jitter.max(jitter);
        let loss = mean(&losses);
        if loss.mean.is_finite() && self.best.as_ref().is_none_or(|best| loss.mean < best.1.mean) {
            self.best = Some((self.step, loss, self.theta.clone()));
        }
        if self.step % 20 == 1 || self.config.evaluate_every > 1 {
            let train_loss = self.losses.0 / self.losses.1.max(1) as f64;
            self.history.push(HistoryPoint { step: self.step, train_loss, held_out: loss });
            self.losses = (0.0, 0);
        }
        Ok(loss)
    }

    /// Tunes lambda of the best parameters on the held-out rows, with G and b of all training rows.
    ///
    /// # Errors
    /// [`Error::Numerical`] where alpha cannot be solved for.
    #[inline(never)]
    pub fn finish(&mut self) -> Result<KernelFit> {
        if let Some((_, _, theta)) = &self.best {
            self.theta = theta.clone();
        }
        let moments = self.all_moments()?;
        let at = self.engine.layout.log_lambda;
        let mut log_lambda = vec![self.theta[at].to_f64()];
        let mut adam = AdamW::new(&log_lambda);
        let (d, n) = (self.family.dim, self.held_out.len() / self.family.dim);
        let mut order: Vec<usize> = Vec::new();
        for _ in 0..self.config.lambda_steps {
            if order.is_empty() {
                order = (0..n).collect();
                order.shuffle(&mut self.rng);
            }
            let rows = order.split_off(order.len().saturating_sub(self.config.lambda_batch));
            let x = rows.iter().flat_map(|r| self.held_out[r * d..(r + 1) * d].to_vec()).collect();
            let batch = self.engine.rule.draw(x, d, self.config.slice_distribution, &mut self.rng);
            let lambda = 10f64.powf(log_lambda[0]);
            let solution = moments.solve(lambda)?;
            let KernelTrainer { threads, engine, theta, .. } = self;
            let (_, h) = threads.install(|| engine.losses(theta, &solution.alpha, &batch));
            let gradient = lambda_gradient(&solution, &solution.inverse_times(&h), lambda);
            let rate = self.config.lambda_rate;
            let update = Update { rate, decay: 0.0, clip: f64::INFINITY, ema: 0.0 };
            adam.update(&mut log_lambda, &[gradient], update);
        }
        self.theta[at] = T::of(log_lambda[0]);
        self.fit(&moments, 10f64.powf(log_lambda[0]))
    }

    fn fit(&self, moments: &Moments, lambda: f64) -> Result<KernelFit> {
        let solution = moments.solve(lambda)?;
        Ok(KernelFit {
            family: self.family.clone(),
            theta: self.theta.iter().map(|t| t.to_f64()).collect(),
            record: KernelRecord {
                lambda,
                condition: moments.condition(lambda)?,
                jitter: solution.jitter,
                largest_jitter: self.largest_jitter.max(solution.jitter),
            },
            alpha: solution.alpha,
        })
    }

    /// G and b of all training rows, in one streaming pass.
    fn all_moments(&mut self) -> Result<Moments> {
        let d = self.family.dim;
        let mut moments = Moments::new(self.family.inducing);
        for start in (0..self.x.len()).step_by(STREAM_ROWS * d) {
            let x = self.x[start..(start + STREAM_ROWS * d).min(self.x.len())].to_vec();
            let batch = self.engine.rule.draw(x, d, self.config.slice_distribution, &mut self.rng);
            let KernelTrainer { threads, engine, theta, .. } = self;
            threads.install(|| {
                engine.place(theta);
                engine.add_moments(theta, &batch, &mut moments);
            });
        }
        Ok(moments)
    }

    /// Chooses the width of a plain family and lambda on the held-out rows: `log_widths` and
    /// `log_lambdas` are tried in all pairs. Nothing else is learnt.
    ///
    /// # Errors
    /// [`Error::Config`] for a family with networks, [`Error::Numerical`] where no pair can be solved.
    #[inline(never)]
    pub fn choose(&mut self, log_widths: &[f64], log_lambdas: &[f64]) -> Result<KernelFit> {
        if self.family.features.is_some() {
            return Err(Error::config("features", "a family with networks is trained by steps"));
        }
        let mut best: Option<(f64, KernelFit)> = None;
        for width in log_widths {
            for r in 0..self.engine.layout.kernels {
                self.theta[self.engine.layout.log_width(r)] = T::of(*width);
            }
            let moments = self.all_moments()?;
            let held_out = self.engine.rule.draw(
                self.held_out.clone(),
                self.family.dim,
                self.config.slice_distribution,
                &mut self.rng,
            );
            for log_lambda in log_lambdas {
                let lambda = 10f64.powf(*log_lambda);
                let Ok(solution) = moments.solve(lambda) else { continue };
                let KernelTrainer { threads, engine, theta, .. } = self;
                let losses = threads.install(|| engine.losses(theta, &solution.alpha, &held_out).0);
                let loss = mean(&losses);
                self.step += 1;
                self.history.push(HistoryPoint {
                    step: self.step,
                    train_loss: f64::NAN,
                    held_out: loss,
                });
                if loss.mean.is_finite() && best.as_ref().is_none_or(|b| loss.mean < b.0) {
                    self.theta[self.engine.layout.log_lambda] = T::of(*log_lambda);
                    best = Some((loss.mean, self.fit(&moments, lambda)?));
                    self.best = Some((self.step, loss, self.theta.clone()));
                }
            }
        }
        best.map(|(_, fit)| fit).ok_or_else(|| Error::Numerical {
            operation: "kernel family",
            message: "no width and lambda gave a finite held-out loss".into(),
        })
    }
}

fn mean(values: &[f64]) -> HeldOutLoss {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    HeldOutLoss { mean, standard_error: (variance / n).sqrt() }
}

/// Base-10 logarithm of the median squared distance between rows of `x` (n x d), over at most the first
/// 500 rows: the usual first guess of a squared width.
pub fn median_log_width<T: Real>(x: &[T], dim: usize) -> f64 {
    let rows: Vec<&[T]> = x.chunks_exact(dim).take(500).collect();
    let mut squares: Vec<f64> = Vec::new();
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[..i] {
            let square = a.iter().zip(*b).map(|(a, b)| (a.to_f64() - b.to_f64()).powi(2)).sum();
            squares.push(square);
        }
    }
    upper_median(squares).unwrap_or(1.0).max(1e-12).log10()
}
