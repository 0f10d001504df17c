//! `gradlogp bench score`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::engine::Threads;
use gradlogp::numeric::Real;
use gradlogp::{Derivatives, Error, Mlp};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use super::super::Show;
use super::{median_seconds, network, table};
use crate::args::ScoreClockArgs;
use crate::limits::check_memory;
use crate::text::short;

/// Rows of the run that is not timed.
const WARM_UP: usize = 4096;

#[derive(Serialize)]
struct Measured {
    seconds: f64,
    rows_per_s: f64,
    rows: usize,
    passes: usize,
    threads: usize,
}

pub(crate) fn score(args: &ScoreClockArgs, show: Show) -> Result<ExitCode> {
    if args.rows == 0 {
        return Err(Error::config("--rows", "must be at least 1").into());
    }
    if args.model.is_kernel_family() {
        let message = "scores of networks are timed: score or potential";
        return Err(Error::config("--model", message).into());
    }
    let mlp = network(&args.network, args.model.into(), None)?;
    let values = args.rows as f64 * args.network.dim as f64;
    check_memory("--rows", 2.0 * values * if args.double { 8.0 } else { 4.0 })?;
    let threads = Threads::new(args.network.threads)?;
    let seconds = threads
        .install(|| if args.double { time::<f64>(args, &mlp) } else { time::<f32>(args, &mlp) })?;
    let measured = Measured {
        seconds,
        rows_per_s: args.rows as f64 / seconds,
        rows: args.rows,
        passes: args.passes,
        threads: threads.count(),
    };
    let text = table([
        ("Seconds", format!("{} for {} rows", short(seconds), args.rows)),
        ("Rows", format!("{} a second", short(measured.rows_per_s))),
    ]);
    show.result(&text, &measured)?;
    Ok(ExitCode::SUCCESS)
}

fn time<T: Real>(args: &ScoreClockArgs, mlp: &Mlp) -> Result<f64> {
    let model = mlp.build::<T>(0)?;
    let at = Derivatives::new(&model);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let normal = |_| T::of(StandardNormal.sample(&mut rng));
    let x: Vec<T> = (0..args.rows * args.network.dim).map(normal).collect();
    let work = |x: &[T]| {
        let traced = args.trace.then(|| at.trace(x));
        std::hint::black_box((at.score(x), traced));
    };
    work(&x[..x.len().min(WARM_UP * args.network.dim)]);
    median_seconds(args.passes, || {
        work(&x);
        Ok(())
    })
}
