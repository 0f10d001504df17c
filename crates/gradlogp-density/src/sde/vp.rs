//! The variance-preserving process and its quieter variant (Song et al. 2021, eq. 11, 29, 31 and 33, with
//! the formula of the kernels of sub-VP in its appendix B).
//!
//! ```text
//! f = -beta(t) x / 2;   VP: g^2 = beta(t);   sub-VP: g^2 = beta(t) (1 - e^(-2B(t)))
//! x_t | x ~ N(e^(-B/2) x, v I);   VP: v = 1 - e^-B;   sub-VP: v = (1 - e^-B)^2
//! ```
//!
//! Columns of variance 1 keep it under VP at every t. Both end in N(0, I).

use serde::{Deserialize, Serialize};

use super::{BetaSchedule, Kernel, Sde, check_t_min, scale_into};
use crate::error::Result;

/// Variance preserving.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Vp {
    /// beta(t).
    #[serde(flatten)]
    pub beta: BetaSchedule,
    /// The least time at which the score is evaluated.
    pub t_min: f64,
}

impl Default for Vp {
    /// beta from 0.1 to 20, t from 0.001, where the noise is 0.01.
    fn default() -> Self {
        Vp { beta: BetaSchedule::default(), t_min: 1e-3 }
    }
}

/// Variance preserving at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SubVp {
    /// beta(t).
    #[serde(flatten)]
    pub beta: BetaSchedule,
    /// The least time at which the score is evaluated.
    pub t_min: f64,
}

impl Default for SubVp {
    /// beta from 0.1 to 20, t from 0.025, where the noise is 0.009 (it grows as t, not as its root).
    fn default() -> Self {
        SubVp { beta: BetaSchedule::default(), t_min: 0.025 }
    }
}

impl Vp {
    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// As [`BetaSchedule::validate`]; a least time outside \[0, T).
    pub fn validate(&self) -> Result<()> {
        self.beta.validate()?;
        check_t_min(self.t_min, self.beta.horizon())
    }
}

impl SubVp {
    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// As [`BetaSchedule::validate`]; a least time outside \[0, T).
    pub fn validate(&self) -> Result<()> {
        self.beta.validate()?;
        check_t_min(self.t_min, self.beta.horizon())
    }
}

/// 1 - e^-B without cancellation.
fn forgotten(beta: &BetaSchedule, t: f64, times: f64) -> f64 {
    -(-times * beta.integral(t)).exp_m1()
}

impl Sde for Vp {
    fn drift(&self, x: &[f64], t: f64, out: &mut [f64]) {
        scale_into(x, -0.5 * self.beta.rate(t), out);
    }

    fn drift_divergence(&self, x: &[f64], t: f64) -> f64 {
        -0.5 * self.beta.rate(t) * x.len() as f64
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.beta.rate(t).sqrt()
    }

    fn horizon(&self) -> f64 {
        self.beta.horizon()
    }

    fn t_min(&self) -> f64 {
        self.t_min
    }

    fn kernel(&self, t: f64) -> Option<Kernel> {
        let scale = (-0.5 * self.beta.integral(t)).exp();
        Some(Kernel { scale, std: forgotten(&self.beta, t, 1.0).sqrt() })
    }

    fn prior_std(&self) -> Option<f64> {
        Some(1.0)
    }
}

impl Sde for SubVp {
    fn drift(&self, x: &[f64], t: f64, out: &mut [f64]) {
        scale_into(x, -0.5 * self.beta.rate(t), out);
    }

    fn drift_divergence(&self, x: &[f64], t: f64) -> f64 {
        -0.5 * self.beta.rate(t) * x.len() as f64
    }

    fn diffusion(&self, t: f64) -> f64 {
        (self.beta.rate(t) * forgotten(&self.beta, t, 2.0)).sqrt()
    }

    fn horizon(&self) -> f64 {
        self.beta.horizon()
    }

    fn t_min(&self) -> f64 {
        self.t_min
    }

    fn kernel(&self, t: f64) -> Option<Kernel> {
        let scale = (-0.5 * self.beta.integral(t)).exp();
        Some(Kernel { scale, std: forgotten(&self.beta, t, 1.0) })
    }

    fn prior_std(&self) -> Option<f64> {
        Some(1.0)
    }
}
