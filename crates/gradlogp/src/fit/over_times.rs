//! A model over time on held-out rows, at several times: its purpose is densities and samples, not the score where the noise is
//! least.
//!
//! What faults of the score s(x, t) cost the density is half the integral of g(t)^2 E|s - s*|^2 over the times (Song et al. 2021b,
//! exact for the reverse equation with noise). With the kernel N(a x, std^2 I) and sigma = std/a that is
//!
//! ```text
//! integral of std^2 E|s - s*|^2 d log sigma     in nats a row
//! ```
//!
//! and E|s - s*|^2 is estimated from below by what corrections take away at that time (`diagnose/corrections.rs`), by the
//! trapezoid over times at even distances of log sigma. The noise of every time is its own, and most of the error where it is small, so
//! variances are added. Smooth corrections are left out: where there is little noise, what they could be is far more than what
//! they are.

use ndarray::{Array1, Array2, ArrayView2, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::figures::{FRESH_ROWS, LEVEL, ONE_SIDED, Parts, corrections_of, enough_rows, finite};
use super::samples::SampleCheck;
use super::verdict::judge;
use super::{Effect, Evidence, Measure, NATS_A_COLUMN, Purpose, Verdict};
use crate::data::synthetic::Dataset;
use crate::diagnose::{
    Correction, Corrections, Estimate, SteinReport, corrections, exact_loss_rows,
    fisher_divergence, stein_check,
};
use crate::diffusion::Clock;
use crate::fitted::{FittedModel, LikelihoodComparison, NoiseRecord};
use crate::reference::{GaussianMixture, ReferenceDensity};
use crate::score::{AtTime, Score};
use crate::sde::{AnyProcess, Marginal, Process};
use crate::{Error, Result};

/// Where between t_min and T a diffusion model is evaluated; of a ladder of noise levels, at the nearest of them.
const SHARES: [f64; 5] = [0.0, 0.05, 0.2, 0.5, 1.0];
/// Times over which faults of the score are summed up, and the most rows for it.
const TIMES: usize = 10;
const ROWS: usize = 500;
/// Most rows whose log likelihood is compared where the rows serve for baselines, too.
const LIKELIHOOD_ROWS: usize = 300;
/// What a density over time is for.
pub(super) const MEANT: [Purpose; 4] =
    [Purpose::Density, Purpose::Sampling, Purpose::Imputation, Purpose::Anomaly];

/// The figures of a model over time on rows of the data.
#[derive(Debug, Clone)]
pub struct OverTimes {
    /// Rows.
    pub rows: usize,
    /// At several times.
    pub times: Vec<AtOneTime>,
    /// What corrections of the score at all noise levels are worth, in nats a row, by family; none for processes without
    /// a kernel.
    pub nats: Vec<(Correction, Estimate)>,
    /// Log likelihoods of a third of the rows, beside those of densities fitted to the others.
    pub likelihood: Option<LikelihoodComparison>,
    /// Samples beside the rows, where there are any.
    pub samples: Option<SampleCheck>,
    columns: Vec<String>,
}

/// A diffusion model at one time.
#[derive(Debug, Clone)]
pub struct AtOneTime {
    /// t.
    pub time: f64,
    /// The loss, as in [`Evaluation`](super::Evaluation).
    pub exact_loss: Estimate,
    /// The Stein identities, at a level that all times share.
    pub stein: SteinReport,
    /// What corrections take away there; None where it is not known.
    pub corrections: Option<Corrections>,
    /// What the identities come to, in words.
    pub verdict: String,
    /// E|s - s*|^2 / E|s*|^2 where the truth is known.
    pub relative_fisher_divergence: Option<Estimate>,
}

/// Evaluates a diffusion model on rows of the data, noised to several times from the least to the last; and against
/// the truth where they were drawn from a mixture of Gaussians.
///
/// # Errors
/// Too few rows; a model of one density.
pub fn evaluate_over_times(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
) -> Result<OverTimes> {
    enough_rows(rows.nrows())?;
    let Some((family, record)) = model.over_time().zip(model.description().noise.as_ref()) else {
        return Err(Error::config("fitted_model", "is of one density, not of all noise levels"));
    };
    let truth = truth(model, record, drawn_from)?;
    let (low, high) = (family.clock().t_min(), family.clock().horizon());
    let mut times = Vec::new();
    let mut shares = SHARES.map(|share| nearest_level(share, record.config.levels)).to_vec();
    shares.dedup();
    let level = LEVEL / shares.len() as f64;
    for share in shares {
        let time = if share == 1.0 { high } else { low + share * (high - low) };
        let at = model.clone().at_time(time)?;
        let Some(noised) = at.noised(rows, seed)? else { continue };
        let stein = stein_check(&at, noised.view(), level)?;
        let losses = at.exact_loss_rows(noised.view());
        let none = Array2::zeros((rows.nrows(), 0));
        let corrections = corrections_of(&at, noised.view(), &losses, none.view(), seed)?;
        let fisher = match &truth {
            None => None,
            Some(truth) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let law = truth.at(time);
                let fresh = law.sample(FRESH_ROWS, &mut rng);
                Some(fisher_divergence(&AtTime { family, time }, &law, fresh.view())?.relative)
            }
        };
        let verdict = match stein.verdict.is_consistent() {
            true => "no fault found".to_string(),
            false => stein.verdict.describe(&model.description().columns),
        };
        times.push(AtOneTime {
            time,
            exact_loss: Estimate::of(losses.view()),
            stein,
            corrections,
            verdict,
            relative_fisher_divergence: fisher,
        });
    }
    Ok(OverTimes {
        rows: rows.nrows(),
        times,
        nats: nats_over_time(model, rows, seed)?,
        likelihood: likelihood_by_parts(model, rows, seed)?,
        samples: None,
        columns: model.description().columns.clone(),
    })
}

impl OverTimes {
    /// Whether the Stein identities hold within their bands at all times.
    pub fn is_consistent(&self) -> bool {
        self.times.iter().all(|t| t.stein.verdict.is_consistent())
    }

    /// What speaks for or against the model.
    pub fn evidence(&self) -> Vec<Evidence> {
        let mut found = of_nats(&self.nats, self.columns.len());
        found.extend(self.likelihood.iter().flat_map(|l| of_likelihood(l, self.columns.len())));
        found.extend(self.samples.iter().flat_map(|samples| samples.evidence(&self.columns)));
        found
    }

    /// What the figures come to.
    pub fn verdict(&self) -> Verdict {
        judge(&self.evidence(), (self.rows, self.columns.len()), (&MEANT, &[]), "")
    }
}

/// What corrections at all noise levels say of a density of `columns` columns.
pub(super) fn of_nats(nats: &[(Correction, Estimate)], columns: usize) -> Vec<Evidence> {
    let worst = nats.iter().max_by(|a, b| {
        let high = |e: &Estimate| e.mean + ONE_SIDED * e.standard_error;
        high(&a.1).total_cmp(&high(&b.1))
    });
    let evidence = |(_, worth): &(Correction, Estimate)| Evidence {
        measure: Measure::OverTimes,
        effect: Effect::within(worth.mean, ONE_SIDED, worth.standard_error),
        bound: NATS_A_COLUMN * columns as f64,
        purposes: MEANT.to_vec(),
        proven: true,
    };
    worst.into_iter().map(evidence).collect()
}

/// What log likelihoods beside those of baselines say of a density of `columns` columns.
pub(super) fn of_likelihood(found: &LikelihoodComparison, columns: usize) -> Vec<Evidence> {
    let evidence =
        |(baseline, _, above): &(crate::diagnose::Baseline, f64, crate::diagnose::Paired)| {
            Evidence {
                measure: Measure::LikelihoodBaseline(*baseline),
                effect: Effect::shown(-above.mean, ONE_SIDED, above.standard_error),
                bound: NATS_A_COLUMN * columns as f64,
                purposes: MEANT.to_vec(),
                proven: true,
            }
        };
    found.baselines.iter().map(evidence).collect()
}

/// What corrections of the score at all noise levels are worth on `rows`, in nats a row, by family; none for processes without
/// a kernel, in frames of their own, of single levels, and for a density with a part that is no model over time.
pub(super) fn nats_over_time(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Vec<(Correction, Estimate)>> {
    let Some((family, record)) = model.over_time().zip(model.description().noise.as_ref()) else {
        return Ok(Vec::new());
    };
    let clock = family.clock();
    let single = record.config.levels.is_some() || model.description().gaussians.is_some();
    if !clock.has_kernel() || clock.frame().is_some() || single {
        return Ok(Vec::new());
    }
    let every = rows.nrows().div_ceil(ROWS) as isize;
    let rows = rows.slice(s![..;every, ..]);
    let mut sums: Vec<(Correction, Estimate)> = Vec::new();
    for (k, (time, weight)) in times_and_weights(clock).into_iter().enumerate() {
        let Some(noised) =
            model.clone().at_time(time)?.noised(rows, seed.wrapping_add(k as u64))?
        else {
            return Ok(Vec::new());
        };
        // In the units of the network, in which the noise is the same in all columns.
        let z = model.description().transform.forward(noised.view());
        let at = AtTime { family, time };
        let Some(losses) = finite(exact_loss_rows(&at, z.view()))? else { return Ok(Vec::new()) };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let none = Array2::zeros((z.nrows(), 0));
        let found =
            corrections(z.view(), at.score(z.view()).view(), losses.view(), none.view(), &mut rng);
        let Some(found) = finite(found)? else { return Ok(Vec::new()) };
        for explained in found.explained.iter().filter(|e| e.correction != Correction::Smooth) {
            let Estimate { mean, standard_error, n } = explained.divergence;
            let worth =
                Estimate { mean: weight * mean, standard_error: weight * standard_error, n };
            match sums.iter_mut().find(|(correction, _)| *correction == explained.correction) {
                Some((_, sum)) => {
                    sum.mean += worth.mean;
                    sum.standard_error = sum.standard_error.hypot(worth.standard_error);
                }
                None => sums.push((explained.correction, worth)),
            }
        }
    }
    Ok(sums)
}

/// Times at even distances of log sigma, and what E|s - s*|^2 at each counts.
fn times_and_weights(clock: &Clock) -> Vec<(f64, f64)> {
    let log_sigma = |t: f64| (clock.noise(t).std / clock.noise(t).scale).ln();
    let space = (log_sigma(clock.horizon()) - log_sigma(clock.t_min())) / (TIMES - 1) as f64;
    let at = |k: usize| {
        let time = clock.time_at(k as f64 / (TIMES - 1) as f64);
        let share = if k == 0 || k == TIMES - 1 { 0.5 } else { 1.0 };
        (time, share * space * clock.noise(time).std.powi(2))
    };
    (0..TIMES).map(at).collect()
}

/// Log likelihoods of a third of the rows beside those of baselines that are fitted to the others; None where there are too few
/// for that, or the rows have no covariance.
fn likelihood_by_parts(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Option<LikelihoodComparison>> {
    if rows.nrows() < 6 * (rows.ncols() + 1) {
        return Ok(None);
    }
    let parts = Parts::of(rows);
    let every = parts.tested.nrows().div_ceil(LIKELIHOOD_ROWS) as isize;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (training, validation) = (parts.training.view(), parts.validation.view());
    let Some(baselines) = finite(model.fit_baselines(training, validation, &mut rng))?.flatten()
    else {
        return Ok(None);
    };
    let tested = parts.tested.slice(s![..;every, ..]);
    let found = model.likelihood_beside_baselines(&baselines, tested, &mut rng);
    Ok(finite(found)?.flatten())
}

/// The share of the nearest level of a ladder: a model of a ladder knows no time between.
fn nearest_level(share: f64, levels: Option<usize>) -> f64 {
    let Some(levels) = levels.filter(|levels| *levels > 1) else { return share };
    let spaces = (levels - 1) as f64;
    (share * spaces).round() / spaces
}

/// The exact law at every time, in the network's units, where the data are Gaussian mixtures.
fn truth(
    model: &FittedModel,
    record: &NoiseRecord,
    drawn_from: Option<&Dataset>,
) -> Result<Option<Marginal<Process>>> {
    let AnyProcess::Named(process) = record.process else { return Ok(None) };
    let oracle = drawn_from.and_then(Dataset::density);
    let Some(parts) = oracle.and_then(|oracle| oracle.gaussians()) else { return Ok(None) };
    let transform = &model.description().transform;
    if transform.has_marginals() {
        return Ok(None);
    }
    // Rows are A e_k: the transpose of A.
    let turned = transform.column_directions();
    let means =
        Array2::from_shape_fn((parts.len(), transform.dim()), |(k, j)| parts[k].1.mean()[j]);
    let covariances = parts
        .iter()
        .map(|(_, p)| {
            let inside = turned.t().dot(p.covariance()).dot(&turned);
            (&inside + &inside.t()) * 0.5
        })
        .collect();
    let weights = parts.iter().map(|(weight, _)| *weight).collect::<Array1<f64>>();
    let means = transform.forward(means.view());
    let data = GaussianMixture::new(weights, means.view(), covariances)?;
    Ok(Some(Marginal::new(data, process)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sde::{Ve, Vp};

    /// The worth of all there is to know: of N(0, 1) data the score 0 has std^2 E|s*|^2 = sigma^2 / (1 + sigma^2) at every time,
    /// whose integral over log sigma is half of log((1 + sigma_T^2) / (1 + sigma_0^2)): the divergence of N(0, 1) from a
    /// density that the flow does not change.
    #[test]
    fn weights_over_time_sum_up_to_the_integral() {
        for process in [Process::Vp(Vp::default()), Process::Ve(Ve::default())] {
            let clock = Clock::new(Arc::new(process)).unwrap();
            let sum: f64 = times_and_weights(&clock)
                .into_iter()
                .map(|(t, weight)| {
                    let noise = clock.noise(t);
                    weight / (noise.scale.powi(2) + noise.std.powi(2))
                })
                .sum();
            let sigma = |t: f64| clock.noise(t).std / clock.noise(t).scale;
            let at = |t: f64| 0.5 * (1.0 + sigma(t).powi(2)).ln();
            let whole = at(clock.horizon()) - at(clock.t_min());
            assert!((sum / whole - 1.0).abs() < 0.03, "{sum} {whole}");
        }
    }

    #[test]
    fn ladders_are_evaluated_on_their_levels() {
        assert_eq!(nearest_level(0.05, None), 0.05);
        let at = |share| nearest_level(share, Some(5));
        assert_eq!(SHARES.map(at), [0.0, 0.0, 0.25, 0.5, 1.0]);
    }
}
