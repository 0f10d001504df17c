//! What gives G and b, for each objective.
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

use crate::Result;
use crate::objective::Objective;
use crate::slice::SliceDistribution;
use gradlogp_numeric::Real;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// How files spell the objective of a family: two names are longer than elsewhere.
pub(crate) mod stored {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::objective::Objective;

    #[derive(Serialize)]
    #[serde(tag = "name", rename_all = "kebab-case")]
    enum Long {
        ApproximateBackprop,
        CurvaturePropagation { slices: usize },
    }

    pub(crate) fn serialize<S: Serializer>(
        objective: &Objective,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match *objective {
            Objective::ApproxBackprop => Long::ApproximateBackprop.serialize(to),
            Objective::Cp { slices } => Long::CurvaturePropagation { slices }.serialize(to),
            _ => objective.serialize(to),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Objective, D::Error> {
        Objective::deserialize(from)
    }
}

/// An objective as counts and weights: directions are the slices, then the unit vectors; the first
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
    /// Of an objective, for `kernels` networks phi whose sweeps need `noise` columns each.
    ///
    /// # Errors
    /// Those of [`Objective::validate`] and [`Objective::check_kernel_family`].
    pub(super) fn new(
        objective: &Objective,
        dim: usize,
        kernels: usize,
        noise: usize,
    ) -> Result<Self> {
        objective.validate()?;
        objective.check_kernel_family()?;
        let exact = Rule {
            slices: 0,
            basis: dim,
            curved: dim,
            sweep: None,
            curvature: 1.0,
            square: 1.0,
            sigma: None,
        };
        Ok(match *objective {
            Objective::Ssm { slices } => {
                let weight = 1.0 / slices as f64;
                let (curvature, square) = (weight, weight);
                Rule { slices, basis: 0, curved: slices, curvature, square, ..exact }
            }
            Objective::SsmVr { slices } => {
                Rule { slices, curved: slices, curvature: 1.0 / slices as f64, ..exact }
            }
            Objective::Dsm { sigma } => Rule {
                curved: 0,
                curvature: 0.0,
                square: sigma.powi(4),
                sigma: Some(sigma),
                ..exact
            },
            Objective::ApproxBackprop => Rule { curved: 0, sweep: Some(Sweep::Diagonal), ..exact },
            Objective::Cp { slices } => {
                let sweep = Sweep::Random { draws: slices, kernels, width: noise };
                Rule { curved: 0, sweep: Some(sweep), ..exact }
            }
            Objective::Exact
            | Objective::Regression
            | Objective::FdSsm { .. }
            | Objective::FdDsm { .. } => exact,
        })
    }

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
        distribution: SliceDistribution,
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
                distribution.draw(rng, width, v);
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
