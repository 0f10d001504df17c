//! How rows are drawn.

use clap::Args;
use gradlogp::draw::{SampleConfig, Sampler, StepSchedule};

use crate::choices;

#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct ChainArgs {
    /// How rows are drawn.
    #[arg(long, value_parser = choices::sampler(), default_value_t = ChainArgs::default().sampler, value_name = "NAME")]
    pub(crate) sampler: Sampler,
    /// Parallel chains [default: an eighth of the rows, 20 to 500].
    #[arg(long)]
    pub(crate) chains: Option<usize>,
    /// Warm-up steps of each chain, which are discarded.
    #[arg(long, default_value_t = ChainArgs::default().warm_up)]
    pub(crate) warm_up: usize,
    /// Thinning: steps for each one that is kept.
    #[arg(long, default_value_t = ChainArgs::default().thinning, hide_short_help = true)]
    pub(crate) thinning: usize,
    /// Step a in x += a/2 s + sqrt(a) z, in standardized units [default: adapted; of ula, from the score].
    ///
    /// Of hmc, the square of its step. mala adapts it to 57% acceptance, hmc to 80%; ula takes 0.2 / mean square of
    /// the score. With a table of conditions each row has its own.
    #[arg(long, value_name = "A", hide_short_help = true)]
    pub(crate) step_size: Option<f64>,
    /// hmc: maximum number of leapfrog steps; each move takes 1 to L.
    #[arg(long, default_value_t = ChainArgs::default().leapfrog, value_name = "L", hide_short_help = true)]
    pub(crate) leapfrog: usize,
    /// Reverse process: number of steps, or of noise levels.
    #[arg(long, default_value_t = ChainArgs::default().steps)]
    pub(crate) steps: usize,
    /// Reverse process: spacing of the steps [default: karras; geometric for annealed].
    #[arg(long, value_parser = choices::step_schedule(), hide_short_help = true)]
    pub(crate) schedule: Option<StepSchedule>,
    /// Langevin steps of pc after each step, of annealed at each noise level [default: 1 and 5].
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) corrections: Option<usize>,
    /// Seed of the draws.
    #[arg(long, alias = "sample-seed", default_value_t = ChainArgs::default().seed)]
    pub(crate) seed: u64,
}

impl ChainArgs {
    pub(crate) fn config(&self) -> SampleConfig {
        SampleConfig {
            sampler: self.sampler,
            chains: self.chains,
            warm_up: self.warm_up,
            thinning: self.thinning,
            step_size: self.step_size,
            leapfrog: self.leapfrog,
            steps: self.steps,
            schedule: self.schedule,
            corrections: self.corrections,
            seed: self.seed,
        }
    }
}

impl Default for ChainArgs {
    /// As the command line has them where nothing is given.
    fn default() -> Self {
        let usual = SampleConfig::default();
        ChainArgs {
            sampler: usual.sampler,
            chains: usual.chains,
            warm_up: usual.warm_up,
            thinning: usual.thinning,
            step_size: usual.step_size,
            leapfrog: usual.leapfrog,
            steps: usual.steps,
            schedule: usual.schedule,
            corrections: usual.corrections,
            seed: usual.seed,
        }
    }
}
