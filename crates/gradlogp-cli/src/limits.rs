//! Settings that no machine can serve, refused before memory is asked for.

use anyhow::Result;
use gradlogp::{Error, Objective};

/// More workers than any machine that runs this has cores.
const THREADS: usize = 1024;

/// Refuses more threads than can be meant.
pub(crate) fn check_threads(threads: usize) -> Result<()> {
    if threads > THREADS {
        return Err(Error::config("--threads", format!("must be at most {THREADS}")).into());
    }
    Ok(())
}

/// Refuses `option` if what it asks for, at least `bytes`, is more than the system would give.
///
/// A system that promises more memory than it has can still fail later.
pub(crate) fn check_memory(option: &str, bytes: f64) -> Result<()> {
    let given = bytes < isize::MAX as f64
        && Vec::<u8>::new().try_reserve_exact(bytes.max(0.0) as usize).is_ok();
    if given {
        return Ok(());
    }
    let message = format!(
        "needs about {:.1e} gigabytes of memory, more than this machine gives; choose less",
        bytes / 1e9
    );
    Err(Error::config(option, message).into())
}

/// Least bytes of a network of these widths while it trains: parameters, gradient, two moments, the
/// average, the best, and a copy in double precision.
pub(crate) fn check_network(dim: usize, hidden: &[usize]) -> Result<()> {
    let widths: Vec<f64> =
        [dim].iter().chain(hidden).chain([&1]).map(|width| *width as f64).collect();
    let weights: f64 = widths.windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum();
    check_memory("--hidden", 32.0 * weights)
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
        Some(slices) => check_memory("--slices", bytes * slices as f64),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_absurd_is_refused_and_the_usual_is_not() {
        assert!(check_network(16, &[256, 256]).is_ok());
        let refused = |result: Result<()>| result.unwrap_err().to_string();
        assert!(refused(check_network(2, &[usize::MAX, 2])).contains("gigabytes"));
        assert!(refused(check_network(2, &[100_000_000, 100_000_000])).contains("3.2e8 giga"));
        let ssm = Objective::Ssm { slices: usize::MAX };
        assert!(refused(check_step(2, &[8], 8, &ssm)).starts_with("--slices"));
        assert!(refused(check_step(2, &[8], usize::MAX, &Objective::Exact)).contains("--batch"));
        assert!(check_threads(0).is_ok() && check_threads(2000).is_err());
    }
}
