//! Where a run keeps its checkpoint. Only a checkpoint of the same run is ever replaced or removed there: whatever
//! else lies there is the user's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gradlogp::Error;
use gradlogp::storage::TensorFile;
use gradlogp::train::Checkpoint;
use serde::Deserialize;
use serde_json::Value;

use crate::output::is_device;

/// What a checkpoint of sampling is called inside.
pub(crate) const SAMPLING: &str = "gradlogp.sampling";

/// How to go on from a checkpoint of a command.
pub(crate) fn resume_command(command: &str, checkpoint: &Path) -> String {
    format!("gradlogp {command} --resume {}", crate::text::quoted(checkpoint))
}

/// The place for the checkpoints of one run.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// Of its files.
    kind: &'static str,
    /// All settings that decide the result: the same in every checkpoint of the run.
    run: Value,
}

/// What is there.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    Free,
    /// A checkpoint of this run.
    Ours,
    /// Something else, and what to do about it.
    Taken(String),
}

/// As much of the description of a checkpoint as tells its run.
#[derive(Debug, Default, Deserialize)]
struct Head {
    #[serde(default)]
    run: Value,
    #[serde(default)]
    extra: Extra,
}

#[derive(Debug, Default, Deserialize)]
struct Extra {
    #[serde(default)]
    run: Value,
}

impl Place {
    /// Beside the output of a fit, or in the current folder where nothing can be put beside it.
    pub(crate) fn of_fit(output: &Path, run: Value) -> Self {
        let path = match is_device(output) {
            true => "model.safetensors.checkpoint".into(),
            false => beside(output),
        };
        Place { path, kind: Checkpoint::KIND, run }
    }

    /// Beside the output of `sample`; none where nothing can be put beside it.
    pub(crate) fn of_sample(output: &Path, run: Value) -> Option<Self> {
        (!is_device(output)).then(|| Place { path: beside(output), kind: SAMPLING, run })
    }

    /// By which its checkpoints are known.
    pub(crate) fn run(&self) -> Value {
        self.run.clone()
    }

    /// Says of which run it is.
    pub(crate) fn set_run(&mut self, run: Value) {
        self.run = run;
    }

    /// Whether it is the file of this name, under whatever name.
    pub(crate) fn is_file(&self, path: Option<&Path>) -> bool {
        let whole = |path: &Path| path.canonicalize().ok();
        path.and_then(whole).is_some_and(|path| whole(&self.path) == Some(path))
    }

    /// What is there now.
    pub(crate) fn standing(&self) -> Standing {
        let path = self.path.display();
        if !self.path.exists() {
            return Standing::Free;
        }
        let kind = TensorFile::kind(&self.path).unwrap_or_default();
        let of_which = match kind.as_str() {
            Checkpoint::KIND => "fit",
            SAMPLING => "sample",
            _ => {
                let message = "it is not a checkpoint; move it away, or name another \
                               --output";
                return Standing::Taken(message.into());
            }
        };
        let head: Head = TensorFile::description(&self.path, &kind).unwrap_or_default();
        let run = if kind == SAMPLING { head.run } else { head.extra.run };
        match kind == self.kind && run == self.run {
            true => Standing::Ours,
            false => Standing::Taken(format!(
                "it holds an unfinished run of {of_which} with another model, table or settings; resume it \
                 with gradlogp {of_which} --resume {path}, delete it, or name another --output"
            )),
        }
    }

    /// Refuses to begin, or to go on saving, where something else would be lost.
    pub(crate) fn check(&self) -> Result<Standing> {
        match self.standing() {
            Standing::Taken(why) => {
                let message = format!("the checkpoints of this run would go there, and {why}");
                Err(Error::io(&self.path, "write", std::io::Error::other(message)).into())
            }
            standing => Ok(standing),
        }
    }

    /// A finished run needs no checkpoint; that it cannot be removed harms nothing.
    pub(crate) fn remove(&self) {
        if self.standing() == Standing::Ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn beside(output: &Path) -> PathBuf {
    let mut name = output.to_path_buf().into_os_string();
    name.push(".checkpoint");
    name.into()
}
