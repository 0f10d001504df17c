//! The program `gradlogp`: arguments become a checked plan, the plan runs, errors become exit codes.

mod anomaly;
mod args;
mod bounds;
mod checkpoints;
mod checks;
mod choices;
mod commands;
mod evaluation;
mod examples;
mod exit;
mod file_id;
mod input;
mod interrupt;
mod limits;
#[cfg(test)]
#[path = "../../gradlogp/tests/fuzz/mutate.rs"]
mod mutate;
#[cfg(test)]
mod option_names;
mod output;
mod places;
mod progress;
mod sampling;
mod text;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::Cli::read() {
        Ok(cli) => cli,
        Err(error) => return exit::unread(&error),
    };
    interrupt::watch(cli.quiet);
    match commands::run(&cli) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}
