//! Settings of kernel exponential families, and what to know of one that was fitted.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::dkef::{ILL_CONDITIONED, KernelConfig, KernelFamily};
use crate::fitted::KernelDescription;
use crate::model::{Mlp, ModelKind};
use crate::train::{Schedule, TrainConfig};

/// Below this share of the draws the normalizer is unreliable.
const EFFECTIVE: f64 = 0.005;

/// A kernel exponential family, MATH 7.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelFamilyConfig {
    /// Whether the kernel is learnt; if not, its width and lambda are chosen on validation rows.
    pub deep: bool,
    /// Inducing points.
    pub inducing: usize,
    /// Standard deviation of the Gaussian base density, in standardized units.
    pub base_sd: f64,
}

impl Default for KernelFamilyConfig {
    /// A learnt kernel at 200 inducing points over a base of width 2.
    fn default() -> Self {
        KernelFamilyConfig { deep: true, inducing: 200, base_sd: 2.0 }
    }
}

impl KernelFamilyConfig {
    /// Refuses settings of no family.
    ///
    /// # Errors
    /// As [`KernelFamily::validate`].
    pub fn validate(&self) -> Result<()> {
        self.family(1, 0.0).validate()
    }

    pub(super) fn family(&self, dim: usize, log_width: f64) -> KernelFamily {
        let family = match self.deep {
            true => KernelFamily::deep(dim),
            false => KernelFamily::plain(dim, log_width),
        };
        KernelFamily { inducing: self.inducing, base_sd: self.base_sd, ..family }
    }

    /// The training settings that a family has, in place of those of networks.
    pub fn settings(&self, asked: &TrainConfig) -> TrainConfig {
        let own = KernelConfig::default();
        TrainConfig {
            batch: own.batch,
            learning_rate: own.learning_rate,
            schedule: Schedule::Constant,
            warm_up: 0,
            max_gradient_norm: own.max_gradient_norm,
            weight_decay: 0.0,
            ema_decay: 0.0,
            evaluate_every: 5,
            patience: 60,
            ..asked.clone()
        }
    }

    /// The potential that a family becomes, as settings.
    pub(super) fn stand_in(&self, dim: usize) -> Mlp {
        Mlp {
            hidden: Vec::new(),
            base_scale: Some(self.base_sd),
            ..Mlp::new(dim, ModelKind::LogDensity)
        }
    }
}

/// What to know of a fit that may not be trusted.
pub(super) fn warnings(kernel: &KernelDescription) -> Vec<String> {
    let mut out = Vec::new();
    let (record, z) = (&kernel.record, &kernel.log_normalizer);
    if record.condition > ILL_CONDITIONED {
        out.push(format!(
            "the system for alpha has condition number {:.1e}, which costs half of the digits; \
             use fewer `inducing` points",
            record.condition
        ));
    }
    if record.jitter > 0.0 {
        out.push(format!("{:.1e} was added to lambda to solve for alpha", record.jitter));
    }
    if z.effective < EFFECTIVE * z.draws as f64 {
        out.push(format!(
            "log Z rests on {:.0} of {} draws of the base density, so its interval is too narrow; \
             log densities compare rows of this model, but not models",
            z.effective, z.draws
        ));
    }
    out
}
