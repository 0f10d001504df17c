//! Chains on one density: started around the data, run in the network's units, mapped back.

use std::ops::ControlFlow;

use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::config::{SampleConfig, Sampler};
use super::samples::{Outcome, Route, Samples};
use super::steps::{Step, Steps};
use crate::domain::{LogDensityOnDomain, ScoreOnDomain};
use crate::fitted::FittedModel;
use crate::model::ModelKind;
use crate::sample::convergence::{Convergence, still_chains};
use crate::sample::{ChainConfig, ChainRun, Chains, Parallel, Snapshot, standard_normal_start};
use crate::score::{LogDensity, Score};
use crate::{Error, Result};

/// Default limits on the number of parallel chains, and the least number of draws of each: enough of both for split
/// R-hat and an effective size, whatever the number of rows.
const CHAINS: usize = 500;
const LEAST_CHAINS: usize = 20;
const LEAST_DRAWS: usize = 8;

/// Chains on one density.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChainJob {
    n: usize,
    sampler: Sampler,
    leapfrog: usize,
    pub(super) config: ChainConfig,
    rng: ChaCha8Rng,
    snapshot: Option<Snapshot>,
}

impl ChainJob {
    pub(super) fn new(model: &FittedModel, n: usize, asked: &SampleConfig) -> Result<Self> {
        check_conditions(model, asked)?;
        let sampler = chosen(asked.sampler, model.kind())?;
        let config = config(model, n, asked, sampler)?;
        let rng = ChaCha8Rng::seed_from_u64(asked.seed);
        let job = ChainJob { n, sampler, leapfrog: asked.leapfrog, config, rng, snapshot: None };
        job.check(model)?;
        Ok(job)
    }

    /// Refuses what no run with this model can be, whether it comes from a command line or from a checkpoint.
    pub(super) fn check(&self, model: &FittedModel) -> Result<()> {
        let ChainJob { n, sampler, config, .. } = self;
        if *n == 0 {
            return Err(Error::config("n", "must be at least 1"));
        }
        if model.kind() == ModelKind::Score && *sampler != Sampler::Ula {
            let why = format!("{} needs a density, and the model has none", sampler.name());
            return Err(Error::config("sampler", why));
        }
        if !sampler.is_chain() {
            let message = format!(
                "{} is a sampler of the reverse process, and these are chains",
                sampler.name()
            );
            return Err(Error::config("sampler", message));
        }
        if self.leapfrog == 0 {
            return Err(Error::config("leapfrog", "at least one step is needed"));
        }
        let d = model.description().columns.len();
        config.validate()?;
        if config.steps.checked_add(config.warm_up).is_none() {
            return Err(Error::config("thinning", "this is too many steps"));
        }
        let conditions = conditions(model);
        if conditions > 1 && config.chains != conditions {
            let message = format!("a table of {conditions} conditions has one chain for each");
            return Err(Error::config("chains", message));
        }
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        snapshot.check()?;
        let of = |c: &ChainConfig| (c.chains, c.warm_up, c.steps, c.thinning);
        if snapshot.dim != d || of(&snapshot.config) != of(config) {
            let message = "its chains are not those of its settings, or have other columns";
            return Err(Error::config("snapshot", message));
        }
        Ok(())
    }

    /// Shows the chains to the observer.
    fn show(
        &self,
        chains: &Chains<'_>,
        rng: &ChaCha8Rng,
        acceptance: Option<f64>,
        stops: bool,
        watch: &mut dyn Steps<ChainJob>,
    ) -> ControlFlow<()> {
        let job = || self.at(chains, rng);
        let (step, steps, position) = (chains.step(), self.steps().1, chains.position());
        watch.step(Step { step, steps, acceptance, position, time: None, stops }, &job)
    }

    /// The job that goes on from where the chains are.
    fn at(&self, chains: &Chains<'_>, rng: &ChaCha8Rng) -> ChainJob {
        ChainJob { rng: rng.clone(), snapshot: Some(chains.snapshot()), ..self.clone() }
    }

    pub(super) fn steps(&self) -> (usize, usize) {
        let done = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.step);
        (done, self.config.warm_up.saturating_add(self.config.steps))
    }

    pub(super) fn run(
        mut self,
        model: &FittedModel,
        watch: &mut dyn Steps<ChainJob>,
    ) -> Result<Outcome> {
        let mut rng = self.rng.clone();
        let network = model.in_network_units();
        let potential = network.as_log_density();
        let (parallel, parallel_field) = (potential.as_ref().map(Parallel), Parallel(&network));
        let on_domain = match (&parallel, &model.description().training.domain) {
            (Some(density), Some(domain)) => Some(LogDensityOnDomain { density, domain }),
            _ => None,
        };
        let mut density = match &on_domain {
            Some(on_domain) => Some(on_domain as &dyn LogDensity),
            None => parallel.as_ref().map(|density| density as &dyn LogDensity),
        };
        let domain = model.description().training.domain.as_ref();
        let field_on_domain = domain.map(|domain| ScoreOnDomain { field: &parallel_field, domain });
        let mut field: &dyn Score = match &field_on_domain {
            Some(on_domain) => on_domain,
            None => &parallel_field,
        };
        if conditions(model) > 1 {
            // Rows with a condition each are not to be cut apart; such models have no bounds.
            density = potential.as_ref().map(|p| p as &dyn LogDensity);
            field = &network;
        }
        let mut chains = match (self.snapshot.take(), self.sampler, density) {
            (Some(snapshot), Sampler::Mala, Some(p)) => Chains::restore_mala(p, snapshot),
            (Some(snapshot), Sampler::Hmc, Some(p)) => {
                Chains::restore_hmc(p, snapshot, self.leapfrog)
            }
            (Some(snapshot), _, _) => Chains::restore_ula(field, snapshot),
            (None, sampler, density) => {
                let start = start(model, self.config.chains, &mut rng);
                match (sampler, density) {
                    (Sampler::Mala, Some(p)) => Chains::mala(p, start.view(), &self.config),
                    (Sampler::Hmc, Some(p)) => {
                        Chains::hmc(p, start.view(), &self.config, self.leapfrog)
                    }
                    _ => Chains::ula(field, start.view(), &self.config),
                }
            }
        }?;
        let mut failure = None;
        while !chains.is_done() {
            // As it was before a move that is broken off, so that a resumed run makes the same.
            let before = rng.clone();
            let progress = match chains.advance_while(&mut rng, &mut || !watch.stops()) {
                Ok(Some(progress)) => progress,
                Ok(None) => {
                    rng = before;
                    let _stopped = self.show(&chains, &rng, None, true, watch);
                    break;
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            let stops = watch.stops() && !chains.is_done();
            if self.show(&chains, &rng, progress.acceptance, stops, watch).is_break() || stops {
                break;
            }
        }
        let samples = summarize(model, self.n, &self.config, chains.finish(), self.sampler.name());
        Ok(Outcome { samples, failure })
    }
}

/// The sampler of a model of one density.
fn chosen(asked: Sampler, kind: ModelKind) -> Result<Sampler> {
    let sampler = match (asked, kind) {
        (Sampler::Ula, _) | (Sampler::Auto, ModelKind::Score) => Sampler::Ula,
        (Sampler::Hmc, _) => Sampler::Hmc,
        (Sampler::Mala | Sampler::Auto, _) => Sampler::Mala,
        _ => {
            let use_these = match kind {
                ModelKind::LogDensity => "mala, hmc or ula",
                _ => "ula",
            };
            let why = format!(
                "the reverse of a noising process needs a model of all noise levels, and this one was \
                 fitted without `noise`; use {use_these}"
            );
            return Err(Error::config("sampler", why));
        }
    };
    if kind == ModelKind::Score && sampler != Sampler::Ula {
        let why = format!(
            "{} needs differences of log density, and a score field has none; use ula, or fit with \
             `model` potential",
            sampler.name()
        );
        return Err(Error::config("sampler", why));
    }
    Ok(sampler)
}

/// Rows of conditions, each of which has a chain of its own; 0 for a model of p(x).
fn conditions(model: &FittedModel) -> usize {
    model.condition().map_or(0, |c| c.nrows())
}

/// Refuses a conditional model without a condition, and chains that do not fit a table of them.
fn check_conditions(model: &FittedModel, asked: &SampleConfig) -> Result<()> {
    let names = model.condition_columns();
    if !names.is_empty() && model.condition().is_none() {
        let message = format!(
            "the model is conditional: give a value for each of {}, as in {}=1.5, or a table of values",
            names.join(", "),
            names[0]
        );
        return Err(Error::config("given_values", message));
    }
    if conditions(model) > 1 && asked.chains.is_some() {
        let message = "a table of conditions has one chain for each of its rows; leave it out";
        return Err(Error::config("chains", message));
    }
    Ok(())
}

fn config(
    model: &FittedModel,
    n: usize,
    asked: &SampleConfig,
    sampler: Sampler,
) -> Result<ChainConfig> {
    let conditions = conditions(model);
    let usual = (n / LEAST_DRAWS).clamp(LEAST_CHAINS, CHAINS);
    let fitting = if conditions > 1 { conditions } else { usual };
    let chains = asked.chains.unwrap_or(fitting);
    let least = if asked.chains.is_none() && conditions <= 1 { LEAST_DRAWS } else { 1 };
    let draws = n.div_ceil(chains.max(1)).max(least);
    let (step, target) = match sampler {
        Sampler::Ula => (0.2 * typical_step(model), 0.574),
        Sampler::Hmc => (typical_step(model), 0.8),
        _ => (typical_step(model), 0.574),
    };
    let steps = draws
        .checked_mul(asked.thinning.max(1))
        .filter(|steps| steps.checked_add(asked.warm_up).is_some())
        .ok_or_else(|| Error::config("thinning", "this is too many steps"))?;
    let config = ChainConfig {
        chains,
        warm_up: asked.warm_up,
        steps,
        thinning: asked.thinning,
        step_size: asked.step_size.unwrap_or(step),
        target_acceptance: asked.step_size.is_none().then_some(target),
        // Each condition has a distribution of its own.
        apart: conditions > 1,
    };
    config.validate()?;
    Ok(config)
}

/// 1 / mean square of the score: the squared width of what the model has learnt, in its units.
fn typical_step(model: &FittedModel) -> f64 {
    let scale = model.description().summary.score_scale;
    1.0 / (scale * scale).max(f64::MIN_POSITIVE)
}

/// Around the training rows: mean plus one standard deviation times N(0, 1), in the network's units.
fn start(model: &FittedModel, chains: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    let description = model.description();
    let scale = Array1::from(description.column_scale.clone());
    let mean = Array1::from(description.column_mean.clone());
    let columns = description.columns.len();
    let normals = match conditions(model) > 1 {
        false => standard_normal_start(chains, columns, rng),
        // Of each condition its own, whatever the others.
        true => {
            let first = ChaCha8Rng::seed_from_u64(rng.random());
            let mut normals = Array2::zeros((chains, columns));
            for (chain, mut row) in normals.outer_iter_mut().enumerate() {
                let mut rng = first.clone();
                rng.set_stream(chain as u64);
                row.assign(&standard_normal_start(1, columns, &mut rng).row(0));
            }
            normals
        }
    };
    let mut x = normals * &scale + &mean;
    if let Some(domain) = &description.domain {
        // The mean of rows in a convex domain lies in it.
        for mut x in x.outer_iter_mut() {
            for _halving in 0..60 {
                if domain.contains(&x.to_vec()) {
                    break;
                }
                x += &mean;
                x *= 0.5;
            }
        }
    }
    description.transform.forward(x.view())
}

fn summarize(
    model: &FittedModel,
    n: usize,
    config: &ChainConfig,
    run: ChainRun,
    sampler: &'static str,
) -> Samples {
    let pooled = run.pooled();
    // Whole chains come one after another: take draws evenly from all of them.
    let draws = run.draws.dim().1;
    let several = conditions(model) > 1;
    let chosen: Vec<usize> = match several {
        // Each condition's draws together, in the order of the conditions.
        true => (0..n.min(pooled.nrows())).collect(),
        false => (0..draws)
            .flat_map(|k| (0..config.chains).map(move |c| c * draws + k))
            .take(n)
            .collect(),
    };
    let chain = chosen.iter().map(|at| at / draws.max(1)).collect();
    let rows =
        model.description().transform.inverse(pooled.select(ndarray::Axis(0), &chosen).view());
    // Chains of different conditions should not agree.
    let known = |x: f64| Some(x).filter(|x| !x.is_nan() && !several);
    let worst = |of: fn(&Convergence) -> f64, worse: fn(f64, f64) -> f64| {
        run.convergence.iter().map(of).fold(f64::NAN, worse)
    };
    let r_hat = known(worst(|c| c.r_hat, f64::max));
    // Of the rows that are kept of all draws.
    let share = rows.nrows() as f64 / (config.chains * draws).max(1) as f64;
    let least = rows.nrows().min(config.chains) as f64;
    let of_rows =
        |size| known(size).map(|size| if share < 1.0 { (size * share).max(least) } else { size });
    let size = of_rows(worst(|c| c.effective_sample_size, f64::min));
    let tails = of_rows(worst(|c| c.tail_effective_sample_size, f64::min));
    let unknown = r_hat.is_none() || size.is_none();
    let unchecked =
        (unknown && !several && draws > 0).then(|| unchecked(config.chains, draws, run.completed));
    let still = still_chains(run.draws.view());
    let numbered = |chains: &[usize]| chains.iter().map(|chain| chain + 1).collect();
    Samples {
        draws: rows.nrows(),
        rows,
        chain,
        sampler,
        route: Route::Chains {
            chains: config.chains,
            warm_up: config.warm_up,
            thinning: config.thinning,
            step_size: run.step_size,
        },
        acceptance_rate: run.acceptance_rate(),
        max_split_r_hat: r_hat,
        min_effective_sample_size: size,
        min_tail_effective_sample_size: tails,
        unchecked,
        still_chains: (still > 0 && !several).then_some(still),
        conditions_not_mixed: several.then(|| numbered(&run.not_mixed)),
        conditions_lost: numbered(&run.lost),
        completed: run.completed,
        note: None,
        draws_a_chain: draws,
        step_given: config.target_acceptance.is_none(),
    }
}

/// Why chains cannot be compared, and what to do.
fn unchecked(chains: usize, draws: usize, completed: bool) -> String {
    let (these, s) = if chains == 1 { ("this", "") } else { ("these", "s") };
    let have = format!(
        "{these} {chains} chain{s} have {draws} draw{} each",
        if draws == 1 { "" } else { "s" }
    );
    let have =
        if chains == 1 { have.replace(" have ", " has ").replace(" each", "") } else { have };
    let (what, need) = match draws {
        ..4 => ("whether the chains have mixed", "R-hat needs 4 draws of each"),
        _ => (
            "the effective sample size",
            "an effective sample size needs 20 chains, or 10 draws of each; or a column does not vary",
        ),
    };
    let advice = match completed {
        true => "leave out the number of chains, or ask for fewer chains or more rows",
        false => "the run was stopped too early",
    };
    format!("{what} is not known: {need}, and {have}; {advice}")
}
