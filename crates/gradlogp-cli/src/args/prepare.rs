//! What is done to the table before training.

use clap::Args;
use gradlogp::data::{GapRule, Marginals, Standardization};

use super::lists::{List, names};
use crate::choices;

/// What is done to the table before training.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Preparing")]
pub(crate) struct PrepareArgs {
    /// Columns c to condition on: fits the score of p(x | c), x being the other columns.
    ///
    /// They may be discrete; c is given whenever the model is used, and not modelled.
    #[arg(long, value_parser = names, value_name = "NAMES")]
    pub(crate) given: Vec<List<String>>,
    /// Add uniform noise as wide as a column's own step to rounded columns; with names, to these only.
    ///
    /// The ties of rounded columns make score matching degenerate: the loss falls without end.
    #[arg(long, value_parser = names, num_args = 0.., require_equals = true, value_name = "NAMES")]
    pub(crate) dequantize: Option<Vec<List<String>>>,
    /// Leave rounded columns as they are, where fit would give them that noise.
    #[arg(long, conflicts_with = "dequantize", hide_short_help = true)]
    pub(crate) no_dequantize: bool,
    /// Width of that noise.
    #[arg(long, value_parser = choices::gap_rule(), default_value_t = GapRule::Gap, value_name = "RULE", hide_short_help = true)]
    pub(crate) dequantize_rule: GapRule,
    /// How columns are scaled for training, undone in every answer [default: standardize; whiten for the score, density and
    /// sampling, where that can be].
    ///
    /// The scales come from training rows only.
    #[arg(long, value_parser = choices::standardization(), default_value_t = Standardization::Standardize, hide_default_value = true, value_name = "HOW")]
    pub(crate) standardize: Standardization,
    /// Whether every column is first mapped, by itself, to one that is about normal (models of all noise levels)
    /// [default: keep; auto for density, sampling and imputation].
    ///
    /// Heavy tails, skewness, heaps and several modes of single columns are then no work for the network. Undone in every
    /// answer.
    #[arg(long, value_parser = choices::marginals(), value_name = "HOW", hide_short_help = true)]
    pub(crate) marginals: Option<Marginals>,
    /// Share of validation rows, which decide when to stop.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", hide_short_help = true)]
    pub(crate) validation: f64,
    /// Share of test rows, which only the final check uses.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", hide_short_help = true)]
    pub(crate) test: f64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}
