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
//!
//! and the loss of a row is w sum_j u_j.(grad s) u_j + c/2 sum_i (v_i.s + o_i)^2. The last is (6) times
//! sigma^4, the scale on which the ridge lambda of the published experiments acts.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::kernel::Real;
use crate::slice::SliceLaw;
use crate::{Error, Result};

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
}

impl Estimator {
    /// Refuses settings that cannot be used.
    ///
    /// # Errors
    /// [`Error::Config`] for no slices, or a noise level that is not positive.
    pub fn validate(&self) -> Result<()> {
        match self {
            Estimator::Ssm { slices: 0 } | Estimator::SsmVr { slices: 0 } => {
                Err(Error::config("slices", "must be at least 1"))
            }
            Estimator::Dsm { sigma } if !(*sigma > 0.0 && sigma.is_finite()) => {
                Err(Error::config("sigma", format!("must be a positive number, not {sigma}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn rule(&self, dim: usize) -> Rule {
        let exact = Rule {
            slices: 0,
            basis: dim,
            curved: dim,
            diagonal: false,
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
            Estimator::ApproximateBackprop => Rule { curved: 0, diagonal: true, ..exact },
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
    /// The second order is the back-propagated diagonal.
    pub(super) diagonal: bool,
    /// w.
    pub(super) curvature: f64,
    /// c.
    pub(super) square: f64,
    pub(super) sigma: Option<f64>,
}

impl Rule {
    /// The gradient enters along all unit vectors, but curvature does not: then the adjoint needs only
    /// its own directions and not all of them.
    pub(super) fn collapses(&self) -> bool {
        self.basis > 0 && self.curved < self.basis + self.slices
    }

    /// Random numbers kept per row of d columns.
    fn random(&self, dim: usize) -> usize {
        if self.sigma.is_some() { dim } else { self.slices * dim }
    }

    /// Rows with what the estimate draws for them.
    pub(super) fn draw<T: Real>(
        &self,
        x: Vec<T>,
        dim: usize,
        law: SliceLaw,
        rng: &mut impl Rng,
    ) -> Batch<T> {
        let rows = x.len() / dim;
        let mut batch = Batch { rows, x, random: vec![T::ZERO; rows * self.random(dim)] };
        if let Some(sigma) = self.sigma {
            for (x, e) in batch.x.iter_mut().zip(&mut batch.random) {
                let z: f64 = StandardNormal.sample(&mut *rng);
                *e = T::of(sigma * z);
                *x += *e;
            }
        } else if self.slices > 0 {
            for v in batch.random.chunks_mut(self.slices * dim) {
                law.draw(rng, dim, v);
            }
        }
        batch
    }
}

/// Rows, and per row its slices (M x d) or the noise that was added to it (d).
#[derive(Debug, Clone)]
pub(super) struct Batch<T> {
    pub(super) rows: usize,
    pub(super) x: Vec<T>,
    pub(super) random: Vec<T>,
}
