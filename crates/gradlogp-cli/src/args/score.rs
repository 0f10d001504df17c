//! `score`, and how unusual rows are.

use std::path::PathBuf;

use clap::Args;
use gradlogp::fitted::AnomalyKind;

use super::read::ReadArgs;
use super::source::SourceArgs;
use crate::choices;

#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Where to write: .npy, else CSV [default: CSV to standard output].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Also the diagonal of the Hessian of log p (of grad s for score fields).
    #[arg(long)]
    pub(crate) hessian_diagonal: bool,
    /// Models of several members: also how far these are apart, the standard deviation of each component of the score.
    ///
    /// An error bar: how much one network differs from another of other seeds. The mean of K, which is what the model
    /// answers with, is about sqrt(K) times nearer to where all seeds would come to. What the rows themselves leave open is
    /// not in it.
    #[arg(long)]
    pub(crate) spread: bool,
    /// Models fitted with --noise: the time of the score [default: the least time of the fit].
    ///
    /// At time 0 there are the data, and noise at the horizon.
    #[arg(long, value_name = "T")]
    pub(crate) at: Option<f64>,
    #[command(flatten)]
    pub(crate) anomaly: AnomalyArgs,
    /// Potentials: also the normalized log density, with log Z estimated from these rows.
    ///
    /// As by eval --likelihood. The rows should not have trained the model; an error where the estimate cannot be
    /// trusted.
    #[arg(long, conflicts_with = "log_z")]
    pub(crate) normalize: bool,
    /// Potentials: also the normalized log density, with the log Z that eval --likelihood gave.
    #[arg(long, value_name = "LOG_Z", allow_negative_numbers = true)]
    pub(crate) log_z: Option<f64>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Seed of drawn rows, and of the estimate of --normalize.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Anomalies")]
pub(crate) struct AnomalyArgs {
    /// Also an anomaly score of each row: larger is more unusual.
    #[arg(long, value_parser = choices::anomaly(), num_args = 0..=1, require_equals = true, value_name = "KIND",
          default_missing_value = "auto")]
    pub(crate) anomaly: Option<AnomalyKind>,
    /// Table of usual rows that did not train the model, for --false-alarm.
    #[arg(long, value_name = "FILE", requires = "false_alarm")]
    pub(crate) held_out: Option<PathBuf>,
    /// Flag anomalies (column is_anomaly, 1 or 0) at this rate of false alarms.
    ///
    /// Beyond a threshold that a new usual row exceeds with at most this probability; found from --held-out,
    /// whatever the model.
    #[arg(long, value_name = "RATE", requires = "held_out", requires = "anomaly")]
    pub(crate) false_alarm: Option<f64>,
}
