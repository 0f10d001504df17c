//! Settings of a fit whose purpose is the density: log likelihoods of new rows, and samples.
//!
//! A diffusion model on whitened columns, whose weight decay, steps and members follow the table, mixed with Gaussians
//! on the validation rows. With no weights at all the network is the Gaussian of the training rows, so decay draws
//! small tables to that. How the numbers were found: experiments/density-study.

use super::{DiffusionConfig, Family, FitConfig, PrepareConfig};
use crate::data::Standardization;
use crate::diffusion::{NoiseConfig, NoiseWeight, TimeLaw};
use crate::train::TrainConfig;

/// What follows from the size of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DensityRule {
    /// Decoupled weight decay.
    pub decay: f64,
    /// Optimiser steps of each member, at most.
    pub steps: u64,
    /// Steps between held-out evaluations.
    pub evaluate_every: u64,
    /// Evaluations without a better one after which a member is done.
    pub patience: u64,
    /// Networks that are averaged.
    pub members: usize,
}

impl DensityRule {
    /// For so many training rows and columns.
    pub fn of(rows: usize, columns: usize) -> Self {
        let steps = match rows {
            ..1500 => 3000,
            1500..6000 => 6000,
            _ => 12_000,
        };
        DensityRule {
            decay: (40.0 * columns as f64 / rows.max(1) as f64).clamp(0.03, 2.0),
            steps,
            evaluate_every: steps / 60,
            patience: 20,
            members: if rows < 6000 { 2 } else { 1 },
        }
    }

    /// Training with this rule.
    pub fn training(&self, training: TrainConfig) -> TrainConfig {
        let DensityRule { decay, steps, evaluate_every, patience, .. } = *self;
        TrainConfig { decay, steps, evaluate_every, patience, ..training }
    }
}

impl FitConfig {
    /// For the density, before the table is known; [`DensityRule::of`] has the rest.
    pub fn for_density() -> Self {
        let noise = NoiseConfig {
            weight: NoiseWeight::Likelihood,
            times: TimeLaw::Importance,
            ..NoiseConfig::default()
        };
        let diffusion = DiffusionConfig { noise, ..DiffusionConfig::default() };
        let prepare = PrepareConfig {
            standardization: Standardization::Whiten,
            dequantize: Some(Vec::new()),
            ..PrepareConfig::default()
        };
        let usual = FitConfig::of(Family::Diffusion(diffusion));
        FitConfig { prepare, with_gaussians: true, ..usual }
    }

    /// This, as the rule has it for a table with so many training rows and columns.
    pub fn with_rule(self, rule: &DensityRule) -> Self {
        FitConfig { training: rule.training(self.training), members: rule.members, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_falls_with_rows_and_rises_with_columns() {
        let decay = |rows, columns| DensityRule::of(rows, columns).decay;
        assert_eq!((decay(400, 10), decay(100, 10), decay(1_000_000, 2)), (1.0, 2.0, 0.03));
        assert_eq!(DensityRule::of(0, 3).decay, 2.0);
        let config = FitConfig::for_density().with_rule(&DensityRule::of(1000, 5));
        assert!(config.validate().is_ok());
        assert_eq!((config.training.decay, config.members, config.training.steps), (0.2, 2, 3000));
    }
}
