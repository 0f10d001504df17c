//! A log density of one's own under MALA: the trait asks for the density and its gradient.

#![allow(clippy::print_stdout)]

use gradlogp::sample::{ChainConfig, run_mala, standard_normal_start};
use gradlogp::{LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// log p = -sum x^4 / 4 + constant.
struct Quartic;

impl Score for Quartic {
    fn dim(&self) -> usize {
        2
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        x.mapv(|x| -x.powi(3))
    }
}

impl LogDensity for Quartic {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        x.mapv(|x| -x.powi(4) / 4.0).sum_axis(Axis(1))
    }
}

fn main() -> gradlogp::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let config = ChainConfig { chains: 50, warm_up: 500, steps: 2000, ..ChainConfig::default() };
    let start = standard_normal_start(config.chains, 2, &mut rng);
    let run = run_mala(&Quartic, start.view(), &config, &mut rng)?;
    let square = run.pooled().mapv(|x| x * x).mean().unwrap_or(f64::NAN);
    // E x^2 = 2 Gamma(3/4) / Gamma(1/4).
    println!("E x^2 = {square:.3}, the truth 0.676; R-hat {:.3}", run.convergence[0].r_hat);
    Ok(())
}
