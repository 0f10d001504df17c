//! The loss by which training decides when to stop.
//!
//! Always an estimate of MATH (4), the implicit score matching loss, whatever objective trains the
//! model: it can be compared between objectives, slice laws and model kinds. With many columns the
//! exact trace costs too much at every evaluation; then it is estimated along a fixed number of
//! Rademacher slices, the same at every evaluation, so that the *difference* between two evaluations
//! is nearly free of slice noise. Rows with weights, those of time models, give the weighted mean.

use serde::{Deserialize, Serialize};

use crate::domain::Domain;
use crate::exec::{Domain as Purpose, Draw, LossEngine};
use crate::kernel::Real;
use crate::model::{Model, PointSet, Points};
use crate::objective::Objective;
use crate::slice::SliceLaw;

/// Most columns for which every evaluation takes the exact trace.
const EXACT_COLUMNS: usize = 64;
/// Slices per row beyond that.
const SLICES: usize = 16;
/// Mean and standard error over rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldOutLoss {
    /// Mean of MATH (4).
    pub mean: f64,
    /// Its standard error over rows.
    pub standard_error: f64,
}

/// Evaluates models on held-out rows.
pub struct HeldOut<T: Real> {
    engine: LossEngine<T>,
    rows: PointSet<T>,
    weights: Vec<T>,
    seed: u64,
}

impl<T: Real> HeldOut<T> {
    /// Most rows evaluated.
    pub const ROWS: usize = 4096;

    /// On `rows`, of which the first few thousand are used; weighted as MATH (7) has it on a domain
    /// with a boundary.
    pub fn new(
        model: &Model<T>,
        rows: Points<'_, T>,
        domain: Option<&Domain>,
        seed: u64,
        threads: usize,
    ) -> Self {
        let objective = if model.dim() <= EXACT_COLUMNS {
            Objective::Exact
        } else {
            Objective::SsmVr { slices: SLICES }
        };
        let few = (rows.x.len() / model.dim()).min(Self::ROWS);
        let rows = rows.some(model.graph(), 0..few);
        HeldOut {
            engine: LossEngine::within(domain, model, &objective, SliceLaw::Rademacher, threads),
            rows: PointSet::copy_of(rows, model.graph()),
            weights: rows.weights.to_vec(),
            seed,
        }
    }

    /// The loss of `model`. Call inside a thread pool.
    pub fn evaluate(&mut self, model: &Model<T>) -> HeldOutLoss {
        let draw = Draw { seed: self.seed, domain: Purpose::Held, step: 0 };
        let points = Points { weights: &self.weights, ..Points::from(&self.rows) };
        let losses = self.engine.losses(model, points, draw);
        let n = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / n;
        let squares = losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>();
        let standard_error = (squares / (n - 1.0).max(1.0) / n).sqrt();
        HeldOutLoss { mean, standard_error }
    }
}
