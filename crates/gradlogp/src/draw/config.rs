//! Settings of sampling.

use serde::{Deserialize, Serialize};

/// Settings of a draw.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleConfig {
    /// How rows are drawn.
    pub sampler: Sampler,
    /// Chains side by side; None: an eighth of the rows, 20 to 500.
    pub chains: Option<usize>,
    /// Warm-up steps of each chain, which are discarded.
    pub warm_up: usize,
    /// Thinning: steps for each one that is kept.
    pub thinning: usize,
    /// Step a in x += a/2 s + sqrt(a) z, in the network's units; of HMC the square of its step. None: adapted, or, of
    /// ULA, 0.2 over the mean square of the score.
    pub step_size: Option<f64>,
    /// HMC: most leapfrog steps of a move.
    pub leapfrog: usize,
    /// Reverse process: number of steps, or of noise levels.
    pub steps: usize,
    /// Reverse process: spacing of the steps; None: as the sampler has them.
    pub schedule: Option<StepSchedule>,
    /// Langevin steps of `Pc` after each step, of `Annealed` at each noise level; None: 1 and 5.
    pub corrections: Option<usize>,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for SampleConfig {
    fn default() -> Self {
        SampleConfig {
            sampler: Sampler::Auto,
            chains: None,
            warm_up: 1000,
            thinning: 20,
            step_size: None,
            leapfrog: 8,
            steps: 100,
            schedule: None,
            corrections: None,
            seed: 0,
        }
    }
}

/// How rows are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// MALA for log densities, ULA for score fields, stochastic Heun steps for diffusion models.
    #[default]
    Auto,
    /// Langevin steps without correction.
    Ula,
    /// Langevin steps corrected by the density.
    Mala,
    /// Hamiltonian Monte Carlo.
    Hmc,
    /// From noise to data by Euler-Maruyama steps.
    Em,
    /// From noise to data by stochastic Heun steps.
    Heun,
    /// Euler-Maruyama steps, each with Langevin corrections.
    Pc,
    /// The probability flow with adaptive steps.
    Ode,
    /// The probability flow by its exponential integrator.
    Ddim,
    /// Langevin steps at falling noise levels.
    Annealed,
}

gradlogp_numeric::names!(Sampler {
    Auto => "auto",
    Ula => "ula",
    Mala => "mala",
    Hmc => "hmc",
    Em => "em",
    Heun => "heun",
    Pc => "pc",
    Ode => "ode",
    Ddim => "ddim",
    Annealed => "annealed",
});

impl Sampler {
    /// Whether it draws from one density by chains.
    pub fn is_chain(self) -> bool {
        matches!(self, Sampler::Ula | Sampler::Mala | Sampler::Hmc)
    }
}

/// Where the steps from noise to data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepSchedule {
    /// Over noise levels, closer together where there is little noise.
    Karras,
    /// Over noise levels in equal ratios.
    Geometric,
    /// Over times in equal steps.
    Uniform,
    /// Over times, closer together near the data.
    Quadratic,
}

gradlogp_numeric::names!(StepSchedule {
    Karras => "karras",
    Geometric => "geometric",
    Uniform => "uniform",
    Quadratic => "quadratic",
});
