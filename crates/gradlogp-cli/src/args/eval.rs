//! `eval`, and the checks that `report` knows too.

use std::path::PathBuf;

use clap::Args;
use gradlogp::diagnose::Shape;

use super::read::ReadArgs;
use super::source::SourceArgs;
use crate::choices;

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) checks: CheckArgs,
    /// Exit with code 7 if the model is not usable, or the rows are too few to tell.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Seed of everything random: drawn rows, dequantization, and all checks.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Checks beyond those that are always made.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Checks")]
pub(crate) struct CheckArgs {
    /// Potentials: also the rows' normalized log likelihood and bits per dimension.
    ///
    /// The density is normalized by importance sampling and by annealing in both directions; where they do not
    /// agree no likelihood is given, and the reason is.
    #[arg(long)]
    pub(crate) likelihood: bool,
    /// Also check the Stein identities E[s f + f'] = 0 of these functions f of every column.
    #[arg(long, value_parser = choices::shape(), hide_short_help = true, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) test_functions: Vec<Shape>,
    /// Compare the rows with these samples, whose rows must be independent.
    ///
    /// Columns are matched by name. Energy distance, classifier test, Kolmogorov-Smirnov test of each column.
    #[arg(long, value_name = "FILE", conflicts_with = "draw")]
    pub(crate) samples: Option<PathBuf>,
    /// The same with so many rows drawn from the model.
    #[arg(long, value_name = "N")]
    pub(crate) draw: Option<usize>,
}
