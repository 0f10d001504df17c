//! The objectives, as a setting.

use serde::{Deserialize, Serialize};

use super::{Differences, Dsm, Exact, Regression, RowLoss, SecondSweep, SlicedDsm, Ssm, SsmVr};
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// The objectives, as a setting, of networks and of kernel families.
///
/// It is written and read as its name and its numbers: `ssm 3`, `dsm 0.5`, `exact`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Objective {
    /// Sliced score matching, MATH (2).
    Ssm {
        /// M.
        slices: usize,
    },
    /// Sliced score matching with variance reduction, MATH (3).
    SsmVr {
        /// M.
        slices: usize,
    },
    /// Implicit score matching with the exact trace, MATH (4).
    Exact,
    /// Denoising score matching at one noise level, MATH (6).
    Dsm {
        /// Noise level, in the units in which the model is trained.
        sigma: f64,
    },
    /// Regression on scores that come with the rows: denoising at all noise levels of a time model.
    Regression,
    /// Sliced score matching by finite differences, MATH (5).
    FdSsm {
        /// M.
        slices: usize,
        /// eps; None balances truncation and rounding, see [`Differences`].
        eps: Option<f64>,
    },
    /// Denoising score matching by finite differences, MATH (5).
    FdDsm {
        /// M.
        slices: usize,
        /// Noise level, in the units in which the model is trained.
        sigma: f64,
        /// eps; None balances truncation and rounding, see [`Differences`].
        eps: Option<f64>,
    },
    /// Curvature propagation, MATH (8): unbiased for MATH (4), for potentials. A baseline: slow.
    #[serde(alias = "curvature-propagation")]
    Cp {
        /// How many times the noise is propagated.
        slices: usize,
    },
    /// The approximate diagonal by backpropagation, MATH (8): biased where there is more than one layer of
    /// activations, for potentials. A baseline: slow.
    #[serde(alias = "approximate-backprop")]
    ApproxBackprop,
}

impl Objective {
    /// The row loss behind the setting. `whole_score` says that the whole score comes at no cost
    /// beside its projections; differences then use it, which has less variance.
    pub fn row_loss<T: Real>(&self, whole_score: bool) -> Box<dyn RowLoss<T>> {
        match *self {
            Objective::Ssm { slices } => Box::new(Ssm { slices }),
            Objective::SsmVr { slices } => Box::new(SsmVr { slices }),
            Objective::Exact => Box::new(Exact),
            Objective::Dsm { sigma } => Box::new(Dsm { sigma }),
            Objective::Regression => Box::new(Regression),
            Objective::FdSsm { slices, .. } if whole_score => Box::new(SsmVr { slices }),
            Objective::FdSsm { slices, .. } => Box::new(Ssm { slices }),
            Objective::FdDsm { sigma, .. } if whole_score => Box::new(Dsm { sigma }),
            Objective::FdDsm { slices, sigma, .. } => Box::new(SlicedDsm { slices, sigma }),
            // What differs is where the curvature comes from.
            Objective::Cp { slices } => Box::new(SsmVr { slices }),
            Objective::ApproxBackprop => Box::new(SsmVr { slices: 1 }),
        }
    }

    /// The finite differences that stand for derivatives, if they do.
    pub fn differences(&self) -> Option<Differences> {
        match *self {
            Objective::FdSsm { slices, eps } | Objective::FdDsm { slices, eps, .. } => {
                Some(Differences { slices, eps })
            }
            _ => None,
        }
    }

    /// The second backward sweep that stands for the curvature, if one does.
    pub fn second_sweep(&self) -> Option<SecondSweep> {
        match *self {
            Objective::Cp { slices } => Some(SecondSweep::Random(slices)),
            Objective::ApproxBackprop => Some(SecondSweep::Diagonal),
            _ => None,
        }
    }

    /// M, for objectives with random slices.
    pub fn slices(&self) -> Option<usize> {
        match *self {
            Objective::Ssm { slices }
            | Objective::SsmVr { slices }
            | Objective::FdSsm { slices, .. }
            | Objective::FdDsm { slices, .. }
            | Objective::Cp { slices } => Some(slices),
            Objective::Exact
            | Objective::Dsm { .. }
            | Objective::Regression
            | Objective::ApproxBackprop => None,
        }
    }

    /// Standard deviation of the noise that is added to x, if any.
    pub fn sigma(&self) -> Option<f64> {
        match *self {
            Objective::Dsm { sigma } | Objective::FdDsm { sigma, .. } => Some(sigma),
            _ => None,
        }
    }

    /// Refuses what cannot be weighted on a domain with a boundary, MATH (7).
    ///
    /// # Errors
    /// Denoising, whose noise leaves the domain; finite differences, whose points do.
    pub fn check_bounded(&self) -> Result<()> {
        let why = match self {
            Objective::Ssm { .. } | Objective::SsmVr { .. } | Objective::Exact => return Ok(()),
            Objective::FdSsm { .. } => "its differences reach across the boundary",
            Objective::Dsm { .. } | Objective::FdDsm { .. } | Objective::Regression => {
                "its noise moves rows across the boundary"
            }
            Objective::Cp { .. } | Objective::ApproxBackprop => "it has no weighted form here",
        };
        let message = format!("is not for data with bounds: {why}; use exact, ssm or ssm-vr");
        Err(Error::config("objective", message))
    }

    /// Refuses what a model that adds to a base is not trained by, MATH (76).
    ///
    /// # Errors
    /// All but sliced and exact score matching.
    pub fn check_on_base(&self) -> Result<()> {
        match self {
            Objective::Ssm { .. } | Objective::SsmVr { .. } | Objective::Exact => Ok(()),
            _ => {
                let message =
                    "is not for a network that adds to Gaussians; use exact, ssm or ssm-vr";
                Err(Error::config("objective", message))
            }
        }
    }

    /// Refuses what has no closed form for a kernel family, MATH (61) to (63).
    ///
    /// # Errors
    /// Finite differences, and regression on scores that come with the rows.
    pub fn check_kernel_family(&self) -> Result<()> {
        match self {
            Objective::Exact
            | Objective::Ssm { .. }
            | Objective::SsmVr { .. }
            | Objective::Dsm { .. }
            | Objective::Cp { .. }
            | Objective::ApproxBackprop => Ok(()),
            Objective::FdSsm { .. } | Objective::FdDsm { .. } | Objective::Regression => {
                let why = "kernel families have exact, ssm, ssm-vr, dsm and cp; choose one of them";
                Err(Error::config("objective", why))
            }
        }
    }

    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// No slices; a noise level or a step that is not a positive number.
    pub fn validate(&self) -> Result<()> {
        if self.slices() == Some(0) {
            return Err(Error::config("slices", "must be at least 1"));
        }
        positive("sigma", self.sigma())?;
        positive("fd_eps", self.differences().and_then(|d| d.eps))
    }
}

fn positive(option: &'static str, value: Option<f64>) -> Result<()> {
    match value {
        Some(value) if !(value > 0.0 && value.is_finite()) => {
            Err(Error::config(option, format!("must be a positive number, not {value}")))
        }
        _ => Ok(()),
    }
}
