//! `gradlogp bench stein`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::Error;
use gradlogp::diagnose::{KsdConfig, kernel_stein_discrepancy};
use gradlogp::engine::Threads;
use gradlogp::reference::{Gaussian, ReferenceDensity};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::super::Show;
use super::{median_seconds, table};
use crate::args::SteinClockArgs;
use crate::limits::check_memory;
use crate::text::short;

#[derive(Serialize)]
struct Measured {
    seconds: f64,
    rows: usize,
    groups: usize,
    p_value: f64,
    passes: usize,
    threads: usize,
}

/// The kernel Stein test of standard normal rows against their own score, which costs nothing beside it.
pub(crate) fn stein(args: &SteinClockArgs, show: Show) -> Result<ExitCode> {
    if args.rows < 3 {
        return Err(Error::config("--rows", "must be at least 3").into());
    }
    if args.dim == 0 {
        return Err(Error::config("--dim", "must be at least 1").into());
    }
    let usual = KsdConfig::default();
    let group = args.group.unwrap_or(usual.group);
    let config = KsdConfig { group, bootstrap: args.bootstrap, ..usual };
    config.validate()?;
    let values = args.rows as f64 * args.dim as f64;
    let signs = args.rows.min(group) as f64 * args.bootstrap as f64;
    check_memory("--rows", 8.0 * (4.0 * values + signs))?;
    check_memory("--dim", 16.0 * (args.dim as f64).powi(2))?;
    let threads = Threads::new(args.threads)?;
    let normal = Gaussian::standard(args.dim)?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = normal.sample(args.rows, &mut rng);
    let mut found = None;
    let seconds = threads.install(|| {
        median_seconds(args.passes, || {
            found = Some(kernel_stein_discrepancy(&normal, x.view(), &config, &mut rng)?);
            Ok(())
        })
    })?;
    let (groups, p_value) = found.map_or((0, f64::NAN), |found| (found.groups, found.p_value));
    let measured = Measured {
        seconds,
        rows: args.rows,
        groups,
        p_value,
        passes: args.passes,
        threads: threads.count(),
    };
    let pairs = match groups {
        1 => "all pairs".to_string(),
        _ => format!("pairs within {groups} groups"),
    };
    let text = table([
        ("Seconds", format!("{} for {} rows, {pairs}", short(seconds), args.rows)),
        ("p-value", format!("{} under the true score", short(p_value))),
    ]);
    show.result(&text, &measured)?;
    Ok(ExitCode::SUCCESS)
}
