//! Chains on a fitted model: started around the data, run in the network's units, mapped back.

use std::ops::ControlFlow;

use anyhow::Result;
use gradlogp::sample::{
    ChainConfig, ChainRun, Progress as ChainProgress, run_mala, run_ula, standard_normal_start,
};
use gradlogp::{Error, FittedModel, ModelKind};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::args::{ChainArgs, SamplerArg};
use crate::limits::check_memory;
use crate::{interrupt, text};

/// Most chains side by side unless asked for.
const CHAINS: usize = 500;

/// Below this acceptance the draws are starting points, not draws.
const ACCEPTED: f64 = 0.05;

/// Draws with what is known of them, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Drawn {
    #[serde(skip)]
    pub(crate) rows: Array2<f64>,
    pub(crate) sampler: &'static str,
    pub(crate) draws: usize,
    pub(crate) chains: usize,
    pub(crate) warm_up: usize,
    pub(crate) thinning: usize,
    pub(crate) step_size: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acceptance_rate: Option<f64>,
    /// Largest over columns; None with fewer than 4 draws a chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_split_r_hat: Option<f64>,
    /// Smallest over columns; None with fewer than 4 draws a chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_effective_sample_size: Option<f64>,
    pub(crate) completed: bool,
}

impl Drawn {
    /// One line for the terminal, and what to do when the chains disagree.
    pub(crate) fn summary(&self) -> String {
        let mut parts = vec![format!(
            "{} rows by {} from {} chains, step size {}",
            self.draws,
            self.sampler,
            self.chains,
            text::short(self.step_size)
        )];
        parts.extend(self.acceptance_rate.map(|a| format!("acceptance {:.0}%", 100.0 * a)));
        parts.extend(self.max_split_r_hat.map(|r| format!("largest split R-hat {r:.3}")));
        parts.extend(
            self.min_effective_sample_size
                .map(|e| format!("smallest effective sample size {e:.0}")),
        );
        parts.join(", ")
    }

    pub(crate) fn warning(&self) -> Option<String> {
        if let Some(rate) = self.acceptance_rate.filter(|rate| *rate < ACCEPTED) {
            return Some(format!(
                "only {:.2}% of the steps were accepted, so the chains have hardly left their \
                 starting points; use a smaller --step-size, or leave it out to have it adapted",
                100.0 * rate
            ));
        }
        // In halves of n draws, neighbouring draws that resemble each other raise R-hat too: to about
        // sqrt(1 + 2/n) at an autocorrelation time of three draws. Only more than that means that chains differ.
        let half = self.draws.div_ceil(self.chains.max(1)) as f64 / 2.0;
        let bound = (1.0 + 2.0 / half.max(1.0)).sqrt().max(1.05);
        let r = self.max_split_r_hat.filter(|r| *r > bound)?;
        Some(format!(
            "chains disagree (split R-hat {r:.2}, should be below {bound:.2}): they do not cross between \
             separate parts of the density, so the weights of the parts are those of the starting \
             points. A longer --warm-up helps only if the parts are connected"
        ))
    }
}

/// Draws `n` rows in the user's units.
pub(crate) fn draw(model: &FittedModel, n: usize, args: &ChainArgs, quiet: bool) -> Result<Drawn> {
    if n == 0 {
        return Err(Error::config("-n", "must be at least 1").into());
    }
    if model.over_time().is_some() {
        let why = "this model was fitted with --noise: it knows the noised data at every time, and chains \
                   at one of them do not cross between modes; sample it by its reverse process";
        return Err(Error::config("--sampler", why).into());
    }
    let sampler = match (args.sampler, model.kind()) {
        (SamplerArg::Mala, ModelKind::Score) => {
            let why = "mala needs differences of log density, and a score field has none; use ula, or \
                       fit with --model potential";
            return Err(Error::config("--sampler", why).into());
        }
        (SamplerArg::Ula, _) | (SamplerArg::Auto, ModelKind::Score) => "ula",
        _ => "mala",
    };
    let config = config(model, n, args, sampler)?;
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let start = start(model, config.chains, &mut rng);
    let mut bar = crate::progress::Progress::new(
        quiet,
        "sampling",
        0,
        (config.warm_up + config.steps) as u64,
    );
    let mut observe = |p: ChainProgress| {
        bar.at(p.step as u64, || {
            p.acceptance.map_or(String::new(), |a| format!("acceptance {a:.2}"))
        });
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let run = match model.network.as_potential().filter(|_| sampler == "mala") {
        Some(potential) => run_mala(&potential, start.view(), &config, &mut rng, &mut observe),
        None => run_ula(&model.network, start.view(), &config, &mut rng, &mut observe),
    };
    bar.finish();
    let run = run?;
    Ok(summarise(model, n, &config, run, sampler))
}

fn config(model: &FittedModel, n: usize, args: &ChainArgs, sampler: &str) -> Result<ChainConfig> {
    let chains = args.chains.unwrap_or(n.min(CHAINS));
    let draws = n.div_ceil(chains.max(1));
    let scale = model.description.summary.score_scale;
    let typical = 1.0 / (scale * scale).max(f64::MIN_POSITIVE);
    let step = if sampler == "ula" { 0.2 * typical } else { typical };
    let values = model.description.columns.len() as f64 * 8.0;
    check_memory("--chains", chains as f64 * values)?;
    check_memory("-n", draws as f64 * chains as f64 * values)?;
    let steps = draws
        .checked_mul(args.thinning.max(1))
        .filter(|steps| steps.checked_add(args.warm_up).is_some())
        .ok_or_else(|| Error::config("--thinning", "so many steps cannot be counted"))?;
    let config = ChainConfig {
        chains,
        warm_up: args.warm_up,
        steps,
        thinning: args.thinning,
        step_size: args.step_size.unwrap_or(step),
        target_acceptance: args.step_size.is_none().then_some(0.574),
    };
    config.validate()?;
    Ok(config)
}

/// Around the training rows: mean plus one standard deviation times N(0, 1), in the network's units.
fn start(model: &FittedModel, chains: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    let description = &model.description;
    let scale = Array1::from(description.column_scale.clone());
    let mean = Array1::from(description.column_mean.clone());
    let x = standard_normal_start(chains, description.columns.len(), rng) * &scale + &mean;
    description.transform.forward(x.view())
}

fn summarise(
    model: &FittedModel,
    n: usize,
    config: &ChainConfig,
    run: ChainRun,
    sampler: &'static str,
) -> Drawn {
    let pooled = run.pooled();
    // Whole chains come one after another: take draws evenly from all of them.
    let draws = run.draws.dim().1;
    let order = (0..draws).flat_map(|k| (0..config.chains).map(move |c| c * draws + k));
    let chosen: Vec<usize> = order.take(n).collect();
    let rows = model.description.transform.inverse(pooled.select(ndarray::Axis(0), &chosen).view());
    let enough = |x: f64| Some(x).filter(|x| x.is_finite());
    let r_hat = run.convergence.iter().map(|c| c.r_hat).fold(f64::NEG_INFINITY, f64::max);
    let size =
        run.convergence.iter().map(|c| c.effective_sample_size).fold(f64::INFINITY, f64::min);
    Drawn {
        draws: rows.nrows(),
        rows,
        sampler,
        chains: config.chains,
        warm_up: config.warm_up,
        thinning: config.thinning,
        step_size: run.step_size,
        acceptance_rate: run.acceptance_rate(),
        max_split_r_hat: enough(r_hat),
        min_effective_sample_size: enough(size),
        completed: run.completed,
    }
}
