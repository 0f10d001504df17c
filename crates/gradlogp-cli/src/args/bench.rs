//! `bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gradlogp::numeric::Activation;
use gradlogp::slice::SliceDistribution;

use super::fit::FitArgs;
use super::model::ModelArg;
use super::objective::ObjectiveArg;
use super::read::ReadArgs;
use crate::{choices, examples};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) what: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Time one full training step: slices, forward, adjoint, clipping, AdamW.
    #[command(allow_negative_numbers = true, after_help = examples::BENCH_STEP)]
    Step(StepArgs),
    /// Fit as `fit` does, with a clock that is paused during held-out evaluations.
    #[command(allow_negative_numbers = true, after_help = examples::BENCH_FIT)]
    Fit(Box<FitClockArgs>),
    /// Time scores of many rows.
    #[command(after_help = examples::BENCH_SCORE)]
    Score(ScoreClockArgs),
    /// Time MALA chains on a potential.
    #[command(after_help = examples::BENCH_MALA)]
    Mala(MalaClockArgs),
    /// Time the kernel Stein test that `fit` and `eval` make.
    #[command(after_help = examples::BENCH_STEIN)]
    Stein(SteinClockArgs),
    /// Time the reading of a table.
    #[command(after_help = examples::BENCH_READ)]
    Read(ReadClockArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    /// Score field or potential.
    #[arg(long, value_enum, default_value_t = ModelArg::Score)]
    pub(crate) model: ModelArg,
    /// Columns.
    #[arg(long)]
    pub(crate) dim: usize,
    /// Width of each hidden layer.
    #[arg(long, value_delimiter = ',', default_value = "128,128,128")]
    pub(crate) hidden: Vec<usize>,
    /// Activation.
    #[arg(long, value_parser = choices::activation(), default_value_t = Activation::Softplus)]
    pub(crate) activation: Activation,
    /// Rows per step.
    #[arg(long, default_value_t = 256)]
    pub(crate) batch: usize,
    /// Objective; dsm and fd-dsm with noise 0.1.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::SsmVr)]
    pub(crate) objective: ObjectiveArg,
    /// Slices per row.
    #[arg(long, default_value_t = 1)]
    pub(crate) slices: usize,
    /// Slice distribution.
    #[arg(long, alias = "slice-law", value_parser = choices::slice_distribution(), default_value_t = SliceDistribution::Rademacher)]
    pub(crate) slice_distribution: SliceDistribution,
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Seconds to measure.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Also measure, after 200 steps, how noisy the gradient is and how much of that is the slices'.
    #[arg(long)]
    pub(crate) gradient_noise: bool,
}

/// `bench fit`: options of `fit` that write files are not for it.
#[derive(Debug, Args)]
#[command(mut_arg("output", |a| a.hide(true)), mut_arg("report", |a| a.hide(true)))]
#[command(mut_arg("resume", |a| a.hide(true)), mut_arg("checkpoint_every", |a| a.hide(true)))]
pub(crate) struct FitClockArgs {
    #[command(flatten)]
    pub(crate) fit: FitArgs,
    /// Folder to write the rows to that the network sees, training.npy and held-out.npy, for others
    /// to train on.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) rows_to: Option<PathBuf>,
}

/// A network with its initial weights.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Columns.
    #[arg(long)]
    pub(crate) dim: usize,
    /// Width of each hidden layer.
    #[arg(long, value_delimiter = ',', default_value = "128,128")]
    pub(crate) hidden: Vec<usize>,
    /// Activation.
    #[arg(long, value_parser = choices::activation(), default_value_t = Activation::Softplus)]
    pub(crate) activation: Activation,
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreClockArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Score field or potential.
    #[arg(long, value_enum, default_value_t = ModelArg::Potential)]
    pub(crate) model: ModelArg,
    /// Rows to score.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: usize,
    /// Double precision, which `gradlogp score` uses; training and chains use single.
    #[arg(long)]
    pub(crate) double: bool,
    /// Also the trace of the Jacobian of the score (of the Hessian of log p), as `gradlogp score` does.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Passes over the rows.
    #[arg(long, default_value_t = 3)]
    pub(crate) passes: usize,
}

#[derive(Debug, Args)]
pub(crate) struct MalaClockArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Chains side by side.
    #[arg(long, default_value_t = 1000)]
    pub(crate) chains: usize,
    /// Steps of each chain.
    #[arg(long, default_value_t = 1000)]
    pub(crate) steps: usize,
    /// Step a in x += a/2 s + sqrt(a) z.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) step_size: f64,
}

#[derive(Debug, Args)]
pub(crate) struct SteinClockArgs {
    /// Rows, standard normal, with their own score.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) rows: usize,
    /// Columns.
    #[arg(long, default_value_t = 2)]
    pub(crate) dim: usize,
    /// Most rows whose pairs are all taken [default: 2000, as in `eval`].
    ///
    /// More are cut into groups of so many, in time that grows as the rows. At least --rows for all pairs.
    #[arg(long)]
    pub(crate) group: Option<usize>,
    /// Draws of the wild bootstrap.
    #[arg(long, default_value_t = 500)]
    pub(crate) bootstrap: usize,
    /// Times to make the test.
    #[arg(long, default_value_t = 1)]
    pub(crate) passes: usize,
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ReadClockArgs {
    /// Table to read.
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Times to read it.
    #[arg(long, default_value_t = 3)]
    pub(crate) passes: usize,
}
