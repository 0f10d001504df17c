//! The Ornstein-Uhlenbeck process dx = -theta x dt + sigma dW (Uhlenbeck and Ornstein 1930).
//!
//! ```text
//! x_t | x ~ N(e^(-theta t) x, sigma^2/(2 theta) (1 - e^(-2 theta t)) I)
//! ```
//!
//! It ends in N(0, sigma^2/(2 theta) I).

use serde::{Deserialize, Serialize};

use super::{FORGOTTEN, Kernel, Sde, check_positive, check_size, check_t_min, scale_into};
use crate::error::{Error, Result};

/// A spring with friction, kicked at random.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OrnsteinUhlenbeck {
    /// theta, per unit of time.
    pub rate: f64,
    /// sigma.
    pub diffusion: f64,
    /// T: some times 1/theta.
    pub horizon: f64,
    /// The least time at which the score is evaluated.
    pub t_min: f64,
}

impl Default for OrnsteinUhlenbeck {
    /// theta = 1, sigma = sqrt(2) (so that it ends in N(0, I)), t from 0.001 to 5.
    fn default() -> Self {
        let diffusion = std::f64::consts::SQRT_2;
        OrnsteinUhlenbeck { rate: 1.0, diffusion, horizon: 5.0, t_min: 1e-3 }
    }
}

impl OrnsteinUhlenbeck {
    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// A number that is not positive, or a least time outside \[0, T).
    pub fn validate(&self) -> Result<()> {
        check_positive("ou_rate", self.rate)?;
        check_size("ou_diffusion", self.diffusion)?;
        check_positive("horizon", self.horizon)?;
        if self.rate * self.horizon > FORGOTTEN {
            let message = format!(
                "of {} with a rate of {} forgets the data beyond what an f64 can hold: their product must \
                 be at most {FORGOTTEN}",
                self.horizon, self.rate
            );
            return Err(match self.horizon > FORGOTTEN {
                true => Error::config("horizon", message),
                false => Error::config("ou_rate", format!("a horizon {message}")),
            });
        }
        check_t_min(self.t_min, self.horizon)
    }

    fn stationary_std(&self) -> f64 {
        self.diffusion / (2.0 * self.rate).sqrt()
    }
}

impl Sde for OrnsteinUhlenbeck {
    fn drift(&self, x: &[f64], _: f64, out: &mut [f64]) {
        scale_into(x, -self.rate, out);
    }

    fn drift_divergence(&self, x: &[f64], _: f64) -> f64 {
        -self.rate * x.len() as f64
    }

    fn diffusion(&self, _: f64) -> f64 {
        self.diffusion
    }

    fn horizon(&self) -> f64 {
        self.horizon
    }

    fn t_min(&self) -> f64 {
        self.t_min
    }

    fn kernel(&self, t: f64) -> Option<Kernel> {
        let std = self.stationary_std() * (-(-2.0 * self.rate * t).exp_m1()).sqrt();
        Some(Kernel { scale: (-self.rate * t).exp(), std })
    }

    fn prior_std(&self) -> Option<f64> {
        Some(self.stationary_std())
    }
}
