//! Deep kernel exponential families on red wine, white wine and Parkinsons by the published protocol, and
//! by the same without its leaks: `dkef-uci --data FOLDER`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::LogDensity;
use gradlogp::diagnose::{Estimate, exact_loss};
use gradlogp::dkef::{KernelConfig, log_normalizer};
use gradlogp_experiments::figure::{Panel, Series, draw};
use gradlogp_experiments::prepare::{Protocol, Uci, load};
use gradlogp_experiments::records::{Finished, RunFile, finished, mean_and_error};
use gradlogp_experiments::run::{Sizes, train};
use gradlogp_experiments::{ESTIMATORS, estimator, peak_memory};
use ndarray::ArrayView2;
use serde_json::{Value, json};

/// Fit deep kernel exponential families to the UCI tables of the sliced score matching paper.
///
/// Runs go to OUT/runs, one file of JSON lines each; finished ones are not repeated. The table and the
/// figure, OUT/dkef-uci.md and OUT/dkef-uci.svg, are made from these files.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder with winequality-red.csv, winequality-white.csv, parkinsons_updrs.data and the
    /// ssm_split_*.csv of the published order of rows.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder to write to.
    #[arg(long, default_value = "experiments/out")]
    out: PathBuf,
    /// Tables.
    #[arg(long, value_delimiter = ',', default_value = "red,white,parkinsons")]
    tables: Vec<String>,
    /// exact, ssm, ssm-vr, dsm, approximate-backprop.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "exact,ssm,ssm-vr,dsm,approximate-backprop"
    )]
    objectives: Vec<String>,
    /// Seeds: each is one run of every table, protocol and objective.
    #[arg(long, value_delimiter = ',', default_value = "1234,1235,1236")]
    seeds: Vec<u64>,
    /// paper: as published; leak-free: no statistic of test rows, no noise on them.
    #[arg(long, value_delimiter = ',', default_value = "paper,leak-free")]
    protocols: Vec<String>,
    /// Most epochs.
    #[arg(long, default_value_t = Sizes::default().epochs)]
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
        for one in plan(&arguments)? {
            one.run(&arguments, &runs)?;
        }
    }
    let found = finished(&runs)?;
    let of_uci: Vec<&Finished> =
        found.iter().filter(|run| run.configuration["experiment"] == "dkef-uci").collect();
    let table = table(&of_uci)?;
    std::fs::write(arguments.out.join("dkef-uci.md"), &table)
        .with_context(|| format!("cannot write to {}", arguments.out.display()))?;
    draw(&arguments.out.join("dkef-uci.svg"), &panels(&of_uci))?;
    say(&table)
}

/// Writes to standard output; a reader that is gone is an error, not a panic.
fn say(text: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

struct One {
    table: Uci,
    protocol: Protocol,
    objective: String,
    seed: u64,
}

fn named<T: Copy>(option: &str, word: &str, known: &[(&'static str, T)]) -> Result<T> {
    known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).with_context(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("{option}: {word} is not one of {}", names.join(", "))
    })
}

fn plan(arguments: &Arguments) -> Result<Vec<One>> {
    let tables = Uci::ALL.map(|t| (t.name(), t));
    let protocols = [Protocol::Paper, Protocol::LeakFree].map(|p| (p.name(), p));
    let mut out = Vec::new();
    for seed in &arguments.seeds {
        for table in &arguments.tables {
            for protocol in &arguments.protocols {
                for objective in &arguments.objectives {
                    estimator(objective)?;
                    out.push(One {
                        table: named("--tables", table, &tables)?,
                        protocol: named("--protocols", protocol, &protocols)?,
                        objective: objective.clone(),
                        seed: *seed,
                    });
                }
            }
        }
    }
    Ok(out)
}

impl One {
    fn run(&self, arguments: &Arguments, folder: &Path) -> Result<()> {
        let data = arguments.data.as_ref().context("--data FOLDER is needed to train")?;
        let sizes = Sizes { epochs: arguments.epochs, ..Sizes::default() };
        let config = KernelConfig {
            estimator: estimator(&self.objective)?,
            seed: self.seed,
            threads: arguments.threads,
            ..KernelConfig::default()
        };
        let configuration = json!({
            "experiment": "dkef-uci",
            "table": self.table,
            "protocol": self.protocol,
            "objective": self.objective,
            "seed": self.seed,
            "sizes": sizes,
            "training": config,
        });
        let (table, protocol) = (self.table.name(), self.protocol.name());
        let name = format!("uci-{table}-{protocol}-{}-{}.jsonl", self.objective, self.seed);
        let Some(mut file) = RunFile::start(&folder.join(&name), &configuration)? else {
            return Ok(());
        };
        let parts = load(data, self.table, self.protocol, self.seed)?;
        let (fit, timing) =
            train(parts.train.view(), parts.validation.view(), &sizes, config, &mut file)
                .with_context(|| format!("run {name}"))?;
        let model = fit.potential(0.0)?.cast::<f64>();
        let density = model.as_potential().context("a kernel family is a potential")?;
        let log_z = log_normalizer(&density, fit.family.base_sd, sizes.draws, self.seed)?;
        let test = judge(&density, parts.test.view(), log_z.value)?;
        let validation = judge(&density, parts.validation.view(), log_z.value)?;
        file.line(&json!({
            "kind": "result",
            "test": test,
            "validation": validation,
            "log_z": log_z,
            "solve": fit.record,
            "timing": timing,
            "columns": parts.columns,
            "rows": [parts.train.nrows(), parts.validation.nrows(), parts.test.nrows()],
            "peak_memory_mib": peak_memory(),
        }))?;
        say(&format!(
            "{name}: {} iterations, {:.1} ms each, test loss {:.3}, log-likelihood {:.3}",
            timing.steps,
            1e3 * timing.seconds_per_iteration,
            test["exact_loss"].as_f64().unwrap_or(f64::NAN),
            test["log_likelihood"].as_f64().unwrap_or(f64::NAN)
        ))
    }
}

/// Exact loss and log-likelihood with their standard errors over rows.
fn judge(density: &impl LogDensity, rows: ArrayView2<'_, f64>, log_z: f64) -> Result<Value> {
    let loss = exact_loss(density, rows)?;
    let likelihood = Estimate::of((density.log_density(rows) - log_z).view());
    Ok(json!({
        "exact_loss": loss.mean,
        "exact_loss_se": loss.standard_error,
        "log_likelihood": likelihood.mean,
        "log_likelihood_se": likelihood.standard_error,
    }))
}

/// Runs of one table, protocol and objective.
fn group<'r>(
    runs: &[&'r Finished],
    table: Uci,
    protocol: Protocol,
    name: &str,
) -> Vec<&'r Finished> {
    let same = |run: &&&Finished| {
        let c = &run.configuration;
        c["table"] == table.name() && c["protocol"] == protocol.name() && c["objective"] == name
    };
    runs.iter().filter(same).copied().collect()
}

fn values(runs: &[&Finished], path: &str) -> Vec<f64> {
    runs.iter().filter_map(|run| run.result.pointer(path)?.as_f64()).collect()
}

fn table(runs: &[&Finished]) -> Result<String> {
    let mut out = String::from(
        "Deep kernel exponential families; means over seeds with their standard errors, in whitened units.\n\
         paper: transform from all rows, noise 0.05 on all parts. leak-free: transform from training rows, \
         no noise on test rows.\n\
         Where few of the 10^6 draws for log Z are effective, the log-likelihood is less certain than its error says.\n\n\
         | table | protocol | objective | seeds | test exact loss | test log-likelihood | log Z se | \
         effective draws | iterations | ms per step | ms per iteration | minutes | peak MiB |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for table in Uci::ALL {
        for protocol in [Protocol::Paper, Protocol::LeakFree] {
            for (name, _) in ESTIMATORS {
                let runs = group(runs, table, protocol, name);
                if runs.is_empty() {
                    continue;
                }
                let mean = |path: &str| mean_and_error(&values(&runs, path)).0;
                let pair = |path: &str| {
                    let (mean, error) = mean_and_error(&values(&runs, path));
                    match error.is_nan() {
                        true => format!("{mean:.3}"),
                        false => format!("{mean:.3} +- {error:.3}"),
                    }
                };
                writeln!(
                    out,
                    "| {} | {} | {name} | {} | {} | {} | {:.3} | {:.0} | {:.0} | {:.1} | {:.1} | {:.2} | {:.0} |",
                    table.name(),
                    protocol.name(),
                    runs.len(),
                    pair("/test/exact_loss"),
                    pair("/test/log_likelihood"),
                    mean("/log_z/standard_error"),
                    mean("/log_z/effective"),
                    mean("/timing/steps"),
                    1e3 * mean("/timing/seconds_per_step"),
                    1e3 * mean("/timing/seconds_per_iteration"),
                    mean("/timing/training_seconds") / 60.0,
                    mean("/peak_memory_mib"),
                )?;
            }
        }
    }
    Ok(out)
}

fn panels(runs: &[&Finished]) -> Vec<Panel> {
    let mut out = Vec::new();
    for table in Uci::ALL {
        for (path, title) in
            [("/test/exact_loss", "exact loss"), ("/test/log_likelihood", "log-likelihood")]
        {
            let series = [Protocol::Paper, Protocol::LeakFree].map(|protocol| Series {
                name: protocol.name().to_string(),
                points: (0..ESTIMATORS.len())
                    .filter_map(|k| {
                        let found = values(&group(runs, table, protocol, ESTIMATORS[k].0), path);
                        let (mean, error) = mean_and_error(&found);
                        (!found.is_empty()).then_some((k as f64, mean, error))
                    })
                    .collect(),
            });
            if series.iter().all(|s| s.points.is_empty()) {
                continue;
            }
            out.push(Panel {
                title: format!("{}: test {title}", table.name()),
                x: "objective".into(),
                y: title.into(),
                labels: ESTIMATORS.iter().map(|(name, _)| (*name).to_string()).collect(),
                logarithmic: false,
                series: series.to_vec(),
            });
        }
    }
    out
}
