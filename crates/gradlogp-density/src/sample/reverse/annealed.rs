//! Annealed Langevin dynamics: ULA at falling noise levels, each started where the one before ended.
//!
//! At level sigma, for y = x / scale whose noise has standard deviation sigma = std / scale:
//!
//! ```text
//! y' = y + (a/2) s(y, sigma) + sqrt(a) z,   a = eps / sqrt(G)                       T steps a level
//! ```
//!
//! with G the mean over rows of |ds|^2/|dy|^2 along the step before: where noise is all there is, the score is
//! -y/sigma^2, and these are the steps a = eps sigma^2 of Song and Ermon (2019), "Generative modeling by
//! estimating gradients of the data distribution", algorithm 1. Data of width w have sqrt(G) = 1/(w^2 + sigma^2)
//! instead. With steps that go on shrinking as sigma^2 below w, a row never forgets the noise of the levels
//! about w: the variance of N(0, 1) came out 16 to 19% too large.
//!
//! At the last level the step is halved three times, for 2T, 4T and 8T more steps, since a step of eps leaves
//! a variance 1/(1 - eps/4) times too large (MATH 6). What remains on a Gaussian after 100 levels of 5 steps is a
//! variance 1 to 2% too large, and up to 9% in directions a hundred times wider than others.
//!
//! Song and Ermon (2020), "Improved techniques for training score-based generative models", say how to choose
//! the rest ([`level_count`] is their technique 2, [`step_rule`] their technique 4, with
//! their step eps being a/2 here; the last is to denoise at the end, MATH (43)).

use super::corrector::mean_square;
use super::{Reverse, State, Unscaled};
use crate::error::{Error, Result};
use crate::sample::ula;
use crate::score::Score;
use rand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// How to sample at each level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnealedConfig {
    /// T, steps at each level (default 5).
    pub steps: usize,
    /// eps, a sqrt(G): without unit, below 4 (default 0.12).
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
            return Err(Error::config("steps_per_level", "at least one is needed"));
        }
        // The factor of the noise, 1 - step/2, must lie within (-1, 1).
        if !(self.step > 0.0 && self.step < 4.0) {
            return Err(Error::config("step", "must be above 0 and below 4, where it explodes"));
        }
        Ok(())
    }
}

/// How many times the step is halved at the last level.
const HALVINGS: u32 = 3;

/// Evaluations of the score that [`level`] takes.
pub fn evaluations(config: &AnnealedConfig, last: bool) -> usize {
    // One before the first step; and T + 2T + 4T + 8T.
    1 + config.steps * if last { (1 << (HALVINGS + 1)) - 1 } else { 1 }
}

/// T steps at the noise level of time `to`, from wherever the state is; and, where it is the `last`, those that
/// take away the bias of their size. `share` is sigma^2 sqrt(G) of the level before, 1 at first, and becomes
/// that of this one. `go_on` is asked before every step; None where it said no.
///
/// # Errors
/// [`Error::Config`] for a process without kernel; [`Error::Diverged`], naming step and row.
pub fn level(
    rng: &mut dyn Rng,
    state: &State,
    reverse: &Reverse<'_>,
    (to, last): (f64, bool),
    (config, share): (&AnnealedConfig, &mut f64),
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<State>> {
    let (before, here) = (reverse.kernel(state.time, "annealed")?, reverse.kernel(to, "annealed")?);
    let score = Unscaled { score: reverse.score, time: to, scale: here.scale };
    let sigma = here.std / here.scale;
    let mut chains = ula::init(&state.position / before.scale, &score)?;
    let mut score_here = score.score(chains.position.view());
    for halving in 0..=if last { HALVINGS } else { 0 } {
        for _ in 0..config.steps << halving {
            if !go_on() {
                return Ok(None);
            }
            let eps = config.step / f64::from(1u32 << halving);
            let a = eps * sigma * sigma / *share;
            let moved = ula::advance(rng, chains.clone(), &score_here, a)?;
            let there = score.score(moved.position.view());
            let curvature = (mean_square(&(&there - &score_here))
                / mean_square(&(&moved.position - &chains.position)))
            .sqrt();
            if curvature > 0.0 && curvature.is_finite() {
                // Noise of variance sigma^2 leaves no direction with a precision above 1/sigma^2.
                *share = (sigma * sigma * curvature).clamp(1e-9, 1.0);
            }
            (chains, score_here) = (moved, there);
        }
    }
    let step = state.step + evaluations(config, last) as u64 - 1;
    Ok(Some(State { position: chains.position * here.scale, time: to, step }))
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

/// The step a/sigma^2, for data in one point the same as eps, at which T steps leave the variance closest to
/// its value, where each level is `ratio` times the next: with e = a/(2 sigma^2) it minimizes
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
    use crate::reference::Gaussian;
    use crate::sample::reverse::{
        ReverseConfig, ReverseProgress, Scheme, TimeSchedule, run_reverse,
    };
    use crate::sde::{Marginal, Sde, Ve, Vp};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::ops::ControlFlow;

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

    /// The variances of the columns after a whole way to data, over the right ones.
    fn variances(data: Gaussian, n: usize, levels: usize) -> Vec<f64> {
        let sde = Vp::default();
        let d = data.covariance().nrows();
        let expected: Vec<f64> = data.covariance().diag().to_vec();
        let score = Marginal::gaussian(data, sde).unwrap();
        let reverse = Reverse { sde: &sde, score: &score };
        let level_of = |t: f64| sde.kernel(t).map(|k| k.std / k.scale).unwrap();
        let (high, low) = (level_of(sde.horizon()), level_of(sde.t_min()));
        let config = ReverseConfig {
            scheme: Scheme::Annealed(AnnealedConfig::improved(high, low, levels, 5)),
            schedule: TimeSchedule::Geometric,
            steps: levels,
            denoise: true,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let start = reverse.start(n, &mut rng).unwrap().position;
        let mut on = |_: ReverseProgress<'_>| ControlFlow::Continue(());
        let run = run_reverse(&reverse, start, &config, &mut rng, &mut on).unwrap();
        (0..d).map(|j| run.rows.column(j).var(1.0) / expected[j]).collect()
    }

    /// The distribution of a Gaussian is met within a few per cent, whatever its width, with few levels and many.
    #[test]
    fn the_variance_of_a_gaussian_is_right() {
        let n = 5000;
        let error = (2.0 / n as f64).sqrt();
        for (variance, levels) in [(1.0, 100), (1.0, 20), (0.04, 40)] {
            let data = Gaussian::new(array![0.5], array![[variance]]).unwrap();
            let found = variances(data, n, levels)[0];
            assert!((found - 1.01).abs() < 0.01 + 4.0 * error, "{variance} {levels}: {found}");
        }
        let data = Gaussian::new(array![0.0, 1.0], array![[1.0, 0.9], [0.9, 1.0]]).unwrap();
        for found in variances(data, n, 50) {
            assert!((found - 1.01).abs() < 0.02 + 4.0 * error, "correlated: {found}");
        }
    }

    /// On data N(0, 1) the steps are linear: the variance is known after every one of them.
    #[test]
    fn variance_on_a_normal_is_the_known_one() {
        let (n, config) = (40_000, AnnealedConfig { steps: 3, step: 0.5 });
        let sde = Ve { sigma_min: 0.5, sigma_max: 8.0 };
        let score = Marginal::gaussian(Gaussian::standard(1).unwrap(), sde).unwrap();
        let reverse = Reverse { sde: &sde, score: &score };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut state = reverse.start(n, &mut rng).unwrap();
        let (mut variance, mut share) = (sde.prior_std().unwrap().powi(2), 1.0);
        let mut expected_share = 1.0;
        for (to, last) in [(0.75, false), (0.5, false), (0.25, true)] {
            let with = (&config, &mut share);
            let moved = level(&mut rng, &state, &reverse, (to, last), with, &mut || true);
            state = moved.unwrap().unwrap();
            let noise = sde.kernel(to).unwrap().std.powi(2);
            for halving in 0..if last { 4 } else { 1 } {
                for _ in 0..config.steps << halving {
                    // The first step knows the level before.
                    let a = 0.5f64.powi(halving) * config.step * noise / expected_share;
                    variance = (1.0 - 0.5 * a / (1.0 + noise)).powi(2) * variance + a;
                    expected_share = noise / (1.0 + noise);
                }
            }
            assert!((share / expected_share - 1.0).abs() < 1e-6, "{share}");
            let found = state.position.var(1.0);
            let error = variance * (2.0 / n as f64).sqrt();
            assert!((found - variance).abs() < 4.5 * error, "{found}, not {variance}");
        }
        assert_eq!(state.step, 3 + 3 + 45);
        let mut asked = 0;
        let mut twice = || {
            asked += 1;
            asked < 3
        };
        let with = (&config, &mut share);
        let stopped = level(&mut rng, &state, &reverse, (0.2, false), with, &mut twice);
        assert!(stopped.unwrap().is_none() && asked == 3);
    }

    #[test]
    fn refuses_steps_that_explode() {
        assert!(AnnealedConfig { steps: 0, step: 0.1 }.validate().is_err());
        assert!(AnnealedConfig { steps: 1, step: 4.0 }.validate().is_err());
        AnnealedConfig::default().validate().unwrap();
    }
}
