//! `info`, `completions` and `man`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Model or checkpoint file.
    pub(crate) model: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder to write one page for each command to [default: the main page, to standard output].
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}
