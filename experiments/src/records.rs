//! JSON lines of runs: written as the run goes, read back for tables.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A run's file while it is written. Lines are objects with a `kind`: configuration, epoch, result.
pub struct RunFile {
    path: PathBuf,
    file: File,
    resumes: bool,
}

impl RunFile {
    /// Starts the file of a run, unless it already ends with a result for this configuration: then None. A
    /// file of this configuration beside a checkpoint is kept, and gone on with.
    ///
    /// # Errors
    /// Where the folder or file cannot be written.
    pub fn start(path: &Path, configuration: &impl Serialize) -> Result<Option<Self>> {
        let configuration = first_line(configuration);
        let lines = if path.exists() { read(path)? } else { Vec::new() };
        let same = lines.first() == Some(&configuration);
        if same && lines.last().is_some_and(|last| last["kind"] == "result") {
            return Ok(None);
        }
        let mut run = RunFile::create(path)?;
        run.resumes = same && run.checkpoint().exists();
        match run.resumes {
            true => lines.iter().try_for_each(|line| run.line(line))?,
            false => run.line(&configuration)?,
        }
        Ok(Some(run))
    }

    /// Starts the file of a run anew, whatever was there.
    ///
    /// # Errors
    /// Where the folder or file cannot be written.
    pub fn anew(path: &Path, configuration: &impl Serialize) -> Result<Self> {
        let mut run = RunFile::create(path)?;
        run.line(&first_line(configuration))?;
        Ok(run)
    }

    fn create(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(RunFile { path: path.to_path_buf(), file, resumes: false })
    }

    /// Where the state of the unfinished run is kept.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.with_extension("checkpoint")
    }

    /// Whether there is a checkpoint of this configuration to go on from.
    pub fn resumes(&self) -> bool {
        self.resumes
    }

    /// Drops the lines of epochs after `step`, which are about to be written again.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn keep_until(&mut self, step: u64) -> Result<()> {
        let mut lines = read(&self.path)?;
        lines.retain(|line| line["step"].as_u64().is_none_or(|at| at <= step));
        let kept = RunFile::create(&self.path)?;
        self.file = kept.file;
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// Writes the last line, and removes the checkpoint.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn result(mut self, value: &impl Serialize) -> Result<()> {
        self.line(value)?;
        let checkpoint = self.checkpoint();
        if checkpoint.exists() {
            std::fs::remove_file(&checkpoint)
                .with_context(|| format!("cannot remove {}", checkpoint.display()))?;
        }
        Ok(())
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

fn first_line(configuration: &impl Serialize) -> Value {
    json!({
        "kind": "configuration",
        "version": env!("CARGO_PKG_VERSION"),
        "configuration": configuration,
    })
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The configuration object.
    pub configuration: Value,
    /// The result object.
    pub result: Value,
}

impl Finished {
    /// A number of the result by its JSON pointer.
    pub fn number(&self, pointer: &str) -> Option<f64> {
        self.result.pointer(pointer)?.as_f64()
    }
}

/// The finished runs of an experiment: those of `OUT/NAME.jsonl`, one a line, and those of `OUT/runs`, which
/// replace others of the same configuration. All of them are written to `OUT/NAME.jsonl`, in the order of
/// their configurations.
///
/// # Errors
/// Files that cannot be read or written.
pub fn collect(out: &Path, name: &str) -> Result<Vec<Finished>> {
    let kept = out.join(format!("{name}.jsonl"));
    let mut runs: Vec<Finished> = Vec::new();
    if kept.exists() {
        for line in read(&kept)? {
            runs.push(serde_json::from_value(line).context("a line is no finished run")?);
        }
    }
    for run in finished(&out.join("runs"))? {
        let of = run.configuration["experiment"].as_str().unwrap_or_default();
        if of == name || of.strip_prefix(name).is_some_and(|rest| rest == "-times") {
            runs.retain(|old| old.configuration != run.configuration);
            runs.push(run);
        }
    }
    runs.sort_by_cached_key(|run| run.configuration.to_string());
    let mut text = String::new();
    for run in &runs {
        text += &(serde_json::to_string(run)? + "\n");
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    std::fs::write(&kept, text).with_context(|| format!("cannot write {}", kept.display()))?;
    Ok(runs)
}

/// All finished runs of a folder; none where there is no such folder.
fn finished(folder: &Path) -> Result<Vec<Finished>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
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
        let run = RunFile::start(&path, &json!({"seed": 1})).unwrap().unwrap();
        assert!(!run.resumes());
        run.result(&json!({"kind": "result", "x": 2.5})).unwrap();
        assert!(RunFile::start(&path, &json!({"seed": 1})).unwrap().is_none());
        let runs = finished(folder.path()).unwrap();
        assert_eq!((runs.len(), runs[0].result["x"].as_f64()), (1, Some(2.5)));
        assert_eq!(runs[0].configuration["seed"], 1);
        assert!(RunFile::start(&path, &json!({"seed": 2})).unwrap().is_some());
        std::fs::write(&path, "{\"kind\":\"configuration\"}\n{\"kind\":\"res").unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
    }

    #[test]
    fn finished_runs_are_collected_in_one_file_that_serves_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str, experiment: &str, seed: u64, x: f64| {
            let path = folder.path().join(format!("runs/{name}.jsonl"));
            let configuration = json!({"experiment": experiment, "seed": seed});
            let run = RunFile::anew(&path, &configuration).unwrap();
            run.result(&json!({"kind": "result", "x": x})).unwrap();
        };
        run("a", "e", 2, 1.5);
        run("b", "e-times", 0, 0.5);
        run("c", "other", 0, 0.0);
        RunFile::anew(&folder.path().join("runs/d.jsonl"), &json!({"experiment": "e"})).unwrap();
        let first = collect(folder.path(), "e").unwrap();
        assert_eq!(first.len(), 2);
        std::fs::remove_dir_all(folder.path().join("runs")).unwrap();
        assert_eq!(collect(folder.path(), "e").unwrap(), first);
        run("a", "e", 2, 2.5);
        let second = collect(folder.path(), "e").unwrap();
        let found: Vec<_> = second.iter().map(|run| run.number("/x").unwrap()).collect();
        assert_eq!(found, [2.5, 0.5]);
    }

    #[test]
    fn a_run_with_a_checkpoint_is_gone_on_with_from_its_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let start = |seed: u64| RunFile::start(&path, &json!({ "seed": seed })).unwrap().unwrap();
        let mut run = start(1);
        for step in [6, 12] {
            run.line(&json!({"kind": "epoch", "step": step})).unwrap();
        }
        std::fs::write(run.checkpoint(), "state at step 6").unwrap();
        let mut run = start(1);
        assert!(run.resumes() && read(&path).unwrap().len() == 3);
        run.keep_until(6).unwrap();
        run.line(&json!({"kind": "epoch", "step": 12, "again": true})).unwrap();
        let lines = read(&path).unwrap();
        assert_eq!(lines.len(), 3);
        assert!(lines[0]["kind"] == "configuration" && lines[1]["step"] == 6);
        assert_eq!(lines[2]["again"], true);
        // Another configuration does not take it up.
        assert!(!start(2).resumes());
        let run = start(2);
        let checkpoint = run.checkpoint();
        run.result(&json!({"kind": "result"})).unwrap();
        assert!(!checkpoint.exists());
    }

    #[test]
    fn mean_and_error_by_hand() {
        // Deviations -1, 0, 1: variance 1, error 1/sqrt 3.
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-15 && (error - 1.0 / 3f64.sqrt()).abs() < 1e-15);
        assert!(mean_and_error(&[1.0]).1.is_nan());
    }
}
