//! `compare`.

use std::path::PathBuf;

use clap::Args;
use gradlogp::slice::SliceDistribution;

use super::boundary::BoundaryArgs;
use super::fit::FitArgs;
use super::model::ModelArgs;
use super::noise::NoiseArgs;
use super::objective::{ObjectiveArg, ObjectiveArgs};
use super::prepare::PrepareArgs;
use super::read::ReadArgs;
use super::source::SourceArgs;
use super::training::TrainingArgs;
use crate::choices;

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Objectives to compare.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "ssm,ssm-vr,exact",
        value_name = "NAMES"
    )]
    pub(crate) objectives: Vec<ObjectiveArg>,
    /// Slice distributions, each with every objective that has slices.
    #[arg(
        long,
        alias = "laws",
        value_parser = choices::slice_distribution(),
        value_delimiter = ',',
        default_value = "rademacher",
        value_name = "NAMES"
    )]
    pub(crate) slice_distributions: Vec<SliceDistribution>,
    /// Numbers of slices, each with every distribution.
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "NUMBERS")]
    pub(crate) slices: Vec<usize>,
    /// Noise level of dsm and fd-dsm, in standardized units.
    #[arg(long, default_value_t = ObjectiveArgs::default().sigma, hide_short_help = true)]
    pub(crate) sigma: f64,
    /// Step of fd-ssm and fd-dsm, in standardized units [default: as in fit].
    #[arg(long, value_name = "EPS", hide_short_help = true)]
    pub(crate) fd_eps: Option<f64>,
    /// Fits of each way, with different initial weights, batches and slices on the same rows.
    ///
    /// With more than one, standard errors hold for the way to fit and not only for one fit of it.
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub(crate) seeds: usize,
    /// Optimizer steps of each fit.
    #[arg(long, default_value_t = 2000)]
    pub(crate) steps: u64,
    /// Seconds of each fit instead, held-out evaluations apart.
    ///
    /// As many steps are taken as a short trial finds to fit in.
    #[arg(long, conflicts_with = "steps")]
    pub(crate) seconds: Option<f64>,
    /// Fresh draws of slices from which variances are measured.
    #[arg(long, default_value_t = 64, hide_short_help = true)]
    pub(crate) draws: usize,
    /// Rows per step, and rows on which variances are measured.
    #[arg(long, default_value_t = TrainingArgs::default().batch, hide_short_help = true)]
    pub(crate) batch: usize,
    /// Largest learning rate of AdamW.
    #[arg(long, default_value_t = TrainingArgs::default().rate, hide_short_help = true)]
    pub(crate) rate: f64,
    /// Steps between held-out evaluations, which choose the weights that are kept.
    #[arg(long, default_value_t = TrainingArgs::default().evaluate_every, hide_short_help = true)]
    pub(crate) evaluate_every: u64,
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Also write an HTML page with pictures.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    #[command(flatten)]
    pub(crate) boundary: BoundaryArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

impl CompareArgs {
    /// As a fit with these settings; the objective is any.
    pub(crate) fn as_fit(&self) -> FitArgs {
        FitArgs {
            source: self.source.clone(),
            output: None,
            purpose: None,
            report: None,
            resume: None,
            checkpoint_every: None,
            read: self.read.clone(),
            prepare: self.prepare.clone(),
            boundary: self.boundary.clone(),
            model: self.model.clone(),
            objective: ObjectiveArgs {
                objective: ObjectiveArg::Exact,
                sigma: self.sigma,
                fd_eps: self.fd_eps,
                ..ObjectiveArgs::default()
            },
            noise: NoiseArgs::default(),
            own_scaling: true,
            open: Vec::new(),
            base: None,
            training: TrainingArgs {
                steps: self.steps,
                batch: self.batch,
                rate: self.rate,
                evaluate_every: self.evaluate_every,
                // Every way takes all its steps.
                patience: Some(0),
                threads: self.threads,
                ..TrainingArgs::default()
            },
        }
    }
}
