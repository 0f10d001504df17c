//! The variance-exploding process (Song et al. 2021, eq. 9 and 30; its levels are those of NCSN, Song and
//! Ermon 2019).
//!
//! ```text
//! sigma(t) = smin (smax/smin)^t,   f = 0,   g(t)^2 = d sigma^2/dt = 2 ln(smax/smin) sigma(t)^2,   T = 1
//! ```
//!
//! The data carry noise of standard deviation smin already at t = 0, so x_t given the data row is
//! N(x, sigma(t)^2 I) exactly, and the score is bounded on all of \[0, 1\].

use serde::{Deserialize, Serialize};

use super::{Kernel, Sde, check_size};
use crate::error::{Error, Result};

/// Noise levels in geometric progression.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ve {
    /// Standard deviation of the noise at t = 0, in units of x.
    pub sigma_min: f64,
    /// Standard deviation of the noise at t = 1: some times the spread of the data.
    pub sigma_max: f64,
}

impl Default for Ve {
    /// From 0.01 to 10, for columns of standard deviation 1.
    fn default() -> Self {
        Ve { sigma_min: 0.01, sigma_max: 10.0 }
    }
}

impl Ve {
    /// sigma(t).
    pub fn sigma(&self, t: f64) -> f64 {
        self.sigma_min * (self.sigma_max / self.sigma_min).powf(t)
    }

    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// Levels that are not positive, or that do not rise.
    pub fn validate(&self) -> Result<()> {
        check_size("sigma_min", self.sigma_min)?;
        check_size("sigma_max", self.sigma_max)?;
        if self.sigma_min >= self.sigma_max {
            let message =
                format!("must be below sigma-max = {}, and is {}", self.sigma_max, self.sigma_min);
            return Err(Error::config("sigma_min", message));
        }
        Ok(())
    }
}

impl Sde for Ve {
    fn drift(&self, _: &[f64], _: f64, out: &mut [f64]) {
        out.fill(0.0);
    }

    fn drift_divergence(&self, _: &[f64], _: f64) -> f64 {
        0.0
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.sigma(t) * (2.0 * (self.sigma_max / self.sigma_min).ln()).sqrt()
    }

    fn horizon(&self) -> f64 {
        1.0
    }

    fn t_min(&self) -> f64 {
        0.0
    }

    fn kernel(&self, t: f64) -> Option<Kernel> {
        Some(Kernel { scale: 1.0, std: self.sigma(t) })
    }

    fn initial_std(&self) -> f64 {
        self.sigma_min
    }

    fn prior_std(&self) -> Option<f64> {
        Some(self.sigma_max)
    }
}
