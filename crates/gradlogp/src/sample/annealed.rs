//! Annealed Langevin dynamics: ULA at falling noise levels, each started where the one before ended.
//!
//! At level sigma, for y = x / scale whose noise has standard deviation sigma = std / scale:
//!
//! ```text
//! a = eps (sigma/sigma_min)^2,   y' = y + (a/2) s(y, sigma) + sqrt(a) z        T steps a level
//! ```
//!
//! Song and Ermon (2019), "Generative modeling by estimating gradients of the data distribution",
//! algorithm 1. Song and Ermon (2020), "Improved techniques for training score-based generative models",
//! say how to choose the rest ([`level_count`] is their technique 2, [`step_rule`] their technique 4, with
//! their step eps being a/2 here; the last is to denoise at the end, MATH (43)).

use super::reverse::{Reverse, State, Unscaled};
use super::ula;
use crate::error::{Error, Result};
use rand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// How to walk at each level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnealedConfig {
    /// T, steps at each level (default 5).
    pub steps: usize,
    /// eps/sigma_min^2, so that a = [`step`](Self::step) sigma^2: without unit, below 4 (default 0.12).
    pub step: f64,
}

impl Default for AnnealedConfig {
    fn default() -> Self {
        Self { steps: 5, step: 0.12 }
    }
}

impl AnnealedConfig {
    /// T steps a level with the step size that [`step_rule`] finds for `levels` + 1 noise levels in
    /// geometric progression from `sigma_max` to `sigma_min`.
    pub fn improved(sigma_max: f64, sigma_min: f64, levels: usize, steps: usize) -> Self {
        let ratio = (sigma_max / sigma_min).powf(1.0 / levels.max(1) as f64);
        Self { steps, step: step_rule(ratio, steps) }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::config("steps per level", "at least one is needed"));
        }
        // The factor of the noise, 1 - step/2, must lie within (-1, 1).
        if !(self.step > 0.0 && self.step < 4.0) {
            return Err(Error::config("step", "must be above 0 and below 4, where it explodes"));
        }
        Ok(())
    }
}

/// T steps at the noise level of time `to`, from wherever the state is.
///
/// # Errors
/// [`Error::Config`] for a process without kernel; [`Error::Diverged`], naming step and row.
pub fn level(
    rng: &mut dyn Rng,
    state: &State,
    reverse: &Reverse<'_>,
    to: f64,
    config: &AnnealedConfig,
) -> Result<State> {
    let (before, here) = (reverse.kernel(state.time, "annealed")?, reverse.kernel(to, "annealed")?);
    let score = Unscaled { score: reverse.score, time: to, scale: here.scale };
    let sigma = here.std / here.scale;
    let mut chains = ula::init(&state.position / before.scale, &score)?;
    for _ in 0..config.steps {
        chains = ula::step(rng, chains, &score, config.step * sigma * sigma)?.0;
    }
    let step = state.step + config.steps as u64;
    Ok(State { position: chains.position * here.scale, time: to, step })
}

/// How many levels in geometric progression from `sigma_max` to `sigma_min` suffice in `dim` columns: the
/// ratio gamma solves Phi(sqrt(2d)(gamma - 1) + 3 gamma) - Phi(sqrt(2d)(gamma - 1) - 3 gamma) = 1/2, so
/// that noise of one level lies half in the three standard deviations of the next. Song and Ermon (2020),
/// proposition 2.
pub fn level_count(sigma_max: f64, sigma_min: f64, dim: usize) -> usize {
    let normal = Normal::standard();
    let overlap = |gamma: f64| {
        let shift = (2.0 * dim as f64).sqrt() * (gamma - 1.0);
        normal.cdf(shift + 3.0 * gamma) - normal.cdf(shift - 3.0 * gamma)
    };
    // In one or two columns the noise of all levels overlaps; a factor of 2 is as far as one goes.
    let (mut low, mut high) = (1.0, 2.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if overlap(middle) > 0.5 { low = middle } else { high = middle }
    }
    ((sigma_max / sigma_min).ln() / low.ln()).ceil().max(0.0) as usize + 1
}

/// The step a/sigma^2 at which T steps leave the variance closest to its value, where each level is
/// `ratio` times the next: with e = a/(2 sigma^2) it minimises
///
/// ```text
/// (1 - e)^(2T) (ratio^2 - v) + v,   v = 2e/(1 - (1 - e)^2) = 2/(2 - e)
/// ```
///
/// the variance, in units of sigma^2, after T steps on data in one point, from that of the level before.
/// Song and Ermon (2020), equation (5).
pub fn step_rule(ratio: f64, steps: usize) -> f64 {
    let excess = |log_e: f64| {
        let e = log_e.exp();
        let stationary = 2.0 / (2.0 - e);
        (1.0 - e).powf(2.0 * steps as f64) * (ratio * ratio - stationary) + stationary
    };
    // Golden section over log e; the excess falls and then rises.
    let (mut low, mut high) = (1e-8f64.ln(), 0.999f64.ln());
    let golden = 0.5 * (5f64.sqrt() - 1.0);
    for _ in 0..200 {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if excess(left) < excess(right) { high = right } else { low = left }
    }
    2.0 * (0.5 * (low + high)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Gaussian;
    use crate::sample::reverse::TimeSchedule;
    use crate::sde::{Marginal, Sde, Ve, Vp};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// The settings that the paper's appendix gives for T = 5: eps 6.2e-6 for 232 levels from 50 to 0.01
    /// and 3.3e-6 for 500 levels from 90 to 0.01.
    #[test]
    fn step_rule_gives_the_published_steps() {
        for (sigma_max, levels, published) in [(50.0, 232, 6.2e-6), (90.0, 500, 3.3e-6)] {
            let config = AnnealedConfig::improved(sigma_max, 0.01, levels - 1, 5);
            let eps = 0.5 * config.step * 1e-4;
            assert!((eps / published - 1.0).abs() < 0.03, "{eps}, not {published}");
        }
    }

    #[test]
    fn level_count_is_near_the_published_ones() {
        // 232 was used in 3 x 32 x 32 columns, 500 in 3 x 64 x 64.
        let (small, large) = (level_count(50.0, 0.01, 3072), level_count(90.0, 0.01, 12_288));
        assert!((210..=240).contains(&small), "{small}");
        assert!((450..=510).contains(&large), "{large}");
        assert_eq!(level_count(4.0, 1.0, 1), 3);
        assert_eq!(level_count(1.0, 1.0, 5), 1);
    }

    /// On data N(0, 1) the steps are linear: the variance is known after every one of them.
    #[test]
    fn variance_on_a_normal_is_the_known_one() {
        let (n, config) = (40_000, AnnealedConfig { steps: 3, step: 0.5 });
        for (seed, sde) in [&Ve { sigma_min: 0.5, sigma_max: 8.0 } as &dyn Sde, &Vp::default()]
            .into_iter()
            .enumerate()
        {
            let data = || Gaussian::standard(1).unwrap();
            let ve = Marginal::gaussian(data(), Ve { sigma_min: 0.5, sigma_max: 8.0 }).unwrap();
            let vp = Marginal::gaussian(data(), Vp::default()).unwrap();
            let score: &dyn crate::score::TimeScore = if seed == 0 { &ve } else { &vp };
            let reverse = Reverse { sde, score };
            let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
            let mut state = reverse.start(n, &mut rng).unwrap();
            let first = sde.kernel(sde.horizon()).unwrap();
            let mut variance = (sde.prior_std().unwrap() / first.scale).powi(2);
            for to in TimeSchedule::Geometric.times(sde, 6).unwrap().into_iter().skip(3) {
                state = level(&mut rng, &state, &reverse, to, &config).unwrap();
                let kernel = sde.kernel(to).unwrap();
                let sigma_square = (kernel.std / kernel.scale).powi(2);
                let a = config.step * sigma_square;
                for _ in 0..config.steps {
                    variance = (1.0 - 0.5 * a / (1.0 + sigma_square)).powi(2) * variance + a;
                }
                let found = (&state.position / kernel.scale).var(1.0);
                let error = variance * (2.0 / n as f64).sqrt();
                assert!((found - variance).abs() < 4.5 * error, "{found}, not {variance}");
            }
        }
    }

    #[test]
    fn refuses_steps_that_explode() {
        assert!(AnnealedConfig { steps: 0, step: 0.1 }.validate().is_err());
        assert!(AnnealedConfig { steps: 1, step: 4.0 }.validate().is_err());
        AnnealedConfig::default().validate().unwrap();
    }
}
