//! `gradlogp bench step`

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradlogp::numeric::{Mat, MatMut, matmul};
use gradlogp::train::{Event, GradientNoise, PILOT, Stop, TrainConfig, Trainer, gradient_noise};
use gradlogp::{Error, Mlp};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use super::super::Show;
use crate::args::StepArgs;
use crate::limits::{check_memory, check_network, check_step};
use crate::text::{aligned, short};

/// Steps before the clock counts.
const WARM_UP: usize = 5;

#[derive(Serialize)]
struct Measured {
    median_ms: f64,
    min_ms: f64,
    rows_per_s: f64,
    /// Share of the measured matrix-product rate that the step's products alone account for.
    gemm_share: f64,
    gflop_per_step: f64,
    machine_gflop_per_s: f64,
    steps: usize,
    threads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    gradient_noise: Option<GradientNoise>,
}

pub(crate) fn step(args: &StepArgs, show: Show) -> Result<ExitCode> {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(Error::config("--seconds", "must be above 0 and at most 3600").into());
    }
    let (trainer, threads) = trainer(args)?;
    let (trainer, gradient_noise) = match args.gradient_noise {
        true => noise(trainer, args)?,
        false => (trainer, None),
    };
    let operations = trainer.product_operations() as f64;
    let mut times = time_steps(trainer, Duration::from_secs_f64(args.seconds));
    times.sort_by(f64::total_cmp);
    let (median, least) = (times[times.len() / 2], times[0]);
    let rate = product_rate(threads);
    let measured = Measured {
        median_ms: 1e3 * median,
        min_ms: 1e3 * least,
        rows_per_s: args.batch as f64 / median,
        gemm_share: operations / median / rate,
        gflop_per_step: 1e-9 * operations,
        machine_gflop_per_s: 1e-9 * rate,
        steps: times.len(),
        threads,
        gradient_noise,
    };
    let mut rows = vec![
        ("Median", format!("{} ms", short(measured.median_ms))),
        ("Minimum", format!("{} ms", short(measured.min_ms))),
        ("Rows", format!("{} a second", short(measured.rows_per_s))),
        ("Products", format!("{} GFLOP a step", short(measured.gflop_per_step))),
        (
            "Machine",
            format!("{} GFLOP/s on {threads} threads", short(measured.machine_gflop_per_s)),
        ),
        ("Share of it", format!("{:.0}%", 100.0 * measured.gemm_share)),
    ];
    if let Some(noise) = gradient_noise {
        let (rows_text, slices) = (short(noise.rows), short(noise.slices));
        rows.push((
            "Gradient variance",
            format!("{rows_text} by row + {slices} by slices, per row"),
        ));
    }
    let cells: Vec<Vec<String>> = rows.into_iter().map(|(a, b)| vec![a.to_string(), b]).collect();
    show.result(&aligned(&cells), &measured)?;
    Ok(ExitCode::SUCCESS)
}

fn trainer(args: &StepArgs) -> Result<(Trainer, usize)> {
    let Some(objective) = args.objective.with(args.slices, 0.1, None) else {
        return Err(Error::config("--objective", "name one to time it").into());
    };
    if args.model.is_kernel_family() {
        return Err(
            Error::config("--model", "steps of networks are timed: score or potential").into()
        );
    }
    let mlp = Mlp {
        hidden: args.hidden.clone(),
        activation: args.activation,
        ..Mlp::new(args.dim, args.model.into())
    };
    check_network(args.dim, &args.hidden, args.model.into(), args.threads)?;
    // Two tables of four batches each.
    check_memory("--batch", 32.0 * args.batch as f64 * args.dim as f64)?;
    check_step(args.dim, &args.hidden, 4 * args.batch.min(usize::MAX / 4), &objective)?;
    let rows = rows(args);
    let config = TrainConfig {
        objective,
        slice_distribution: args.slice_distribution,
        batch: args.batch,
        steps: u64::MAX,
        evaluate_every: u64::MAX,
        threads: args.threads,
        ..TrainConfig::default()
    };
    config.validate()?;
    let threads = gradlogp::engine::Threads::new(args.threads)?.count();
    let held_out = rows[..args.dim.min(rows.len())].to_vec();
    Ok((Trainer::new(mlp.build(0)?, rows, &held_out, config)?, threads))
}

/// The trainer after its first steps, and the noise of its gradient there.
fn noise(mut trainer: Trainer, args: &StepArgs) -> Result<(Trainer, Option<GradientNoise>)> {
    let stop = trainer.run(&mut |_, event| match event {
        Event::Step(p) if p.step >= PILOT => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if let Stop::Diverged { message } = stop {
        return Err(Error::Diverged { step: trainer.step(), rows: Vec::new(), message }.into());
    }
    let mut model = trainer.best_model();
    model.parameters.copy_from_slice(trainer.parameters());
    let threads = gradlogp::engine::Threads::new(args.threads)?;
    let (config, rows) = (trainer.config(), rows(args).into());
    let noise = threads.install(|| gradient_noise(&model, &rows, config, threads.count()))?;
    Ok((trainer, Some(noise)))
}

/// Several batches, so that rows are gathered as in training.
fn rows(args: &StepArgs) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..4 * args.batch * args.dim).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// Seconds of each step, for about as long as asked and at least three steps.
fn time_steps(mut trainer: Trainer, length: Duration) -> Vec<f64> {
    let (mut times, mut seen) = (Vec::new(), 0);
    let start = Instant::now();
    let mut last = start;
    trainer.run(&mut |_, event| {
        if let Event::Step(_) = event {
            let now = Instant::now();
            seen += 1;
            if seen > WARM_UP {
                times.push((now - last).as_secs_f64());
            }
            last = now;
        }
        let enough = times.len() >= 3 && start.elapsed() >= length;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    times
}

/// Floating-point operations a second of large single-precision matrix products, one per thread:
/// the best of several.
fn product_rate(threads: usize) -> f64 {
    const N: usize = 768;
    let operations = 2.0 * (N * N * N) as f64 * threads as f64;
    let matrices = || (vec![0.5f32; N * N], vec![0.25f32; N * N], vec![0.0f32; N * N]);
    let mut all: Vec<_> = (0..threads).map(|_| matrices()).collect();
    let mut best: f64 = 0.0;
    for _ in 0..12 {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (a, b, c) in &mut all {
                scope.spawn(|| {
                    for _ in 0..4 {
                        let c = MatMut::new(c, N, N);
                        matmul(c, Mat::new(a, N, N), Mat::new(b, N, N), false);
                    }
                });
            }
        });
        best = best.max(4.0 * operations / start.elapsed().as_secs_f64());
    }
    best
}
