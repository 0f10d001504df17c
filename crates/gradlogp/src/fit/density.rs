//! Settings of a fit whose purpose is the density: log likelihoods of new rows, and samples.
//!
//! A diffusion model on columns that are each made about normal and then whitened, whose weight decay, steps and members follow the table, mixed with Gaussians
//! on the validation rows. With all weights 0 the model is the Gaussian of the training rows, so weight decay
//! shrinks the fits of small tables towards it. How the numbers were found: experiments/density-study.

use super::purpose::{Purpose, SizedSetting};
use super::{Family, FitConfig};
use crate::diffusion::{NoiseWeight, TimeDistribution, TimeMlp};
use crate::words::short;

/// What follows from the size of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DensityRule {
    /// Decoupled weight decay.
    pub decay: f64,
    /// Weight of a time's loss.
    pub weight: NoiseWeight,
    /// Where times are drawn.
    pub times: TimeDistribution,
    /// Width of the finest structure to expect.
    pub floor: f64,
    /// Optimizer steps of each member, at most.
    pub steps: u64,
    /// Steps between held-out evaluations.
    pub evaluate_every: u64,
    /// Evaluations without a better one after which a member is done.
    pub patience: u64,
    /// Networks that are averaged.
    pub members: usize,
}

/// Columns over training rows below which there are rows enough to fit the finest structure.
const PLENTY: f64 = 0.005;

impl DensityRule {
    /// For so many training rows and columns.
    pub fn of(rows: usize, columns: usize) -> Self {
        let q = columns as f64 / rows.max(1) as f64;
        let (strength, floor) = if q < PLENTY { (40.0, 0.03) } else { (80.0, TimeMlp::FLOOR) };
        let steps = match rows {
            ..1500 => 3000,
            1500..6000 => 6000,
            _ => 12_000,
        };
        DensityRule {
            decay: (strength * q).clamp(0.03, 3.0),
            weight: NoiseWeight::Likelihood,
            times: TimeDistribution::Importance,
            floor,
            steps,
            evaluate_every: steps / 60,
            patience: 20,
            members: 2,
        }
    }
}

impl DensityRule {
    /// Takes over those of the settings that are `open`, and returns them with the values that they now have.
    pub fn apply(
        &self,
        config: &mut FitConfig,
        open: &[SizedSetting],
    ) -> Vec<(SizedSetting, String)> {
        let mut taken = Vec::new();
        for setting in SizedSetting::ALL.into_iter().filter(|setting| open.contains(setting)) {
            let training = &mut config.training;
            let value = match (setting, &mut config.family) {
                (SizedSetting::WeightDecay, _) => {
                    training.weight_decay = self.decay;
                    short(self.decay)
                }
                (SizedSetting::NoiseWeight, Family::Diffusion(diffusion)) => {
                    diffusion.noise.weight = self.weight;
                    self.weight.to_string()
                }
                (SizedSetting::Times, Family::Diffusion(diffusion)) => {
                    diffusion.noise.times = self.times;
                    self.times.to_string()
                }
                (SizedSetting::NoiseFloor, Family::Diffusion(diffusion)) => {
                    diffusion.floor = self.floor;
                    short(self.floor)
                }
                (SizedSetting::NoiseWeight | SizedSetting::Times | SizedSetting::NoiseFloor, _) => {
                    continue;
                }
                (SizedSetting::Steps, _) => {
                    training.steps = self.steps;
                    self.steps.to_string()
                }
                (SizedSetting::EvaluateEvery, _) => {
                    training.evaluate_every = self.evaluate_every;
                    self.evaluate_every.to_string()
                }
                (SizedSetting::Patience, _) => {
                    training.patience = self.patience;
                    self.patience.to_string()
                }
                (SizedSetting::Members, _) => {
                    config.members = self.members;
                    self.members.to_string()
                }
            };
            taken.push((setting, value));
        }
        taken
    }
}

impl FitConfig {
    /// For the density of a table with so many rows and columns.
    pub fn for_density(rows: usize, columns: usize) -> Self {
        let mut config = Purpose::Density.config();
        let training = (rows as f64 * config.prepare.fractions().train).round() as usize;
        DensityRule::of(training, columns).apply(&mut config, &SizedSetting::ALL);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_falls_with_rows_and_rises_with_columns() {
        let decay = |rows, columns| DensityRule::of(rows, columns).decay;
        assert_eq!((decay(400, 10), decay(100, 10), decay(1_000_000, 2)), (2.0, 3.0, 0.03));
        assert_eq!((decay(0, 3), decay(1000, 5)), (3.0, 0.4));
        let floor = |rows, columns| DensityRule::of(rows, columns).floor;
        assert_eq!((floor(1000, 5), floor(1001, 5)), (TimeMlp::FLOOR, 0.03));
        let config = FitConfig::for_density(1250, 5);
        assert!(config.validate().is_ok());
        assert_eq!(
            (config.training.weight_decay, config.members, config.training.steps),
            (0.4, 2, 3000)
        );
    }

    #[test]
    fn only_open_settings_are_taken() {
        let mut config = Purpose::Density.config();
        let before = config.clone();
        let rule = DensityRule::of(1000, 5);
        let open = [SizedSetting::Members, SizedSetting::NoiseFloor];
        let taken = rule.apply(&mut config, &open);
        let floor = (SizedSetting::NoiseFloor, short(rule.floor));
        assert_eq!(taken, [floor, (SizedSetting::Members, rule.members.to_string())]);
        assert_eq!((config.members, config.training.clone()), (rule.members, before.training));
        // A network of the data themselves has no noise.
        let mut plain = FitConfig::default();
        assert_eq!(rule.apply(&mut plain, &open).len(), 1);
    }
}
