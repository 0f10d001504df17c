//! One potential for the data themselves and for all noise above them: `joined TABLE ...`.
//!
//! A time-conditional potential f(x, t) is trained by denoising at all noise levels, MATH (45), and at the least of them
//! by sliced score matching on rows without any noise, MATH (3). The two losses are sums over separate parts of the same
//! network: their gradients are added, the second times a share. Beside it both halves alone, of the same network,
//! seed and steps. Measured on held-out rows: the exact loss of rows without noise, MATH (4), and the log density by
//! the probability flow.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::data::{ReadOptions, Standardization, read_table};
use gradlogp::diagnose::exact_loss_rows;
use gradlogp::diffusion::{Clock, NoiseConfig, Noising, TimeMlp, TimeModel};
use gradlogp::engine::Part;
use gradlogp::fit::{CheckedTable, FitConfig};
use gradlogp::likelihood::{Divergence, log_likelihood};
use gradlogp::model::{Model, PointSet, Points};
use gradlogp::ode::OdeConfig;
use gradlogp::reference::Gaussian;
use gradlogp::score::AtTime;
use gradlogp::sde::Vp;
use gradlogp::train::{TrainConfig, Trainer};
use gradlogp::{ModelKind, Objective};
use gradlogp_experiments::records::{Finished, RunFile, collect, mean_and_error};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// Joins denoising at all noise levels with sliced score matching at none, in one potential.
///
/// Runs go to OUT/runs, one file each; finished ones are not repeated. The table is OUT/joined.md.
#[derive(Debug, Parser)]
struct Arguments {
    /// Tables; with none, only the table of results is made anew.
    tables: Vec<PathBuf>,
    /// Folder to write to.
    #[arg(long, default_value = "experiments/out")]
    out: PathBuf,
    /// Optimizer steps of every run.
    #[arg(long, default_value_t = 3000)]
    steps: u64,
    /// Shares of the loss without noise.
    #[arg(long, value_delimiter = ',', default_value = "0.001,0.01,0.1")]
    shares: Vec<f64>,
    /// Seeds of splits, weights and batches.
    #[arg(long, value_delimiter = ',', default_value = "0,1")]
    seeds: Vec<u64>,
    /// Worker threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// Most test rows of one split.
const MOST_TEST_ROWS: usize = 200;

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Arm {
    /// Sliced score matching on rows without noise.
    Sliced,
    /// Denoising at all noise levels.
    Denoising,
    /// Their sum, the first times this share.
    Joined(f64),
}

impl Arm {
    fn name(self) -> String {
        match self {
            Arm::Sliced => "sliced alone".into(),
            Arm::Denoising => "denoising alone".into(),
            Arm::Joined(share) => format!("joined, share {share}"),
        }
    }
}

/// Rows of one table and split, in the units in which all arms work.
struct Rows {
    train: Vec<f32>,
    validation: Vec<f32>,
    test: Array2<f64>,
}

fn rows(table: &Path, seed: u64) -> Result<Rows> {
    let (table, _) = read_table(table, &ReadOptions::default())?;
    let mut config = FitConfig::default();
    config.prepare.standardization = Standardization::Whiten;
    config.prepare.dequantize = Some(Vec::new());
    config.prepare.test = 0.2;
    config.training.seed = seed;
    let prepared = CheckedTable::new(table, &config)?.prepare(&config)?;
    let part = |part: &[usize]| Ok::<_, gradlogp::Error>(prepared.network_rows(part)?.x);
    let test = part(&prepared.split.test)?;
    let d = prepared.dim();
    let count = (test.len() / d).min(MOST_TEST_ROWS);
    Ok(Rows {
        train: part(&prepared.split.train)?,
        validation: part(&prepared.split.validation)?,
        test: Array2::from_shape_fn((count, d), |(i, j)| f64::from(test[i * d + j])),
    })
}

/// Both halves, of one network.
struct Halves {
    settings: TimeMlp,
    clock: Clock,
    denoising: Trainer,
    sliced: Trainer,
}

impl Halves {
    fn new(rows: &Rows, arguments: &Arguments, seed: u64) -> Result<Self> {
        let d = rows.test.ncols();
        let settings = TimeMlp { hidden: vec![128; 3], ..TimeMlp::new(d, ModelKind::LogDensity) };
        let clock = Clock::new(Arc::new(Vp::default()))?;
        let ratio = (d * d) as f64 / rows.train.len() as f64;
        let config = TrainConfig {
            objective: Objective::Regression,
            steps: arguments.steps,
            weight_decay: (80.0 * ratio).clamp(0.03, 3.0),
            seed,
            threads: arguments.threads,
            ..TrainConfig::default()
        };
        let network = settings.build(seed)?;
        let noising = Noising::new(settings.clone(), clock.clone(), NoiseConfig::default())?;
        let denoising = Trainer::over_time(
            noising,
            network.clone(),
            rows.train.clone(),
            &rows.validation,
            config.clone(),
        )?;
        let still = |x: &[f32]| {
            let mut contexts = Vec::new();
            let times = vec![clock.t_min(); x.len() / d];
            settings.write_contexts(&clock, &times, &mut contexts);
            PointSet { x: x.to_vec(), contexts, ..PointSet::default() }
        };
        let held_out = still(&rows.validation);
        let config = TrainConfig { objective: Objective::SsmVr { slices: 1 }, ..config };
        let sliced = Trainer::new(network, still(&rows.train), Points::from(&held_out), config)?;
        Ok(Halves { settings, clock, denoising, sliced })
    }

    /// Trains to the end; the network whose weights were best on the validation rows of the arm's own loss.
    fn train(&mut self, arm: Arm) -> Result<Model<f32>> {
        loop {
            let stop = match arm {
                Arm::Sliced => step(&mut self.sliced)?,
                Arm::Denoising => step(&mut self.denoising)?,
                Arm::Joined(share) => {
                    let (loss, gradient) = self.denoising.gradient_of_step(Part::WHOLE)?;
                    let mut sum = gradient.to_vec();
                    let (other, gradient) = self.sliced.gradient_of_step(Part::WHOLE)?;
                    sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += share as f32 * g);
                    let loss = loss + share * other;
                    // Alike in both, so that they hold the same weights.
                    self.sliced.apply(loss, &sum)?;
                    self.denoising.apply(loss, &sum)?
                }
            };
            if stop.is_some() {
                break;
            }
        }
        Ok(match arm {
            Arm::Sliced => self.sliced.best_model(),
            _ => self.denoising.best_model(),
        })
    }
}

fn step(trainer: &mut Trainer) -> Result<Option<gradlogp::train::Stop>> {
    let (loss, gradient) = trainer.gradient_of_step(Part::WHOLE)?;
    let gradient = gradient.to_vec();
    Ok(trainer.apply(loss, &gradient)?)
}

/// Exact losses and log densities of the test rows.
fn measure(halves: &Halves, network: Model<f32>, test: &Array2<f64>) -> Result<[Array1<f64>; 2]> {
    let model = TimeModel::new(network, halves.settings.clone(), halves.clock.clone());
    let still = AtTime { family: &model, time: halves.clock.t_min() };
    let losses = exact_loss_rows(&still, test.view())?;
    let found = log_likelihood(
        &model,
        halves.clock.sde(),
        &Gaussian::standard(test.ncols())?,
        test.view(),
        (Divergence::Exact, &OdeConfig::default()),
        &mut ChaCha8Rng::seed_from_u64(0),
    )?;
    Ok([losses, found.log_density])
}

fn name_of(table: &Path) -> Result<String> {
    Ok(table.file_stem().context("a table has a name")?.to_string_lossy().into_owned())
}

fn run(table: &Path, seed: u64, arm: Arm, arguments: &Arguments) -> Result<()> {
    let name = name_of(table)?;
    let configuration = json!({
        "experiment": "joined", "table": name, "seed": seed, "arm": arm.name(), "steps": arguments.steps,
    });
    let file =
        format!("joined-{name}-{seed}-{}.jsonl", arm.name().replace(", ", " ").replace(' ', "-"));
    let Some(file) = RunFile::start(&arguments.out.join("runs").join(file), &configuration)? else {
        return Ok(());
    };
    let rows = rows(table, seed).with_context(|| table.display().to_string())?;
    let mut halves = Halves::new(&rows, arguments, seed)?;
    let start = Instant::now();
    let network = halves.train(arm)?;
    let seconds = start.elapsed().as_secs_f64();
    let [losses, densities] = measure(&halves, network, &rows.test)?;
    let short = |values: Array1<f64>| values.mapv(|v| (v * 1e4).round() / 1e4).to_vec();
    file.result(&json!({
        "kind": "result", "rows": rows.train.len() / rows.test.ncols(), "columns": rows.test.ncols(),
        "seconds": seconds, "exact_loss": short(losses), "log_density": short(densities),
    }))
}

/// The numbers of the rows of all seeds.
fn values(found: &[Finished], table: &str, arm: &str, of: &str) -> Vec<f64> {
    let these =
        |run: &&Finished| run.configuration["table"] == table && run.configuration["arm"] == arm;
    let rows = found.iter().filter(these).filter_map(|run| run.result[of].as_array());
    rows.flatten().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

/// `value +- error`, and beside another arm on the same rows the difference.
fn cell(values: &[f64], beside: Option<&[f64]>) -> String {
    let (mean, error) = mean_and_error(values);
    match beside {
        None => format!("{mean:.3} ± {error:.3}"),
        Some(other) => {
            let apart: Vec<f64> = values.iter().zip(other).map(|(a, b)| a - b).collect();
            let (apart, error) = mean_and_error(&apart);
            format!("{mean:.3} ({apart:+.3} ± {error:.3})")
        }
    }
}

/// A row for each table and arm.
fn report(found: &[Finished]) -> Result<String> {
    let mut text = String::from(
        "Means over held-out rows of all seeds; in parentheses the difference from the half that is made for it, paired by \
         rows, with its standard error.\n\n\
         | table | rows x columns | arm | exact loss without noise | log density, nats | seconds of training |\n\
         |---|---|---|---|---|---|\n",
    );
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for run in found {
        let of = |key: &str| run.configuration[key].as_str().unwrap_or_default();
        if seen.contains(&(of("table"), of("arm"))) {
            continue;
        }
        seen.push((of("table"), of("arm")));
    }
    seen.sort_by_key(|(table, arm)| (*table, !arm.starts_with("sliced"), *arm));
    for (table, arm) in seen {
        let loss = values(found, table, arm, "exact_loss");
        let density = values(found, table, arm, "log_density");
        let sliced = values(found, table, "sliced alone", "exact_loss");
        let denoising = values(found, table, "denoising alone", "log_density");
        let these: Vec<&Finished> = found
            .iter()
            .filter(|run| run.configuration["table"] == table && run.configuration["arm"] == arm)
            .collect();
        let seconds: Vec<f64> = these.iter().filter_map(|run| run.number("/seconds")).collect();
        writeln!(
            text,
            "| {table} | {} x {} | {arm} | {} | {} | {:.0} |",
            these[0].result["rows"],
            these[0].result["columns"],
            cell(&loss, (arm != "sliced alone").then_some(&sliced)),
            cell(&density, (arm != "denoising alone").then_some(&denoising)),
            seconds.iter().sum::<f64>() / seconds.len() as f64,
        )?;
    }
    Ok(text)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let joined = arguments.shares.iter().map(|share| Arm::Joined(*share));
    let arms: Vec<Arm> = [Arm::Sliced, Arm::Denoising].into_iter().chain(joined).collect();
    for table in &arguments.tables {
        for seed in &arguments.seeds {
            for arm in &arms {
                run(table, *seed, *arm, &arguments)?;
            }
        }
    }
    let text = report(&collect(&arguments.out, "joined")?)?;
    std::fs::write(arguments.out.join("joined.md"), &text)
        .with_context(|| format!("cannot write to {}", arguments.out.display()))?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
