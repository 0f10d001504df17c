//! Chains under way as data, to be stored and gone on with.

use super::warm_up::ColumnVariance;
use super::{ChainConfig, DualAveraging};
use crate::error::{Error, Result};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// All that the next step of [`Chains`](super::Chains) depends on, besides the model and the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// How the chains run.
    pub config: ChainConfig,
    /// Steps done, warm-up included.
    pub step: usize,
    /// Number of columns.
    pub dim: usize,
    pub(super) step_size: f64,
    pub(super) adaptation: Option<DualAveraging>,
    /// Of chains that are apart.
    #[serde(default)]
    pub(super) step_sizes: Vec<f64>,
    #[serde(default)]
    pub(super) adaptations: Vec<DualAveraging>,
    pub(super) position: Vec<f64>,
    pub(super) scale: Vec<f64>,
    #[serde(rename = "spread")]
    pub(super) variance: Option<ColumnVariance>,
    pub(super) draws: Vec<f64>,
    pub(super) acceptance: Option<Vec<f64>>,
}

impl Snapshot {
    /// Refuses what no chains come through.
    ///
    /// # Errors
    /// [`Error::Config`] with what is wrong.
    pub fn check(&self) -> Result<()> {
        self.config.validate()?;
        let ChainConfig { chains, warm_up, steps, thinning, .. } = self.config;
        let end = warm_up.checked_add(steps);
        let kept = self.step.saturating_sub(warm_up) / thinning;
        let draws = chains.checked_mul(kept).and_then(|draws| draws.checked_mul(self.dim));
        let finite = |values: &[f64]| values.iter().all(|x| x.is_finite());
        let mut adaptations = self.adaptation.iter().chain(&self.adaptations);
        let adapted = adaptations.all(DualAveraging::is_finite);
        let mut steps = [self.step_size].into_iter().chain(self.step_sizes.iter().copied());
        let apart = if self.config.apart { chains } else { 0 };
        // Without a variance these are no scales, but what another sampler keeps of its chains.
        let scales = match &self.variance {
            Some(variance) => {
                variance.is_sound(self.dim, apart) && self.scale.iter().all(|s| *s > 0.0)
            }
            None => true,
        };
        let wrong = if end.is_none_or(|end| self.step > end) {
            "it has taken more steps than there are to take"
        } else if draws != Some(self.draws.len()) || !finite(&self.draws) {
            "its draws are not one number for each chain, draw and column"
        } else if !finite(&self.position) {
            "its positions are not finite"
        } else if !(steps.all(|step| step >= 0.0 && step.is_finite()) && adapted) {
            "its step size is none"
        } else if !(finite(&self.scale) && scales) {
            "its scales are none"
        } else if !self.acceptance.as_ref().is_none_or(|rates| finite(rates)) {
            "its acceptance rates are not finite"
        } else {
            return Ok(());
        };
        Err(Error::config("snapshot", wrong))
    }

    pub(super) fn position(&self) -> Result<Array2<f64>> {
        Array2::from_shape_vec((self.config.chains, self.dim), self.position.clone())
            .map_err(|e| Error::config("snapshot", format!("its positions do not fit: {e}")))
    }
}
