//! Batches of noised rows (x_t, t), drawn anew at every step.
//!
//! Times are stratified: row i of n gets the quantile (i + U)/n of the distribution q(t), U uniform. Its loss has
//! the weight lambda(t) / (q(t) (T - t_min)), so that the mean over rows estimates the mean of lambda times
//! the loss over uniform t, whatever q is:
//!
//! | weight | lambda(t) | |
//! |---|---|---|
//! | noise | std(t)^2 | every noise level counts alike (Song and Ermon 2019) |
//! | likelihood | g(t)^2 | the sum bounds the likelihood of the probability flow (Song et al. 2021b); in a frame g(t)^2 over the least s_k(t)^2, which does too |
//! | balanced | u(t) (T - t_min) (std(t)^2 + w^2), u uniform over log(b/a) | the error of the network itself times sqrt(a/r), MATH (46) |
//! | none | 1 | |
//!
//! | times | q(t) | |
//! |---|---|---|
//! | uniform | 1 / (T - t_min) | |
//! | importance | proportional to lambda/std^2 | a loss at noise std is of the size 1/std^2 |
//! | log-noise | pi(t), proportional to a/r times the slope of log(b/a) | all noise levels below the signal alike, few above |
//!
//! Denoising takes every row twice, at a x + b z and at a x - b z ([`Noising::fill_pairs`]). Its loss has a term s.z/b,
//! whose mean over z is bounded but whose variance grows as 1/b^2; of a pair only half the difference
//! (s(a x + b z) - s(a x - b z)).z/(2b) is left, which tends to z.(grad s) z: sliced score matching.

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
    /// u(t) (T - t_min) (std(t)^2 + w^2), u the density of a uniform logarithm of noise over signal, w the
    /// network's floor.
    Balanced,
    /// 1.
    None,
}

gradlogp_numeric::names!(NoiseWeight {
    Noise => "noise",
    Likelihood => "likelihood",
    Balanced => "balanced",
    None => "none",
});

/// Where times come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeDistribution {
    /// Uniform over \[t_min, T\].
    Uniform,
    /// Proportional to lambda(t)/std(t)^2.
    Importance,
    /// pi: over the logarithm of noise over signal uniform where there is less noise than signal, and falling
    /// as signal over noise beyond.
    LogNoise,
}

gradlogp_numeric::names!(TimeDistribution {
    Uniform => "uniform",
    Importance => "importance",
    LogNoise => "log-noise",
});

/// How rows are noised for training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseConfig {
    /// lambda(t).
    pub weight: NoiseWeight,
    /// Where times come from.
    pub times: TimeDistribution,
    /// Only so many times, evenly spaced: the noise ladder of NCSN. None: all of them.
    pub levels: Option<usize>,
    /// Steps of the forward simulation of x_t; None takes the kernel.
    pub simulate: Option<usize>,
}

impl NoiseConfig {
    /// The usual number of levels of NCSN.
    pub const LEVELS: usize = 10;

    /// Checks every number.
    ///
    /// # Errors
    /// No steps or levels.
    pub fn validate(&self) -> Result<()> {
        if let Some(steps) = self.simulate {
            Noising::check_steps(steps)?;
        }
        if self.levels == Some(0) {
            return Err(Error::config("levels", "must be at least 1"));
        }
        Ok(())
    }
}

impl Default for NoiseConfig {
    /// Balanced weights, log-noise times, the kernel.
    fn default() -> Self {
        NoiseConfig {
            weight: NoiseWeight::Balanced,
            times: TimeDistribution::LogNoise,
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

/// A distribution of times that is uniform within cells.
#[derive(Debug, Clone)]
struct PiecewiseUniform {
    /// Ends of the cells, from t_min to T.
    knots: Vec<f64>,
    /// Mass below each of them, from 0 to 1.
    cumulative: Vec<f64>,
}

impl PiecewiseUniform {
    /// Cells of equal steps of log(b/a), of mass proportional to `mass` of their midpoint and width in time.
    fn new(clock: &Clock, mass: impl Fn(f64, f64) -> f64) -> Self {
        let knots: Vec<f64> = (0..=TABLE).map(|k| clock.time_at(k as f64 / TABLE as f64)).collect();
        let mut cumulative = vec![0.0];
        for cell in knots.windows(2) {
            let sum = cumulative[cumulative.len() - 1];
            cumulative.push(sum + mass(0.5 * (cell[0] + cell[1]), cell[1] - cell[0]));
        }
        let total = cumulative[TABLE];
        cumulative.iter_mut().for_each(|c| *c /= total);
        PiecewiseUniform { knots, cumulative }
    }

    /// pi of the table above.
    fn log_noise(clock: &Clock) -> Self {
        PiecewiseUniform::new(clock, |t, _| {
            let Kernel { scale, std } = clock.relative_noise(t);
            scale / scale.hypot(std)
        })
    }

    /// u of the table above.
    fn even(clock: &Clock) -> Self {
        PiecewiseUniform::new(clock, |_, _| 1.0)
    }

    /// Density in one cell, relative to the uniform one.
    fn density(&self, cell: usize) -> f64 {
        let mass = self.cumulative[cell + 1] - self.cumulative[cell];
        let width = self.knots[cell + 1] - self.knots[cell];
        mass * (self.knots[TABLE] - self.knots[0]) / width
    }

    fn density_at(&self, t: f64) -> f64 {
        self.density(self.knots.partition_point(|knot| *knot <= t).clamp(1, TABLE) - 1)
    }

    /// The quantile at `u`, and the density there.
    fn quantile(&self, u: f64) -> (f64, f64) {
        let cell = self.cumulative.partition_point(|c| *c <= u).clamp(1, TABLE) - 1;
        let (low, high) = (self.cumulative[cell], self.cumulative[cell + 1]);
        let t =
            self.knots[cell] + (u - low) / (high - low) * (self.knots[cell + 1] - self.knots[cell]);
        (t, self.density(cell))
    }
}

/// Cells of a distribution of times.
const TABLE: usize = 1024;

/// Makes noised batches for one network and process.
#[derive(Debug, Clone)]
pub struct Noising {
    network: TimeMlp,
    clock: Clock,
    config: NoiseConfig,
    /// q; None: uniform.
    distribution: Option<PiecewiseUniform>,
    /// u, for balanced weights.
    even: Option<PiecewiseUniform>,
}

impl Noising {
    /// Joins a network's settings, a process and how it is to be used.
    ///
    /// # Errors
    /// No steps or levels; no kernel for a network that is scaled by it, or where nothing is simulated.
    pub fn new(network: TimeMlp, clock: Clock, config: NoiseConfig) -> Result<Self> {
        config.validate()?;
        let unscaled = network.scaled && clock.frame().is_none();
        if !clock.has_kernel() && (unscaled || config.simulate.is_none()) {
            let message = "this process has no closed-form kernel: x_t must be simulated, and the \
                           network cannot be scaled by it";
            return Err(Error::config("simulate", message));
        }
        if let Some(frame) = clock.frame() {
            if frame.dim() != network.dim {
                let (expected, found) = (vec![network.dim], vec![frame.dim()]);
                return Err(Error::Shape { operation: "frame of a process", expected, found });
            }
            if config.simulate.is_none() {
                let message =
                    "rows of a process in units of its own are simulated: give a number of steps";
                return Err(Error::config("simulate", message));
            }
        }
        let even = (config.weight == NoiseWeight::Balanced).then(|| PiecewiseUniform::even(&clock));
        let mut noising = Noising { network, clock, config, distribution: None, even };
        noising.distribution = match config.times {
            TimeDistribution::Uniform => None,
            TimeDistribution::LogNoise => Some(PiecewiseUniform::log_noise(&noising.clock)),
            TimeDistribution::Importance => {
                Some(PiecewiseUniform::new(&noising.clock, |t, width| {
                    width * noising.lambda(t) / noising.noise_square(t)
                }))
            }
        };
        Ok(noising)
    }

    /// Refuses numbers of steps of the forward simulation that are none, or would take for ever.
    ///
    /// # Errors
    /// None at all, or more than [`Noising::MOST_STEPS`].
    pub fn check_steps(steps: usize) -> Result<()> {
        if (1..=Self::MOST_STEPS).contains(&steps) {
            return Ok(());
        }
        let message =
            format!("must be at least 1 step and at most {}, not {steps}", Self::MOST_STEPS);
        Err(Error::config("simulate", message))
    }

    /// Most steps of the forward simulation.
    pub const MOST_STEPS: usize = 10_000;

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
            NoiseWeight::Noise => self.noise_square(t),
            NoiseWeight::Likelihood => {
                // In a frame columns have factors g^2/s_k^2 of their own; the largest for all keeps the bound.
                let width = self.clock.frame().map_or(1.0, |frame| frame.least_width(t));
                (self.clock.sde().diffusion(t) / width).powi(2)
            }
            NoiseWeight::Balanced => {
                let density =
                    self.even.as_ref().map_or(1.0, |distribution| distribution.density_at(t));
                density * (self.noise_square(t) + self.network.floor.powi(2))
            }
            NoiseWeight::None => 1.0,
        }
    }

    /// Variance of the noise, in a frame beside the columns' width there.
    fn noise_square(&self, t: f64) -> f64 {
        let width = self.clock.frame().map_or(1.0, |frame| frame.mean_square_width(t));
        self.clock.noise(t).std.powi(2) / width
    }

    /// The quantile of q at `u`, and q (T - t_min) there.
    fn time(&self, u: f64) -> (f64, f64) {
        let (low, high) = (self.clock.t_min(), self.clock.horizon());
        let (mut t, density) = match &self.distribution {
            None => (low + u * (high - low), 1.0),
            Some(distribution) => distribution.quantile(u),
        };
        if let Some(levels) = self.config.levels {
            let share = (t - low) / (high - low);
            let level = ((share * levels as f64) as usize).min(levels - 1);
            t = low + level as f64 / (levels.max(2) - 1) as f64 * (high - low);
        }
        (t, density)
    }

    /// Replaces `into` by noised copies of the rows `x` (n x d, data at t = 0, in the units of the network: those of
    /// its frame at 0 where it has one, as x_t is in those at t). Once there is room, only a
    /// simulation allocates.
    pub fn fill(&self, x: &[f32], rng: &mut impl Rng, into: &mut Noised) {
        self.fill_copies(x, 1, rng, into);
    }

    /// As [`Noising::fill`], but every row gives two, one after the other, with opposite noise; the kernel's
    /// means of their losses vary less, see the top of the file. For processes with a kernel.
    ///
    /// # Panics
    /// Where rows are simulated.
    pub fn fill_pairs(&self, x: &[f32], rng: &mut impl Rng, into: &mut Noised) {
        assert!(self.has_targets(), "simulated rows have no opposite");
        self.fill_copies(x, 2, rng, into);
    }

    fn fill_copies(&self, x: &[f32], copies: usize, rng: &mut impl Rng, into: &mut Noised) {
        let n = x.len() / self.network.dim;
        into.times.clear();
        into.weights.clear();
        for i in 0..n {
            let (t, density) = self.time((i as f64 + rng.random::<f64>()) / n as f64);
            let weight = (self.lambda(t) / density) as f32;
            into.times.extend(std::iter::repeat_n(t, copies));
            into.weights.extend(std::iter::repeat_n(weight, copies));
        }
        into.x.clear();
        into.targets.clear();
        match self.config.simulate {
            Some(steps) => {
                into.state.clear();
                into.state.extend(x.iter().map(|x| f64::from(*x)));
                if let Some(frame) = self.clock.frame() {
                    let (place, width) = frame.at(0.0);
                    for row in into.state.chunks_mut(place.len()) {
                        let of_column = row.iter_mut().zip(place.iter().zip(&width));
                        of_column.for_each(|(x, (m, s))| *x = m + s * *x);
                    }
                }
                simulate(self.clock.sde(), rng, &mut into.state, &into.times, steps);
                if let Some(frame) = self.clock.frame() {
                    let (mut place, mut width) = frame.at(0.0);
                    for (row, t) in into.state.chunks_mut(place.len()).zip(&into.times) {
                        frame.write(*t, &mut place, &mut width);
                        let of_column = row.iter_mut().zip(place.iter().zip(&width));
                        of_column.for_each(|(x, (m, s))| *x = (*x - m) / s);
                    }
                }
                into.x.extend(into.state.iter().map(|x| *x as f32));
            }
            None => self.place_by_kernel(x, copies, rng, into),
        }
        self.network.write_contexts(&self.clock, &into.times, &mut into.contexts);
    }

    /// x_t = a x + b z, whose kernel has the score -(x_t - a x) / b^2 = -z / b there; of two copies the second
    /// has -z.
    fn place_by_kernel(&self, x: &[f32], copies: usize, rng: &mut impl Rng, into: &mut Noised) {
        let Noised { state: noise, times, x: placed, targets, .. } = into;
        for (x, times) in x.chunks(self.network.dim).zip(times.chunks(copies)) {
            let Kernel { scale, std } = self.clock.noise(times[0]);
            noise.clear();
            noise.extend(x.iter().map(|_| -> f64 { StandardNormal.sample(rng) }));
            for sign in [1.0, -1.0].iter().take(copies) {
                for (x, z) in x.iter().zip(noise.iter()) {
                    placed.push((scale * f64::from(*x) + sign * std * z) as f32);
                    targets.push((-sign * z / std) as f32);
                }
            }
        }
    }
}
