//! Settings of a training run.

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::domain::Domain;
use crate::objective::Objective;
use crate::slice::SliceDistribution;
use crate::{Error, Result};

/// Settings of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// The loss that is minimized.
    pub objective: Objective,
    /// Where its slices come from.
    #[serde(rename = "law", alias = "slice_distribution")]
    pub slice_distribution: SliceDistribution,
    /// The domain with a boundary in which all rows lie, if there is one, in the model's units: losses
    /// are then weighted, MATH (7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// Optimizer steps.
    pub steps: u64,
    /// Rows per step.
    pub batch: usize,
    /// Largest learning rate.
    #[serde(rename = "rate", alias = "learning_rate")]
    pub learning_rate: f64,
    /// How the rate moves.
    pub schedule: Schedule,
    /// Warm-up steps, over which the learning rate rises from 0.
    pub warm_up: u64,
    /// Largest gradient norm; larger ones are scaled down.
    #[serde(rename = "clip", alias = "max_gradient_norm")]
    pub max_gradient_norm: f64,
    /// Decoupled weight decay.
    #[serde(rename = "decay", alias = "weight_decay")]
    pub weight_decay: f64,
    /// Decay of the weight average that is evaluated and kept; 0 keeps the last weights.
    #[serde(rename = "ema", alias = "ema_decay")]
    pub ema_decay: f64,
    /// Steps between held-out evaluations.
    pub evaluate_every: u64,
    /// Early stopping: evaluations without improvement; 0 for none stops early.
    pub patience: u64,
    /// Seed of batches and slices.
    pub seed: u64,
    /// Worker threads; 0 for one per core.
    pub threads: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            objective: Objective::SsmVr { slices: 1 },
            slice_distribution: SliceDistribution::Rademacher,
            domain: None,
            steps: 10_000,
            batch: 256,
            learning_rate: 2e-3,
            schedule: Schedule::Cosine,
            warm_up: 100,
            max_gradient_norm: 10.0,
            weight_decay: 0.0,
            ema_decay: 0.999,
            evaluate_every: 100,
            patience: 0,
            seed: 0,
            threads: 0,
        }
    }
}

impl TrainConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<()> {
        self.objective.validate()?;
        if let Some(domain) = &self.domain {
            domain.validate()?;
            self.objective.check_bounded()?;
        }
        let positive = |name: &'static str, value: f64| {
            let fine = value > 0.0 && !value.is_nan();
            let message = || format!("must be a positive number, not {value}");
            if fine { Ok(()) } else { Err(Error::config(name, message())) }
        };
        positive("steps", self.steps as f64)?;
        positive("batch", self.batch as f64)?;
        positive("evaluate_every", self.evaluate_every as f64)?;
        positive("max_gradient_norm", self.max_gradient_norm)?;
        positive("learning_rate", self.learning_rate)?;
        if !self.learning_rate.is_finite() {
            return Err(Error::config("learning_rate", "must be finite"));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(Error::config("weight_decay", "must be zero or a positive number"));
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            return Err(Error::config(
                "ema_decay",
                format!("must be in [0, 1), not {}", self.ema_decay),
            ));
        }
        Ok(())
    }
}
