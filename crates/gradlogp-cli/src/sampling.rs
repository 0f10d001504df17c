//! Chains on a fitted model: started around the data, run in the network's units, mapped back.

use anyhow::Result;
use gradlogp::domain::{FieldWithin, Within};
use gradlogp::sample::convergence::{Convergence, still_chains};
use gradlogp::sample::{ChainConfig, ChainRun, Chains, Parallel, Snapshot, standard_normal_start};
use gradlogp::{Error, FittedModel, LogDensity, ModelKind, Score};
use ndarray::{Array1, Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::args::{ChainArgs, SamplerArg};
use crate::limits::check_memory;
use crate::report::{Check, Estimate, Grade};
use crate::reverse::ReversePlan;
use crate::{interrupt, text};

/// Most and least chains side by side unless asked for, and draws of each at least: enough of both for split
/// R-hat and an effective size, whatever the number of rows.
const CHAINS: usize = 500;
const LEAST_CHAINS: usize = 20;
const LEAST_DRAWS: usize = 8;

/// Above this R-hat chains keep to a part of what all cover that is a ninth of it at most.
const APART: f64 = 3.0;

/// Below this acceptance the draws are starting points, not draws.
const ACCEPTED: f64 = 0.05;

/// Draws with what is known of them, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Drawn {
    #[serde(skip)]
    pub(crate) rows: Array2<f64>,
    /// The chain of each row.
    #[serde(skip)]
    pub(crate) chain: Vec<usize>,
    pub(crate) sampler: &'static str,
    pub(crate) draws: usize,
    #[serde(flatten)]
    pub(crate) way: Way,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acceptance_rate: Option<f64>,
    /// Largest over columns; infinite where no chain moved. None where it cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_split_r_hat: Option<f64>,
    /// Smallest over columns; None where it cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_effective_sample_size: Option<f64>,
    /// The same for the 5% and 95% quantiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_tail_effective_sample_size: Option<f64>,
    /// Why one of these is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unchecked: Option<String>,
    /// Chains that did not move, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) still_chains: Option<usize>,
    /// Of a table of conditions: numbers of the rows whose chains did not mix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conditions_not_mixed: Option<Vec<usize>>,
    /// Likewise those whose chains have no finite density or score to go on from.
    #[serde(skip)]
    pub(crate) conditions_lost: Vec<usize>,
    pub(crate) completed: bool,
    /// What to know of them, if anything.
    #[serde(skip)]
    pub(crate) note: Option<String>,
    /// Draws of each chain from which these were found.
    #[serde(skip)]
    pub(crate) draws_a_chain: usize,
    /// The step size was given, not found.
    #[serde(skip)]
    pub(crate) step_given: bool,
}

/// What the rows came by.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Way {
    Chains { chains: usize, warm_up: usize, thinning: usize, step_size: f64 },
    Reverse { steps: usize, schedule: &'static str, score_evaluations: usize },
}

impl Drawn {
    /// One line for the terminal, and what to do when the chains disagree.
    pub(crate) fn summary(&self) -> String {
        let by = match &self.way {
            Way::Chains { chains, step_size, .. } => {
                format!("from {chains} chains, step size {}", text::short(*step_size))
            }
            Way::Reverse { steps, schedule, score_evaluations } => {
                format!("in {steps} {schedule} steps, {score_evaluations} evaluations of the score")
            }
        };
        let mut parts = vec![format!("{} rows by {} {by}", self.draws, self.sampler)];
        parts.extend(self.acceptance_rate.map(|a| format!("acceptance {:.0}%", 100.0 * a)));
        parts.extend(self.max_split_r_hat.map(|r| format!("largest split R-hat {}", infinite(r))));
        parts.extend(self.min_effective_sample_size.map(|e| {
            let tails = self.min_tail_effective_sample_size;
            let tails = tails.map_or(String::new(), |e| format!(" ({e:.0} for the tails)"));
            format!("smallest effective sample size {e:.0}{tails}")
        }));
        parts.join(", ")
    }

    /// Rows of a report's check table: how far the chains can be relied on.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let Way::Chains { .. } = self.way else { return Vec::new() };
        let row =
            |name: &str, value: f64, expected: Option<String>, fine: Option<bool>, why: &str| {
                Check {
                    name: name.into(),
                    value: Estimate { value, standard_error: None },
                    expected,
                    grade: match fine {
                        Some(true) => Grade::Pass,
                        Some(false) => Grade::Warn,
                        None => Grade::Info,
                    },
                    explanation: why.into(),
                }
            };
        let mut checks = Vec::new();
        checks.extend(self.max_split_r_hat.map(|r| {
            let bound = self.r_hat_bound();
            row(
                "Samples: largest split R-hat",
                r,
                Some(format!("below {bound:.2}")),
                Some(r <= bound),
                "Rank-normalised split R-hat of the chains that drew the samples, worst column: 1 where \
                 chains agree with each other and with themselves over time.",
            )
        }));
        let sizes = [
            ("Samples: least effective size", self.min_effective_sample_size, "the mean"),
            (
                "Samples: least effective size, tails",
                self.min_tail_effective_sample_size,
                "the 5% or 95% quantile",
            ),
        ];
        for (name, size, of) in sizes {
            let why = format!(
                "How many independent draws the {} samples are worth, for {of} of the worst column.",
                self.draws
            );
            checks.extend(size.map(|size| row(name, size, None, None, &why)));
        }
        checks.extend(self.acceptance_rate.map(|rate| {
            row(
                "Samples: acceptance",
                rate,
                None,
                (rate < ACCEPTED).then_some(false),
                "Share of the sampler's proposals that were accepted after warm-up.",
            )
        }));
        checks
    }

    /// What split R-hat should not exceed. In halves of n draws, neighbouring draws that resemble each other
    /// raise it too: to about sqrt(1 + 2/n) at an autocorrelation time of three draws. Only more than that
    /// means that chains differ.
    fn r_hat_bound(&self) -> f64 {
        let half = self.draws_a_chain as f64 / 2.0;
        (1.0 + 2.0 / half.max(1.0)).sqrt().max(1.05)
    }

    /// Chains that have not moved, where there are more of them than rejections explain.
    fn stuck(&self) -> Option<usize> {
        let Way::Chains { chains, thinning, .. } = self.way else { return None };
        let steps = (self.draws_a_chain.saturating_sub(1) as f64) * thinning as f64;
        let chance = (1.0 - self.acceptance_rate.unwrap_or(1.0)).powf(steps);
        let expected = chains as f64 * chance;
        self.still_chains.filter(|still| *still as f64 > 2.0 * expected + 3.0 * expected.sqrt())
    }

    pub(crate) fn warning(&self) -> Option<String> {
        if let Some(rows) = self.conditions_not_mixed.as_ref().filter(|rows| !rows.is_empty()) {
            return Some(format!(
                "{} of the conditions: the chain there has not mixed, so its draws are not to be relied on; \
                 use a longer --warm-up and --thinning, or leave out --step-size to have it adapted",
                text::rows(rows)
            ));
        }
        if self.note.is_some() {
            return self.note.clone();
        }
        let Way::Chains { chains, step_size, .. } = self.way else { return None };
        if let Some(rate) = self.acceptance_rate.filter(|rate| *rate < ACCEPTED) {
            return Some(format!(
                "only {:.2}% of the steps were accepted, so the chains have hardly left their \
                 starting points; use a smaller --step-size, or leave it out to have it adapted",
                100.0 * rate
            ));
        }
        let bound = self.r_hat_bound();
        let given = match self.step_given {
            true => format!(
                "the --step-size {} may be too small to get around: leave it out, and it is chosen; or ",
                text::short(step_size)
            ),
            false => String::new(),
        };
        let parts =
            "parts of the density are separate, and their weights are those of the starting points";
        match (self.max_split_r_hat.filter(|r| *r > bound), self.stuck()) {
            (Some(r), _) if r > APART => Some(format!(
                "chains disagree (split R-hat {}, should be below {bound:.2}): each keeps to a small part \
                 of what all of them cover. Either {given}more --warm-up and --thinning are needed, or {parts}",
                infinite(r)
            )),
            (Some(r), _) => Some(format!(
                "chains disagree (split R-hat {r:.2}, should be below {bound:.2}): they do not cross between \
                 separate parts of the density, so the weights of the parts are those of the starting \
                 points. A longer --warm-up helps only if the parts are connected"
            )),
            (None, Some(still)) => Some(format!(
                "{still} of {chains} chains have not moved from where they were after warm-up, and their \
                 draws are copies of one row; use a longer --warm-up or a smaller --step-size"
            )),
            (None, None) => self.unchecked.clone(),
        }
    }
}

/// A number that may be infinite, in words.
fn infinite(x: f64) -> String {
    if x.is_finite() { text::short(x) } else { "infinite".into() }
}

/// What is to be drawn and how, and, under way, where it stands: everything but the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Job {
    Chains(Box<Plan>),
    Reverse(ReversePlan),
}

/// The state of a run after a step.
pub(crate) struct Look<'a> {
    /// Steps done.
    pub(crate) step: usize,
    /// Where the rows are, in the network's units.
    pub(crate) position: ArrayView2<'a, f64>,
    /// The time of the process, where there is one.
    pub(crate) time: Option<f64>,
    /// The run stops here, unfinished.
    pub(crate) stops: bool,
    /// What would go on from here.
    pub(crate) job: &'a dyn Fn() -> Job,
}

/// Looks at a run after each step.
pub(crate) type Watch<'a> = dyn FnMut(Look<'_>) -> Result<()> + 'a;

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) drawn: Drawn,
    /// Why it went no further, where a row left the finite numbers.
    pub(crate) failure: Option<Error>,
}

/// Draws `n` rows in the user's units.
pub(crate) fn draw(model: &FittedModel, n: usize, args: &ChainArgs, quiet: bool) -> Result<Drawn> {
    let outcome = Job::new(model, n, args)?.run(model, quiet, &mut |_| Ok(()))?;
    match outcome.failure {
        Some(error) => Err(error.into()),
        None => Ok(outcome.drawn),
    }
}

impl Job {
    /// A run that has not begun.
    pub(crate) fn new(model: &FittedModel, n: usize, args: &ChainArgs) -> Result<Self> {
        if n == 0 {
            return Err(Error::config("-n", "must be at least 1").into());
        }
        Ok(match model.over_time() {
            Some(_) => Job::Reverse(ReversePlan::new(model, n, args)?),
            None => Job::Chains(Box::new(Plan::new(model, n, args)?)),
        })
    }

    /// Refuses what no run with this model can be, whether it comes from a command line or from a checkpoint.
    pub(crate) fn check(&self, model: &FittedModel) -> Result<()> {
        match (self, model.over_time()) {
            (Job::Chains(plan), None) => plan.check(model),
            (Job::Reverse(plan), _) => plan.check(model),
            (Job::Chains(_), Some(_)) => {
                let message =
                    "was fitted with --noise, and the run began with a model of one density";
                Err(Error::config("MODEL", message).into())
            }
        }
    }

    /// Steps done, and steps in all.
    pub(crate) fn steps(&self) -> (usize, usize) {
        match self {
            Job::Chains(plan) => plan.steps(),
            Job::Reverse(plan) => plan.steps(),
        }
    }

    /// Rows that are under way together.
    pub(crate) fn rows_at_once(&self) -> usize {
        match self {
            Job::Chains(plan) => plan.config.chains,
            Job::Reverse(plan) => plan.rows_of_a_block(),
        }
    }

    /// The steps between which a trace looks: of chains all; of the reverse process those of the first
    /// rows, from noise on.
    pub(crate) fn traced(&self) -> (usize, usize) {
        match self {
            Job::Chains(plan) => (1, plan.steps().1),
            Job::Reverse(plan) => (0, plan.steps_of_a_block()),
        }
    }

    /// All steps that are left.
    pub(crate) fn run(
        self,
        model: &FittedModel,
        quiet: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome> {
        match self {
            Job::Chains(plan) => plan.run(model, quiet, watch),
            Job::Reverse(plan) => plan.run(model, quiet, watch),
        }
    }
}

/// The samplers of one density.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sampler {
    Ula,
    Mala,
    Hmc,
}

impl Sampler {
    fn word(self) -> &'static str {
        match self {
            Sampler::Ula => "ula",
            Sampler::Mala => "mala",
            Sampler::Hmc => "hmc",
        }
    }

    fn of(arg: SamplerArg, kind: ModelKind) -> Result<Self> {
        let sampler = match (arg, kind) {
            (SamplerArg::Ula, _) | (SamplerArg::Auto, ModelKind::Score) => Sampler::Ula,
            (SamplerArg::Hmc, _) => Sampler::Hmc,
            (SamplerArg::Mala | SamplerArg::Auto, _) => Sampler::Mala,
            _ => {
                let use_these = match kind {
                    ModelKind::Potential => "mala, hmc or ula",
                    _ => "ula",
                };
                let why = format!(
                    "the reverse of a noising process needs a model of all noise levels, and this one was \
                     fitted without --noise; use {use_these}"
                );
                return Err(Error::config("--sampler", why).into());
            }
        };
        if kind == ModelKind::Score && sampler != Sampler::Ula {
            let why = format!(
                "{} needs differences of log density, and a score field has none; use ula, or fit with \
                 --model potential",
                sampler.word()
            );
            return Err(Error::config("--sampler", why).into());
        }
        Ok(sampler)
    }
}

/// Chains on one density.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    n: usize,
    sampler: Sampler,
    leapfrog: usize,
    config: ChainConfig,
    rng: ChaCha8Rng,
    snapshot: Option<Snapshot>,
}

impl Plan {
    fn new(model: &FittedModel, n: usize, args: &ChainArgs) -> Result<Self> {
        check_conditions(model, args)?;
        let sampler = Sampler::of(args.sampler, model.kind())?;
        let config = config(model, n, args, sampler)?;
        let rng = ChaCha8Rng::seed_from_u64(args.seed);
        let plan = Plan { n, sampler, leapfrog: args.leapfrog, config, rng, snapshot: None };
        plan.check(model)?;
        Ok(plan)
    }

    /// Refuses what no run with this model can be, whether it comes from a command line or from a checkpoint.
    fn check(&self, model: &FittedModel) -> Result<()> {
        let Plan { n, sampler, config, .. } = self;
        if *n == 0 {
            return Err(Error::config("-n", "must be at least 1").into());
        }
        if model.kind() == ModelKind::Score && *sampler != Sampler::Ula {
            let why = format!("{} needs a density, and the model has none", sampler.word());
            return Err(Error::config("--sampler", why).into());
        }
        if self.leapfrog == 0 {
            return Err(Error::config("--leapfrog", "at least one step is needed").into());
        }
        let d = model.description().columns.len();
        let values = d as f64 * 8.0;
        check_memory("--chains", config.chains as f64 * values)?;
        config.validate()?;
        check_memory("-n", config.draws() as f64 * config.chains as f64 * values)?;
        if config.steps.checked_add(config.warm_up).is_none() {
            return Err(Error::config("--thinning", "so many steps cannot be counted").into());
        }
        let conditions = conditions(model);
        if conditions > 1 && config.chains != conditions {
            let message = format!("a table of {conditions} conditions has one chain for each");
            return Err(Error::config("--chains", message).into());
        }
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        snapshot.check()?;
        let of = |c: &ChainConfig| (c.chains, c.warm_up, c.steps, c.thinning);
        if snapshot.dim != d || of(&snapshot.config) != of(config) {
            let message = "its chains are not those of its settings, or have other columns";
            return Err(Error::config("snapshot", message).into());
        }
        Ok(())
    }

    /// The plan that goes on from where the chains are.
    fn at(&self, chains: &Chains<'_>, rng: &ChaCha8Rng) -> Plan {
        Plan { rng: rng.clone(), snapshot: Some(chains.snapshot()), ..self.clone() }
    }

    fn steps(&self) -> (usize, usize) {
        let done = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.step);
        (done, self.config.warm_up.saturating_add(self.config.steps))
    }

    fn run(mut self, model: &FittedModel, quiet: bool, watch: &mut Watch<'_>) -> Result<Outcome> {
        let mut rng = self.rng.clone();
        let (from, total) = self.steps();
        let network = model.in_network_units();
        let potential = network.as_potential();
        let (parallel, parallel_field) = (potential.as_ref().map(Parallel), Parallel(&network));
        let within = match (&parallel, &model.description().training.domain) {
            (Some(density), Some(domain)) => Some(Within { density, domain }),
            _ => None,
        };
        let mut density = match &within {
            Some(within) => Some(within as &dyn LogDensity),
            None => parallel.as_ref().map(|density| density as &dyn LogDensity),
        };
        let domain = model.description().training.domain.as_ref();
        let field_within = domain.map(|domain| FieldWithin { field: &parallel_field, domain });
        let mut field: &dyn Score = match &field_within {
            Some(within) => within,
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
        let mut bar = crate::progress::Progress::new(quiet, "sampling", from as u64, total as u64);
        let mut failure = None;
        while !chains.is_done() {
            // As it was before a move that is broken off, so that a resumed run makes the same.
            let before = rng.clone();
            let progress = match chains.advance_while(&mut rng, &mut || !interrupt::requested()) {
                Ok(Some(progress)) => progress,
                Ok(None) => {
                    rng = before;
                    let job = || Job::Chains(Box::new(self.at(&chains, &rng)));
                    let (step, position) = (chains.step(), chains.position());
                    watch(Look { step, position, time: None, stops: true, job: &job })?;
                    break;
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            bar.at(progress.step as u64, || {
                progress.acceptance.map_or(String::new(), |a| format!("acceptance {a:.2}"))
            });
            let stops = interrupt::requested() && !chains.is_done();
            let job = || Job::Chains(Box::new(self.at(&chains, &rng)));
            let (step, position) = (progress.step, chains.position());
            watch(Look { step, position, time: None, stops, job: &job })?;
            if stops {
                break;
            }
        }
        bar.finish();
        let drawn = summarise(model, self.n, &self.config, chains.finish(), self.sampler.word());
        Ok(Outcome { drawn, failure })
    }
}

/// Rows of conditions, each of which has a chain of its own; 0 for a model of p(x).
fn conditions(model: &FittedModel) -> usize {
    model.condition().map_or(0, |c| c.nrows())
}

/// Refuses a conditional model without a condition, and chains that do not fit a table of them.
fn check_conditions(model: &FittedModel, args: &ChainArgs) -> Result<()> {
    let names = model.given_columns();
    if !names.is_empty() && model.condition().is_none() {
        let message = format!(
            "the model is conditional: give a value of each of {}, as in {}=1.5, or a table of them \
             with --given-rows",
            names.join(", "),
            names[0]
        );
        return Err(Error::config("--given-values", message).into());
    }
    if conditions(model) > 1 && args.chains.is_some() {
        let message = "a table of conditions has one chain for each of its rows; leave it out";
        return Err(Error::config("--chains", message).into());
    }
    Ok(())
}

fn config(
    model: &FittedModel,
    n: usize,
    args: &ChainArgs,
    sampler: Sampler,
) -> Result<ChainConfig> {
    let conditions = conditions(model);
    let usual = (n / LEAST_DRAWS).clamp(LEAST_CHAINS, CHAINS);
    let fitting = if conditions > 1 { conditions } else { usual };
    let chains = args.chains.unwrap_or(fitting);
    let least = if args.chains.is_none() && conditions <= 1 { LEAST_DRAWS } else { 1 };
    let draws = n.div_ceil(chains.max(1)).max(least);
    let (step, target) = match sampler {
        Sampler::Ula => (0.2 * typical_step(model), 0.574),
        Sampler::Mala => (typical_step(model), 0.574),
        Sampler::Hmc => (typical_step(model), 0.8),
    };
    let values = model.description().columns.len() as f64 * 8.0;
    check_memory("--chains", chains as f64 * values)?;
    // As drawn, one below the other, those that are kept, and in the user's units.
    check_memory("-n", 4.0 * draws as f64 * chains as f64 * values)?;
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
        target_acceptance: args.step_size.is_none().then_some(target),
        // Each condition has a law of its own.
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
    Drawn {
        draws: rows.nrows(),
        rows,
        chain,
        sampler,
        way: Way::Chains {
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
        ..4 => ("whether the chains have met", "R-hat needs 4 draws of each"),
        _ => (
            "what the draws are worth",
            "an effective sample size needs 20 chains, or 10 draws of each; or a column does not vary",
        ),
    };
    let advice = match completed {
        true => "leave --chains out, or ask for fewer chains or more rows (-n)",
        false => "the run was stopped too early",
    };
    format!("{what} is not known: {need}, and {have}; {advice}")
}
