//! `gradlogp bench mala`

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use gradlogp::engine::Threads;
use gradlogp::sample::{ChainConfig, ChainRun, Chains, standard_normal_start};
use gradlogp::{Error, Mlp, ModelKind};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::super::Show;
use super::{network, table};
use crate::args::MalaClockArgs;
use crate::interrupt;
use crate::limits::check_memory;
use crate::text::short;

/// Standard deviation of the Gaussian that makes exp f a density.
const BASE_SCALE: f64 = 3.0;

#[derive(Serialize)]
struct Measured {
    seconds: f64,
    chain_steps_per_s: f64,
    acceptance_rate: Option<f64>,
    chains: usize,
    steps: usize,
    threads: usize,
}

pub(crate) fn mala(args: &MalaClockArgs, show: Show) -> Result<ExitCode> {
    let mlp = network(&args.network, ModelKind::LogDensity, Some(BASE_SCALE))?;
    check_memory("--chains", 8.0 * args.chains as f64 * args.network.dim as f64)?;
    let config = ChainConfig {
        chains: args.chains,
        warm_up: 0,
        steps: args.steps,
        // The last step alone; no step at all is refused as such.
        thinning: args.steps.max(1),
        step_size: args.step_size,
        target_acceptance: None,
        apart: false,
    };
    if args.steps == 0 {
        return Err(Error::config("--steps", "must be at least 1").into());
    }
    config.validate()?;
    let threads = Threads::new(args.network.threads)?;
    let start = Instant::now();
    let run = threads.install(|| chains(&mlp, &config))?;
    let seconds = start.elapsed().as_secs_f64();
    if !run.completed {
        return Err(
            Error::config("bench mala", "was interrupted before anything was measured").into()
        );
    }
    let measured = Measured {
        seconds,
        chain_steps_per_s: (args.chains * args.steps) as f64 / seconds,
        acceptance_rate: run.acceptance_rate(),
        chains: args.chains,
        steps: args.steps,
        threads: threads.count(),
    };
    let text = table([
        (
            "Seconds",
            format!("{} for {} chains x {} steps", short(seconds), args.chains, args.steps),
        ),
        ("Steps of a chain", format!("{} a second", short(measured.chain_steps_per_s))),
        ("Acceptance", format!("{:.0}%", 100.0 * measured.acceptance_rate.unwrap_or(0.0))),
    ]);
    show.result(&text, &measured)?;
    Ok(ExitCode::SUCCESS)
}

/// As `gradlogp sample` runs them: single precision, double for positions.
fn chains(mlp: &Mlp, config: &ChainConfig) -> Result<ChainRun> {
    let model = mlp.build::<f32>(0)?;
    let Some(potential) = model.as_log_density() else {
        return Err(Error::config("model", "must be a potential").into());
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let start = standard_normal_start(config.chains, mlp.dim, &mut rng);
    let mut observe = |_| {
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    Ok(Chains::mala(&potential, start.view(), config)?.run_with(&mut rng, &mut observe)?)
}
