//! Sampling with its progress, and its diagnostics as text.

use std::ops::ControlFlow;

use anyhow::Result;
use gradlogp::draw::{ACCEPTED, Job, Outcome, Route, Samples, Snapshot, Watch};
use gradlogp::{Error, FittedModel};

use crate::args::ChainArgs;
use crate::limits::check_memory;
use crate::progress::Progress;
use crate::{interrupt, text};

/// Above this R-hat chains keep to a part of what all cover that is a ninth of it at most.
const APART: f64 = 3.0;

/// What is said of samples.
pub(crate) trait Words {
    /// One line for the terminal.
    fn summary(&self) -> String;

    /// What to do when the chains disagree.
    fn warning(&self) -> Option<String>;
}

impl Words for Samples {
    fn summary(&self) -> String {
        let by = match &self.route {
            Route::Chains { chains, step_size, .. } => {
                format!("from {chains} chains, step size {}", text::short(*step_size))
            }
            Route::Reverse { steps, schedule, score_evaluations } => {
                format!("in {steps} {schedule} steps, {score_evaluations} evaluations of the score")
            }
        };
        let mut parts = vec![format!("{} rows by {} {by}", self.draws, self.sampler)];
        parts.extend(self.acceptance_rate.map(|a| format!("acceptance {:.0}%", 100.0 * a)));
        parts.extend(self.max_split_r_hat.map(|r| format!("largest split R-hat {}", infinite(r))));
        parts.extend(self.min_effective_sample_size.map(|e| {
            let tails = self.min_tail_effective_sample_size;
            let tails = tails.map_or(String::new(), |e| format!(" ({e:.0} for the tails)"));
            format!("smallest effective sample size {e:.0}{tails}")
        }));
        parts.join(", ")
    }

    fn warning(&self) -> Option<String> {
        if let Some(rows) = self.conditions_not_mixed.as_ref().filter(|rows| !rows.is_empty()) {
            return Some(format!(
                "{} of the conditions: the chain there has not mixed, so its draws are unreliable; \
                 use a longer --warm-up and --thinning, or leave out --step-size to have it adapted",
                text::rows(rows)
            ));
        }
        if self.note.is_some() {
            return self.note.clone();
        }
        let Route::Chains { chains, step_size, .. } = self.route else { return None };
        if let Some(rate) = self.acceptance_rate.filter(|rate| *rate < ACCEPTED) {
            return Some(format!(
                "only {:.2}% of the steps were accepted, so the chains have hardly moved from their \
                 starting points; use a smaller --step-size, or leave it out to have it adapted",
                100.0 * rate
            ));
        }
        let bound = self.r_hat_bound();
        let given = match self.step_given {
            true => format!(
                "the --step-size {} may be too small to explore the density: leave it out to have it \
                 chosen; or ",
                text::short(step_size)
            ),
            false => String::new(),
        };
        let parts =
            "parts of the density are separate, and their weights are those of the starting points";
        match (self.max_split_r_hat.filter(|r| *r > bound), self.stuck()) {
            (Some(r), _) if r > APART => Some(format!(
                "chains disagree (split R-hat {}, should be below {bound:.2}): each covers only a small \
                 part of what all of them cover. Either {given}more --warm-up and --thinning are needed, or \
                 {parts}",
                infinite(r)
            )),
            (Some(r), _) => Some(format!(
                "chains disagree (split R-hat {r:.2}, should be below {bound:.2}): they do not cross \
                 between separate parts of the density, so the weights of the parts are those of the \
                 starting points. A longer --warm-up helps only if the parts are connected; a model of fit \
                 --for sampling samples by the reverse process, which finds the weights"
            )),
            (None, Some(still)) => Some(format!(
                "{still} of {chains} chains have not moved from where they were after warm-up, so that \
                 their draws are copies of one row; use a longer --warm-up or a smaller --step-size"
            )),
            (None, None) => self.unchecked.clone(),
        }
    }
}

/// A number that may be infinite, in words.
fn infinite(x: f64) -> String {
    if x.is_finite() { text::short(x) } else { "infinite".into() }
}

/// A run that has not begun, if this machine has room for it.
pub(crate) fn job(model: &FittedModel, n: usize, args: &ChainArgs) -> Result<Job> {
    if n == 0 {
        return Err(Error::config("-n", "must be at least 1").into());
    }
    let job = Job::new(model, n, &args.config())?;
    check_room(&job, model)?;
    Ok(job)
}

/// Refuses a run for which this machine has no room.
pub(crate) fn check_room(job: &Job, model: &FittedModel) -> Result<()> {
    let [at_once, kept] = job.bytes(model);
    check_memory("--chains", at_once)?;
    check_memory("-n", kept)
}

/// Draws `n` rows in the user's units.
pub(crate) fn draw(
    model: &FittedModel,
    n: usize,
    args: &ChainArgs,
    quiet: bool,
) -> Result<Samples> {
    let outcome = run(job(model, n, args)?, model, quiet, |_| Ok(()))?;
    match outcome.failure {
        Some(error) => Err(error.into()),
        None => Ok(outcome.samples),
    }
}

/// All steps that are left, with a progress bar; `snapshot` sees each, and an error of it ends the run.
pub(crate) fn run(
    job: Job,
    model: &FittedModel,
    quiet: bool,
    snapshot: impl FnMut(Snapshot<'_>) -> Result<()>,
) -> Result<Outcome> {
    let (from, total) = job.steps();
    let bar = Progress::new(quiet, "sampling", from as u64, total as u64);
    let mut shown = Shown { bar, snapshot, trouble: None };
    let outcome = job.run(model, &mut shown);
    shown.bar.finish();
    match shown.trouble {
        Some(error) => Err(error),
        None => Ok(outcome?),
    }
}

/// Shows a run, and stops it at a signal.
struct Shown<F> {
    bar: Progress,
    snapshot: F,
    trouble: Option<anyhow::Error>,
}

impl<F: FnMut(Snapshot<'_>) -> Result<()>> Watch for Shown<F> {
    fn snapshot(&mut self, snapshot: Snapshot<'_>) -> ControlFlow<()> {
        self.bar.at(snapshot.step as u64, || match (snapshot.time, snapshot.acceptance) {
            (Some(time), _) => format!("t {time:.3}"),
            (None, Some(acceptance)) => format!("acceptance {acceptance:.2}"),
            (None, None) => String::new(),
        });
        self.trouble = (self.snapshot)(snapshot).err();
        match self.trouble {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn stops(&mut self) -> bool {
        interrupt::requested()
    }
}
