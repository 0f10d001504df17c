//! Checkpoints of a fit.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradlogp::Error;
use gradlogp::fit::TrainedMember;
use gradlogp::train::{Checkpoint, Trainer};
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::checkpoints::{self, resume_command};
use crate::exit;
use crate::limits::check_threads;
use crate::text::short;

/// What a checkpoint keeps beside the weights.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Resumable {
    pub(super) plan: Plan,
    pub(super) content_hash: String,
    pub(super) seconds: f64,
    /// Worker threads, as many as there were cores where the plan says 0: results depend on their number.
    #[serde(default)]
    pub(super) threads: Option<usize>,
    /// Members of an ensemble that are done, before the one whose weights it holds.
    #[serde(default)]
    pub(super) members: Vec<TrainedMember>,
    /// The settings, which identify a checkpoint as one of this fit.
    #[serde(default)]
    pub(super) run: serde_json::Value,
}

pub(super) fn read_checkpoint(path: &Path) -> Result<(Checkpoint, Resumable)> {
    if !path.exists() {
        let why = "there is no such file. A fit writes its first checkpoint at the first evaluation \
                   after --checkpoint-every seconds and removes it when it is done; if none was \
                   written, start the fit again";
        return Err(Error::io(path, "read", std::io::Error::other(why)).into());
    }
    let (checkpoint, extra) = Checkpoint::load(path)?;
    let resumable = serde_json::from_value(extra)
        .map_err(|e| Error::model_file(path, format!("does not hold a fit: {e}")))?;
    Ok((checkpoint, resumable))
}

/// What a checkpoint file holds, in words, for `gradlogp info`.
pub(in crate::commands) fn checkpoint_settings(path: &Path) -> Result<Vec<(String, String)>> {
    let (checkpoint, Resumable { plan, seconds, members, .. }) = read_checkpoint(path)?;
    let done = checkpoint.step() + members.iter().map(TrainedMember::steps).sum::<u64>();
    let all = plan.fit.members as u64 * plan.fit.training.steps;
    let steps = format!("{done} of {all} done in {} s", short(seconds));
    Ok(vec![
        ("Checkpoint".into(), "an unfinished fit".into()),
        ("Data".into(), plan.source.name()),
        ("Steps".into(), steps),
        ("Model to be".into(), plan.output.display().to_string()),
        ("Go on with".into(), resume_command("fit", path)),
    ])
}

/// What is wrong with the contents of a checkpoint.
pub(super) fn in_checkpoint(path: &Path, error: &anyhow::Error) -> Error {
    let message = exit::message(error);
    Error::model_file(path, format!("does not hold what a fit of this program writes: {message}"))
}

impl Resumable {
    /// Refuses what no command line gives.
    pub(super) fn check(&self) -> Result<()> {
        self.plan.check()?;
        check_threads(self.threads.unwrap_or(0))?;
        if self.plan.is_kernel_family() {
            return Err(Error::config("kernel", "kernel families keep no checkpoint").into());
        }
        if self.members.len() >= self.plan.fit.members {
            return Err(Error::config("members", "more are finished than were requested").into());
        }
        if !(self.seconds >= 0.0) {
            return Err(Error::config("seconds", "must be 0 or more").into());
        }
        Ok(())
    }
}

/// Writes checkpoints now and then.
pub(super) struct Saver {
    pub(super) plan: Plan,
    pub(super) place: checkpoints::Place,
    pub(super) hash: String,
    /// Those that are done.
    pub(super) members: Vec<TrainedMember>,
    pub(super) threads: usize,
    pub(super) before: f64,
    pub(super) start: Instant,
    pub(super) last: Instant,
    pub(super) warned: bool,
}

impl Saver {
    /// Of training so far, before a stop too.
    pub(super) fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// At evaluations, when enough time has passed. What was trained must not be lost for lack of a
    /// checkpoint: a failure is a warning, once, and the next evaluation tries again.
    pub(super) fn after_step(&mut self, trainer: &Trainer) -> Option<String> {
        let evaluated = trainer.step().is_multiple_of(self.plan.fit.training.evaluate_every);
        let due = self.last.elapsed() >= Duration::from_secs_f64(self.plan.checkpoint_every);
        if !(evaluated && due) {
            return None;
        }
        let error = self.save(trainer).err()?;
        let first = !std::mem::replace(&mut self.warned, true);
        first.then(|| {
            format!("{}; the fit continues, but cannot be resumed from here", exit::message(&error))
        })
    }

    pub(super) fn save(&mut self, trainer: &Trainer) -> Result<()> {
        self.last = Instant::now();
        self.place.check()?;
        let resumable = Resumable {
            plan: self.plan.clone(),
            content_hash: self.hash.clone(),
            seconds: self.seconds(),
            threads: Some(self.threads),
            members: self.members.clone(),
            run: self.place.run(),
        };
        let extra = serde_json::to_value(&resumable)?;
        Ok(trainer.checkpoint().save(&self.place.path, &extra)?)
    }
}
