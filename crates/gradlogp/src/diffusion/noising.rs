//! Batches of noised rows (x_t, t), drawn anew at every step.
//!
//! Times are stratified: row i of n gets the quantile (i + U)/n of the law q(t), U uniform. Its loss has
//! the weight lambda(t) / (q(t) (T - t_min)), so that the mean over rows estimates the mean of lambda times
//! the loss over uniform t, whatever q is:
//!
//! | weight | lambda(t) | |
//! |---|---|---|
//! | noise | std(t)^2 | every noise level counts alike (Song and Ermon 2019) |
//! | likelihood | g(t)^2 | the sum bounds the likelihood of the probability flow (Song et al. 2021b) |
//! | none | 1 | |
//!
//! Times are uniform, or of the law q proportional to lambda(t)/std(t)^2: a loss at noise std is of the size
//! 1/std^2, so all rows then weigh alike.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Clock, TimeMlp};
use crate::model::Points;
use crate::sde::{Kernel, simulate};
use crate::{Error, Result};

/// lambda(t).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoiseWeight {
    /// std(t)^2.
    Noise,
    /// g(t)^2.
    Likelihood,
    /// 1.
    None,
}

/// Where times come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeLaw {
    /// Uniform over \[t_min, T\].
    Uniform,
    /// Proportional to lambda(t)/std(t)^2.
    Importance,
}

/// How rows are noised for training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseConfig {
    /// lambda(t).
    pub weight: NoiseWeight,
    /// Where times come from.
    pub times: TimeLaw,
    /// Only so many times, evenly spaced: the noise ladder of NCSN. None: all of them.
    pub levels: Option<usize>,
    /// Steps of the forward simulation of x_t; None takes the kernel.
    pub simulate: Option<usize>,
}

impl Default for NoiseConfig {
    /// Weight std^2, uniform times, the kernel.
    fn default() -> Self {
        NoiseConfig {
            weight: NoiseWeight::Noise,
            times: TimeLaw::Uniform,
            levels: None,
            simulate: None,
        }
    }
}

/// Noised rows with all that a loss needs of them.
#[derive(Debug, Clone, Default)]
pub struct Noised {
    /// x_t, n x d.
    pub x: Vec<f32>,
    /// Contexts by slot.
    pub contexts: Vec<Vec<f32>>,
    /// Weights of the rows, n.
    pub weights: Vec<f32>,
    /// Scores of the kernel at x_t, n x d; empty where x_t was simulated.
    pub targets: Vec<f32>,
    /// t, n.
    pub times: Vec<f64>,
    state: Vec<f64>,
}

impl<'a> From<&'a Noised> for Points<'a, f32> {
    fn from(rows: &'a Noised) -> Self {
        let contexts: Vec<&[f32]> = rows.contexts.iter().map(Vec::as_slice).collect();
        let points = Points::with_contexts(&rows.x, &contexts);
        Points { weights: &rows.weights, targets: &rows.targets, ..points }
    }
}

/// Cells of the table of q.
const TABLE: usize = 1024;

/// Makes noised batches for one network and process.
#[derive(Debug, Clone)]
pub struct Noising {
    network: TimeMlp,
    clock: Clock,
    config: NoiseConfig,
    /// Cumulative q over equal cells of \[t_min, T\], from 0 to 1; empty for uniform times.
    cumulative: Vec<f64>,
}

impl Noising {
    /// Joins a network's settings, a process and how it is to be used.
    ///
    /// # Errors
    /// No steps or levels; no kernel for a network that is scaled by it, or where nothing is simulated.
    pub fn new(network: TimeMlp, clock: Clock, config: NoiseConfig) -> Result<Self> {
        if config.simulate == Some(0) {
            return Err(Error::config("simulate", "must be at least 1 step"));
        }
        if config.levels == Some(0) {
            return Err(Error::config("levels", "must be at least 1"));
        }
        if !clock.has_kernel() && (network.scaled || config.simulate.is_none()) {
            let message = "this process has no closed-form kernel: x_t must be simulated, and the \
                           network cannot be scaled by it";
            return Err(Error::config("simulate", message));
        }
        let mut noising = Noising { network, clock, config, cumulative: Vec::new() };
        if config.times == TimeLaw::Importance {
            noising.cumulative = noising.importance();
        }
        Ok(noising)
    }

    /// The network's settings.
    pub fn network(&self) -> &TimeMlp {
        &self.network
    }

    /// The process.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether targets for denoising come with the rows.
    pub fn has_targets(&self) -> bool {
        self.config.simulate.is_none()
    }

    fn lambda(&self, t: f64) -> f64 {
        match self.config.weight {
            NoiseWeight::Noise => self.clock.noise(t).std.powi(2),
            NoiseWeight::Likelihood => self.clock.sde().diffusion(t).powi(2),
            NoiseWeight::None => 1.0,
        }
    }

    fn importance(&self) -> Vec<f64> {
        let (low, high) = (self.clock.t_min(), self.clock.horizon());
        let mut cumulative = vec![0.0];
        for k in 0..TABLE {
            let t = low + (high - low) * (k as f64 + 0.5) / TABLE as f64;
            let density = self.lambda(t) / self.clock.noise(t).std.powi(2);
            cumulative.push(cumulative[k] + density);
        }
        let total = cumulative[TABLE];
        cumulative.iter_mut().for_each(|c| *c /= total);
        cumulative
    }

    /// The quantile of q at `u`, and q (T - t_min) there.
    fn time(&self, u: f64) -> (f64, f64) {
        let (low, high) = (self.clock.t_min(), self.clock.horizon());
        let (mut share, mut density) = (u, 1.0);
        if !self.cumulative.is_empty() {
            let cell = self.cumulative.partition_point(|c| *c <= u).clamp(1, TABLE) - 1;
            let mass = self.cumulative[cell + 1] - self.cumulative[cell];
            share = (cell as f64 + (u - self.cumulative[cell]) / mass) / TABLE as f64;
            density = mass * TABLE as f64;
        }
        if let Some(levels) = self.config.levels {
            let level = ((share * levels as f64) as usize).min(levels - 1);
            share = level as f64 / (levels.max(2) - 1) as f64;
        }
        (low + share * (high - low), density)
    }

    /// Replaces `into` by noised copies of the rows `x` (n x d, data at t = 0). Once there is room, only a
    /// simulation allocates.
    pub fn fill(&self, x: &[f32], rng: &mut impl Rng, into: &mut Noised) {
        let n = x.len() / self.network.dim;
        into.times.clear();
        into.weights.clear();
        for i in 0..n {
            let (t, density) = self.time((i as f64 + rng.random::<f64>()) / n as f64);
            into.times.push(t);
            into.weights.push((self.lambda(t) / density) as f32);
        }
        into.x.clear();
        into.targets.clear();
        match self.config.simulate {
            Some(steps) => {
                into.state.clear();
                into.state.extend(x.iter().map(|x| f64::from(*x)));
                simulate(self.clock.sde(), rng, &mut into.state, &into.times, steps);
                into.x.extend(into.state.iter().map(|x| *x as f32));
            }
            None => self.place_by_kernel(x, rng, into),
        }
        self.network.write_contexts(&self.clock, &into.times, &mut into.contexts);
    }

    /// x_t = a x + b z, whose kernel has the score -(x_t - a x) / b^2 = -z / b there.
    fn place_by_kernel(&self, x: &[f32], rng: &mut impl Rng, into: &mut Noised) {
        for (x, t) in x.chunks(self.network.dim).zip(&into.times) {
            let Kernel { scale, std } = self.clock.noise(*t);
            for x in x {
                let z: f64 = StandardNormal.sample(rng);
                into.x.push((scale * f64::from(*x) + std * z) as f32);
                into.targets.push((-z / std) as f32);
            }
        }
    }
}
