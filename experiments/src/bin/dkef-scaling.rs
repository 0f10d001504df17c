//! Deep kernel exponential families on N(0, I_d), d growing: seconds per step and the true Fisher
//! divergence per objective.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::diagnose::fisher_divergence;
use gradlogp::dkef::KernelConfig;
use gradlogp::reference::{Gaussian, ReferenceDensity};
use gradlogp_experiments::figure::{Panel, Series, draw};
use gradlogp_experiments::records::{Finished, RunFile, collect, mean_and_error};
use gradlogp_experiments::run::{Sizes, time, train};
use gradlogp_experiments::{ESTIMATORS, estimator, peak_memory};
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// Rows of the published runs: training, validation, test.
const ROWS: [usize; 3] = [4860, 540, 600];

/// Fit deep kernel exponential families to standard normals of growing dimension.
///
/// Runs go to OUT/runs; finished ones are not repeated, and one that was broken off goes on from its last
/// epoch. Results: OUT/dkef-scaling.jsonl; table and figure, made from it: .md and .svg.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder to write to.
    #[arg(long, default_value = "experiments/out")]
    out: PathBuf,
    /// Dimensions.
    #[arg(long, value_delimiter = ',', default_value = "10,20,50,100,200,500")]
    dims: Vec<usize>,
    /// exact, ssm, ssm-vr, dsm, cp, approximate-backprop.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "exact,ssm,ssm-vr,dsm,cp,approximate-backprop"
    )]
    objectives: Vec<String>,
    /// Seeds.
    #[arg(long, value_delimiter = ',', default_value = "1234")]
    seeds: Vec<u64>,
    /// Epochs of 24 steps.
    #[arg(long, default_value_t = 5)]
    epochs: u64,
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Make table and figure of the runs that are there, and train nothing.
    #[arg(long)]
    plot_only: bool,
    /// Time so many steps and iterations of each dimension and objective in place of training; the machine
    /// should have no other work.
    #[arg(long, conflicts_with = "plot_only")]
    time: Option<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runs = arguments.out.join("runs");
    if !arguments.plot_only {
        for dim in &arguments.dims {
            for objective in &arguments.objectives {
                if let Some(count) = arguments.time {
                    times(&arguments, &runs, *dim, objective, count)?;
                    continue;
                }
                for seed in &arguments.seeds {
                    run(&arguments, &runs, *dim, objective, *seed)?;
                }
            }
        }
    }
    let found = collect(&arguments.out, "dkef-scaling")?;
    let table = table(&found)?;
    std::fs::write(arguments.out.join("dkef-scaling.md"), &table)
        .with_context(|| format!("cannot write to {}", arguments.out.display()))?;
    draw(&arguments.out.join("dkef-scaling.svg"), &panels(&found))?;
    say(&table)
}

fn say(text: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// The published runs are that short: nothing stops them, and lambda is not tuned.
fn settings(arguments: &Arguments, objective: &str, seed: u64) -> Result<(Sizes, KernelConfig)> {
    let sizes =
        Sizes { epochs: arguments.epochs, patience: 0, lambda_steps: 0, ..Sizes::default() };
    let config = KernelConfig {
        objective: estimator(objective)?,
        seed,
        threads: arguments.threads,
        ..KernelConfig::default()
    };
    Ok((sizes, config))
}

/// Training, validation and test rows.
fn rows(truth: &Gaussian, seed: u64) -> [Array2<f64>; 3] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    ROWS.map(|n| truth.sample(n, &mut rng))
}

fn times(
    arguments: &Arguments,
    folder: &Path,
    dim: usize,
    objective: &str,
    count: usize,
) -> Result<()> {
    let (sizes, config) = settings(arguments, objective, 1234)?;
    let [training, validation, _] = rows(&Gaussian::standard(dim)?, 1234);
    let times = time([training.view(), validation.view()], &sizes, config, count)?;
    let name = format!("times-scaling-{dim:04}-{objective}.jsonl");
    let configuration =
        json!({"experiment": "dkef-scaling-times", "dim": dim, "objective": objective});
    RunFile::anew(&folder.join(&name), &configuration)?.result(&json!({
        "kind": "result",
        "threads": arguments.threads,
        "times": times,
        "timed_peak_memory_mib": peak_memory(),
    }))?;
    say(&format!(
        "{name}: {:.2} ms a step, {:.2} ms an iteration",
        1e3 * times.seconds_per_step,
        1e3 * times.seconds_per_iteration
    ))
}

fn run(arguments: &Arguments, folder: &Path, dim: usize, objective: &str, seed: u64) -> Result<()> {
    let (sizes, config) = settings(arguments, objective, seed)?;
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
    let [training, validation, test] = rows(&truth, seed);
    let (fit, timing) = train([training.view(), validation.view()], &sizes, config, &mut file)
        .with_context(|| format!("run {name}"))?;
    let model = fit.potential(0.0)?.cast::<f64>();
    let distance = fisher_divergence(&model, &truth, test.view())?;
    file.result(&json!({
        "kind": "result",
        "fisher_divergence": distance.absolute.mean,
        "fisher_divergence_se": distance.absolute.standard_error,
        "relative_fisher_divergence": distance.relative.mean,
        "solve": fit.record,
        "timing": timing,
        "peak_memory_mib": peak_memory(),
    }))?;
    say(&format!("{name}: Fisher divergence {:.3}", distance.absolute.mean))
}

fn dims(runs: &[Finished]) -> Vec<u64> {
    let mut dims: Vec<u64> =
        runs.iter().filter_map(|run| run.configuration["dim"].as_u64()).collect();
    dims.sort_unstable();
    dims.dedup();
    dims
}

/// Numbers of the runs of a dimension and objective that have them.
fn values(runs: &[Finished], dim: u64, objective: &str, path: &str) -> Vec<f64> {
    runs.iter()
        .filter(|run| {
            run.configuration["dim"] == dim && run.configuration["objective"] == objective
        })
        .filter_map(|run| run.number(path))
        .collect()
}

fn table(runs: &[Finished]) -> Result<String> {
    let mut out = String::from(
        "# Deep kernel exponential families on N(0, I_d)\n\n\
         Written by `dkef-scaling`: 4860 training rows, 5 epochs of 24 steps. Fisher divergence from the known truth, \
         1/2 E|s - s*|^2 over 600 rows, means over seeds with their standard errors; relative: divided by \
         1/2 E|s*|^2 = d/2.\n\
         Times are medians of `--time`, from the initial parameters, nothing else running; an iteration is a step, alpha \
         refitted to 1000 rows and the validation loss. The released code on one core of another machine is reported at \
         0.3 to 0.4 s per step and 1.4 to 1.9 s per iteration for d 10 to 50, and at 2.7 s for d 100.\n\n\
         | d | objective | seeds | Fisher divergence | relative | threads | ms per step | ms per iteration | peak MiB |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for dim in dims(runs) {
        for (name, _) in ESTIMATORS {
            let found = |path: &str| values(runs, dim, name, path);
            let one = |path: &str, digits: usize, scale: f64| match found(path)[..] {
                [] => "-".to_string(),
                ref found => format!("{:.digits$}", scale * mean_and_error(found).0),
            };
            let divergence = found("/fisher_divergence");
            let (mean, error) = mean_and_error(&divergence);
            let divergence = match divergence.len() {
                0 => "-".to_string(),
                1 => format!("{mean:.3}"),
                _ => format!("{mean:.3} +- {error:.3}"),
            };
            let row = [
                found("/fisher_divergence").len().to_string(),
                divergence,
                one("/relative_fisher_divergence", 4, 1.0),
                one("/threads", 0, 1.0),
                one("/times/seconds_per_step", 1, 1e3),
                one("/times/seconds_per_iteration", 1, 1e3),
                one("/timed_peak_memory_mib", 0, 1.0),
            ];
            if row.iter().skip(1).any(|cell| cell != "-") {
                writeln!(out, "| {dim} | {name} | {} |", row.join(" | "))?;
            }
        }
    }
    Ok(out)
}

fn panels(runs: &[Finished]) -> Vec<Panel> {
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
        chart("/times/seconds_per_step", "Time of one training step", "seconds"),
        chart("/fisher_divergence", "Fisher divergence from the truth", "E|s - s*|^2 / 2"),
    ]
}
