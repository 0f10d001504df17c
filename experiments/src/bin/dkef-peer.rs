//! Data, initial parameters and figures of one short run, for `bench/peers/dkef_torch.py` to repeat.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::diagnose::exact_loss;
use gradlogp::dkef::{KernelConfig, KernelFamily, KernelTrainer};
use gradlogp_experiments::estimator;
use gradlogp_experiments::prepare::{Protocol, Uci, load};
use serde_json::json;

/// Train for some steps from parameters that are written down, and say how long a step takes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the UCI tables.
    #[arg(long)]
    data: PathBuf,
    /// File to write: rows, initial parameters, seconds, held-out loss.
    #[arg(long, default_value = "bench/out/dkef-peer.json")]
    out: PathBuf,
    /// exact, ssm, ssm-vr or dsm.
    #[arg(long, default_value = "ssm")]
    objective: String,
    /// Steps.
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// Seed.
    #[arg(long, default_value_t = 1234)]
    seed: u64,
    /// Worker threads; 0 takes one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> Result<()> {
    let a = Arguments::parse();
    let parts = load(&a.data, Uci::Red, Protocol::Paper, a.seed)?;
    let flat = |rows: &ndarray::Array2<f64>| rows.iter().map(|x| *x as f32).collect::<Vec<f32>>();
    let (train, validation) = (flat(&parts.train), flat(&parts.validation));
    let config = KernelConfig {
        estimator: estimator(&a.objective)?,
        steps: a.steps,
        patience: 0,
        lambda_steps: 0,
        seed: a.seed,
        threads: a.threads,
        ..KernelConfig::default()
    };
    let family = KernelFamily::deep(parts.train.ncols());
    let new =
        || KernelTrainer::new(family.clone(), train.clone(), validation.clone(), config.clone());
    let initial = new()?.theta().to_vec();
    let mut steps = new()?;
    let mut times = Vec::new();
    for _ in 0..a.steps {
        let start = Instant::now();
        steps.train_step()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    // No validation took place, so the last parameters are kept.
    let fit = steps.finish()?;
    let held_out = exact_loss(&fit.potential(0.0)?.cast::<f64>(), parts.validation.view())?;
    let mut whole = new()?;
    let start = Instant::now();
    let count = a.steps.min(40);
    for _ in 0..count {
        whole.take_step()?;
    }
    let per_iteration = start.elapsed().as_secs_f64() / count as f64;
    let rows = |x: &[f32]| x.chunks(family.dim).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let report = json!({
        "objective": a.objective,
        "steps": a.steps,
        "family": family,
        "train": rows(&train),
        "validation": rows(&validation),
        "theta": initial,
        "median_seconds_per_step": times[times.len() / 2],
        "seconds_per_iteration": per_iteration,
        "held_out_exact_loss": held_out.mean,
        "held_out_exact_loss_se": held_out.standard_error,
    });
    if let Some(folder) = a.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&a.out, report.to_string())
        .with_context(|| format!("cannot write {}", a.out.display()))?;
    use std::io::Write as _;
    Ok(writeln!(
        std::io::stdout(),
        "{}: {:.2} ms a step, {:.2} ms an iteration with validation; held-out exact loss {:.3} +- {:.3} \
         after {} steps",
        a.objective,
        1e3 * times[times.len() / 2],
        1e3 * per_iteration,
        held_out.mean,
        held_out.standard_error,
        a.steps
    )?)
}
