//! Drawing from a score or a density: pure steps, a runner for many chains, and how far to trust it.
//!
//! A step is a function `step(rng, state, model, step_size) -> (state, info)`, one algorithm per
//! file. A state holds many chains as rows (chains x d) and nothing that is not needed for the next
//! step; what was learnt about the step is in `info`. Step sizes a are those of MATH 6,
//! x += (a/2) s + sqrt(a) z, in squared units of x; HMC has a = eps^2.

pub mod annealed;
mod chain;
pub mod convergence;
mod dual_averaging;
pub mod hmc;
mod impute;
pub mod mala;
mod mixing;
mod parallel;
pub mod reverse;
mod streams;
pub mod ula;
mod walk;
mod warm_up;

pub use chain::{
    ChainConfig, ChainRun, Chains, Phase, Progress, Snapshot, run_hmc, run_mala, run_ula,
    standard_normal_start,
};
pub use dual_averaging::DualAveraging;
pub use impute::{ImputeConfig, Imputed, Target, impute};
pub use parallel::Parallel;

use crate::error::{Error, Result};
use ndarray::Array2;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

fn normals(shape: (usize, usize), rng: &mut (impl Rng + ?Sized)) -> Array2<f64> {
    Array2::from_shape_simple_fn(shape, || StandardNormal.sample(rng))
}

fn check_columns(operation: &'static str, position: &Array2<f64>, dim: usize) -> Result<()> {
    if position.ncols() == dim && position.nrows() > 0 {
        return Ok(());
    }
    let expected = vec![position.nrows().max(1), dim];
    Err(Error::Shape { operation, expected, found: position.shape().to_vec() })
}

/// The rows with a value that is not finite.
fn bad_rows(rows: &Array2<f64>) -> Vec<usize> {
    let bad = |i: &usize| rows.row(*i).iter().any(|v| !v.is_finite());
    (0..rows.nrows()).filter(bad).collect()
}
