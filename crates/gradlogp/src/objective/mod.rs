//! Score matching objectives: what each needs to know about the score, its loss per row, and its
//! adjoint. An objective knows nothing of graphs, jets or model kinds.
//!
//! Every objective here is a sum of two terms per row:
//! - a **slice term**, a function of the projections p_m = v_m.s(x) and of the curvature
//!   q = sum over m of v_m.(grad s) v_m along its slices, and
//! - a **score term**, a function of the whole score s(x) (and of the noise added to x, if any).
//!
//! That split is what lets any objective run on any model kind: [`crate::model`] says how p, q and s
//! come out of a jet and how their adjoints go back in. All losses have the scale of MATH (1), so that
//! they can be compared, except for denoising (MATH (6)).

mod dsm;
mod exact;
mod regression;
mod ssm;
mod ssm_vr;

pub use dsm::Dsm;
pub use exact::{Exact, ExactApart};
pub use regression::Regression;
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

    /// Standard deviation sigma of the Gaussian noise to be added to x, if any.
    fn noise(&self) -> Option<f64> {
        None
    }

    /// The slice term from the projections p (one per slice) and the summed curvature q; writes
    /// d loss / d p.
    fn slice_term(
        &self,
        projections: &[T],
        curvature: T,
        projections_bar: &mut [T],
    ) -> SliceTerm<T> {
        let _ = (projections, curvature, projections_bar);
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
}

impl Objective {
    /// The row loss behind the setting.
    pub fn row_loss<T: Real>(&self) -> Box<dyn RowLoss<T>> {
        match *self {
            Objective::Ssm { slices } => Box::new(Ssm { slices }),
            Objective::SsmVr { slices } => Box::new(SsmVr { slices }),
            Objective::Exact => Box::new(Exact),
            Objective::Dsm { sigma } => Box::new(Dsm { sigma }),
            Objective::Regression => Box::new(Regression),
        }
    }

    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// No slices; a noise level that is not a positive number.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Objective::Ssm { slices: 0 } | Objective::SsmVr { slices: 0 } => {
                Err(Error::config("slices", "must be at least 1"))
            }
            Objective::Dsm { sigma } if !(sigma > 0.0 && sigma.is_finite()) => {
                Err(Error::config("sigma", format!("must be a positive number, not {sigma}")))
            }
            _ => Ok(()),
        }
    }
}
