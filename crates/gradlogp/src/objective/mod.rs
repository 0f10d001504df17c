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
mod row_loss;
mod setting;
mod sliced_dsm;
mod ssm;
mod ssm_vr;
mod words;

pub use differences::{DifferenceOrder, Differences};
pub use dsm::Dsm;
pub use exact::{Exact, ExactApart};
pub use regression::Regression;
pub use row_loss::{Directions, RowLoss, SecondSweep, SliceTerm, Slices};
pub use setting::Objective;
pub use sliced_dsm::SlicedDsm;
pub use ssm::Ssm;
pub use ssm_vr::SsmVr;

#[cfg(test)]
mod tests;
