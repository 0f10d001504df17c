//! How right the verdict on a fit is: fits of densities with a known score, good ones and ones that are spoilt on purpose, with the
//! grade that each is given and its true distance.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use gradlogp::data::Table;
use gradlogp::fit::{
    CheckedTable, DiffusionConfig, Evidence, Family, FitConfig, Grade, NATS_A_COLUMN,
    NetworkConfig, Purpose, RELATIVE_FISHER, Verdict, evaluate, evaluate_over_times,
};
use gradlogp::fitted::{FittedModel, LikelihoodConfig};
use gradlogp::reference::{
    Banana, Funnel, Gaussian, GaussianMixture, Mixture, PinwheelArm, ReferenceDensity, Ring,
    StudentT,
};
use gradlogp::train::TrainConfig;
use gradlogp::{Objective, Score};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// Fresh rows for the true distance, and of them those for the true divergence of a density.
const FRESH: usize = 4000;
const FRESH_LIKELIHOOD: usize = 300;

/// Fit densities with a known score, well and badly, and compare the grade of each fit with the truth.
///
/// Fits go to OUT/runs.jsonl, one line each; those that are there are not repeated. The table is made of that file.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder to write to.
    #[arg(long, default_value = "experiments/verdict-study")]
    out: PathBuf,
    /// The page to write.
    #[arg(long, default_value = "docs/verdicts.md")]
    table: PathBuf,
    /// Seeds of every fit.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Densities to fit; all by default.
    #[arg(long, value_delimiter = ',')]
    densities: Vec<String>,
    /// potential, field, diffusion, density; all by default.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Make the table of the fits that are there, and fit nothing.
    #[arg(long)]
    table_only: bool,
}

/// A density to fit, and whether it is one of those that were looked at only once the bounds were set.
struct Oracle {
    name: &'static str,
    held_out: bool,
    density: Box<dyn ReferenceDensity>,
}

/// How a fit is spoilt, if at all.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Treatment {
    Usual,
    Long,
    Short(u64),
    Decayed(f64),
    Smoothed(f64),
    Negated,
    Scaled(f32),
    LostMode,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Potential,
    Field,
    Diffusion,
    /// As `fit --for density`: with a Gaussian mixture beside the network.
    Density,
}

/// One fit, as OUT/runs.jsonl has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    id: String,
    oracle: String,
    held_out: bool,
    columns: usize,
    kind: String,
    treatment: String,
    rows: usize,
    /// The true distance over what a good model may have: the relative Fisher divergence over 0.1, or for models over time
    /// the divergence of the density over 0.05 nats a column.
    distance: f64,
    /// By the test rows of the fit, beside its training rows; none where the fit was spoilt afterwards, or its rows are no sample.
    fit: Option<Graded>,
    /// By fresh rows alone, as many as trained the model.
    eval: Option<Graded>,
    version: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Graded {
    rows: usize,
    grade: String,
    reason: String,
    evidence: Vec<(String, f64, f64, f64, f64)>,
}

impl Graded {
    fn new(rows: usize, verdict: &Verdict, evidence: &[Evidence]) -> Self {
        let short = |e: &Evidence| {
            let effect = e.effect;
            (format!("{:?}", e.measure), effect.low, effect.estimate, effect.high, e.bound)
        };
        let grade = match &verdict.grade {
            Grade::Usable(_) => "usable".to_string(),
            other => other.to_string(),
        };
        let evidence = evidence.iter().map(short).collect();
        Graded { rows, grade, reason: verdict.reason.clone(), evidence }
    }
}

fn oracles() -> Result<Vec<Oracle>> {
    let of =
        |name, held_out, density: Box<dyn ReferenceDensity>| Oracle { name, held_out, density };
    let equal = |means: Array2<f64>, sd: f64| -> Result<GaussianMixture> {
        let weights = Array1::from_elem(means.nrows(), 1.0 / means.nrows() as f64);
        Ok(GaussianMixture::isotropic(weights, means.view(), sd)?)
    };
    let on_circle = |k: usize, radius: f64| {
        Array2::from_shape_fn((k, 2), |(i, j)| {
            let angle = std::f64::consts::TAU * i as f64 / k as f64;
            radius * if j == 0 { angle.cos() } else { angle.sin() }
        })
    };
    let spread = |k: usize, d: usize, width: f64, seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_fn((k, d), |_| width * rng.sample::<f64, _>(StandardNormal))
    };
    let student = |d: usize, nu| StudentT::new(Array1::zeros(d), Array2::eye(d), nu);
    let arms = |count: usize| -> Result<Mixture<PinwheelArm>> {
        let arm = |k: usize| PinwheelArm {
            angle: std::f64::consts::TAU * k as f64 / count as f64,
            distance: 1.0,
            radial_sd: 0.3,
            tangential_sd: 0.1,
            twist: 0.25,
        };
        Ok(Mixture::equal((0..count).map(arm).collect())?)
    };
    Ok(vec![
        of("gaussian-3", false, Box::new(Gaussian::rank_one(0.5, 3)?)),
        of("gaussian-8", false, Box::new(Gaussian::rank_one(0.7, 8)?)),
        of("three-parts-2", false, Box::new(equal(on_circle(3, 2.0), 0.6)?)),
        of("eight-gaussians", false, Box::new(equal(on_circle(8, 2.0), 0.3)?)),
        of("mixture-6", false, Box::new(equal(spread(4, 6, 1.2, 5), 0.7)?)),
        of("mixture-10", false, Box::new(equal(spread(3, 10, 1.0, 6), 0.8)?)),
        of("banana-3", false, Box::new(Banana::new(3, 1.0, 0.4, 0.7)?)),
        of("banana-5", false, Box::new(Banana::new(5, 1.0, 0.5, 0.6)?)),
        of("student-4", false, Box::new(student(4, 5.0)?)),
        of("student-2", false, Box::new(student(2, 4.0)?)),
        of("ring", false, Box::new(Ring::new(2.0, 0.3)?)),
        of("pinwheel", false, Box::new(arms(5)?)),
        of("funnel-3", false, Box::new(Funnel::new(3, 0.5)?)),
        of("funnel-2", false, Box::new(Funnel::new(2, 0.7)?)),
        of("gaussian-5", true, Box::new(Gaussian::rank_one(0.85, 5)?)),
        of("five-parts-2", true, Box::new(equal(on_circle(5, 2.5), 0.5)?)),
        of("mixture-4", true, Box::new(equal(spread(6, 4, 1.3, 7), 0.6)?)),
        of("mixture-8", true, Box::new(equal(spread(2, 8, 1.1, 8), 0.7)?)),
        of("banana-2", true, Box::new(Banana::new(2, 1.2, 0.4, 0.5)?)),
        of("banana-7", true, Box::new(Banana::new(7, 1.0, 0.3, 0.8)?)),
        of("student-3", true, Box::new(student(3, 6.0)?)),
        of("student-6", true, Box::new(student(6, 8.0)?)),
        of("wide-ring", true, Box::new(Ring::new(3.0, 0.6)?)),
        of("pinwheel-3", true, Box::new(arms(3)?)),
    ])
}

/// What is fitted to every oracle: kind, treatment, rows.
fn plan() -> Vec<(Kind, Treatment, usize)> {
    use Kind::{Density, Diffusion, Field, Potential};
    use Treatment::{Decayed, Long, LostMode, Negated, Scaled, Short, Smoothed, Usual};
    let mut all = Vec::new();
    for rows in [60, 120, 300, 1000, 5000] {
        all.push((Potential, Usual, rows));
    }
    for rows in [300, 1000, 5000] {
        all.push((Field, Usual, rows));
        all.push((Diffusion, Usual, rows));
        all.push((Density, Usual, rows));
    }
    all.extend([(Potential, Long, 150), (Field, Long, 300), (Diffusion, Long, 150)]);
    all.extend([(Potential, Short(30), 1000), (Potential, Short(150), 2000)]);
    all.extend([(Field, Short(30), 1000), (Diffusion, Short(40), 1000)]);
    all.extend([(Density, Short(40), 1000), (Density, Decayed(10.0), 1000)]);
    all.extend([(Potential, Decayed(3.0), 1000), (Field, Decayed(10.0), 2000)]);
    all.push((Diffusion, Decayed(10.0), 1000));
    for sigma in [0.15, 0.4, 0.8] {
        all.push((Potential, Smoothed(sigma), 2000));
    }
    all.push((Field, Smoothed(0.4), 2000));
    all.extend([(Field, Negated, 2000), (Field, Scaled(1.25), 2000), (Field, Scaled(0.8), 2000)]);
    all.extend([(Potential, LostMode, 1000), (Field, LostMode, 2000), (Diffusion, LostMode, 1000)]);
    all.extend([(Density, Long, 150), (Density, LostMode, 1000)]);
    all
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.out)?;
    let path = arguments.out.join("runs.jsonl");
    let mut runs = read(&path)?;
    if !arguments.table_only {
        let wanted = |all: &[String], name: &str| {
            all.is_empty() || all.iter().any(|one| one.eq_ignore_ascii_case(name))
        };
        for oracle in oracles()?.iter().filter(|o| wanted(&arguments.densities, o.name)) {
            let plan = plan().into_iter();
            let plan = plan.filter(|p| wanted(&arguments.kinds, &format!("{:?}", p.0)));
            for (kind, treatment, rows) in plan {
                for seed in 1..=arguments.seeds {
                    let id = format!("{} {kind:?} {treatment:?} {rows} {seed}", oracle.name);
                    if runs.contains_key(&id) {
                        continue;
                    }
                    let run = fit(oracle, (kind, treatment, rows), seed, &id)
                        .with_context(|| id.clone())?;
                    let mut file =
                        std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
                    writeln!(file, "{}", serde_json::to_string(&run)?)?;
                    runs.insert(id, run);
                }
            }
        }
    }
    let runs: Vec<Run> = runs.into_values().collect();
    std::fs::write(&arguments.table, table(&runs)?)?;
    Ok(())
}

fn read(path: &Path) -> Result<BTreeMap<String, Run>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let parse = |line: &str| -> Result<(String, Run)> {
        let run: Run = serde_json::from_str(line)?;
        Ok((run.id.clone(), run))
    };
    text.lines().map(parse).collect()
}

/// Settings of a fit of about a second.
fn config(
    kind: Kind,
    treatment: Treatment,
    (rows, columns): (usize, usize),
    seed: u64,
) -> FitConfig {
    let hidden = match treatment {
        Treatment::Long => vec![64, 64],
        _ => vec![32, 32],
    };
    let network = |of: NetworkConfig| {
        FitConfig::of(Family::Network(NetworkConfig { hidden: hidden.clone(), ..of }))
    };
    let usual = match kind {
        Kind::Potential => network(NetworkConfig::default()),
        Kind::Field => network(NetworkConfig::score_field()),
        Kind::Diffusion => {
            let diffusion = DiffusionConfig { hidden, ..DiffusionConfig::default() };
            FitConfig::of(Family::Diffusion(diffusion))
        }
        Kind::Density => {
            let mut usual = Purpose::Density.config_for(rows, columns);
            if let Family::Diffusion(diffusion) = &mut usual.family {
                diffusion.hidden = hidden;
            }
            FitConfig { members: 1, ..usual }
        }
    };
    let (steps, patience) = match treatment {
        Treatment::Short(steps) => (steps, 0),
        Treatment::Long => (1500, 0),
        _ => (1000, 6),
    };
    let training = TrainConfig {
        steps,
        patience,
        evaluate_every: if treatment == Treatment::Long { steps } else { 50.min(steps) },
        learning_rate: 4e-3,
        ema_decay: 0.99,
        threads: 1,
        seed,
        weight_decay: match treatment {
            Treatment::Decayed(decay) => decay,
            Treatment::Long => 0.0,
            _ => usual.training.weight_decay,
        },
        objective: match (kind, treatment) {
            (Kind::Diffusion | Kind::Density, _) => usual.training.objective,
            (_, Treatment::Smoothed(sigma)) => Objective::Dsm { sigma },
            _ => Objective::Exact,
        },
        ..usual.training
    };
    FitConfig { training, choose_objective: false, ..usual }
}

fn fit(
    oracle: &Oracle,
    (kind, treatment, count): (Kind, Treatment, usize),
    seed: u64,
    id: &str,
) -> Result<Run> {
    let p = oracle.density.as_ref();
    let mut rng = ChaCha8Rng::seed_from_u64(seed * 7919 + count as u64);
    let rows = match treatment {
        Treatment::LostMode => one_side(p, count, &mut rng),
        _ => p.sample(count, &mut rng),
    };
    let config = config(kind, treatment, (count, p.dim()), seed);
    let names = (0..p.dim()).map(|j| format!("x{j}")).collect();
    let prepared =
        CheckedTable::new(Table::new(oracle.name, names, rows)?, &config)?.prepare(&config)?;
    let mut trained = prepared.train(&config, &mut |_, _| ControlFlow::Continue(()))?;
    match treatment {
        Treatment::Negated => {
            rescale_output(&mut trained.network.parameters, &config, p.dim(), -1.0)
        }
        Treatment::Scaled(by) => {
            rescale_output(&mut trained.network.parameters, &config, p.dim(), by);
        }
        _ => {}
    }
    let mut model = prepared.model(&trained, None, 0.0)?;
    if config.with_gaussians {
        model = prepared.with_gaussians(model)?;
    }
    let fresh = p.sample(FRESH, &mut rng);
    let distance = match kind {
        Kind::Diffusion | Kind::Density => divergence(&model, p, fresh.view(), &mut rng)?,
        _ => relative_fisher(&model, p, fresh.view()) / RELATIVE_FISHER,
    };
    let by_fit = match treatment {
        // Its own rows know nothing of the others.
        Treatment::LostMode => None,
        _ => prepared
            .evaluate(&model)?
            .ok()
            .map(|found| Graded::new(found.rows, &found.verdict(), &found.evidence())),
    };
    let others = p.sample(count, &mut rng);
    let by_eval = match kind {
        Kind::Diffusion | Kind::Density => evaluate_over_times(&model, others.view(), None, seed)
            .ok()
            .map(|found| Graded::new(found.rows, &found.verdict(), &found.evidence())),
        _ => evaluate(&model, others.view(), None, seed)
            .ok()
            .map(|found| Graded::new(found.rows, &found.verdict(), &found.evidence())),
    };
    Ok(Run {
        id: id.to_string(),
        oracle: oracle.name.into(),
        held_out: oracle.held_out,
        columns: p.dim(),
        kind: format!("{kind:?}"),
        treatment: format!("{treatment:?}"),
        rows: count,
        distance,
        fit: by_fit,
        eval: by_eval,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// Rows of which the first column is above its median: the others are lost.
fn one_side(p: &dyn ReferenceDensity, count: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    let rows = p.sample(3 * count, rng);
    let mut first: Vec<f64> = rows.column(0).to_vec();
    first.sort_by(f64::total_cmp);
    let median = first[first.len() / 2];
    let kept: Vec<usize> =
        (0..rows.nrows()).filter(|i| rows[[*i, 0]] > median).take(count).collect();
    rows.select(Axis(0), &kept)
}

/// Multiplies weights and biases of the last layer, and so the score of a network without base density.
fn rescale_output(parameters: &mut [f32], config: &FitConfig, d: usize, by: f32) {
    let last = config.hidden().last().map_or(0, |width| d * (width + 1));
    let from = parameters.len() - last;
    parameters[from..].iter_mut().for_each(|w| *w *= by);
}

/// E|s - s*|^2 / E|s*|^2, columns in units of their standard deviations.
fn relative_fisher(model: &FittedModel, p: &dyn ReferenceDensity, x: ArrayView2<'_, f64>) -> f64 {
    let sd = x.std_axis(Axis(0), 1.0);
    let (found, truth) = (model.score(x) * &sd, Score::score(p, x) * &sd);
    let square = |s: &Array2<f64>| s.iter().map(|s| s * s).sum::<f64>();
    square(&(&found - &truth)) / square(&truth)
}

/// E[log p - log model] in nats a column, over what a good model may have.
fn divergence(
    model: &FittedModel,
    p: &dyn ReferenceDensity,
    fresh: ArrayView2<'_, f64>,
    rng: &mut ChaCha8Rng,
) -> Result<f64> {
    let x = fresh.slice(ndarray::s![..FRESH_LIKELIHOOD, ..]);
    let found = model.log_likelihood(x, &LikelihoodConfig::default(), rng)?.log_density;
    let truth = p.log_density(x);
    let nats = (&truth - &found).mean().unwrap_or(f64::NAN);
    Ok(nats / (NATS_A_COLUMN * x.ncols() as f64))
}

const GRADES: [&str; 4] = ["good", "usable", "cannot tell", "not usable"];

/// The confusion tables.
fn table(runs: &[Run]) -> Result<String> {
    let mut out = String::new();
    writeln!(out, "# How right the verdict is: {} fits of known densities\n", runs.len())?;
    writeln!(
        out,
        "Written by `verdict-study` (experiments/verdict-study/README.md). A fit is near where its true distance is at most what a good model may \
         have: a relative Fisher divergence of {RELATIVE_FISHER}, or for models over time {NATS_A_COLUMN} nats a column.\n"
    )?;
    type Pick = fn(&Run) -> Option<&Graded>;
    let ways: [(&str, Pick); 2] = [
        ("after the fit, beside its training rows", |run| run.fit.as_ref()),
        ("by fresh rows alone, as `eval`", |run| run.eval.as_ref()),
    ];
    for (held_out, which) in [
        (false, "densities that set the bounds"),
        (true, "densities that were looked at afterwards"),
    ] {
        for (way, pick) in ways {
            writeln!(out, "## {way}: {which}\n")?;
            writeln!(
                out,
                "| grade | near | far | right | scores, near / far | densities, near / far |\n|---|---|---|---|---|---|"
            )?;
            let of: Vec<(&Run, &Graded)> = runs
                .iter()
                .filter(|run| run.held_out == held_out)
                .filter_map(|run| Some((run, pick(run)?)))
                .collect();
            for grade in GRADES {
                let count = |near: bool, kinds: &[&str]| {
                    let part = of.iter().filter(|(run, graded)| {
                        graded.grade == grade && kinds.contains(&run.kind.as_str())
                    });
                    part.filter(|(run, _)| (run.distance <= 1.0) == near).count()
                };
                let both = |kinds: &[&str]| [count(true, kinds), count(false, kinds)];
                let [scores, densities] =
                    [both(&["Potential", "Field"]), both(&["Diffusion", "Density"])];
                let (near, far) = (scores[0] + densities[0], scores[1] + densities[1]);
                let share = |right: usize| 100.0 * right as f64 / (near + far) as f64;
                let right = match (grade, near + far) {
                    (_, 0) => String::new(),
                    ("good", _) => format!("{:.0}%", share(near)),
                    ("not usable", _) => format!("{:.0}%", share(far)),
                    _ => String::new(),
                };
                let pair = |pair: [usize; 2]| format!("{} / {}", pair[0], pair[1]);
                let (scores, densities) = (pair(scores), pair(densities));
                writeln!(out, "| {grade} | {near} | {far} | {right} | {scores} | {densities} |")?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out, "## By treatment, all densities\n")?;
    writeln!(
        out,
        "Counts of good / usable / cannot tell / not usable by fresh rows, for fits that are near and for those that are far.\n"
    )?;
    writeln!(out, "| kind | treatment | near | far |\n|---|---|---|---|")?;
    let mut by: BTreeMap<(String, String), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        by.entry((run.kind.clone(), run.treatment.clone())).or_default().push(run);
    }
    for ((kind, treatment), runs) in by {
        let counts = |near: bool| {
            let count = |grade: &str| {
                let graded = runs.iter().filter(|run| (run.distance <= 1.0) == near);
                graded.filter(|run| run.eval.as_ref().is_some_and(|g| g.grade == grade)).count()
            };
            GRADES.map(|grade| count(grade).to_string()).join(" / ")
        };
        writeln!(out, "| {kind} | {treatment} | {} | {} |", counts(true), counts(false))?;
    }
    Ok(out)
}
