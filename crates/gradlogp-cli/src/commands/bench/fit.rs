//! `gradlogp bench fit`

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use gradlogp::engine::Threads;
use gradlogp::train::{Choice, Event, HeldOut, HeldOutLoss, Stop, TrainConfig, Trainer};
use gradlogp::{Error, Objective};
use ndarray::Array2;
use serde::Serialize;

use super::super::Show;
use super::super::fit::Plan;
use crate::args::FitClockArgs;
use crate::output::write_table;
use crate::places::Places;
use crate::text::{aligned, short};

/// The files of rows: those that train, and those that are held out.
const ROWS_TO: [&str; 2] = ["training.npy", "held-out.npy"];

#[derive(Serialize)]
struct Measured {
    objective: Objective,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    threads: usize,
    history: Vec<Point>,
}

/// One held-out evaluation.
#[derive(Serialize)]
struct Point {
    step: u64,
    /// Of training alone, up to here.
    seconds: f64,
    held_out: HeldOutLoss,
}

pub(crate) fn fit(args: &FitClockArgs, show: Show) -> Result<ExitCode> {
    refuse_files(args)?;
    if let Some(folder) = args.rows_to.as_ref().filter(|folder| !folder.is_dir()) {
        let message = format!("there is no folder {}", folder.display());
        return Err(Error::config("--rows-to", message).into());
    }
    let mut plan = Plan::new(&args.fit)?;
    let rows_to = args.rows_to.as_ref().map(|folder| ROWS_TO.map(|name| folder.join(name)));
    let mut places = Places::default().reads("DATA", plan.source.place.file());
    for file in rows_to.iter().flatten() {
        places = places.writes("--rows-to", Some(file));
    }
    places.check()?;
    let (prepared, _) = plan.prepare(show)?;
    if plan.fit.members > 1 {
        return Err(Error::config("--members", "fits of one network are timed").into());
    }
    if plan.is_kernel_family() {
        let message = "fits of networks are timed: score or potential";
        return Err(Error::config("--model", message).into());
    }
    if !args.fit.prepare.given.is_empty() {
        return Err(Error::config("--given", "fits without a condition are timed").into());
    }
    if plan.is_diffusion() {
        return Err(Error::config("--noise", "fits without noise are timed").into());
    }
    let plan = plan.resolve_objective(&prepared, show)?;
    let training = prepared.network_rows(&prepared.split.train)?;
    let held_out = prepared.network_rows(&prepared.split.validation)?;
    if let Some([first, second]) = &rows_to {
        let columns = prepared.columns();
        write_rows(first, columns, &training.x)?;
        write_rows(second, columns, &held_out.x)?;
    }
    plan.check_size(&prepared)?;
    let config = prepared.training(&plan.fit);
    let network = plan.mlp(prepared.dim()).build::<f32>(config.seed)?;
    let threads = Threads::new(config.threads)?;
    let domain = config.domain.as_ref();
    let evaluator =
        HeldOut::new(&network, (&held_out).into(), domain, config.seed, threads.count());
    // Its own evaluations decide nothing: one row makes them free.
    let config = TrainConfig { evaluate_every: u64::MAX, patience: 0, ..config.clone() };
    let trainer = Trainer::new(network, training, &held_out.x[..prepared.dim()], config)?;
    let history = train(trainer, evaluator, &threads, &plan.fit.training);
    let threads = threads.count();
    let (objective, choice) = (plan.fit.training.objective, plan.choice);
    let heads = ["step", "seconds", "held-out loss"].map(String::from).to_vec();
    let cells = history.iter().map(|p| {
        let loss = p.held_out;
        let loss = format!("{} +- {}", short(loss.mean), short(loss.standard_error));
        vec![p.step.to_string(), short(p.seconds), loss]
    });
    let text = aligned(&std::iter::once(heads).chain(cells).collect::<Vec<_>>());
    show.result(&text, &Measured { objective, choice, threads, history })?;
    Ok(ExitCode::SUCCESS)
}

fn refuse_files(args: &FitClockArgs) -> Result<()> {
    let given = [
        ("--output", args.fit.output.is_some()),
        ("--report", args.fit.report.is_some()),
        ("--resume", args.fit.resume.is_some()),
        ("--checkpoint-every", args.fit.checkpoint_every.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            Err(Error::config(*option, "bench fit keeps no model; use gradlogp fit").into())
        }
        None => Ok(()),
    }
}

/// Trains in stretches between evaluations; the clock runs during the stretches alone.
fn train(
    mut trainer: Trainer,
    mut evaluator: HeldOut<f32>,
    threads: &Threads,
    config: &TrainConfig,
) -> Vec<Point> {
    let (mut history, mut seconds): (Vec<Point>, f64) = (Vec::new(), 0.0);
    let (mut best, mut since) = (f64::INFINITY, 0);
    let mut stretch = |_: &Trainer, event: Event| match event {
        Event::Step(p) if p.step.is_multiple_of(config.evaluate_every) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    loop {
        let start = Instant::now();
        let stop = trainer.run(&mut stretch);
        seconds += start.elapsed().as_secs_f64();
        let model = trainer.averaged_model();
        let held_out = threads.install(|| evaluator.evaluate(&model));
        history.push(Point { step: trainer.step(), seconds, held_out });
        since = if held_out.mean < best { 0 } else { since + 1 };
        best = best.min(held_out.mean);
        let patient = config.patience == 0 || since < config.patience;
        if stop != Stop::Interrupted || !patient {
            return history;
        }
    }
}

fn write_rows(path: &Path, columns: &[String], rows: &[f32]) -> Result<()> {
    let wide = rows.iter().map(|x| f64::from(*x)).collect();
    let table = Array2::from_shape_vec((rows.len() / columns.len(), columns.len()), wide)?;
    write_table(Some(path), columns, &table)
}
