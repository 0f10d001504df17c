//! The density-estimation experiments of the sliced score matching paper that need only tables: deep kernel
//! exponential families on UCI data (`dkef-uci`) and on N(0, I) of growing dimension (`dkef-scaling`).
//!
//! Each run writes one file of JSON lines: its configuration, what it measured on the way, its result. A
//! run whose file ends with a result for the same configuration is not repeated, and one that was broken
//! off goes on from its last checkpoint; tables and figures are made from the files alone.

pub mod figure;
pub mod prepare;
pub mod records;
pub mod run;

use gradlogp::Objective;

/// The estimators compared, by the names of the command line, with one slice and the published noise level.
pub const ESTIMATORS: [(&str, Objective); 6] = [
    ("exact", Objective::Exact),
    ("ssm", Objective::Ssm { slices: 1 }),
    ("ssm-vr", Objective::SsmVr { slices: 1 }),
    ("dsm", Objective::Dsm { sigma: 0.16 }),
    ("cp", Objective::Cp { slices: 1 }),
    ("approximate-backprop", Objective::ApproxBackprop),
];

/// The estimator of a name.
///
/// # Errors
/// A name that is not one of [`ESTIMATORS`], which the message lists.
pub fn estimator(name: &str) -> anyhow::Result<Objective> {
    let found = ESTIMATORS.iter().find(|(known, _)| *known == name).map(|(_, e)| *e);
    found.ok_or_else(|| {
        let known: Vec<&str> = ESTIMATORS.iter().map(|(name, _)| *name).collect();
        anyhow::anyhow!("--objectives: {name} is not one of {}", known.join(", "))
    })
}

/// Largest resident memory of this process in MiB, where the system tells it.
pub fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
