//! `gradlogp compare DATA --objectives ssm,ssm-vr,exact --slice-distributions ... --slices 1,4`

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradlogp::fit::{Prepared, Trained, Way, WayFigures, enough_rows, mean_loss};
use gradlogp::model::LossPass;
use gradlogp::stats::upper_median;
use gradlogp::storage::write_atomically;
use gradlogp::train::{Event, Stop, TrainConfig, Trainer};
use gradlogp::{Error, Model, Objective, SliceDistribution};
use gradlogp_report::{Compared, ComparedWays as Comparison, Estimate, render_comparison};
use ndarray::Array2;
use serde::Serialize;

use super::Show;
use super::fit::Plan;
use crate::args::{CompareArgs, ObjectiveArg};
use crate::evaluation::figures_of;
use crate::input::in_table;
use crate::interrupt;
use crate::limits::{check_memory, check_network, check_step};
use crate::places::Places;
use crate::progress::Progress;
use crate::text::{aligned, short};

/// Steps timed to turn seconds into steps, after a few that are not.
const TRIAL: u64 = 20;
const TRIAL_WARM_UP: usize = 5;

/// What came of one way, over all seeds.
struct Outcome {
    way: Way,
    steps: u64,
    /// Losses of the test rows: seeds x rows.
    losses: Array2<f64>,
    /// Median seconds of a step.
    step_seconds: f64,
    /// Seeds whose fit passed every Stein identity.
    consistent: usize,
    /// Of the first seed.
    verdict: String,
    network: Model<f32>,
    diverged: bool,
}

/// The table, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Compare {
    rows: usize,
    seeds: usize,
    /// The way with the lowest held-out loss.
    best: String,
    variance_rows: usize,
    variance_draws: usize,
    ways: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
}

/// One way, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Line {
    way: String,
    objective: Objective,
    slice_law: SliceDistribution,
    steps: u64,
    exact_loss: f64,
    exact_loss_se: f64,
    difference: f64,
    difference_se: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference_seeds_se: Option<f64>,
    step_ms: f64,
    loss_variance: f64,
    gradient_variance: f64,
    relative_gradient_variance: f64,
    consistent_seeds: usize,
    verdict: String,
    diverged: bool,
}

pub(crate) fn run(args: &CompareArgs, show: Show) -> Result<ExitCode> {
    interrupt::say("stopped; an incomplete comparison is not shown");
    let mut plan = Plan::new(&args.as_fit())?;
    let ways = ways(args)?;
    check_settings(args, &plan)?;
    let stand_in = plan.mlp(1).build::<f32>(0)?;
    for way in &ways {
        LossPass::check(&way.objective, &stand_in)?;
        if args.boundary.domain().is_some() {
            way.objective.check_bounded()?;
        }
    }
    let (prepared, _) = plan.prepare(show)?;
    enough_rows(prepared.split.test.len())
        .map_err(|e| in_table(e, &format!("{}, test rows", plan.source.name())))?;
    check_memory("--seeds", 8.0 * args.seeds as f64 * prepared.split.test.len() as f64)?;
    let mut outcomes = Vec::new();
    let mut bar = Progress::new(show.silent(), "comparing", 0, (ways.len() * args.seeds) as u64);
    for way in ways {
        let done = outcomes.len() * args.seeds;
        outcomes.extend(try_way(args, &plan, &prepared, way, done, &mut bar)?);
    }
    bar.finish();
    outcomes.sort_by(|a, b| mean_loss(&a.losses).total_cmp(&mean_loss(&b.losses)));
    let compare = compare(args, &plan, &prepared, &outcomes)?;
    if let Some(path) = &args.report {
        let page = render_comparison(&page(&plan, &compare))?;
        write_atomically(path, |out| out.write_all(page.as_bytes()))?;
    }
    show.result(&compare.text(), &compare)?;
    Ok(ExitCode::SUCCESS)
}

/// Every objective with every distribution and number of slices; those without slices once.
fn ways(args: &CompareArgs) -> Result<Vec<Way>> {
    let mut ways: Vec<Way> = Vec::new();
    let mut add = |objective: Objective, distribution| -> Result<()> {
        objective.validate()?;
        let way = Way { objective, distribution };
        if !ways.contains(&way) {
            ways.push(way);
        }
        Ok(())
    };
    for name in &args.objectives {
        let with = |slices: usize| {
            let message = "auto is not an objective; name those to compare";
            let found = name.with(slices, args.sigma, args.fd_eps);
            found.ok_or_else(|| Error::config("--objectives", message))
        };
        match name {
            ObjectiveArg::Ssm | ObjectiveArg::SsmVr | ObjectiveArg::FdSsm | ObjectiveArg::FdDsm => {
                for distribution in &args.slice_distributions {
                    for &slices in &args.slices {
                        add(with(slices)?, *distribution)?;
                    }
                }
            }
            // Its draws are noise at the units, of one distribution.
            ObjectiveArg::Cp => {
                for &slices in &args.slices {
                    add(with(slices)?, SliceDistribution::default())?;
                }
            }
            _ => add(with(1)?, SliceDistribution::default())?,
        }
    }
    Ok(ways)
}

fn check_settings(args: &CompareArgs, plan: &Plan) -> Result<()> {
    if plan.is_kernel_family() {
        let message = "compares networks; use potential or score";
        return Err(Error::config("--model", message).into());
    }
    if args.seeds == 0 {
        return Err(Error::config("--seeds", "must be at least 1").into());
    }
    if args.draws < 2 {
        return Err(Error::config("--draws", "a variance needs at least 2").into());
    }
    if args.seconds.is_some_and(|s| !(s > 0.0 && s <= 1e6)) {
        return Err(Error::config("--seconds", "must be above 0 and at most a million").into());
    }
    if plan.fit.prepare.test == 0.0 {
        return Err(
            Error::config("--test", "must be above 0: ways are compared on these rows").into()
        );
    }
    Places::default()
        .reads("DATA", plan.source.place.file())
        .writes("--report", args.report.as_deref())
        .check()
}

/// Fits one way with every seed; None without any.
fn try_way(
    args: &CompareArgs,
    plan: &Plan,
    prepared: &Prepared,
    way: Way,
    done: usize,
    bar: &mut Progress,
) -> Result<Option<Outcome>> {
    let steps = match args.seconds {
        Some(seconds) => steps_within(seconds, plan, prepared, way)?,
        None => args.steps,
    };
    let test = prepared.rows(&prepared.split.test);
    let mut losses = Array2::zeros((args.seeds, test.nrows()));
    let (mut times, mut consistent, mut diverged) = (Vec::new(), 0, false);
    let mut first = None;
    for k in 0..args.seeds {
        bar.at((done + k) as u64, || format!("{way}, seed {k},", way = name(way)));
        let mut trainer = trainer(plan, prepared, way, k as u64, steps)?;
        let (stop, gaps) = timed(&mut trainer, u64::MAX);
        times.extend(gaps);
        diverged |= matches!(stop, Stop::Diverged { .. });
        let trained = Trained::of(&trainer, plan.mlp(prepared.dim()), stop);
        let network = trained.network.clone();
        let model = prepared.model(&trained, None, 0.0)?;
        let model = prepared.model_at(&model, &prepared.split.test)?;
        losses.row_mut(k).assign(&model.exact_loss_rows(test.view()));
        let figures =
            figures_of(&model, test.view(), None, model.description().training.seed, None)?;
        consistent += usize::from(figures.consistent);
        first.get_or_insert((figures.judged.verdict, network));
    }
    let Some((verdict, network)) = first else { return Ok(None) };
    let step_seconds = upper_median(times).unwrap_or(f64::NAN);
    Ok(Some(Outcome { way, steps, losses, step_seconds, consistent, verdict, network, diverged }))
}

fn trainer(plan: &Plan, prepared: &Prepared, way: Way, seed: u64, steps: u64) -> Result<Trainer> {
    let config = TrainConfig {
        objective: way.objective,
        slice_distribution: way.distribution,
        seed: plan.fit.training.seed.wrapping_add(seed),
        steps,
        ..prepared.training(&plan.fit)
    };
    let (dim, hidden) = (prepared.dim(), plan.fit.hidden());
    check_network(dim, hidden, plan.fit.kind(), config.threads)?;
    let batch = config.batch.min(prepared.split.train.len());
    check_step(dim, hidden, batch, &config.objective)?;
    Ok(prepared.trainer(&plan.fit, config)?)
}

/// Runs to the end, or to `most` steps: why it ended, and the seconds of each step. A step after
/// which there was a held-out evaluation counts that too; the median does not see it.
fn timed(trainer: &mut Trainer, most: u64) -> (Stop, Vec<f64>) {
    let (mut gaps, mut last) = (Vec::new(), Instant::now());
    let stop = trainer.run(&mut |_, event| {
        let Event::Step(progress) = event else { return ControlFlow::Continue(()) };
        let now = Instant::now();
        gaps.push((now - last).as_secs_f64());
        last = now;
        let enough = progress.step >= most;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (stop, gaps)
}

/// The steps that take about `seconds`, held-out evaluations apart.
fn steps_within(seconds: f64, plan: &Plan, prepared: &Prepared, way: Way) -> Result<u64> {
    let mut trainer = trainer(plan, prepared, way, 0, u64::MAX)?;
    let (_, gaps) = timed(&mut trainer, TRIAL_WARM_UP as u64 + TRIAL);
    let later = gaps[TRIAL_WARM_UP.min(gaps.len())..].iter().copied();
    let step = upper_median(later).unwrap_or(f64::NAN);
    let steps = Duration::from_secs_f64(seconds).as_secs_f64() / step.max(1e-9);
    Ok((steps.round() as u64).max(1))
}

/// In words, short.
fn name(way: Way) -> String {
    way.objective.brief(&way.distribution)
}

/// The figures of every way, best first.
fn compare(
    args: &CompareArgs,
    plan: &Plan,
    prepared: &Prepared,
    outcomes: &[Outcome],
) -> Result<Compare> {
    let best =
        outcomes.first().ok_or_else(|| Error::config("--objectives", "name at least one"))?;
    let fits: Vec<(Way, &Array2<f64>)> = outcomes.iter().map(|o| (o.way, &o.losses)).collect();
    let figures = prepared.compare_ways(&plan.fit, &fits, &best.network, args.draws)?;
    let line = |(outcome, figures): (&Outcome, WayFigures)| Line {
        way: name(outcome.way),
        objective: outcome.way.objective,
        slice_law: outcome.way.distribution,
        steps: outcome.steps,
        exact_loss: figures.loss.mean,
        exact_loss_se: figures.loss.standard_error,
        difference: figures.above_best.mean,
        difference_se: figures.above_best.standard_error,
        difference_seeds_se: figures.above_best.seeds_error,
        step_ms: 1e3 * outcome.step_seconds,
        loss_variance: figures.variance.loss_variance,
        gradient_variance: figures.variance.gradient_variance,
        relative_gradient_variance: figures.relative_gradient_variance,
        consistent_seeds: outcome.consistent,
        verdict: outcome.verdict.clone(),
        diverged: outcome.diverged,
    };
    Ok(Compare {
        rows: best.losses.ncols(),
        seeds: args.seeds,
        best: name(best.way),
        variance_rows: prepared.variance_rows(&plan.fit),
        variance_draws: args.draws,
        ways: outcomes.iter().zip(figures).map(line).collect(),
        report: args.report.as_ref().map(|p| p.display().to_string()),
    })
}

impl Compare {
    /// The terminal's table.
    fn text(&self) -> String {
        let mut rows = vec![
            [
                "way",
                "steps",
                "held-out loss",
                "",
                "above best",
                "",
                "ms/step",
                "Var loss",
                "Var grad / |grad|^2",
                "Stein",
            ]
            .map(String::from)
            .to_vec(),
        ];
        for (k, w) in self.ways.iter().enumerate() {
            let spread = |se: f64| format!("+- {}", short(se));
            let against = if k == 0 {
                ["best".to_string(), String::new()]
            } else {
                [short(w.difference), spread(w.difference_se)]
            };
            rows.push(vec![
                w.way.clone(),
                w.steps.to_string(),
                short(w.exact_loss),
                spread(w.exact_loss_se),
                against[0].clone(),
                against[1].clone(),
                short(w.step_ms),
                short(w.loss_variance),
                short(w.relative_gradient_variance),
                self.stein(w),
            ]);
        }
        let report = self.report.as_ref().map_or(String::new(), |r| format!("\nReport: {r}"));
        format!(
            "{}Exact loss of {} held-out rows, {}; differences are paired by row, with their own \
             standard errors.\nVariances: over {} fresh draws on {} rows, at the weights of the best \
             way.{report}",
            aligned(&rows),
            self.rows,
            self.seeds(),
            self.variance_draws,
            self.variance_rows
        )
    }

    fn seeds(&self) -> String {
        match self.seeds {
            1 => "one seed (so differences are those of these fits)".into(),
            k => format!("means over {k} seeds"),
        }
    }

    fn stein(&self, line: &Line) -> String {
        let diverged = if line.diverged { ", diverged" } else { "" };
        let word = match (line.consistent_seeds, self.seeds) {
            (1, 1) => "ok".into(),
            (0, 1) => "FAULT".into(),
            (k, all) => format!("{k} of {all} ok"),
        };
        word + diverged
    }
}

fn page(plan: &Plan, compare: &Compare) -> Comparison {
    let ways = compare.ways.iter().map(|w| Compared {
        name: w.way.clone(),
        steps: w.steps,
        loss: Estimate { value: w.exact_loss, standard_error: Some(w.exact_loss_se) },
        difference: Estimate { value: w.difference, standard_error: Some(w.difference_se) },
        step_ms: w.step_ms,
        loss_variance: w.loss_variance,
        relative_gradient_variance: w.relative_gradient_variance,
        stein: compare.stein(w),
    });
    Comparison {
        data_name: plan.source.name(),
        model: plan.fit.kind().to_string(),
        rows: compare.rows,
        seeds: compare.seeds,
        variance_rows: compare.variance_rows,
        variance_draws: compare.variance_draws,
        ways: ways.collect(),
    }
}
