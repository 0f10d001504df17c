//! `sample`.

use std::path::PathBuf;

use clap::Args;

use super::chain::ChainArgs;
use super::lists::{List, named_values};
use gradlogp_report::ImageShape;

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Model file, written by fit.
    #[arg(required_unless_present = "resume")]
    pub(crate) model: Option<PathBuf>,
    /// Rows to draw; with --given-rows, for each row of it.
    #[arg(short, default_value_t = 1000)]
    pub(crate) n: usize,
    /// Conditional models: the values at which to draw, such as age=40,dose=0.5.
    #[arg(long, value_name = "NAME=VALUE", value_parser = named_values)]
    pub(crate) given_values: Vec<List<(String, f64)>>,
    /// Conditional models: a table of the condition; -n rows are drawn at each of its rows.
    #[arg(long, value_name = "FILE", conflicts_with = "given_values")]
    pub(crate) given_rows: Option<PathBuf>,
    /// Keep the noise that fit --dequantize added, and do not round the rows back to the columns' own values.
    #[arg(long)]
    pub(crate) keep_noise: bool,
    /// Where to write: .npy, else CSV [default: CSV to standard output].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Resume a stopped run from its checkpoint.
    ///
    /// The checkpoint holds all settings; only --output and --checkpoint-every can be changed. The rows are
    /// those of a run that never stopped.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) resume: Option<PathBuf>,
    /// Seconds between checkpoints [default: 30].
    ///
    /// They go to the name of the output with .checkpoint behind it.
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) checkpoint_every: Option<f64>,
    /// Also write the trajectories: a .npy array, frames x rows x columns.
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) trace: Option<PathBuf>,
    /// Frames of that array, evenly spaced over the steps, the first and the last included.
    #[arg(long, default_value_t = 50, value_name = "N", hide_short_help = true)]
    pub(crate) frames: usize,
    /// Also draw the first 100 rows as grayscale images whose pixels are the columns, line by line.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
    /// Size of those images [default: square].
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = ImageShape::parse, requires = "sheet",
          hide_short_help = true)]
    pub(crate) image: Option<ImageShape>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}
