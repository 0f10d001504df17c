//! One run of the deep kernel exponential family protocol, whatever the rows.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gradlogp::dkef::{KernelConfig, KernelFamily, KernelFit, KernelTrainer};
use gradlogp::train::Stop;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::records::RunFile;

/// Sizes of the published protocol that a trial may reduce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Passes over the training rows, in units of floor(n / 200) steps.
    pub epochs: u64,
    /// Steps without a better validation loss before training stops; 0: never.
    pub patience: u64,
    /// Steps that tune lambda at the end.
    pub lambda_steps: u64,
    /// Inducing points.
    pub inducing: usize,
    /// Draws for log Z.
    pub draws: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { epochs: 500, patience: 200, lambda_steps: 1000, inducing: 200, draws: 1_000_000 }
    }
}

/// Least time between two checkpoints: each is flushed to the disk, which can take longer than an epoch.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(5);

/// What training took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timing {
    /// Steps taken.
    pub steps: u64,
    /// Step of the parameters kept.
    pub best_step: u64,
    /// Seconds of the steps and their validations, on a machine that may have had other work.
    pub step_seconds: f64,
    /// Seconds of the whole training, the tuning of lambda included.
    pub training_seconds: f64,
}

fn flat(rows: ArrayView2<'_, f64>) -> Vec<f32> {
    rows.iter().map(|x| *x as f32).collect()
}

/// The protocol's trainer for some rows, and steps per epoch.
fn protocol(
    [train, validation]: [ArrayView2<'_, f64>; 2],
    sizes: &Sizes,
    config: KernelConfig,
) -> Result<(KernelTrainer<f32>, u64)> {
    let family = KernelFamily { inducing: sizes.inducing, ..KernelFamily::deep(train.ncols()) };
    let per_epoch = (train.nrows() / config.batch).max(1) as u64;
    let config = KernelConfig {
        steps: sizes.epochs * per_epoch,
        patience: sizes.patience.div_ceil(config.evaluate_every),
        lambda_steps: sizes.lambda_steps,
        ..config
    };
    Ok((KernelTrainer::new(family, flat(train), flat(validation), config)?, per_epoch))
}

/// Trains by the protocol on training and validation rows. After each epoch a line is written, and now and then a
/// checkpoint, from which a run that was broken off goes on.
///
/// # Errors
/// A run that diverged before there was anything to keep, or a file that cannot be read or written.
pub fn train(
    rows: [ArrayView2<'_, f64>; 2],
    sizes: &Sizes,
    config: KernelConfig,
    file: &mut RunFile,
) -> Result<(KernelFit, Timing)> {
    let start = Instant::now();
    let (mut trainer, per_epoch) = protocol(rows, sizes, config)?;
    let checkpoint = file.checkpoint();
    let mut before = 0.0;
    if file.resumes() {
        let kept = trainer.restore(&checkpoint).context("remove it to start this run anew")?;
        before = kept.parse().context("seconds in the checkpoint")?;
        file.keep_until(trainer.steps())?;
    }
    let seconds = || before + start.elapsed().as_secs_f64();
    let mut saved: Option<Instant> = None;
    let stop = loop {
        let (mut written, mut losses) = (Ok(()), Vec::new());
        let stop = trainer.run(&mut |step| {
            losses.push(step.loss);
            if !step.step.is_multiple_of(per_epoch) {
                return ControlFlow::Continue(());
            }
            written = file.line(&json!({
                "kind": "epoch",
                "epoch": step.step / per_epoch,
                "step": step.step,
                "train_loss": losses.iter().sum::<f64>() / losses.len() as f64,
                "validation_loss": step.validation.map(|v| v.mean),
                "lambda": step.lambda,
                "seconds": seconds(),
            }));
            ControlFlow::Break(())
        });
        written?;
        if stop != Stop::Interrupted {
            break stop;
        }
        if saved.is_none_or(|at| at.elapsed() >= BETWEEN_CHECKPOINTS) {
            trainer.save(&checkpoint, &seconds().to_string())?;
            saved = Some(Instant::now());
        }
    };
    let step_seconds = seconds();
    let best_step = trainer.best().with_context(|| format!("nothing was learnt: {stop:?}"))?.0;
    let fit = trainer.finish()?;
    let timing =
        Timing { steps: trainer.steps(), best_step, step_seconds, training_seconds: seconds() };
    Ok((fit, timing))
}

/// How long the parts of the protocol take, from its initial parameters.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Times {
    /// One step without validation: forward, solve, adjoint, Adam. A median.
    pub seconds_per_step: f64,
    /// One iteration: step, alpha refitted to 1000 rows, validation loss. A median.
    pub seconds_per_iteration: f64,
    /// One step of the tuning of lambda, the passes over all training rows before and after it shared out.
    pub seconds_per_lambda_step: f64,
}

/// Steps of the tuning of lambda that are timed.
const LAMBDA_STEPS: u64 = 50;

/// Times `count` steps and as many iterations.
///
/// # Errors
/// A run that diverged.
pub fn time(
    rows: [ArrayView2<'_, f64>; 2],
    sizes: &Sizes,
    config: KernelConfig,
    count: usize,
) -> Result<Times> {
    let sizes = Sizes { lambda_steps: LAMBDA_STEPS, ..sizes.clone() };
    let (mut trainer, _) = protocol(rows, &sizes, config)?;
    trainer.take_step()?;
    let seconds_per_step = median(count, || Ok(trainer.train_step().map(|_| ())?))?;
    let seconds_per_iteration = median(count, || Ok(trainer.take_step().map(|_| ())?))?;
    let start = Instant::now();
    trainer.finish()?;
    let seconds_per_lambda_step = start.elapsed().as_secs_f64() / LAMBDA_STEPS as f64;
    Ok(Times { seconds_per_step, seconds_per_iteration, seconds_per_lambda_step })
}

/// Median seconds of `count` calls.
fn median(count: usize, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..count.max(1) {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
