//! JSON lines of runs: written as the run goes, read back for tables.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

/// A run's file while it is written. Lines are objects with a `kind`: configuration, epoch, result.
pub struct RunFile {
    path: PathBuf,
    file: File,
}

impl RunFile {
    /// Starts the file of a run, unless it already ends with a result for this configuration: then None.
    ///
    /// # Errors
    /// Where the folder or file cannot be written.
    pub fn start(path: &Path, configuration: &impl Serialize) -> Result<Option<Self>> {
        let configuration = json!({
            "kind": "configuration",
            "version": env!("CARGO_PKG_VERSION"),
            "configuration": configuration,
        });
        if path.exists() {
            let lines = read(path)?;
            let finished = lines.last().is_some_and(|last| last["kind"] == "result");
            if finished && lines.first() == Some(&configuration) {
                return Ok(None);
            }
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut run = RunFile { path: path.to_path_buf(), file };
        run.line(&configuration)?;
        Ok(Some(run))
    }

    /// Appends one object; it is in the file when this returns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value)? + "\n";
        self.file
            .write_all(text.as_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// The lines of a run. A last line cut short by a crash is left out.
///
/// # Errors
/// A file that cannot be read.
pub fn read(path: &Path) -> Result<Vec<Value>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines() {
        match serde_json::from_str(&line?) {
            Ok(value) => lines.push(value),
            Err(_) => break,
        }
    }
    Ok(lines)
}

/// A finished run: its configuration and its result.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The configuration object.
    pub configuration: Value,
    /// The result object.
    pub result: Value,
}

/// All finished runs of a folder, in the order of their names.
///
/// # Errors
/// A folder that cannot be read.
pub fn finished(folder: &Path) -> Result<Vec<Finished>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the runs in {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    paths.sort();
    let mut runs = Vec::new();
    for path in paths {
        let lines = read(&path)?;
        if let (Some(first), Some(last)) = (lines.first(), lines.last())
            && last["kind"] == "result"
        {
            runs.push(Finished {
                configuration: first["configuration"].clone(),
                result: last.clone(),
            });
        }
    }
    Ok(runs)
}

/// Mean of some numbers and its standard error; the error is NaN for fewer than two.
pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, if values.len() < 2 { f64::NAN } else { (variance / n).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_run_is_not_repeated_and_a_changed_or_broken_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut run = RunFile::start(&path, &json!({"seed": 1})).unwrap().unwrap();
        run.line(&json!({"kind": "epoch", "step": 1})).unwrap();
        assert!(finished(folder.path()).unwrap().is_empty());
        let mut run = RunFile::start(&path, &json!({"seed": 1})).unwrap().unwrap();
        run.line(&json!({"kind": "result", "x": 2.5})).unwrap();
        assert!(RunFile::start(&path, &json!({"seed": 1})).unwrap().is_none());
        let runs = finished(folder.path()).unwrap();
        assert_eq!((runs.len(), runs[0].result["x"].as_f64()), (1, Some(2.5)));
        assert_eq!(runs[0].configuration["seed"], 1);
        assert!(RunFile::start(&path, &json!({"seed": 2})).unwrap().is_some());
        std::fs::write(&path, "{\"kind\":\"configuration\"}\n{\"kind\":\"res").unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
    }

    #[test]
    fn mean_and_error_by_hand() {
        // Deviations -1, 0, 1: variance 1, error 1/sqrt 3.
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-15 && (error - 1.0 / 3f64.sqrt()).abs() < 1e-15);
        assert!(mean_and_error(&[1.0]).1.is_nan());
    }
}
