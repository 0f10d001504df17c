//! Score matching objectives: what each needs to know about the score, its loss per row, and its
//! adjoint. An objective knows nothing of graphs, jets or model kinds.
//!
//! Every objective here is a sum of two terms per row:
//! - a **slice term**, a function of the projections p_m = v_m.s(x) and of the curvature
//!   q = sum over m of v_m.(grad s) v_m along its slices, and
//! - a **score term**, a function of the whole score s(x) (and of the noise added to x, if any).
//!
//! That split is what lets any objective run on any model kind: [`crate::model`] says how p, q and s
//! come out of a jet, or out of finite differences ([`Differences`]), and how their adjoints go back in.
//! All losses have the scale of MATH (1), so that
//! they can be compared, except for denoising (MATH (6)).

mod differences;
mod dsm;
mod exact;
mod regression;
mod sliced_dsm;
mod ssm;
mod ssm_vr;

pub use differences::{DifferenceOrder, Differences};
pub use dsm::Dsm;
pub use exact::{Exact, ExactApart};
pub use regression::Regression;
pub use sliced_dsm::SlicedDsm;
pub use ssm::Ssm;
pub use ssm_vr::SsmVr;

use serde::{Deserialize, Serialize};

use crate::kernel::Real;
use crate::{Error, Result};

/// Along which directions an objective looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// None: it has no slice term.
    None,
    /// So many random slices, drawn fresh for every row and step.
    Slices(usize),
    /// The unit vectors e_1 ... e_d, possibly in blocks: the slice term must be additive over them.
    Basis,
}

/// What a slice term sees of one row.
#[derive(Debug, Clone, Copy)]
pub struct Slices<'a, T> {
    /// p_m = v_m.s, one per slice.
    pub projections: &'a [T],
    /// v_m.z with z the noise that was added to x as sigma z, one per slice; only for objectives with
    /// noise and slices.
    pub noise: &'a [T],
    /// q = sum over m of v_m.(grad s) v_m.
    pub curvature: T,
}

/// A second backward sweep that stands for the curvature, MATH (8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondSweep {
    /// Curvature propagation, so many times with fresh noise.
    Random(usize),
    /// The approximate diagonal.
    Diagonal,
}

/// A slice term and its derivative with respect to the curvature q.
#[derive(Debug, Clone, Copy)]
pub struct SliceTerm<T> {
    /// The term of one row.
    pub loss: T,
    /// d loss / d q.
    pub curvature_bar: T,
}

/// The loss of one row. Implementations override the terms they have.
pub trait RowLoss<T: Real>: Send + Sync {
    /// Along which directions it looks.
    fn directions(&self) -> Directions;

    /// Whether it has a score term.
    fn has_score_term(&self) -> bool;

    /// Whether its slice term depends on the curvature.
    fn has_curvature(&self) -> bool {
        true
    }

    /// Standard deviation sigma of the Gaussian noise to be added to x, if any.
    fn noise(&self) -> Option<f64> {
        None
    }

    /// The slice term; writes d loss / d p.
    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let _ = (seen, projections_bar);
        SliceTerm { loss: T::ZERO, curvature_bar: T::ZERO }
    }

    /// The score term from s (d numbers) and the standard normal noise z that was added as sigma z
    /// (d numbers, or none); writes d loss / d s.
    fn score_term(&self, score: &[T], noise: &[T], score_bar: &mut [T]) -> T {
        let _ = (score, noise, score_bar);
        T::ZERO
    }
}

/// The objectives, as a setting.
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
    Cp {
        /// How many times the noise is propagated.
        slices: usize,
    },
    /// The approximate diagonal by backpropagation, MATH (8): biased where there is more than one layer of
    /// activations, for potentials. A baseline: slow.
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
            Objective::FdSsm { .. } => "its differences look across the boundary",
            Objective::Dsm { .. } | Objective::FdDsm { .. } | Objective::Regression => {
                "its noise carries rows across the boundary"
            }
            Objective::Cp { .. } | Objective::ApproxBackprop => "it has no weighted form here",
        };
        let message = format!("is not for data with bounds: {why}; use exact, ssm or ssm-vr");
        Err(Error::config("objective", message))
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
        positive("fd-eps", self.differences().and_then(|d| d.eps))
    }
}

fn positive(option: &str, value: Option<f64>) -> Result<()> {
    match value {
        Some(value) if !(value > 0.0 && value.is_finite()) => {
            Err(Error::config(option, format!("must be a positive number, not {value}")))
        }
        _ => Ok(()),
    }
}
