//! `gradlogp fit DATA -o model.safetensors`

mod checkpoint;
mod family;
mod plan;
mod result;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use gradlogp::Error;
use gradlogp::fit::{Prepared, Trained, TrainedMember};
use gradlogp::train::{Checkpoint, Event, HistoryPoint, Stop, TrainConfig, Trainer};

use self::checkpoint::{Resumable, Saver, in_checkpoint, read_checkpoint};
use self::result::finish;
use super::Show;
use crate::args::FitArgs;
use crate::checkpoints::{self, resume_command};
use crate::exit;
use crate::interrupt::{self, Keeping};
use crate::progress::Progress;
use crate::text::short;

pub(super) use self::checkpoint::checkpoint_settings;
pub(super) use self::plan::Plan;

pub(crate) fn run(args: &FitArgs, show: Show) -> Result<ExitCode> {
    let (mut plan, checkpoint) = match &args.resume {
        Some(path) => {
            let (checkpoint, mut resumable) = read_checkpoint(path)?;
            resumable.check().map_err(|e| in_checkpoint(path, &e))?;
            resumable.plan.override_outputs(args)?;
            (resumable.plan.clone(), Some((checkpoint, resumable)))
        }
        None => (Plan::of_fit(args)?, None),
    };
    let run = match &checkpoint {
        Some((_, resumable)) => resumable.run.clone(),
        None => plan.identity()?,
    };
    let place = checkpoints::Place::of_fit(&plan.output, run);
    plan.check_places(args.resume.as_deref(), &place, show)?;
    let (prepared, warnings) = plan.prepare(show)?;
    let plan = plan.resolve_objective(&prepared, show)?;
    plan.check_size(&prepared)?;
    if plan.is_kernel_family() {
        let start = Instant::now();
        let trained = train_kernel_family(&plan, &prepared, show)?;
        let seconds = start.elapsed().as_secs_f64();
        let rows = (&prepared, warnings);
        return finish(&plan, rows, &trained, None, interrupt::keep(), seconds, show);
    }
    let resumed = checkpoint.zip(args.resume.as_deref());
    let (trainer, stop, saver, keeping) = train(&plan, &prepared, &place, resumed, show)?;
    let seconds = saver.seconds();
    if stop == Stop::Interrupted {
        show.note(&format!(
            "stopped at step {} of {}; resume with: {}",
            saver.members.iter().map(TrainedMember::steps).sum::<u64>() + trainer.step(),
            plan.fit.members as u64 * plan.fit.training.steps,
            resume_command("fit", &place.path)
        ));
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    let last = TrainedMember::of(&trainer);
    let members: Vec<TrainedMember> = saver.members.iter().cloned().chain([last]).collect();
    let trained = prepared.ensemble(&plan.fit, &members, stop)?;
    let kept = Some((&trainer, saver));
    finish(&plan, (&prepared, warnings), &trained, kept, keeping, seconds, show)
}

/// Fits a kernel family. It keeps no checkpoint, so a signal ends the program.
fn train_kernel_family(plan: &Plan, prepared: &Prepared, show: Show) -> Result<Trained> {
    interrupt::say("stopped; a kernel family keeps no checkpoint, so nothing was written");
    let mut bar = Progress::new(show.silent(), "fitting", 0, plan.fit.training.steps);
    let mut held_out = None;
    let trained = prepared.train_kernel_family(&plan.fit, &mut |step| {
        held_out = step.validation.map(|v| v.mean).or(held_out);
        bar.at(step.step, || {
            let held = held_out.map_or(String::new(), |l| format!(", held out {}", short(l)));
            format!("loss {}{held},", short(step.loss))
        });
        ControlFlow::Continue(())
    });
    bar.finish();
    Ok(trained?)
}

/// Runs the training loop; returns why it ended, what a checkpoint of it holds, and what keeps signals from ending the
/// program before the result is written.
fn train(
    plan: &Plan,
    prepared: &Prepared,
    place: &checkpoints::Place,
    resumed: Option<((Checkpoint, Resumable), &Path)>,
    show: Show,
) -> Result<(Trainer, Stop, Saver, Keeping)> {
    let mut training = prepared.training(&plan.fit);
    let threads = resumed.as_ref().and_then(|((_, resumable), _)| resumable.threads);
    if let Some(threads) = threads.filter(|_| training.threads == 0) {
        training.threads = threads;
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() != threads) {
            show.note(&format!(
                "resuming with {threads} threads, as the fit began: its result depends on their number"
            ));
        }
    }
    let start = Instant::now();
    let mut saver = Saver {
        plan: plan.clone(),
        place: place.clone(),
        hash: prepared.checked().content_hash().to_string(),
        members: Vec::new(),
        threads: 0,
        before: 0.0,
        start,
        last: start,
        warned: false,
    };
    if let Some(((_, resumable), _)) = &resumed {
        if resumable.content_hash != saver.hash {
            let message = "the table has changed since the checkpoint was written; start again";
            return Err(Error::data(plan.source.name(), message).into());
        }
        (saver.before, saver.members) = (resumable.seconds, resumable.members.clone());
    }
    let mut checkpoint = resumed.map(|((checkpoint, _), path)| (checkpoint, path));
    let keeping = interrupt::keep();
    let all = plan.fit.members as u64 * plan.fit.training.steps;
    let done = saver.members.len() as u64 * plan.fit.training.steps;
    let mut bar = Progress::new(show.silent(), "fitting", done, all);
    loop {
        let member = saver.members.len();
        let seed = prepared.member_training(&plan.fit, member).seed;
        let config = TrainConfig { seed, ..training.clone() };
        let mut trainer = prepared.trainer(&plan.fit, config)?;
        saver.threads = trainer.threads();
        if let Some((checkpoint, path)) = checkpoint.take() {
            trainer = trainer.restored(checkpoint).map_err(|e| in_checkpoint(path, &e.into()))?;
        }
        let stop = match trainer.is_out_of_patience() {
            true => Stop::Patience,
            false => run_member(plan, &mut trainer, &mut saver, &mut bar),
        };
        if stop == Stop::Interrupted {
            bar.finish();
            saver.save(&trainer).context("stopped, but the checkpoint cannot be written")?;
            return Ok((trainer, stop, saver, keeping));
        }
        if member + 1 == plan.fit.members || matches!(stop, Stop::Diverged { .. }) {
            bar.finish();
            return Ok((trainer, stop, saver, keeping));
        }
        saver.members.push(TrainedMember::of(&trainer));
    }
}

/// Trains one member, shown after those that are done.
fn run_member(plan: &Plan, trainer: &mut Trainer, saver: &mut Saver, bar: &mut Progress) -> Stop {
    let steps = plan.fit.training.steps;
    let done = saver.members.len() as u64 * steps;
    let mut held_out = trainer.history().last().map(|p| p.held_out.mean);
    // What adds to a mixture has a score before it has learnt anything.
    let adds = plan.fit.with_gaussians && !plan.is_diffusion();
    let mut learns = adds || trainer.history().iter().any(|p| p.held_out.beats_no_score());
    let (start, mut rows) = (Instant::now(), 0u64);
    trainer.run(&mut |trainer: &Trainer, event| {
        match event {
            Event::Evaluated { point, .. } => {
                held_out = Some(point.held_out.mean);
                if !learns && point.held_out.beats_no_score() {
                    learns = true;
                } else if !learns && point.step >= steps.div_ceil(EARLY) {
                    learns = true;
                    bar.warn(&nothing_learnt(point, steps));
                }
            }
            Event::Step(p) => {
                rows += p.rows as u64;
                bar.at(done + p.step, || {
                    let rate = rows as f64 / start.elapsed().as_secs_f64();
                    let held =
                        held_out.map_or(String::new(), |l| format!(", held out {}", short(l)));
                    format!("loss {}{held}, {rate:.0} rows/s,", short(p.loss))
                });
                if let Some(warning) = saver.after_step(trainer) {
                    bar.warn(&warning);
                }
            }
            _ => {}
        }
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

/// Said once, when this share of the steps has left the loss where it was.
const EARLY: u64 = 5;

fn nothing_learnt(point: HistoryPoint, steps: u64) -> String {
    format!(
        "after {} of {steps} steps the held-out loss, {} +- {}, is no better than that of a score of 0 \
         everywhere. If that is not what the rows are like, stop with Ctrl-C and look at their scale \
         (--standardize), at outliers, at rounded columns (--dequantize), or try a smaller --rate",
        point.step,
        short(point.held_out.mean),
        short(point.held_out.standard_error)
    )
}
