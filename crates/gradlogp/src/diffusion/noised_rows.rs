//! Rows that are noised anew at every step.

use super::{Noised, Noising};
use crate::engine::{StreamId, stream};
use crate::model::{Model, PointSet, Points};
use crate::objective::Objective;
use crate::train::{Batches, HeldOut, TrainConfig, Trainer};
use crate::{Error, Result};

/// Rows of data (at t = 0) that become rows of a time model: (x_t, t) with weights, and targets where there are any.
#[derive(Debug, Clone)]
pub struct NoisedRows {
    noising: Noising,
    table: PointSet<f32>,
    dim: usize,
    seed: u64,
    /// Every row twice, as denoising takes them.
    pairs: bool,
    batch: PointSet<f32>,
    noised: Noised,
}

impl NoisedRows {
    /// `table` is n x d; the streams of `config.seed` noise it as `config.objective` needs it.
    pub fn new(noising: Noising, table: Vec<f32>, config: &TrainConfig) -> Self {
        NoisedRows {
            dim: noising.network().dim,
            noising,
            table: table.into(),
            seed: config.seed,
            pairs: config.objective == Objective::Regression,
            batch: PointSet::default(),
            noised: Noised::default(),
        }
    }
}

impl Batches for NoisedRows {
    fn rows(&self) -> usize {
        self.table.x.len() / self.dim
    }

    fn fill(&mut self, step: u64, chosen: &[usize]) -> Points<'_, f32> {
        self.batch.gather_points(&self.table, self.dim, chosen);
        let mut rng = stream(self.seed, StreamId::Noise, step, 0);
        let (x, noised) = (&self.batch.x, &mut self.noised);
        if self.pairs {
            self.noising.fill_pairs(x, &mut rng, noised);
        } else {
            self.noising.fill(x, &mut rng, noised);
        }
        Points::from(&self.noised)
    }
}

impl Trainer {
    /// A run of a time network on training rows (n x d, data at t = 0), which are noised anew at every
    /// step, evaluated on held-out rows each noised to some times (the same at every evaluation). The held-out
    /// loss is the exact one with the weights of `noising`, so that it compares objectives.
    ///
    /// # Errors
    /// Settings that cannot be used; no rows; an objective that adds noise of its own, or regression
    /// where the rows are simulated and have no target; a model with another graph.
    pub fn over_time(
        noising: Noising,
        model: Model<f32>,
        training: Vec<f32>,
        held_out: &[f32],
        config: TrainConfig,
    ) -> Result<Self> {
        if *model.graph() != noising.network().graph()? {
            return Err(Error::config("network", "is not the one that the rows are noised for"));
        }
        match config.objective {
            Objective::Ssm { .. } | Objective::SsmVr { .. } | Objective::Exact => {}
            Objective::Regression if noising.has_targets() => {}
            Objective::Regression => {
                let message = "denoising needs the closed-form kernel of the process; where x_t is \
                               simulated, use ssm, ssm-vr or exact";
                return Err(Error::config("noise_objective", message));
            }
            _ => {
                let message = "must be ssm, ssm-vr, exact or regression for a time model";
                return Err(Error::config("noise_objective", message));
            }
        }
        let (mut noised, d) = (Noised::default(), model.dim());
        let distinct = (held_out.len() / d).min(HeldOut::<f32>::ROWS);
        let held_out = held_out[..distinct * d].repeat(HeldOut::<f32>::noisings(distinct, d));
        let mut rng = stream(config.seed, StreamId::HeldNoise, 0, 0);
        noising.fill(&held_out, &mut rng, &mut noised);
        let batches = Box::new(NoisedRows::new(noising, training, &config));
        Trainer::with_batches(model, batches, (&noised).into(), distinct, config)
    }
}
