//! Drawing from a score or a density: pure steps, a runner for many chains, and how far to trust it.
//!
//! A step is a function `step(rng, state, model, step_size) -> (state, info)`, one algorithm per
//! file. A state holds many chains as rows (chains x d) and nothing that is not needed for the next
//! step; what was learnt about the step is in `info`. Step sizes a are those of MATH 6,
//! x += (a/2) s + sqrt(a) z, in squared units of x; HMC has a = eps^2.

mod chain;
mod chain_config;
mod chain_snapshot;
pub mod convergence;
mod dual_averaging;
pub mod hmc;
mod impute;
mod kernels;
pub mod mala;
mod mixing;
mod parallel;
pub mod reverse;
mod rows;
mod streams;
pub mod ula;
mod warm_up;

pub use chain::{Chains, run_hmc, run_mala, run_ula, standard_normal_start};
pub use chain_config::{ChainConfig, ChainRun, Phase, Progress};
pub use chain_snapshot::Snapshot;
pub use dual_averaging::DualAveraging;
pub use impute::{ImputeConfig, Imputed, Target, impute};
pub use parallel::Parallel;
pub use reverse::annealed;

use rows::{bad_rows, check_columns, normals};
