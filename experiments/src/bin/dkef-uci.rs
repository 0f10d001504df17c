//! Deep kernel exponential families on red wine, white wine and Parkinsons by the published protocol, and
//! by the same without its leaks: `dkef-uci --data FOLDER`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::diagnose::{Estimate, exact_loss};
use gradlogp::dkef::{KernelConfig, log_normalizer};
use gradlogp::{LogDensity, ScoreTrace};
use gradlogp_experiments::figure::{Panel, Series, draw};
use gradlogp_experiments::prepare::{Protocol, Uci, load};
use gradlogp_experiments::records::{Finished, RunFile, collect, mean_and_error};
use gradlogp_experiments::run::{Sizes, time, train};
use gradlogp_experiments::{ESTIMATORS, estimator, peak_memory};
use ndarray::ArrayView2;
use serde_json::{Value, json};

/// Fit deep kernel exponential families to the UCI tables of the sliced score matching paper.
///
/// Runs go to OUT/runs, one file of JSON lines each; finished ones are not repeated, and one that was broken
/// off goes on from its last checkpoint. Configurations and results are gathered in OUT/dkef-uci.jsonl, from which
/// the table and the figure, OUT/dkef-uci.md and OUT/dkef-uci.svg, are made.
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
    /// exact, ssm, ssm-vr, dsm, cp, approximate-backprop.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "exact,ssm,ssm-vr,dsm,cp,approximate-backprop"
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
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Make table and figure of the runs that are there, and train nothing.
    #[arg(long)]
    plot_only: bool,
    /// Time so many steps and iterations of each table and objective in place of training; the machine should
    /// have no other work.
    #[arg(long, conflicts_with = "plot_only")]
    time: Option<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runs = arguments.out.join("runs");
    if !arguments.plot_only {
        for one in plan(&arguments)? {
            match arguments.time {
                Some(count) => one.time(&arguments, &runs, count)?,
                None => one.run(&arguments, &runs)?,
            }
        }
    }
    let found = collect(&arguments.out, "dkef-uci")?;
    let (times, found): (Vec<&Finished>, Vec<&Finished>) =
        found.iter().partition(|run| run.configuration["experiment"] == "dkef-uci-times");
    let table = results(&found)? + &changes(&found)? + &speed(&found, &times)?;
    std::fs::write(arguments.out.join("dkef-uci.md"), &table)
        .with_context(|| format!("cannot write to {}", arguments.out.display()))?;
    draw(&arguments.out.join("dkef-uci.svg"), &panels(&found))?;
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
    fn config(&self, arguments: &Arguments) -> Result<KernelConfig> {
        Ok(KernelConfig {
            objective: estimator(&self.objective)?,
            seed: self.seed,
            threads: arguments.threads,
            ..KernelConfig::default()
        })
    }

    /// Times the parts of the protocol.
    fn time(&self, arguments: &Arguments, folder: &Path, count: usize) -> Result<()> {
        let data = arguments.data.as_ref().context("--data FOLDER is needed to time")?;
        let parts = load(data, self.table, self.protocol, self.seed)?;
        let rows = [parts.train.view(), parts.validation.view()];
        let times = time(rows, &Sizes::default(), self.config(arguments)?, count)?;
        let name = format!("times-uci-{}-{}.jsonl", self.table.name(), self.objective);
        let configuration = json!({
            "experiment": "dkef-uci-times",
            "table": self.table,
            "objective": self.objective,
        });
        RunFile::anew(&folder.join(&name), &configuration)?.result(&json!({
            "kind": "result",
            "threads": arguments.threads,
            "columns": parts.columns.len(),
            "times": times,
            "timed_peak_memory_mib": peak_memory(),
        }))?;
        say(&format!(
            "{name}: {:.2} ms a step, {:.2} ms an iteration",
            1e3 * times.seconds_per_step,
            1e3 * times.seconds_per_iteration
        ))
    }

    fn run(&self, arguments: &Arguments, folder: &Path) -> Result<()> {
        let data = arguments.data.as_ref().context("--data FOLDER is needed to train")?;
        let sizes = Sizes { epochs: arguments.epochs, ..Sizes::default() };
        let config = self.config(arguments)?;
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
            train([parts.train.view(), parts.validation.view()], &sizes, config, &mut file)
                .with_context(|| format!("run {name}"))?;
        let model = fit.potential(0.0)?.cast::<f64>();
        let density = model.as_log_density().context("a kernel family is a potential")?;
        let log_z = log_normalizer(&density, fit.family.base_sd, sizes.draws, self.seed)?;
        let test = judge(&density, parts.test.view(), log_z.value)?;
        let validation = judge(&density, parts.validation.view(), log_z.value)?;
        file.result(&json!({
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
            "{name}: {} iterations, test loss {:.3}, log-likelihood {:.3}",
            timing.steps,
            test["exact_loss"].as_f64().unwrap_or(f64::NAN),
            test["log_likelihood"].as_f64().unwrap_or(f64::NAN)
        ))
    }
}

/// Exact loss and log-likelihood with their standard errors over rows.
fn judge(
    density: &(impl LogDensity + ScoreTrace),
    rows: ArrayView2<'_, f64>,
    log_z: f64,
) -> Result<Value> {
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
    runs.iter().filter_map(|run| run.number(path)).collect()
}

/// Mean and standard error as the tables show them.
fn pair(values: &[f64]) -> String {
    let (mean, error) = mean_and_error(values);
    if error.is_nan() { format!("{mean:.3}") } else { format!("{mean:.3} +- {error:.3}") }
}

fn results(runs: &[&Finished]) -> Result<String> {
    let mut out = String::from(
        "# Deep kernel exponential families on UCI tables\n\n\
         Written by `dkef-uci`. Means over seeds with their standard errors, in whitened units, natural logarithms.\n\
         paper: transform from all rows, noise 0.05 on all parts. leak-free: transform from training rows, \
         no noise on test rows.\n\
         se over rows: the standard error of the test loss over test rows within one run, which seeds share.\n\
         Where few of the 10^6 draws for log Z are effective, the log-likelihood is less certain than its error says.\n\n\
         | table | protocol | objective | seeds | test exact loss | se over rows | test log-likelihood | log Z se | \
         effective draws | iterations | best at | condition | lambda |\n\
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
                writeln!(
                    out,
                    "| {} | {} | {name} | {} | {} | {:.3} | {} | {:.3} | {:.0} | {:.0} | {:.0} | {:.1e} | {:.2e} |",
                    table.name(),
                    protocol.name(),
                    runs.len(),
                    pair(&values(&runs, "/test/exact_loss")),
                    mean("/test/exact_loss_se"),
                    pair(&values(&runs, "/test/log_likelihood")),
                    mean("/log_z/standard_error"),
                    mean("/log_z/effective"),
                    mean("/timing/steps"),
                    mean("/timing/best_step"),
                    mean("/solve/condition"),
                    mean("/solve/lambda"),
                )?;
            }
        }
    }
    Ok(out)
}

/// What the leak is worth: differences of runs of the same seed.
fn changes(runs: &[&Finished]) -> Result<String> {
    let mut out = String::from(
        "\n## What changes without the leak\n\n\
         leak-free minus paper, paired by seed. The test rows are other numbers: not noised, and in units of the \
         training rows' transform.\n\n\
         | table | objective | seeds | test exact loss | test log-likelihood |\n|---|---|---|---|---|\n",
    );
    for table in Uci::ALL {
        for (name, _) in ESTIMATORS {
            let with = group(runs, table, Protocol::Paper, name);
            let without = group(runs, table, Protocol::LeakFree, name);
            let differences = |path: &str| -> Vec<f64> {
                let pairs = without.iter().filter_map(|run| {
                    let seed = &run.configuration["seed"];
                    let other = with.iter().find(|other| other.configuration["seed"] == *seed)?;
                    Some(run.number(path)? - other.number(path)?)
                });
                pairs.collect()
            };
            let loss = differences("/test/exact_loss");
            if !loss.is_empty() {
                writeln!(
                    out,
                    "| {} | {name} | {} | {} | {} |",
                    table.name(),
                    loss.len(),
                    pair(&loss),
                    pair(&differences("/test/log_likelihood"))
                )?;
            }
        }
    }
    Ok(out)
}

/// Seconds of the released code for one iteration and one step, the least of those reported for 10 to 50
/// columns: one core of another machine, today's PyTorch.
const RELEASED: [f64; 2] = [1.4, 0.3];

fn speed(runs: &[&Finished], times: &[&Finished]) -> Result<String> {
    let mut out = format!(
        "\n## Time and memory\n\n\
         Medians of `--time`, from the initial parameters, nothing else running. An iteration is a step, alpha refitted \
         to 1000 rows and the validation loss. Minutes: iterations as above at this speed, and the tuning of lambda.\n\
         The ratios are to the least that is reported of the released code on one core of another machine: {} s per \
         iteration (to 1.9), {} s per step (to 0.4).\n\n\
         | table | columns | objective | threads | ms per step | ratio | ms per iteration | ratio | minutes per run | peak MiB |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        RELEASED[0], RELEASED[1]
    );
    for table in Uci::ALL {
        for (name, _) in ESTIMATORS {
            let same = |run: &&&Finished| {
                let c = &run.configuration;
                c["table"] == table.name() && c["objective"] == name
            };
            let Some(time) = times.iter().find(same) else { continue };
            let at = |path: &str| time.number(path).unwrap_or(f64::NAN);
            let [iteration, step, lambda] = ["iteration", "step", "lambda_step"]
                .map(|w| at(&format!("/times/seconds_per_{w}")));
            let steps: Vec<f64> =
                runs.iter().filter(same).filter_map(|run| run.number("/timing/steps")).collect();
            let tuning = Sizes::default().lambda_steps as f64 * lambda;
            let minutes = (mean_and_error(&steps).0 * iteration + tuning) / 60.0;
            writeln!(
                out,
                "| {} | {} | {name} | {} | {:.1} | {:.0} | {:.1} | {:.1} | {} | {:.0} |",
                table.name(),
                at("/columns"),
                at("/threads"),
                1e3 * step,
                RELEASED[1] / step,
                1e3 * iteration,
                RELEASED[0] / iteration,
                if minutes.is_nan() { "-".to_string() } else { format!("{minutes:.2}") },
                at("/timed_peak_memory_mib"),
            )?;
        }
    }
    Ok(out)
}

/// Mean at position `x` with its error. None without runs, or for a loss worse than that of the score 0, which
/// would leave no room for the others.
fn point(runs: &[&Finished], path: &str, x: f64) -> Option<(f64, f64, f64)> {
    let (mean, error) = mean_and_error(&values(runs, path));
    let within = mean_and_error(&values(runs, &format!("{path}_se"))).0;
    let shown = mean_and_error(&values(runs, "/test/exact_loss")).0 <= 0.0;
    shown.then_some((x, mean, if error.is_nan() { within } else { error }))
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
                        point(&group(runs, table, protocol, ESTIMATORS[k].0), path, k as f64)
                    })
                    .collect(),
            });
            if series.iter().all(|s| s.points.is_empty()) {
                continue;
            }
            out.push(Panel {
                title: format!("{}: test {title}, +- se (of one seed: over rows)", table.name()),
                x: "objective; left out: a loss above 0, which is worse than no model".into(),
                y: title.into(),
                labels: ESTIMATORS.iter().map(|(name, _)| (*name).to_string()).collect(),
                logarithmic: false,
                series: series.to_vec(),
            });
        }
    }
    out
}
