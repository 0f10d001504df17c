//! How rows are drawn.

use clap::{Args, ValueEnum};
use gradlogp::draw::{SampleConfig, Sampler, StepSchedule};

#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct ChainArgs {
    /// How rows are drawn.
    #[arg(long, value_enum, default_value_t = ChainArgs::default().sampler, value_name = "NAME")]
    pub(crate) sampler: SamplerArg,
    /// Chains side by side [default: an eighth of the rows, 20 to 500].
    #[arg(long)]
    pub(crate) chains: Option<usize>,
    /// Steps dropped at the start of each chain.
    #[arg(long, default_value_t = ChainArgs::default().warm_up)]
    pub(crate) warm_up: usize,
    /// Keep every so many-th step.
    #[arg(long, default_value_t = ChainArgs::default().thinning, hide_short_help = true)]
    pub(crate) thinning: usize,
    /// Step a in x += a/2 s + sqrt(a) z, in standardized units [default: adapted; of ula, from the score].
    ///
    /// Of hmc, the square of its step. mala adapts it to 57% acceptance, hmc to 80%; ula takes 0.2 / mean square of
    /// the score. With a table of conditions each row has its own.
    #[arg(long, value_name = "A", hide_short_help = true)]
    pub(crate) step_size: Option<f64>,
    /// hmc: most leapfrog steps of a move; each takes 1 to so many.
    #[arg(long, default_value_t = ChainArgs::default().leapfrog, value_name = "L", hide_short_help = true)]
    pub(crate) leapfrog: usize,
    /// From noise to data: steps, or noise levels.
    #[arg(long, default_value_t = ChainArgs::default().steps)]
    pub(crate) steps: usize,
    /// From noise to data: where the steps are [default: karras; geometric for annealed].
    #[arg(long, value_enum, hide_short_help = true)]
    pub(crate) schedule: Option<ScheduleWord>,
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
            sampler: self.sampler.into(),
            chains: self.chains,
            warm_up: self.warm_up,
            thinning: self.thinning,
            step_size: self.step_size,
            leapfrog: self.leapfrog,
            steps: self.steps,
            schedule: self.schedule.map(Into::into),
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
            sampler: SamplerArg::Auto,
            chains: usual.chains,
            warm_up: usual.warm_up,
            thinning: usual.thinning,
            step_size: usual.step_size,
            leapfrog: usual.leapfrog,
            steps: usual.steps,
            schedule: None,
            corrections: usual.corrections,
            seed: usual.seed,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerArg {
    /// mala for potentials, ula for score fields, heun for models fitted with --noise
    Auto,
    /// Langevin steps without correction: slightly too wide at any step
    Ula,
    /// Langevin steps corrected by the density: exact in the long run; potentials
    Mala,
    /// Hamiltonian Monte Carlo, exact too: learns the scale of each column and makes long moves, which suits
    /// many or correlated columns; potentials
    Hmc,
    /// From noise to data by Euler-Maruyama steps
    Em,
    /// From noise to data by stochastic Heun steps, of weak order 2
    Heun,
    /// em with Langevin corrections after each step
    Pc,
    /// From noise to data by the probability flow, with adaptive steps
    Ode,
    /// The probability flow by its exponential integrator
    Ddim,
    /// Langevin steps at falling noise levels, which end in the distribution that the model has at the least noise;
    /// variances come out 1 to 2% too large with the default steps, and more with fewer --steps or
    /// --corrections, or, by some 10%, where columns are nearly dependent
    Annealed,
}

impl From<SamplerArg> for Sampler {
    fn from(word: SamplerArg) -> Self {
        match word {
            SamplerArg::Auto => Sampler::Auto,
            SamplerArg::Ula => Sampler::Ula,
            SamplerArg::Mala => Sampler::Mala,
            SamplerArg::Hmc => Sampler::Hmc,
            SamplerArg::Em => Sampler::Em,
            SamplerArg::Heun => Sampler::Heun,
            SamplerArg::Pc => Sampler::Pc,
            SamplerArg::Ode => Sampler::Ode,
            SamplerArg::Ddim => Sampler::Ddim,
            SamplerArg::Annealed => Sampler::Annealed,
        }
    }
}

/// Where the steps from noise to data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleWord {
    /// Laid over noise levels, closer together where there is little noise
    Karras,
    /// Laid over noise levels in equal ratios
    Geometric,
    /// Laid over times in equal steps
    Uniform,
    /// Laid over times, closer together near the data
    Quadratic,
}

impl From<ScheduleWord> for StepSchedule {
    fn from(word: ScheduleWord) -> Self {
        match word {
            ScheduleWord::Karras => StepSchedule::Karras,
            ScheduleWord::Geometric => StepSchedule::Geometric,
            ScheduleWord::Uniform => StepSchedule::Uniform,
            ScheduleWord::Quadratic => StepSchedule::Quadratic,
        }
    }
}
