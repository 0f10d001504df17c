//! Settings that follow the size of a table: their values, and where they go.

use super::purpose::SizedSetting;
use super::{Family, FitConfig};
use crate::diffusion::{NoiseWeight, TimeDistribution};
use crate::words::short;

/// What follows from the size of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeRule {
    /// Decoupled weight decay.
    pub decay: f64,
    /// Of diffusion models, how rows are noised.
    pub noise: Option<NoiseRule>,
    /// Optimizer steps of each member, at most.
    pub steps: u64,
    /// Steps between held-out evaluations.
    pub evaluate_every: u64,
    /// Evaluations without a better one after which a member is done.
    pub patience: u64,
    /// Networks that are averaged.
    pub members: usize,
}

/// How the rows of a diffusion model are noised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseRule {
    /// Weight of a time's loss.
    pub weight: NoiseWeight,
    /// Where times are drawn.
    pub times: TimeDistribution,
    /// Width of the finest structure to expect.
    pub floor: f64,
}

impl SizeRule {
    /// Takes over those of the settings that are `open`, and returns them with the values that they now have.
    pub fn apply(
        &self,
        config: &mut FitConfig,
        open: &[SizedSetting],
    ) -> Vec<(SizedSetting, String)> {
        let mut taken = Vec::new();
        for setting in SizedSetting::ALL.into_iter().filter(|setting| open.contains(setting)) {
            let training = &mut config.training;
            let value = match (setting, self.noise, &mut config.family) {
                (SizedSetting::WeightDecay, ..) => {
                    training.weight_decay = self.decay;
                    short(self.decay)
                }
                (SizedSetting::NoiseWeight, Some(noise), Family::Diffusion(diffusion)) => {
                    diffusion.noise.weight = noise.weight;
                    noise.weight.to_string()
                }
                (SizedSetting::Times, Some(noise), Family::Diffusion(diffusion)) => {
                    diffusion.noise.times = noise.times;
                    noise.times.to_string()
                }
                (SizedSetting::NoiseFloor, Some(noise), Family::Diffusion(diffusion)) => {
                    diffusion.floor = noise.floor;
                    short(noise.floor)
                }
                (
                    SizedSetting::NoiseWeight | SizedSetting::Times | SizedSetting::NoiseFloor,
                    ..,
                ) => continue,
                (SizedSetting::Steps, ..) => {
                    training.steps = self.steps;
                    self.steps.to_string()
                }
                (SizedSetting::EvaluateEvery, ..) => {
                    training.evaluate_every = self.evaluate_every;
                    self.evaluate_every.to_string()
                }
                (SizedSetting::Patience, ..) => {
                    training.patience = self.patience;
                    self.patience.to_string()
                }
                (SizedSetting::Members, ..) => {
                    config.members = self.members;
                    self.members.to_string()
                }
            };
            taken.push((setting, value));
        }
        taken
    }
}
