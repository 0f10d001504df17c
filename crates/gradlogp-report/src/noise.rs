//! A noising process in words.

use gradlogp::fitted::NoiseRecord;
use gradlogp::sde::{AnyProcess, BetaSchedule, Process};

/// A process in words.
fn process_words(process: &Process) -> String {
    let rate = |beta: &BetaSchedule| match beta {
        BetaSchedule::Linear { beta_min, beta_max } => {
            format!("rate from {beta_min} to {beta_max}")
        }
        BetaSchedule::Cosine => "cosine schedule".to_string(),
        _ => "another schedule".to_string(),
    };
    match process {
        Process::Ve(p) => format!("ve, noise from {} to {}", p.sigma_min, p.sigma_max),
        Process::Vp(p) => format!("vp, {}, t from {} to 1", rate(&p.beta), p.t_min),
        Process::SubVp(p) => format!("subvp, {}, t from {} to 1", rate(&p.beta), p.t_min),
        Process::OrnsteinUhlenbeck(p) => format!(
            "Ornstein-Uhlenbeck, rate {}, diffusion {}, t from {} to {}",
            p.rate,
            gradlogp::words::short(p.diffusion),
            p.t_min,
            p.horizon
        ),
        _ => "another process".to_string(),
    }
}

/// The process and how rows were noised, in words, for `info` and the report.
pub(crate) fn settings(record: &NoiseRecord) -> Vec<(String, String)> {
    let process = match &record.process {
        AnyProcess::Named(process) => process_words(process),
        AnyProcess::Expressions(p) => format!(
            "dx = ({}) dt + ({}) dW, t from {} to {}",
            p.drift.join("; "),
            p.diffusion,
            p.t_min,
            p.horizon
        ),
    };
    let rows = match (record.config.simulate, record.config.levels) {
        (Some(steps), _) => format!("simulated in {steps} steps"),
        (None, Some(levels)) => format!("by the kernel at {levels} levels"),
        (None, None) => "by the kernel".to_string(),
    };
    let config = &record.config;
    let how = format!("{rows}, weight {}, times {}", config.weight, config.times);
    vec![("Process".into(), process), ("Noised rows".into(), how)]
}
