//! One file per command; each reads like what the command does.

mod bench;
mod compare;
mod datasets;
mod eval;
mod fit;
mod impute;
pub(crate) mod info;
mod loglik;
mod report;
mod sample;
#[cfg(test)]
mod sample_fuzz;
mod score;
mod words;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use gradlogp::Error;
use serde::Serialize;

use crate::args::{BenchCommand, Cli, Command, SourceArgs};
use crate::text;

/// Stands for the name of the model file in an error where that is not at hand.
pub(crate) const MODEL: &str = "MODEL";

/// A model and a table as one would write them again.
pub(crate) fn call(model: &Path, source: &SourceArgs) -> String {
    let rows = match (&source.data, &source.dataset) {
        (Some(path), _) => format!(" {}", text::quoted(path)),
        (None, Some(name)) => format!(" --dataset {name}"),
        (None, None) => String::new(),
    };
    format!("{}{rows}", text::quoted(model))
}

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

/// How a command shows itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    pub(crate) quiet: bool,
    pub(crate) json: bool,
}

impl Show {
    /// No notes on the way.
    pub(crate) fn silent(self) -> bool {
        self.quiet
    }

    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            text::note(text);
        }
    }

    /// Something wrong that the user should know: shown also where notes are not wanted.
    pub(crate) fn warning(self, text: &str) {
        text::warning(text);
    }

    /// Refuses `--json` where the rows themselves would go to standard output.
    pub(crate) fn check_output(self, output: Option<&Path>) -> Result<()> {
        if self.json && output.is_none() {
            let message = "without -o FILE the rows go to standard output, which leaves no place \
                           for the object; add -o FILE";
            return Err(Error::config("--json", message).into());
        }
        Ok(())
    }

    /// The result: the text, or the object that holds the same figures.
    pub(crate) fn result(self, text: &str, object: &impl Serialize) -> Result<()> {
        if self.json {
            return text::result(&serde_json::to_string_pretty(object)?);
        }
        text::result(text)
    }
}
