//! `fit`.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use gradlogp::fit::{Purpose, SizedSetting};

use super::boundary::BoundaryArgs;
use super::model::{BaseArg, ModelArgs};
use super::noise::NoiseArgs;
use super::objective::ObjectiveArgs;
use super::prepare::PrepareArgs;
use super::read::ReadArgs;
use super::source::SourceArgs;
use super::training::TrainingArgs;
use crate::choices;

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Model file to write [default: model.safetensors].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What the model is for, which sets options that are not given [default: score, but not with --noise, --given, bounds, a
    /// --model other than potential, or --base gaussian].
    #[arg(long = "for", value_parser = choices::purpose(), value_name = "PURPOSE",
          conflicts_with_all = ["noise", "model", "objective", "given", "bounds", "domain"])]
    pub(crate) purpose: Option<Purpose>,
    /// Also write an HTML report.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Resume an interrupted fit from its checkpoint.
    ///
    /// The checkpoint holds all settings; only --output, --report and --checkpoint-every can be changed. The
    /// model is that of a fit that was never interrupted.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["data", "dataset"])]
    pub(crate) resume: Option<PathBuf>,
    /// Seconds between checkpoints [default: 5].
    ///
    /// They go to the name of the model file with .checkpoint behind it; 0 writes one at every evaluation.
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) checkpoint_every: Option<f64>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    #[command(flatten)]
    pub(crate) boundary: BoundaryArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What the network of a potential adds to [default: mixture; gaussian with --given, bounds and denoising].
    ///
    /// Without --for, gaussian fits without the settings of --for score.
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        help_heading = "Model",
        hide_short_help = true,
        conflicts_with = "noise"
    )]
    pub(crate) base: Option<BaseArg>,
    #[command(flatten)]
    pub(crate) objective: ObjectiveArgs,
    #[command(flatten)]
    pub(crate) noise: NoiseArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    /// Whether the scaling was given, and is not that of the purpose.
    #[arg(skip)]
    pub(crate) own_scaling: bool,
    /// Settings that were not given.
    #[arg(skip)]
    pub(crate) open: Vec<SizedSetting>,
}

impl FitArgs {
    /// Notes which of the settings that a purpose chooses were given.
    pub(super) fn note_given(&mut self, matches: &ArgMatches) {
        let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        self.own_scaling = given("standardize");
        self.open =
            SizedSetting::ALL.into_iter().filter(|setting| !given(setting.name())).collect();
    }
}
