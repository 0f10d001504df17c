//! What a command shows on the terminal.

use std::path::Path;

use anyhow::Result;
use gradlogp::Error;
use serde::Serialize;

use crate::args::SourceArgs;
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

/// What a command shows on the terminal.
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
            let message = "without -o FILE the rows go to standard output, where the JSON object would go; \
                           add -o FILE";
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
