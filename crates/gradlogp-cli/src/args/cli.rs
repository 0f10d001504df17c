//! The command line as a whole: the commands, and what is checked once all options are known.

use std::path::Path;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::bench::{BenchArgs, BenchCommand};
use super::compare::CompareArgs;
use super::conflicts::ignored;
use super::eval::EvalArgs;
use super::fit::FitArgs;
use super::impute::ImputeArgs;
use super::info::{CompletionsArgs, InfoArgs, ManArgs};
use super::loglik::LoglikArgs;
use super::report::ReportArgs;
use super::sample::SampleArgs;
use super::score::ScoreArgs;
use crate::examples;
use crate::limits::check_largest;

/// Fit the score (the gradient of log p) of your data by sliced score matching, and know how far to
/// trust it.
///
/// `gradlogp fit my.csv` fits a density model, checks it on rows it has not seen, and writes
/// model.safetensors.
#[derive(Debug, Parser)]
#[command(name = "gradlogp", version, max_term_width = 100)]
#[command(after_help = examples::MAIN, after_long_help = examples::main_with_exit_codes())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print nothing but results, warnings and errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print one JSON object with every figure that the text shows.
    ///
    /// Its keys are described in docs/json.md.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Cli {
    /// The command line of this process.
    ///
    /// # Errors
    /// Help that was asked for, or what is wrong.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        Self::parse_checked(&Cli::command().try_get_matches()?)
    }

    /// The command line of these words.
    #[cfg(test)]
    pub(crate) fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, clap::Error> {
        Self::parse_checked(&Cli::command().try_get_matches_from(words)?)
    }

    fn parse_checked(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Cli::from_arg_matches(matches)?;
        check_largest(matches, &mut Cli::command())?;
        let Some((name, given)) = matches.subcommand() else { return Ok(cli) };
        match &mut cli.command {
            Command::Fit(fit) => fit.note_given(given),
            Command::Bench(BenchArgs { what: BenchCommand::Fit(clock) }) => {
                given.subcommand().into_iter().for_each(|(_, given)| clock.fit.note_given(given));
            }
            _ => {}
        }
        let command = Cli::command();
        let ignored = command.find_subcommand(name).and_then(|command| ignored(command, given));
        let Some(message) = ignored else { return Ok(cli) };
        Err(Cli::command().error(ErrorKind::ArgumentConflict, message))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fit a model to a table and check it on held-out rows.
    ///
    /// The rows are split into those that train, those that decide when to stop, and those that nothing
    /// sees but the final check. Writes a model file, which all other commands read.
    #[command(allow_negative_numbers = true, after_help = examples::FIT)]
    Fit(Box<FitArgs>),
    /// Fit a table by several objectives under one budget, and compare them.
    ///
    /// Every way is fitted to the same rows. Shows held-out losses with paired differences and their standard
    /// errors, the time of a step, and how much noise the slices add to the gradient.
    #[command(allow_negative_numbers = true, after_help = examples::COMPARE)]
    Compare(Box<CompareArgs>),
    /// Check a fitted model on a table.
    ///
    /// The rows should not have trained the model, or the check is too optimistic. A model fitted with --noise is
    /// checked at several times.
    #[command(after_help = examples::EVAL)]
    Eval(EvalArgs),
    /// Log density of every row under a model fitted with --noise, by the probability flow.
    ///
    /// The densities are normalized, and in the units of the table.
    #[command(allow_negative_numbers = true, after_help = examples::LOGLIK)]
    Loglik(LoglikArgs),
    /// Score, log density and Laplacian of every row of a table.
    ///
    /// In the units of the table. Log densities are up to a constant of the model, unless --normalize or --log-z
    /// is given. With --anomaly, also how unusual each row is.
    #[command(after_help = examples::SCORE)]
    Score(ScoreArgs),
    /// Draw rows from a fitted model.
    ///
    /// By Markov chains, or from noise to data for a model fitted with --noise.
    #[command(allow_negative_numbers = true, after_help = examples::SAMPLE)]
    Sample(SampleArgs),
    /// Draw the missing values of a table from their conditional distribution given the others of their row.
    ///
    /// Observed values are written as they were read.
    #[command(after_help = examples::IMPUTE)]
    Impute(ImputeArgs),
    /// Write the HTML report of a fitted model.
    ///
    /// One file with all pictures in it, which any browser opens, offline.
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Show what a model file holds.
    ///
    /// Also of a checkpoint of fit or sample, with the command that resumes it.
    #[command(after_help = examples::INFO)]
    Info(InfoArgs),
    /// List the built-in data sets.
    #[command(after_help = examples::DATASETS)]
    Datasets,
    /// Measure this machine.
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// Print a script that completes commands and options in your shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands to a folder.
    #[command(after_help = examples::MAN)]
    Man(ManArgs),
}

impl Command {
    /// The model file that was named.
    pub(crate) fn model(&self) -> Option<&Path> {
        match self {
            Command::Eval(args) => Some(&args.model),
            Command::Loglik(args) => Some(&args.model),
            Command::Score(args) => Some(&args.model),
            Command::Sample(args) => args.model.as_deref(),
            Command::Impute(args) => Some(&args.model),
            Command::Report(args) => Some(&args.model),
            Command::Info(args) => Some(&args.model),
            _ => None,
        }
    }
}
