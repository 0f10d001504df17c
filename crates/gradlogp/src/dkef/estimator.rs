//! Which estimate of the score matching loss gives G and b.
//!
//! With q the score of the base density, g_m = grad k(x, z_m), and per row directions v_i of weight c,
//! every one of them is, MATH (61),
//!
//! G = E\[ c sum_i (v_i.g)(v_i.g)^T ],  b = E\[ w sum_j (u_j.(grad g) u_j) + c sum_i (v_i.g)(v_i.q + o_i) ]
//!
//! | | v_i, c | u_j, w | o_i |
//! |---|---|---|---|
//! | exact | e_1 ... e_d, 1 | e_1 ... e_d, 1 | 0 |
//! | ssm | slices, 1/M | slices, 1/M | 0 |
//! | ssm-vr | e_1 ... e_d, 1 | slices, 1/M | 0 |
//! | dsm, at x + e, e ~ N(0, sigma^2 I) | e_1 ... e_d, sigma^4 | none | e_i / sigma^2 |
//! | curvature propagation, approximate back-propagation | e_1 ... e_d, 1 | none: (63), (62) instead | 0 |
//!
//! and the loss of a row is w sum_j u_j.(grad s) u_j + c/2 sum_i (v_i.s + o_i)^2. The last is (6) times
//! sigma^4, the scale on which the ridge lambda of the published experiments acts.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::slice::SliceLaw;
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// The estimate of the loss that is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Estimator {
    /// MATH (4).
    Exact,
    /// MATH (2).
    Ssm {
        /// Slices per row.
        slices: usize,
    },
    /// MATH (3).
    SsmVr {
        /// Slices per row.
        slices: usize,
    },
    /// MATH (6), times sigma^4.
    Dsm {
        /// Standard deviation of the noise.
        sigma: f64,
    },
    /// MATH (4) with the Laplacian of each kernel replaced by back-propagated diagonals, MATH (62): biased.
    ApproximateBackprop,
    /// MATH (4) with the Laplacian of each kernel estimated by curvature propagation, MATH (63): unbiased.
    CurvaturePropagation {
        /// Draws of noise per row.
        slices: usize,
    },
}

impl Estimator {
    /// Refuses settings that cannot be used.
    ///
    /// # Errors
    /// [`Error::Config`] for no slices, or a noise level that is not positive.
    pub fn validate(&self) -> Result<()> {
        match self {
            Estimator::Ssm { slices: 0 }
            | Estimator::SsmVr { slices: 0 }
            | Estimator::CurvaturePropagation { slices: 0 } => {
                Err(Error::config("slices", "must be at least 1"))
            }
            Estimator::Dsm { sigma } if !(*sigma > 0.0 && sigma.is_finite()) => {
                Err(Error::config("sigma", format!("must be a positive number, not {sigma}")))
            }
            _ => Ok(()),
        }
    }

    /// As counts and weights for `kernels` networks phi whose sweeps need `noise` columns each.
    pub(super) fn rule(&self, dim: usize, kernels: usize, noise: usize) -> Rule {
        let exact = Rule {
            slices: 0,
            basis: dim,
            curved: dim,
            sweep: None,
            curvature: 1.0,
            square: 1.0,
            sigma: None,
        };
        match *self {
            Estimator::Exact => exact,
            Estimator::Ssm { slices } => {
                let weight = 1.0 / slices as f64;
                let (curvature, square) = (weight, weight);
                Rule { slices, basis: 0, curved: slices, curvature, square, ..exact }
            }
            Estimator::SsmVr { slices } => {
                Rule { slices, curved: slices, curvature: 1.0 / slices as f64, ..exact }
            }
            Estimator::Dsm { sigma } => Rule {
                curved: 0,
                curvature: 0.0,
                square: sigma.powi(4),
                sigma: Some(sigma),
                ..exact
            },
            Estimator::ApproximateBackprop => {
                Rule { curved: 0, sweep: Some(Sweep::Diagonal), ..exact }
            }
            Estimator::CurvaturePropagation { slices } => {
                let sweep = Sweep::Random { draws: slices, kernels, width: noise };
                Rule { curved: 0, sweep: Some(sweep), ..exact }
            }
        }
    }
}

/// An estimator as counts and weights: directions are the slices, then the unit vectors; the first
/// `curved` enter the second order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Random slices per row.
    pub(super) slices: usize,
    /// d where the gradient enters along the unit vectors, else 0.
    pub(super) basis: usize,
    pub(super) curved: usize,
    /// Where the second order comes from in place of curved directions.
    pub(super) sweep: Option<Sweep>,
    /// w.
    pub(super) curvature: f64,
    /// c.
    pub(super) square: f64,
    pub(super) sigma: Option<f64>,
}

/// What makes the second order in place of curved directions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sweep {
    /// The back-propagated diagonal.
    Diagonal,
    /// Curvature propagation, whose noise is \[kernels, draws, width\] per row.
    Random { draws: usize, kernels: usize, width: usize },
}

impl Rule {
    /// The gradient enters along all unit vectors, but curvature does not: then the adjoint needs only
    /// its own directions and not all of them.
    pub(super) fn collapses(&self) -> bool {
        self.basis > 0 && self.curved < self.basis + self.slices
    }

    /// What is drawn for one row of d columns: how many vectors are drawn jointly, of how many columns, and
    /// how often.
    fn random(&self, dim: usize) -> (usize, usize, usize) {
        match (self.sigma, self.sweep) {
            (Some(_), _) => (1, dim, 1),
            (None, Some(Sweep::Random { draws, kernels, width })) => (draws, width, kernels),
            _ => (self.slices, dim, 1),
        }
    }

    /// Rows with what the estimate draws for them.
    pub(super) fn draw<T: Real>(
        &self,
        x: Vec<T>,
        dim: usize,
        law: SliceLaw,
        rng: &mut impl Rng,
    ) -> KernelBatch<T> {
        let rows = x.len() / dim;
        let (jointly, width, often) = self.random(dim);
        let mut batch =
            KernelBatch { rows, x, random: vec![T::ZERO; rows * jointly * width * often] };
        if let Some(sigma) = self.sigma {
            for (x, e) in batch.x.iter_mut().zip(&mut batch.random) {
                let z: f64 = StandardNormal.sample(&mut *rng);
                *e = T::of(sigma * z);
                *x += *e;
            }
        } else if jointly > 0 {
            for v in batch.random.chunks_mut(jointly * width) {
                law.draw(rng, width, v);
            }
        }
        batch
    }
}

/// Rows, and per row its slices (M x d), the noise that was added to it (d), or that of its sweeps (for each
/// phi M draws over its hidden units and features).
#[derive(Debug, Clone)]
pub struct KernelBatch<T> {
    /// Their number n.
    pub rows: usize,
    /// n x d; with its noise, where there is one.
    pub x: Vec<T>,
    /// What was drawn for them, row by row.
    pub random: Vec<T>,
}
