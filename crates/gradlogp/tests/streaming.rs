//! Fitting alpha to all rows of a kernel family takes memory for its moments and not for its rows: a process
//! to itself, for it reads the most memory that the process has held.

use gradlogp::Objective;
use gradlogp::dkef::{KernelConfig, KernelFamily, KernelTrainer};

const ROWS: usize = 200_000;
const INDUCING: usize = 100;

/// Largest resident memory so far in KiB, where the system tells it.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[test]
#[allow(clippy::print_stderr)]
fn alpha_is_fitted_to_all_rows_in_the_memory_of_its_moments() {
    if peak().is_none() {
        eprintln!("skipped: this system does not tell the memory of a process");
        return;
    }
    let fit = |rows: usize| {
        let x: Vec<f32> = (0..rows).map(|k| (k as f32 * 0.731).sin() * 2.0).collect();
        let config = KernelConfig {
            objective: Objective::Exact,
            lambda_steps: 0,
            threads: 2,
            ..KernelConfig::default()
        };
        let family =
            KernelFamily { inducing: INDUCING, features: Some(10), ..KernelFamily::deep(1) };
        let mut trainer = KernelTrainer::new(family, x, vec![0.5; 100], config).unwrap();
        let before = peak().unwrap();
        assert_eq!(trainer.finish().unwrap().alpha.len(), INDUCING);
        peak().unwrap() - before
    };
    // Buffers, factors and moments have their size after some thousand rows.
    fit(5_000);
    let grown = fit(ROWS);
    // One number per row and inducing point would be 78 MiB.
    assert!(grown < 4 * 1024, "{grown} KiB");
}
