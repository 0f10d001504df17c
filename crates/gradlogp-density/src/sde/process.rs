//! The named processes as one setting, for model files and command lines.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ExpressionProcess, Kernel, OrnsteinUhlenbeck, Sde, SubVp, Ve, Vp};
use crate::error::Result;

/// A process with a name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "process", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Process {
    /// Variance exploding.
    Ve(Ve),
    /// Variance preserving.
    Vp(Vp),
    /// Variance preserving at most.
    SubVp(SubVp),
    /// Ornstein-Uhlenbeck.
    OrnsteinUhlenbeck(OrnsteinUhlenbeck),
}

impl Process {
    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// As the `validate` of each.
    pub fn validate(&self) -> Result<()> {
        match self {
            Process::Ve(p) => p.validate(),
            Process::Vp(p) => p.validate(),
            Process::SubVp(p) => p.validate(),
            Process::OrnsteinUhlenbeck(p) => p.validate(),
        }
    }

    fn sde(&self) -> &dyn Sde {
        match self {
            Process::Ve(p) => p,
            Process::Vp(p) => p,
            Process::SubVp(p) => p,
            Process::OrnsteinUhlenbeck(p) => p,
        }
    }
}

/// A process with a name, or one of the user's own in expressions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyProcess {
    /// With a name.
    Named(Process),
    /// In expressions.
    Expressions(ExpressionProcess),
}

impl AnyProcess {
    /// The process itself.
    ///
    /// # Errors
    /// As [`Process::validate`] and [`ExpressionProcess::sde`].
    pub fn sde(&self) -> Result<Arc<dyn Sde>> {
        match self {
            AnyProcess::Named(process) => {
                process.validate()?;
                Ok(Arc::new(*process))
            }
            AnyProcess::Expressions(process) => Ok(Arc::new(process.sde()?)),
        }
    }
}

impl Sde for Process {
    fn drift(&self, x: &[f64], t: f64, out: &mut [f64]) {
        self.sde().drift(x, t, out);
    }

    fn drift_divergence(&self, x: &[f64], t: f64) -> f64 {
        self.sde().drift_divergence(x, t)
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.sde().diffusion(t)
    }

    fn horizon(&self) -> f64 {
        self.sde().horizon()
    }

    fn t_min(&self) -> f64 {
        self.sde().t_min()
    }

    fn kernel(&self, t: f64) -> Option<Kernel> {
        self.sde().kernel(t)
    }

    fn initial_std(&self) -> f64 {
        self.sde().initial_std()
    }

    fn prior_std(&self) -> Option<f64> {
        self.sde().prior_std()
    }
}
