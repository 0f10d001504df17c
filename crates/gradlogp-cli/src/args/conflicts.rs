//! Options that would be ignored beside others, which is refused.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::model::ModelArg;

/// What may be given together with `--resume`: nothing that changes the result.
pub(crate) const WITH_RESUME: [&str; 6] =
    ["resume", "output", "report", "checkpoint_every", "quiet", "json"];

/// The commands that can be resumed from a checkpoint, and what they call one run.
pub(crate) const RESUMABLE: [(&str, &str); 2] = [("fit", "fit"), ("sample", "run")];

/// Options of `fit` that kernel families do not have, and those that only they have.
pub(crate) const OF_NETWORKS: [&str; 14] = [
    "hidden",
    "members",
    "activation",
    "residual",
    "batch",
    "rate",
    "schedule",
    "warm_up",
    "clip",
    "weight_decay",
    "ema",
    "evaluate_every",
    "patience",
    "checkpoint_every",
];
pub(crate) const OF_KERNELS: [&str; 1] = ["inducing"];

/// What is wrong with these options of this command, if some would be ignored.
pub(super) fn ignored(command: &Command, matches: &ArgMatches) -> Option<String> {
    let name = command.get_name();
    let (_, run) = RESUMABLE.iter().find(|(command, _)| *command == name)?;
    let resumed = ignored_by_resume(command, matches);
    if !resumed.is_empty() {
        return Some(format!(
            "a resumed {run} takes its settings from the checkpoint, so {} would be ignored; leave it out, or \
             start a new {run}",
            resumed.join(", ")
        ));
    }
    let of_kind = if name == "fit" { ignored_by_kind(command, matches) } else { Vec::new() };
    if of_kind.is_empty() {
        return None;
    }
    Some(format!(
        "{} has no effect with this --model; leave it out. dkef and kef define and train their networks \
         differently, and only they have inducing points",
        of_kind.join(", ")
    ))
}

/// Options that were given and that the kind of model does not have.
fn ignored_by_kind(command: &Command, fit: &ArgMatches) -> Vec<String> {
    let kernel = fit.get_one::<ModelArg>("model").is_some_and(|m| m.is_kernel_family());
    let given = |id: &&&str| fit.value_source(id) == Some(ValueSource::CommandLine);
    let ids: &[&str] = if kernel { &OF_NETWORKS } else { &OF_KERNELS };
    ids.iter().filter(given).map(|id| flag(command, id)).collect()
}

/// An argument as it is written.
fn flag(command: &Command, id: &str) -> String {
    let argument = command.get_arguments().find(|a| a.get_id() == id);
    match argument.map(|a| (a.get_long(), a.get_short())) {
        Some((Some(long), _)) => format!("--{long}"),
        Some((None, Some(short))) => format!("-{short}"),
        _ => id.to_uppercase(),
    }
}

/// Options given beside `--resume` that have no effect then.
fn ignored_by_resume(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if !given("resume") {
        return Vec::new();
    }
    let ids = command.get_arguments().filter(|a| !WITH_RESUME.contains(&a.get_id().as_str()));
    let ids = ids.map(|a| a.get_id().as_str()).filter(|id| given(id));
    ids.map(|id| flag(command, id)).collect()
}
