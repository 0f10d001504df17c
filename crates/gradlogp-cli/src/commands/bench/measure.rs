//! What all measurements need: a network, a clock, two columns of text.

use std::time::Instant;

use anyhow::Result;
use gradlogp::{Error, Mlp, ModelKind};

use crate::args::NetworkArgs;
use crate::limits::check_network;
use crate::text::aligned;

/// The network of a measurement, if this machine can hold it.
pub(super) fn network(args: &NetworkArgs, kind: ModelKind, base_scale: Option<f64>) -> Result<Mlp> {
    check_network(args.dim, &args.hidden, kind, args.threads)?;
    let (hidden, activation) = (args.hidden.clone(), args.activation);
    Ok(Mlp { hidden, activation, base_scale, ..Mlp::new(args.dim, kind) })
}

/// Median seconds of `passes` runs of `work`.
pub(super) fn median_seconds(passes: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    if passes == 0 {
        return Err(Error::config("--passes", "must be at least 1").into());
    }
    let mut times = Vec::with_capacity(passes);
    for _ in 0..passes {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[passes / 2])
}

/// Lines of two columns.
pub(super) fn table<const N: usize>(rows: [(&str, String); N]) -> String {
    aligned(&rows.map(|(name, value)| vec![name.to_string(), value]))
}
