//! One short run written down for `bench/peers/dkef.py` to repeat: rows, initial parameters, batches, slices, and
//! what came of them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::Objective;
use gradlogp::diagnose::exact_loss;
use gradlogp::dkef::{KernelBatch, KernelConfig, KernelFamily, KernelTrainer};
use gradlogp_experiments::estimator;
use gradlogp_experiments::prepare::{Protocol, Uci, load};
use serde_json::{Value, json};

/// Train for some steps and write down everything that went into them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the UCI tables.
    #[arg(long)]
    data: PathBuf,
    /// File to write.
    #[arg(long, default_value = "bench/out/dkef-peer.json")]
    out: PathBuf,
    /// red, white or parkinsons.
    #[arg(long, default_value = "red")]
    table: String,
    /// exact, ssm, ssm-vr, dsm, cp or approximate-backprop.
    #[arg(long, default_value = "ssm")]
    objective: String,
    /// Steps.
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// Seed.
    #[arg(long, default_value_t = 1234)]
    seed: u64,
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> Result<()> {
    let a = Arguments::parse();
    let table = Uci::ALL.into_iter().find(|t| t.name() == a.table);
    let table = table.context("--table: red, white or parkinsons")?;
    let parts = load(&a.data, table, Protocol::Paper, a.seed)?;
    let flat = |rows: &ndarray::Array2<f64>| rows.iter().map(|x| *x as f32).collect::<Vec<f32>>();
    let (train, validation) = (flat(&parts.train), flat(&parts.validation));
    let config = KernelConfig {
        objective: estimator(&a.objective)?,
        seed: a.seed,
        threads: a.threads,
        lambda_steps: 0,
        ..KernelConfig::default()
    };
    let family = KernelFamily::deep(parts.train.ncols());
    let mut trainer =
        KernelTrainer::new(family.clone(), train.clone(), validation.clone(), config.clone())?;
    let theta = trainer.theta().to_vec();
    let (mut halves, mut losses, mut first) = (Vec::new(), Vec::new(), Value::Null);
    for step in 0..a.steps {
        let batches = trainer.next_batches();
        if step == 0 {
            let found = trainer.gradient_on(&batches)?;
            first = json!({"loss": found.loss, "alpha": found.alpha, "gradient": found.gradient});
        }
        halves.push(batches.each_ref().map(written));
        losses.push(trainer.step_on(&batches)?.0);
    }
    // alpha by the exact moments of all training rows, so that what is judged is what the steps learnt.
    let exact = KernelConfig { objective: Objective::Exact, ..config };
    let end = trainer.theta().to_vec();
    let fit =
        KernelTrainer::with_parameters(family.clone(), train.clone(), validation, exact, end)?
            .finish()?;
    let held_out = exact_loss(&fit.potential(0.0)?.cast::<f64>(), parts.validation.view())?;
    let report = json!({
        "table": a.table,
        "objective": a.objective,
        "family": family,
        "sigma": match estimator(&a.objective)? {
            Objective::Dsm { sigma } => Some(sigma),
            _ => None,
        },
        "rate": KernelConfig::default().learning_rate,
        "train": train,
        "validation": flat(&parts.validation),
        "theta": theta,
        "halves": halves,
        "first": first,
        "losses": losses,
        "held_out_exact_loss": held_out.mean,
        "held_out_exact_loss_se": held_out.standard_error,
    });
    if let Some(folder) = a.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&a.out, report.to_string())
        .with_context(|| format!("cannot write {}", a.out.display()))
}

fn written(batch: &KernelBatch<f32>) -> Value {
    json!({"x": batch.x, "random": batch.random})
}
