//! The normalizing constant of a potential, or a reason not to name one. MATH (36), (37).
//!
//! Three estimates of log Z, Z = integral exp f:
//!
//! - **importance sampling** from a heavy-tailed proposal fitted to the rows (`proposal.rs`);
//! - **forward annealing** from a mixture of Gaussians fitted to the rows (`annealing.rs`), a lower bound on
//!   average;
//! - **reverse annealing** from held-out rows, an upper bound on average.
//!
//! log Z is that of the first two which has the smaller standard error. It is **refused** where
//!
//! - neither of these, or not the reverse run, has an effective size of `least_effective`, or
//! - two estimates with that size differ by more than 4 of their joint standard errors and by more than
//!   `tolerance`.
//!
//! Where a model has mass where no rows are, importance sampling finds it, if it is near, and disagrees with
//! annealing, whose chains stay around the rows. When a density cannot be normalized at all, effective
//! sizes collapse. Everything runs in coordinates whitened by the rows.

use super::annealing::Ladder;
use super::proposal::{Proposals, fit_proposals};
use super::whitened::{Whitened, Whitening};
use super::{Estimate, LogMean, check_rows, subset};
use crate::error::{Error, Result};
use crate::reference::ReferenceDensity;
use crate::score::LogDensity;
use ndarray::{Array1, ArrayView1, ArrayView2};
use rand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};
use std::fmt;

/// Settings of [`estimate_normalizer`].
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizerConfig {
    /// Draws of importance sampling.
    pub draws: usize,
    /// Chains of forward annealing, and most of reverse annealing.
    pub chains: usize,
    /// Rungs of the annealing ladder.
    pub rungs: usize,
    /// MALA steps of the reverse chains under the model before they descend.
    pub warm_up: usize,
    /// Least effective size of an estimate that counts.
    pub least_effective: f64,
    /// Difference of log Z that is not called a disagreement.
    pub tolerance: f64,
}

impl Default for NormalizerConfig {
    /// 10,000 draws; 500 chains on 100 rungs after 50 steps; 50 effective draws; 0.05.
    fn default() -> Self {
        NormalizerConfig {
            draws: 10_000,
            chains: 500,
            rungs: 100,
            warm_up: 50,
            least_effective: 50.0,
            tolerance: 0.05,
        }
    }
}

impl NormalizerConfig {
    /// # Errors
    /// [`Error::Config`] naming a setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("draws", self.draws), ("chains", self.chains)] {
            if (value as f64) < self.least_effective.max(2.0) {
                return Err(Error::config(name, "must be at least 2 and `least_effective`"));
            }
        }
        if self.rungs == 0 {
            return Err(Error::config("rungs", "must be at least 1; 100 is usual"));
        }
        if !(self.tolerance >= 0.0) || !(self.least_effective >= 1.0) {
            return Err(Error::config(
                "tolerance",
                "must be 0 or more, `least_effective` 1 or more",
            ));
        }
        Ok(())
    }
}

/// The three estimates of log Z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalizer {
    /// By importance sampling.
    pub importance: LogMean,
    /// By forward annealing: too small on average.
    pub forward: LogMean,
    /// By reverse annealing: too large on average.
    pub reverse: LogMean,
    /// From them, log Z or why there is none.
    pub log_z: std::result::Result<LogZ, Refusal>,
}

/// log Z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogZ {
    /// Its estimate.
    pub value: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
}

impl LogZ {
    /// The interval that covers log Z with probability `level` (0.95, say), by the normal distribution.
    pub fn interval(&self, level: f64) -> [f64; 2] {
        let half = Normal::standard().inverse_cdf(0.5 + 0.5 * level) * self.standard_error;
        [self.value - half, self.value + half]
    }
}

/// Why log Z is not reported.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// Neither importance sampling nor forward annealing has enough effective draws.
    FewEffective {
        /// The larger of their effective sizes.
        effective: f64,
        /// What is needed.
        least: f64,
    },
    /// The reverse run has too few effective chains to check the others.
    FewEffectiveReverse {
        /// Its effective size.
        effective: f64,
        /// Its chains: held-out rows.
        chains: usize,
        /// What is needed.
        least: f64,
    },
    /// Two estimates differ by more than chance.
    Disagree {
        /// Names of the two.
        names: [&'static str; 2],
        /// Their values.
        values: [f64; 2],
        /// Their standard errors.
        standard_errors: [f64; 2],
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::FewEffective { effective, least } => write!(
                f,
                "the best estimate rests on {effective:.1} effective draws, {least:.0} are needed: \
                 the model may have no finite normalizer (fit with a base scale) or mass far from the rows; \
                 more annealing rungs, a setting of the library, may help"
            ),
            Refusal::FewEffectiveReverse { effective, chains, least } => write!(
                f,
                "the check from the {chains} held-out rows rests on {effective:.1} effective chains, \
                 {least:.0} are needed: give more rows; more annealing rungs, a setting of the library, may \
                 help"
            ),
            Refusal::Disagree { names, values, standard_errors } => write!(
                f,
                "{} gives {:.3} +- {:.3} and {} {:.3} +- {:.3}: the model has mass where no rows are, or \
                 the chains do not cross between its parts. Draw samples and look for rows far from \
                 the data; fit with a smaller base scale or with noise",
                names[0], values[0], standard_errors[0], names[1], values[1], standard_errors[1]
            ),
        }
    }
}

/// log Z of `model`, an unnormalized log density, checked against the rows of `x` (n x d, not used to
/// fit the model), in whatever units the model has.
///
/// ```
/// use gradlogp_density::diagnose::{NormalizerConfig, estimate_normalizer};
/// use gradlogp_density::reference::{Gaussian, ReferenceDensity};
/// use rand::SeedableRng;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let p = Gaussian::rank_one(0.5, 2)?; // normalized: log Z = 0
/// let x = p.sample(300, &mut rng);
/// let config = NormalizerConfig { rungs: 20, ..NormalizerConfig::default() };
/// let found = estimate_normalizer(&p, x.view(), &config, &mut rng)?;
/// assert!(found.log_z.unwrap().value.abs() < 0.05);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] for fewer rows than `least_effective`, or than 10; [`Error::Data`] for a constant
/// column; [`Error::Numerical`] or [`Error::Diverged`] where the density is not finite at rows or draws. That
/// log Z cannot be trusted is no error but a [`Refusal`].
pub fn estimate_normalizer(
    model: &dyn LogDensity,
    x: ArrayView2<'_, f64>,
    config: &NormalizerConfig,
    rng: &mut dyn Rng,
) -> Result<Normalizer> {
    config.validate()?;
    // No more chains descend from the rows than there are rows.
    let least = config.least_effective.ceil().max(10.0) as usize;
    check_rows("normalizing constant", model, x, least)?;
    let whitening = Whitening::fit(x)?;
    let target = Whitened { model, whitening: &whitening };
    let rows = whitening.forward(x);
    let few = subset(rows.view(), 4000, rng);
    let Proposals { core, heavy } = fit_proposals(few.view(), rng)?;
    let proposals = heavy.sample(config.draws, rng);
    let log_weights = target.log_density(proposals.view()) - heavy.log_density(proposals.view());
    if log_weights.iter().any(|l| l.is_nan() || *l == f64::INFINITY) {
        let message = "the log density is not a number at some draws around the rows".into();
        return Err(Error::Numerical { operation: "normalizing constant", message });
    }
    let importance = LogMean::of(log_weights.view());
    let ladder = Ladder::adapt(&core, &target, config.rungs, config.chains.min(100), rng)?;
    let forward = LogMean::of(ladder.forward(config.chains, rng)?.view());
    let start = subset(rows.view(), config.chains, rng);
    let inverse = LogMean::of(ladder.reverse(start.view(), config.warm_up, rng)?.view());
    let reverse = LogMean { value: -inverse.value, ..inverse };
    let log_z = assess(importance, forward, reverse, config);
    Ok(Normalizer { importance, forward, reverse, log_z })
}

fn assess(
    importance: LogMean,
    forward: LogMean,
    reverse: LogMean,
    config: &NormalizerConfig,
) -> std::result::Result<LogZ, Refusal> {
    let least = config.least_effective;
    let enough = |e: &LogMean| e.effective_size >= least && e.value.is_finite();
    let better = |a: &LogMean, b: &LogMean| a.standard_error.total_cmp(&b.standard_error);
    let Some(best) = [importance, forward].into_iter().filter(enough).min_by(better) else {
        let effective = importance.effective_size.max(forward.effective_size);
        return Err(Refusal::FewEffective { effective, least });
    };
    if !enough(&reverse) {
        let (effective, chains) = (reverse.effective_size, reverse.n);
        return Err(Refusal::FewEffectiveReverse { effective, chains, least });
    }
    let named = [
        ("importance sampling", importance),
        ("forward annealing", forward),
        ("reverse annealing", reverse),
    ];
    let counting: Vec<_> = named.into_iter().filter(|(_, e)| enough(e)).collect();
    for (k, (first, a)) in counting.iter().enumerate() {
        for (second, b) in &counting[k + 1..] {
            let (gap, joint) =
                ((a.value - b.value).abs(), a.standard_error.hypot(b.standard_error));
            if gap > config.tolerance && gap > 4.0 * joint {
                return Err(Refusal::Disagree {
                    names: [first, second],
                    values: [a.value, b.value],
                    standard_errors: [a.standard_error, b.standard_error],
                });
            }
        }
    }
    Ok(LogZ { value: best.value, standard_error: best.standard_error })
}

/// How likely rows are under a normalized density.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    /// Mean log density of a row, in natural logarithms; its standard error has that of log Z in it.
    pub per_row: Estimate,
    /// -mean log density / (d log 2).
    pub bits_per_dimension: Estimate,
}

/// The likelihood of rows with these unnormalized log densities, d columns, and this log Z.
///
/// ```
/// use gradlogp_density::diagnose::{LogZ, likelihood};
///
/// let log_z = LogZ { value: 1.0, standard_error: 0.0 };
/// let found = likelihood(ndarray::array![1.0, 3.0].view(), 2, log_z);
/// assert_eq!((found.per_row.mean, found.per_row.standard_error), (1.0, 1.0));
/// assert!((found.bits_per_dimension.mean + 0.5 / 2f64.ln()).abs() < 1e-15);
/// ```
pub fn likelihood(log_density: ArrayView1<'_, f64>, d: usize, log_z: LogZ) -> Likelihood {
    let normalized: Array1<f64> = log_density.mapv(|l| l - log_z.value);
    let over_rows = Estimate::of(normalized.view());
    let standard_error = over_rows.standard_error.hypot(log_z.standard_error);
    let per_row = Estimate { standard_error, ..over_rows };
    let unit = d as f64 * std::f64::consts::LN_2;
    let bits_per_dimension = Estimate {
        mean: -per_row.mean / unit,
        standard_error: standard_error / unit,
        n: per_row.n,
    };
    Likelihood { per_row, bits_per_dimension }
}

#[cfg(test)]
mod tests;
