//! The command line: one file for each command, and for each group of options that several commands have.

mod bench;
mod boundary;
mod chain;
mod cli;
mod compare;
mod conflicts;
mod eval;
mod fit;
mod impute;
mod info;
mod lists;
mod loglik;
mod model;
mod noise;
mod objective;
mod prepare;
mod read;
mod report;
mod sample;
mod score;
mod source;
mod training;

#[cfg(test)]
mod tests;

pub(crate) use bench::{
    BenchCommand, FitClockArgs, MalaClockArgs, NetworkArgs, ReadClockArgs, ScoreClockArgs,
    SteinClockArgs, StepArgs,
};
pub(crate) use chain::ChainArgs;
pub(crate) use cli::{Cli, Command};
pub(crate) use compare::CompareArgs;
#[cfg(test)]
pub(crate) use conflicts::{OF_KERNELS, OF_NETWORKS, RESUMABLE, WITH_RESUME};
pub(crate) use eval::{CheckArgs, EvalArgs};
pub(crate) use fit::FitArgs;
pub(crate) use impute::ImputeArgs;
pub(crate) use info::{CompletionsArgs, InfoArgs, ManArgs};
pub(crate) use lists::flat;
pub(crate) use loglik::LoglikArgs;
pub(crate) use model::{BaseArg, ModelArg, ModelArgs};
pub(crate) use objective::ObjectiveArg;
pub(crate) use read::{ReadArgs, delimiter};
pub(crate) use report::ReportArgs;
pub(crate) use sample::SampleArgs;
pub(crate) use score::{AnomalyArgs, ScoreArgs};
pub(crate) use source::SourceArgs;
