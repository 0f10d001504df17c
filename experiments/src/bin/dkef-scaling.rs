//! Deep kernel exponential families on N(0, I_d), d growing: seconds per step and the true Fisher
//! divergence per objective.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::diagnose::fisher_divergence;
use gradlogp::dkef::KernelConfig;
use gradlogp::oracle::{Gaussian, Oracle};
use gradlogp_experiments::figure::{Panel, Series, draw};
use gradlogp_experiments::records::{Finished, RunFile, finished, mean_and_error};
use gradlogp_experiments::run::{Sizes, train};
use gradlogp_experiments::{ESTIMATORS, estimator, peak_memory};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// Rows of the published runs: training, validation, test.
const ROWS: [usize; 3] = [4860, 540, 600];

/// Fit deep kernel exponential families to standard normals of growing dimension.
///
/// Runs go to OUT/runs; finished ones are not repeated. Table and figure: OUT/dkef-scaling.md and .svg.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder to write to.
    #[arg(long, default_value = "experiments/out")]
    out: PathBuf,
    /// Dimensions.
    #[arg(long, value_delimiter = ',', default_value = "10,20,50,100,200,500")]
    dims: Vec<usize>,
    /// exact, ssm, ssm-vr, dsm, approximate-backprop.
    #[arg(long, value_delimiter = ',', default_value = "exact,ssm,ssm-vr,dsm")]
    objectives: Vec<String>,
    /// Seeds.
    #[arg(long, value_delimiter = ',', default_value = "1234")]
    seeds: Vec<u64>,
    /// Epochs of 24 steps.
    #[arg(long, default_value_t = 5)]
    epochs: u64,
    /// Worker threads; 0 takes one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Make table and figure of the runs that are there, and train nothing.
    #[arg(long)]
    plot_only: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runs = arguments.out.join("runs");
    if !arguments.plot_only {
        for dim in &arguments.dims {
            for objective in &arguments.objectives {
                for seed in &arguments.seeds {
                    run(&arguments, &runs, *dim, objective, *seed)?;
                }
            }
        }
    }
    let found = finished(&runs)?;
    let of_scaling: Vec<&Finished> =
        found.iter().filter(|run| run.configuration["experiment"] == "dkef-scaling").collect();
    let table = table(&of_scaling)?;
    std::fs::write(arguments.out.join("dkef-scaling.md"), &table)
        .with_context(|| format!("cannot write to {}", arguments.out.display()))?;
    draw(&arguments.out.join("dkef-scaling.svg"), &panels(&of_scaling))?;
    say(&table)
}

fn say(text: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn run(arguments: &Arguments, folder: &Path, dim: usize, objective: &str, seed: u64) -> Result<()> {
    // The published runs are that short: nothing stops them, and lambda is not tuned.
    let sizes =
        Sizes { epochs: arguments.epochs, patience: 0, lambda_steps: 0, ..Sizes::default() };
    let config = KernelConfig {
        estimator: estimator(objective)?,
        seed,
        threads: arguments.threads,
        ..KernelConfig::default()
    };
    let configuration = json!({
        "experiment": "dkef-scaling",
        "dim": dim,
        "objective": objective,
        "seed": seed,
        "sizes": sizes,
        "training": config,
    });
    let name = format!("scaling-{dim:04}-{objective}-{seed}.jsonl");
    let Some(mut file) = RunFile::start(&folder.join(&name), &configuration)? else {
        return Ok(());
    };
    let truth = Gaussian::standard(dim)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let [training, validation, test] = ROWS.map(|n| truth.sample(n, &mut rng));
    let (fit, timing) = train(training.view(), validation.view(), &sizes, config, &mut file)
        .with_context(|| format!("run {name}"))?;
    let model = fit.potential(0.0)?.cast::<f64>();
    let distance = fisher_divergence(&model, &truth, test.view())?;
    file.line(&json!({
        "kind": "result",
        "fisher_divergence": distance.absolute.mean,
        "fisher_divergence_se": distance.absolute.standard_error,
        "relative_fisher_divergence": distance.relative.mean,
        "solve": fit.record,
        "timing": timing,
        "peak_memory_mib": peak_memory(),
    }))?;
    say(&format!(
        "{name}: {:.1} ms a step, Fisher divergence {:.3}",
        1e3 * timing.seconds_per_step,
        distance.absolute.mean
    ))
}

fn dims(runs: &[&Finished]) -> Vec<u64> {
    let mut dims: Vec<u64> =
        runs.iter().filter_map(|run| run.configuration["dim"].as_u64()).collect();
    dims.sort_unstable();
    dims.dedup();
    dims
}

fn values(runs: &[&Finished], dim: u64, objective: &str, path: &str) -> Vec<f64> {
    runs.iter()
        .filter(|run| {
            run.configuration["dim"] == dim && run.configuration["objective"] == objective
        })
        .filter_map(|run| run.result.pointer(path)?.as_f64())
        .collect()
}

fn table(runs: &[&Finished]) -> Result<String> {
    let mut out = String::from(
        "Deep kernel exponential families on N(0, I_d), 4860 training rows.\n\n\
         | d | objective | ms per step | ms per iteration | Fisher divergence | relative | peak MiB |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for dim in dims(runs) {
        for (name, _) in ESTIMATORS {
            let mean = |path: &str| mean_and_error(&values(runs, dim, name, path)).0;
            if values(runs, dim, name, "/fisher_divergence").is_empty() {
                continue;
            }
            writeln!(
                out,
                "| {dim} | {name} | {:.1} | {:.1} | {:.3} | {:.4} | {:.0} |",
                1e3 * mean("/timing/seconds_per_step"),
                1e3 * mean("/timing/seconds_per_iteration"),
                mean("/fisher_divergence"),
                mean("/relative_fisher_divergence"),
                mean("/peak_memory_mib"),
            )?;
        }
    }
    Ok(out)
}

fn panels(runs: &[&Finished]) -> Vec<Panel> {
    let chart = |path: &str, title: &str, y: &str| Panel {
        title: title.into(),
        x: "dimension".into(),
        y: y.into(),
        labels: Vec::new(),
        logarithmic: true,
        series: ESTIMATORS
            .iter()
            .map(|(name, _)| Series {
                name: (*name).to_string(),
                points: dims(runs)
                    .into_iter()
                    .filter_map(|dim| {
                        let found = values(runs, dim, name, path);
                        let (mean, error) = mean_and_error(&found);
                        (!found.is_empty()).then_some((dim as f64, mean, error))
                    })
                    .collect(),
            })
            .filter(|s| !s.points.is_empty())
            .collect(),
    };
    vec![
        chart("/timing/seconds_per_step", "Time of one training step", "seconds"),
        chart("/fisher_divergence", "Fisher divergence from the truth", "E|s - s*|^2 / 2"),
    ]
}
