//! `impute`.

use std::path::PathBuf;

use clap::Args;
use gradlogp::draw::ImputeSettings;

use super::read::ReadArgs;

#[derive(Debug, Args)]
pub(crate) struct ImputeArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    /// Table with missing values: empty cells, NaN, NA and their like; - for standard input.
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    /// Where to write: .npy, else CSV [default: CSV to standard output].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Keep the noise that fit --dequantize added, and do not round imputed values back to the columns' own.
    #[arg(long)]
    pub(crate) keep_noise: bool,
    /// Draws of every missing value: that many complete tables, one below the other.
    ///
    /// With columns `draw` and `row` in front if there is more than one.
    #[arg(long, default_value_t = ImputeSettings::default().draws, value_name = "K")]
    pub(crate) draws: usize,
    /// Warm-up steps of each chain (models fitted with --noise have none).
    #[arg(long, default_value_t = ImputeSettings::default().warm_up)]
    pub(crate) warm_up: usize,
    /// Steps after warm-up, the last of which is the draw; with --noise, steps of the reverse process.
    #[arg(long, default_value_t = ImputeSettings::default().steps)]
    pub(crate) steps: usize,
    /// Step a in units of the columns' standard deviations, squared [default: found for each row by itself].
    ///
    /// Potentials adapt it to 80% acceptance; score fields take 0.2 / how fast the score changes along the row's
    /// own moves, which leaves variances about 5% too large.
    #[arg(long, value_name = "A", hide_short_help = true)]
    pub(crate) step_size: Option<f64>,
    /// Potentials: most leapfrog steps of a move of hmc.
    #[arg(long, default_value_t = ImputeSettings::default().leapfrog, value_name = "L", hide_short_help = true)]
    pub(crate) leapfrog: usize,
    /// Seed of the draws.
    #[arg(long, alias = "sample-seed", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

impl ImputeArgs {
    pub(crate) fn settings(&self) -> ImputeSettings {
        ImputeSettings {
            draws: self.draws,
            warm_up: self.warm_up,
            steps: self.steps,
            step_size: self.step_size,
            leapfrog: self.leapfrog,
            keep_noise: self.keep_noise,
            seed: self.seed,
        }
    }
}
