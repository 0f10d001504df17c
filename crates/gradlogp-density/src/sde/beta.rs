//! Noise rates beta(t) of the variance-preserving processes, with their integrals B(t).
//!
//! - linear: beta = bmin + t (bmax - bmin), B = bmin t + t^2 (bmax - bmin) / 2, T = 1
//!   (Song et al. 2021, eq. 32);
//! - cosine: e^-B = cos^2(a(t)) / cos^2(a(0)) with a(t) = (t + s)/(1 + s) pi/2, s = 0.008, hence
//!   beta = pi/(1 + s) tan(a(t)) (Nichol and Dhariwal 2021, eq. 17). beta is infinite at t = 1, so T is
//!   0.9946, where e^-B is 7e-5.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::{FORGOTTEN, check_positive};
use crate::error::{Error, Result};

/// How fast a variance-preserving process forgets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BetaSchedule {
    /// Linear in t.
    Linear {
        /// beta(0).
        beta_min: f64,
        /// beta(1).
        beta_max: f64,
    },
    /// Such that the amplitude of the data falls as a cosine.
    Cosine,
}

impl Default for BetaSchedule {
    /// Linear, from 0.1 to 20.
    fn default() -> Self {
        let (beta_min, beta_max) = BetaSchedule::LINEAR;
        BetaSchedule::Linear { beta_min, beta_max }
    }
}

const OFFSET: f64 = 0.008;

fn angle(t: f64) -> f64 {
    (t + OFFSET) / (1.0 + OFFSET) * PI / 2.0
}

impl BetaSchedule {
    /// The usual beta(0) and beta(1) of a linear schedule.
    pub const LINEAR: (f64, f64) = (0.1, 20.0);

    /// beta(t).
    pub fn rate(&self, t: f64) -> f64 {
        match *self {
            BetaSchedule::Linear { beta_min, beta_max } => beta_min + t * (beta_max - beta_min),
            BetaSchedule::Cosine => PI / (1.0 + OFFSET) * angle(t).tan(),
        }
    }

    /// B(t), the integral of beta from 0 to t.
    pub fn integral(&self, t: f64) -> f64 {
        match *self {
            BetaSchedule::Linear { beta_min, beta_max } => {
                beta_min * t + 0.5 * t * t * (beta_max - beta_min)
            }
            BetaSchedule::Cosine => 2.0 * (angle(0.0).cos() / angle(t).cos()).ln(),
        }
    }

    /// T.
    pub fn horizon(&self) -> f64 {
        match self {
            BetaSchedule::Linear { .. } => 1.0,
            BetaSchedule::Cosine => 0.9946,
        }
    }

    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// Rates that are not positive, or that fall.
    pub fn validate(&self) -> Result<()> {
        let BetaSchedule::Linear { beta_min, beta_max } = *self else { return Ok(()) };
        check_positive("beta_min", beta_min)?;
        check_positive("beta_max", beta_max)?;
        if beta_min > beta_max {
            let message = format!("must not be below beta-min = {beta_min}, and is {beta_max}");
            return Err(Error::config("beta_max", message));
        }
        // The signal shrinks by e^(-B/2), B being the mean of both.
        if 0.5 * (beta_min + beta_max) > 2.0 * FORGOTTEN {
            let message = format!(
                "of {beta_max} forgets the data beyond what an f64 can hold: the mean of beta-min and \
                 beta-max must be at most {}",
                2.0 * FORGOTTEN
            );
            return Err(Error::config("beta_max", message));
        }
        Ok(())
    }
}
