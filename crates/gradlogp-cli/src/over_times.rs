//! What is known of a time model on some rows, at several times: the figures of `eval`.

use anyhow::Result;
use gradlogp::data::synthetic::Dataset;
use gradlogp::diagnose::{Estimate, fisher_divergence, stein_check};
use gradlogp::fitted::NoiseRecord;
use gradlogp::oracle::{GaussianMixture, Oracle};
use gradlogp::score::AtTime;
use gradlogp::sde::{AnyProcess, Marginal};
use gradlogp::{Error, FittedModel};
use ndarray::{Array1, Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::checks::{Checks, Comparison};
use crate::judgement::{Judgement, enough_to_check, judge};
use crate::noise;
use crate::text::{aligned, short};

/// Where between t_min and T the model is judged; of a ladder of noise levels, at the nearest of them.
const SHARES: [f64; 5] = [0.0, 0.05, 0.2, 0.5, 1.0];
/// Chance of a fault reported in a true score, over all times together.
const LEVEL: f64 = 0.05;
/// Fresh rows on which it is compared with a known truth.
const FRESH_ROWS: usize = 10_000;

/// The figures, as `--json` shows them. Keys are described in docs/json.md.
#[derive(Debug, Serialize)]
pub(crate) struct OverTimes {
    rows: usize,
    consistent: bool,
    times: Vec<AtOneTime>,
    /// Samples against the rows, which are not noised for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Comparison>,
}

#[derive(Debug, Serialize)]
struct AtOneTime {
    time: f64,
    exact_loss: f64,
    exact_loss_se: f64,
    stein_slope: f64,
    stein_slope_se: f64,
    stein_mean_max_z: f64,
    stein_product_max_z: f64,
    stein_critical_z: f64,
    consistent: bool,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_fisher_divergence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_fisher_divergence_se: Option<f64>,
}

/// Judges a model on rows of the data; a time model on the same rows, noised to the time at which it
/// answers, of which no truth is known. Samples are compared with the rows as they are.
pub(crate) fn judge_at_its_time(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    (noise_seed, seed): (u64, u64),
    checks: Option<Checks<'_>>,
) -> Result<Judgement> {
    match noise::noised(model, rows, noise_seed)? {
        Some(noised) => {
            let checks = checks.map(|checks| Checks { rows_for_samples: Some(rows), ..checks });
            judge(model, noised.view(), None, seed, checks)
        }
        None => judge(model, rows, drawn_from, seed, checks),
    }
}

/// Judges a time model on rows of the data, noised to each time; and against the truth where they were
/// drawn from a mixture of Gaussians.
pub(crate) fn judge_over_times(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
    checks: &Checks<'_>,
) -> Result<OverTimes> {
    enough_to_check(rows.nrows())?;
    let Some((family, record)) = model.over_time().zip(model.description().noise.as_ref()) else {
        return Err(Error::config(crate::commands::MODEL, "was fitted without --noise").into());
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
        let Some(noised) = noise::noised(&at, rows, seed)? else { continue };
        let stein = stein_check(&at, noised.view(), level)?;
        let loss = Estimate::of(at.exact_loss_rows(noised.view()).view());
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
            exact_loss: loss.mean,
            exact_loss_se: loss.standard_error,
            stein_slope: stein.slope.mean,
            stein_slope_se: stein.slope.standard_error,
            stein_mean_max_z: stein.mean_max_z,
            stein_product_max_z: stein.product_max_z,
            stein_critical_z: stein.critical_z,
            consistent: stein.verdict.is_consistent(),
            verdict,
            relative_fisher_divergence: fisher.map(|f| f.mean),
            relative_fisher_divergence_se: fisher.map(|f| f.standard_error),
        });
    }
    let consistent = times.iter().all(|t| t.consistent);
    let samples = checks.samples_over_time(model, rows, seed)?;
    Ok(OverTimes { rows: rows.nrows(), consistent, times, samples })
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
) -> Result<Option<Marginal<gradlogp::sde::Process>>> {
    let AnyProcess::Named(process) = record.process else { return Ok(None) };
    let oracle = drawn_from.and_then(Dataset::oracle);
    let Some(parts) = oracle.and_then(|oracle| oracle.gaussians()) else { return Ok(None) };
    let transform = &model.description().transform;
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

impl OverTimes {
    /// The terminal's table.
    pub(crate) fn table(&self) -> String {
        let mut cells = vec![
            ["t", "exact loss", "", "Stein slope", "", "", "Fisher", ""].map(String::from).to_vec(),
        ];
        for t in &self.times {
            cells.push(vec![
                short(t.time),
                short(t.exact_loss),
                format!("+- {}", short(t.exact_loss_se)),
                short(t.stein_slope),
                format!("+- {}", short(t.stein_slope_se)),
                "(expected 1)".into(),
                t.relative_fisher_divergence.map_or(String::new(), short),
                if t.consistent { "ok".into() } else { format!("FAULT: {}", t.verdict) },
            ]);
        }
        let samples = self.samples.as_ref().map_or(String::new(), Comparison::line);
        let verdict = match self.consistent {
            true => "no fault found at any of these times",
            false => "faults at some times",
        };
        format!(
            "Check on {} rows, noised to each time:\n{}{samples}Verdict: {verdict}\n",
            self.rows,
            aligned(&cells)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_are_judged_on_their_levels() {
        assert_eq!(nearest_level(0.05, None), 0.05);
        let at = |share| nearest_level(share, Some(5));
        assert_eq!(SHARES.map(at), [0.0, 0.0, 0.25, 0.5, 1.0]);
    }
}
