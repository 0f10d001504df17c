//! `report`.

use std::path::PathBuf;

use clap::Args;

use super::eval::CheckArgs;
use super::read::ReadArgs;
use gradlogp_report::ImageShape;

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    /// Table to show the model against [default: what it was fitted to, if that is still there].
    pub(crate) data: Option<PathBuf>,
    /// Where to write.
    #[arg(long, short, default_value = "report.html", value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The columns are the pixels of grayscale images, line by line: show rows and samples as such.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = ImageShape::parse)]
    pub(crate) image: Option<ImageShape>,
    /// Seed of everything random: drawn rows, dequantization, checks, samples [default: that of the fit].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) checks: CheckArgs,
}
