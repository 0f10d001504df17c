//! `loglik`.

use std::path::PathBuf;

use clap::Args;

use super::read::ReadArgs;
use super::source::SourceArgs;

#[derive(Debug, Args)]
pub(crate) struct LoglikArgs {
    /// Model file, written by fit --noise.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Where to write log densities in nats, row by row: .npy, else CSV [default: only a summary].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Random probes for the divergence of the flow; 0: exact [default: 0 up to 16 columns, else 8].
    #[arg(long, value_name = "N")]
    pub(crate) probes: Option<usize>,
    /// Error allowed in a step of the solver, relative and absolute.
    #[arg(long, default_value_t = 1e-5)]
    pub(crate) tolerance: f64,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Seed of probes, drawn rows and dequantization.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}
