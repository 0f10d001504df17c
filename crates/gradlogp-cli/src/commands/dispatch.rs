//! From the command line to the command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use gradlogp::Error;

use super::{
    MODEL, Show, bench, compare, datasets, eval, fit, impute, info, loglik, report, sample, score,
    words,
};
use crate::args::{BenchCommand, Cli, Command};

/// Runs one command.
pub(crate) fn run(cli: &Cli) -> Result<ExitCode> {
    dispatch(cli).map_err(|error| naming_the_model(error, cli.command.model()))
}

/// What a command says of `MODEL`, with the name of the file.
fn naming_the_model(error: anyhow::Error, model: Option<&Path>) -> anyhow::Error {
    match error.downcast_ref::<Error>() {
        Some(Error::Config { option, message }) if option == MODEL => {
            let name = model.map_or("the model".into(), |path| path.display().to_string());
            Error::config(name, message.as_str()).into()
        }
        _ => error,
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode> {
    let show = Show { quiet: cli.quiet, json: cli.json };
    match &cli.command {
        Command::Fit(args) => fit::run(args, show),
        Command::Compare(args) => compare::run(args, show),
        Command::Eval(args) => eval::run(args, show),
        Command::Loglik(args) => loglik::run(args, show),
        Command::Score(args) => score::run(args, show),
        Command::Sample(args) => sample::run(args, show),
        Command::Impute(args) => impute::run(args, show),
        Command::Report(args) => report::run(args, show),
        Command::Info(args) => info::run(args, show),
        Command::Datasets => datasets::run(show),
        Command::Completions(args) => words::completions(args, show),
        Command::Man(args) => words::man(args, show),
        Command::Bench(args) => match &args.what {
            BenchCommand::Step(args) => bench::step(args, show),
            BenchCommand::Fit(args) => bench::fit(args, show),
            BenchCommand::Score(args) => bench::score(args, show),
            BenchCommand::Mala(args) => bench::mala(args, show),
            BenchCommand::Stein(args) => bench::stein(args, show),
            BenchCommand::Read(args) => bench::read(args, show),
        },
    }
}
