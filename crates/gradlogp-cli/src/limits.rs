//! Settings that no machine can serve, refused before work begins: one table of largest values, and estimates of
//! memory.
//!
//! Options that are not in the table are bounded by memory, below, or take any number: seeds, times, scales and
//! rates, which the library checks.

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{ArgMatches, Command};
use gradlogp::{Error, ModelKind, Objective};

/// The largest value of an option, where every command that has it takes no more.
struct Most {
    /// The option's name in `args/`.
    id: &'static str,
    most: u64,
    /// Why there is a bound, as the end of a sentence.
    why: &'static str,
}

const fn most(id: &'static str, most: u64, why: &'static str) -> Most {
    Most { id, most, why }
}

const YEARS: &str = "more would run for weeks";
const AT_ONCE: &str = "more cannot be interrupted";

/// Every count that no buffer bounds.
const LARGEST: [Most; 18] = [
    most("steps", 1_000_000_000, YEARS),
    most("warm_up", 1_000_000_000, YEARS),
    most("thinning", 1_000_000_000, YEARS),
    most("evaluate_every", 1_000_000_000_000, "there are no more steps than that"),
    most("patience", 1_000_000_000_000, "there are no more evaluations than that"),
    most("leapfrog", 1_000_000_000, YEARS),
    most("corrections", 1_000_000_000, YEARS),
    most("simulate", 10_000, AT_ONCE),
    most("levels", 10_000, "neighbours are the same by then"),
    most("frames", 100_000, "no film has more"),
    most("probes", 100_000, "the exact trace, 0, costs less"),
    most("seeds", 10_000, YEARS),
    most("draws", 1_000_000, YEARS),
    most("passes", 1_000_000, YEARS),
    most("bootstrap", 10_000_000, "p-values need no more"),
    most("inducing", 100_000, "each is an equation in as many unknowns"),
    most(
        "threads",
        256,
        "each needs its own stack and buffers, and more than there are cores bring nothing",
    ),
    most("dim", 10_000_000, "each is a file"),
];

/// Steps from noise to data, which are laid out before the first.
const REVERSE_STEPS: u64 = 1_000_000;

/// Refuses values beyond the table, of a command and the commands below it; `command` words the message.
pub(crate) fn check_largest(
    matches: &ArgMatches,
    command: &mut Command,
) -> Result<(), clap::Error> {
    let mut below = matches.subcommand();
    while let Some((name, given)) = below {
        for Most { id, most, why } in &LARGEST {
            let layered = *id == "steps" && name == "sample";
            let most = if layered { REVERSE_STEPS } else { *most };
            let value = numbers(given, id).into_iter().max().unwrap_or(0);
            if value > most {
                let option = id.replace('_', "-");
                let message = format!("--{option} {value} is too large: at most {most}; {why}");
                return Err(command.error(ErrorKind::ValueValidation, message));
            }
        }
        below = given.subcommand();
    }
    Ok(())
}

/// Refuses more threads than the table allows, of a checkpoint.
pub(crate) fn check_threads(threads: usize) -> Result<()> {
    let bound = LARGEST.iter().find(|bound| bound.id == "threads");
    if let Some(Most { most, .. }) = bound.filter(|bound| threads as u64 > bound.most) {
        return Err(Error::config("--threads", format!("must be at most {most}")).into());
    }
    Ok(())
}

/// The whole numbers given for an option, none where the command does not have it.
fn numbers(matches: &ArgMatches, id: &str) -> Vec<u64> {
    let of_size = matches.try_get_many::<usize>(id).ok().flatten();
    let of_u64 = matches.try_get_many::<u64>(id).ok().flatten();
    let wide = of_size.into_iter().flatten().map(|n| *n as u64);
    wide.chain(of_u64.into_iter().flatten().copied()).collect()
}

/// Share of the machine's memory that one purpose may ask for.
const SHARE: f64 = 0.9;

/// Refuses `option` if what it asks for, at least `bytes`, is more than this machine has.
pub(crate) fn check_memory(option: &str, bytes: f64) -> Result<()> {
    let has = memory();
    let fits = bytes <= has.map_or(isize::MAX as f64, |has| SHARE * has);
    if fits && Vec::<u8>::new().try_reserve_exact(bytes.max(0.0) as usize).is_ok() {
        return Ok(());
    }
    let limit = match has {
        Some(has) => format!("this machine has {}", gigabytes(has)),
        None => "this machine cannot provide it".into(),
    };
    let message =
        format!("needs about {} of memory, and {limit}; choose a smaller value", gigabytes(bytes));
    Err(Error::config(option.to_string(), message).into())
}

fn gigabytes(bytes: f64) -> String {
    match bytes / 1e9 {
        few if few < 1e4 => format!("{few:.1} gigabytes"),
        many => format!("{many:.1e} gigabytes"),
    }
}

/// Bytes of memory that this process can have, where the system tells: all there is, or what its group may use.
fn memory() -> Option<f64> {
    let first_number = |text: &str| {
        text.split_whitespace().find_map(|word| word.parse::<f64>().ok()).filter(|n| *n > 0.0)
    };
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let all = 1024.0 * first_number(line)?;
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let groups = group.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    Some(groups.filter_map(|text| first_number(&text)).fold(all, f64::min))
}

/// Least bytes of a network of these widths while it trains on `threads` (0: one per core): parameters, gradient, two
/// moments, the average, the best, and a copy in double precision; and for each thread a gradient, with, for
/// score fields of two hidden layers, four matrices between them for the exact trace (`jet/trace.rs`).
pub(crate) fn check_network(
    dim: usize,
    hidden: &[usize],
    kind: ModelKind,
    threads: usize,
) -> Result<()> {
    let last = if kind == ModelKind::Score { dim } else { 1 };
    let widths: Vec<f64> =
        [dim].iter().chain(hidden).chain([&last]).map(|width| *width as f64).collect();
    let weights: f64 = widths.windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum();
    let between = match (kind, hidden) {
        (ModelKind::Score, [first, second]) => *first as f64 * *second as f64,
        _ => 0.0,
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads } as f64;
    check_memory("--hidden", 32.0 * weights + threads * (4.0 * weights + 16.0 * between))
}

/// Least bytes of one training step: every coefficient of every layer and its adjoint.
pub(crate) fn check_step(
    dim: usize,
    hidden: &[usize],
    batch: usize,
    objective: &Objective,
) -> Result<()> {
    let width: f64 = hidden.iter().map(|w| *w as f64).sum::<f64>() + dim as f64;
    let bytes = 8.0 * width * batch as f64;
    check_memory("--batch", bytes)?;
    match objective.slices() {
        // Stacked in tiles, of one row at least.
        Some(slices) => check_memory("--slices", 8.0 * width * slices as f64),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_absurd_is_refused_and_the_usual_is_not() {
        let network = |dim, hidden: &[usize], kind| check_network(dim, hidden, kind, 1);
        assert!(network(16, &[256, 256], ModelKind::LogDensity).is_ok());
        let refused = |result: Result<()>| result.unwrap_err().to_string();
        assert!(refused(network(2, &[usize::MAX, 2], ModelKind::Score)).contains("gigabytes"));
        let wide = refused(network(2, &[100_000_000, 100_000_000], ModelKind::LogDensity));
        assert!(wide.contains("needs about 3.6e8 gigabytes"), "{wide}");
        // 48 bytes more for each weight between two layers of a score field: 36 + 16.
        let field = refused(network(2, &[100_000_000, 100_000_000], ModelKind::Score));
        assert!(field.contains("needs about 5.2e8 gigabytes"), "{field}");
        assert!(network(2, &[200_000], ModelKind::Score).is_ok(), "one layer has no square");
        let ssm = Objective::Ssm { slices: usize::MAX };
        assert!(refused(check_step(2, &[8], 8, &ssm)).starts_with("--slices"));
        assert!(refused(check_step(2, &[8], usize::MAX, &Objective::Exact)).contains("--batch"));
    }

    #[test]
    fn memory_is_a_sensible_number() {
        if let Some(bytes) = memory() {
            assert!((1e8..1e15).contains(&bytes), "{bytes}");
        }
    }

    /// A name in the table that no command has would bound nothing.
    #[test]
    fn every_name_of_the_table_is_an_option() {
        let command = crate::args::Cli::command();
        for Most { id, .. } in &LARGEST {
            let has = |c: &clap::Command| c.get_arguments().any(|a| a.get_id() == id);
            assert!(crate::exit::all_commands(&command).into_iter().any(has), "{id}");
        }
    }
}
