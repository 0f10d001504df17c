//! `gradlogp completions SHELL` and `gradlogp man [FOLDER]`: the command tree in the words of shells and
//! of `man`.

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use gradlogp::Error;

use super::Show;
use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::text;

pub(crate) fn completions(args: &CompletionsArgs, show: Show) -> Result<ExitCode> {
    refuse_json(show)?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gradlogp", &mut script);
    text::result(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(args: &ManArgs, show: Show) -> Result<ExitCode> {
    refuse_json(show)?;
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        text::result(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|error| Error::io(folder, "write", error))?;
    show.note(&format!("{}: gradlogp.1 and a page for each command", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// There are no figures.
fn refuse_json(show: Show) -> Result<()> {
    if show.json {
        let message = "this command prints no figures; leave it out";
        return Err(Error::config("--json", message).into());
    }
    Ok(())
}
