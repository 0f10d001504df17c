//! `fit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gradlogp::data::Standardization;
use gradlogp::numeric::Activation;
use serde::{Deserialize, Serialize};

use super::boundary::BoundaryArgs;
use super::model::{ModelArg, ModelArgs};
use super::noise::{NoiseArg, NoiseArgs};
use super::objective::ObjectiveArgs;
use super::prepare::PrepareArgs;
use super::read::ReadArgs;
use super::source::SourceArgs;
use super::training::TrainingArgs;

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Model file to write [default: model.safetensors].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What the model is for, which sets options that are not given.
    #[arg(long = "for", value_enum, value_name = "PURPOSE",
          conflicts_with_all = ["noise", "model", "objective", "given", "bounds", "domain"])]
    pub(crate) purpose: Option<PurposeArg>,
    /// Also write an HTML report.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Go on with an interrupted fit from its checkpoint.
    ///
    /// The checkpoint holds all settings; only --output, --report and --checkpoint-every may be given anew. The
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
    #[command(flatten)]
    pub(crate) objective: ObjectiveArgs,
    #[command(flatten)]
    pub(crate) noise: NoiseArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    /// Of --for density.
    #[arg(skip)]
    pub(crate) by_size: Option<BySize>,
}

impl FitArgs {
    /// Sets what `--for` stands for, where `given` says that it was not given.
    pub(super) fn suit_purpose(&mut self, given: impl Fn(&str) -> bool) {
        match self.purpose {
            Some(PurposeArg::Anomaly) => self.suit_anomaly(given),
            Some(PurposeArg::Density | PurposeArg::Sampling | PurposeArg::Imputation) => {
                self.suit_density(given);
            }
            Some(PurposeArg::Score) | None => {}
        }
    }

    fn suit_anomaly(&mut self, given: impl Fn(&str) -> bool) {
        self.noise.noise = Some(NoiseArg::Ve);
        (self.noise.sigma_min, self.noise.sigma_max) = (Some(0.5), Some(4.0));
        self.model.model = Some(ModelArg::Potential);
        if !given("hidden") {
            self.model.hidden = vec![64, 64];
        }
        if !given("activation") {
            self.model.activation = Some(Activation::Softplus);
        }
        if !given("standardize") {
            self.prepare.standardize = Standardization::Robust;
        }
        if !given("steps") {
            self.training.steps = 1500;
        }
    }

    fn suit_density(&mut self, given: impl Fn(&str) -> bool) {
        self.noise.noise = Some(NoiseArg::Vp);
        if !given("standardize") {
            self.prepare.standardize = Standardization::Whiten;
        }
        self.prepare.dequantize.get_or_insert_default();
        self.by_size = Some(BySize {
            standardize: !given("standardize"),
            noise_weight: !given("noise_weight"),
            times: !given("times"),
            noise_floor: !given("noise_floor"),
            weight_decay: !given("weight_decay"),
            steps: !given("steps"),
            evaluate_every: !given("evaluate_every"),
            patience: !given("patience"),
            members: !given("members"),
        });
    }
}

/// Settings that follow the size of the table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct BySize {
    /// Columns that cannot be whitened may be standardized.
    pub(crate) standardize: bool,
    pub(crate) noise_weight: bool,
    pub(crate) times: bool,
    pub(crate) noise_floor: bool,
    pub(crate) weight_decay: bool,
    pub(crate) steps: bool,
    pub(crate) evaluate_every: bool,
    pub(crate) patience: bool,
    pub(crate) members: bool,
}

/// What a fit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PurposeArg {
    /// score --anomaly: the densities of the data with noise of 1/2 to 4 scales, in seconds. Short for
    /// --noise ve --sigma-min 0.5 --sigma-max 4 --model potential --standardize robust --hidden 64,64
    /// --activation softplus --steps 1500
    Anomaly,
    /// score, without a choice of another: the score and the log density of the data themselves, as fit has them without this
    Score,
    /// loglik and sample: the best log likelihood of new rows, by two networks of all noise levels and a Gaussian mixture.
    /// Short for --noise vp --standardize whiten --dequantize, with --weight-decay, --noise-weight, --times, --noise-floor,
    /// --steps, --evaluate-every, --patience and --members by the size of the table
    Density,
    /// sample: as density
    Sampling,
    /// impute: as density, without the Gaussian mixture, which imputation does not use
    Imputation,
}
