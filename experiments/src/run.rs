//! One run of the deep kernel exponential family protocol, whatever the rows.

use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result};
use gradlogp::dkef::{KernelConfig, KernelFamily, KernelFit, KernelTrainer};
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

/// What training took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timing {
    /// Steps taken.
    pub steps: u64,
    /// Step of the parameters kept.
    pub best_step: u64,
    /// Seconds of one step, without validation: forward, solve, adjoint, Adam.
    pub seconds_per_step: f64,
    /// Seconds of one iteration: step, alpha refitted to 1000 rows, validation loss.
    pub seconds_per_iteration: f64,
    /// Seconds of the whole training, the tuning of lambda included.
    pub training_seconds: f64,
}

fn flat(rows: ArrayView2<'_, f64>) -> Vec<f32> {
    rows.iter().map(|x| *x as f32).collect()
}

/// Trains by the protocol, writing one line per epoch.
///
/// # Errors
/// A run that diverged before there was anything to keep, or a file that cannot be written.
pub fn train(
    train: ArrayView2<'_, f64>,
    validation: ArrayView2<'_, f64>,
    sizes: &Sizes,
    config: KernelConfig,
    file: &mut RunFile,
) -> Result<(KernelFit, Timing)> {
    let start = Instant::now();
    let family = KernelFamily { inducing: sizes.inducing, ..KernelFamily::deep(train.ncols()) };
    let per_epoch = (train.nrows() / config.batch).max(1) as u64;
    let config = KernelConfig {
        steps: sizes.epochs * per_epoch,
        patience: sizes.patience,
        lambda_steps: sizes.lambda_steps,
        ..config
    };
    let mut trainer = KernelTrainer::new(family, flat(train), flat(validation), config)?;
    let (mut written, mut losses) = (Ok(()), Vec::new());
    let stop = trainer.run(&mut |step| {
        losses.push(step.loss);
        if step.step.is_multiple_of(per_epoch) {
            written = file.line(&json!({
                "kind": "epoch",
                "epoch": step.step / per_epoch,
                "step": step.step,
                "train_loss": losses.iter().sum::<f64>() / losses.len() as f64,
                "validation_loss": step.validation.map(|v| v.mean),
                "lambda": step.lambda,
                "seconds": start.elapsed().as_secs_f64(),
            }));
            losses.clear();
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written?;
    let (steps, seconds) = (trainer.steps(), start.elapsed().as_secs_f64());
    let best_step = trainer.best().with_context(|| format!("nothing was learnt: {stop:?}"))?.0;
    let fit = trainer.finish()?;
    let training_seconds = start.elapsed().as_secs_f64();
    let timing = Timing {
        steps,
        best_step,
        seconds_per_step: seconds_per_step(&mut trainer)?,
        seconds_per_iteration: seconds / steps as f64,
        training_seconds,
    };
    Ok((fit, timing))
}

/// Median of some steps without validation; the trainer is spent by them.
fn seconds_per_step(trainer: &mut KernelTrainer<f32>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..15 {
        let start = Instant::now();
        trainer.train_step()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
