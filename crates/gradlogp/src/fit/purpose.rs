//! What a fit is for, and the settings that follow from it.
//!
//! A purpose chooses in two steps: [`Purpose::config`] before the table is known, and
//! [`SizeRule::apply`](super::SizeRule::apply), for purposes that [follow the
//! size](Purpose::follows_size) of the table, once it is. Settings that the user has chosen explicitly win: they
//! are set after the first step and left out of the second.

use gradlogp_numeric::Activation;
use serde::{Deserialize, Serialize};

use super::{DiffusionConfig, Family, FitConfig, PrepareConfig, ProcessConfig};
use crate::data::{Marginals, Standardization};
use crate::model::ModelKind;
use crate::sde::{Process, Ve, Vp};

/// What a fit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Purpose {
    /// How unusual a row is.
    Anomaly,
    /// The score and the log density of the data themselves.
    Score,
    /// Log likelihoods of new rows.
    Density,
    /// New rows.
    Sampling,
    /// Missing values.
    Imputation,
}

gradlogp_numeric::names!(Purpose {
    Anomaly => "anomaly",
    Score => "score",
    Density => "density",
    Sampling => "sampling",
    Imputation => "imputation",
});

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 5] = [
        Purpose::Anomaly,
        Purpose::Score,
        Purpose::Density,
        Purpose::Sampling,
        Purpose::Imputation,
    ];

    /// The settings for this purpose, as far as they do not depend on the size of the table.
    ///
    /// ```
    /// use gradlogp::fit::{Family, Purpose};
    /// let config = Purpose::Density.config();
    /// assert!(matches!(config.family, Family::Diffusion(_)) && config.with_gaussians);
    /// ```
    pub fn config(self) -> FitConfig {
        match self {
            Purpose::Score => FitConfig {
                prepare: prepared(Standardization::Whiten),
                with_gaussians: true,
                ..FitConfig::default()
            },
            Purpose::Anomaly => {
                let (least, largest) = ANOMALY_NOISE;
                let process = Process::Ve(Ve { sigma_min: least, sigma_max: largest });
                let family = Family::Diffusion(DiffusionConfig {
                    kind: ModelKind::LogDensity,
                    hidden: vec![64; 2],
                    activation: Activation::Softplus,
                    ..DiffusionConfig::of(ProcessConfig::Named(process))
                });
                let mut config = FitConfig::of(family);
                config.prepare.standardization = Standardization::Robust;
                config.training.steps = 1500;
                config
            }
            Purpose::Density | Purpose::Sampling | Purpose::Imputation => {
                let process = Process::Vp(Vp::default());
                let diffusion = DiffusionConfig::of(ProcessConfig::Named(process));
                // Measured on columns that are not mixed.
                let standardization = match self {
                    Purpose::Imputation => Standardization::Standardize,
                    _ => Standardization::Whiten,
                };
                let prepare =
                    PrepareConfig { marginals: Marginals::Auto, ..prepared(standardization) };
                // The mixture joins the density alone; imputation moves along the score.
                let with_gaussians = self != Purpose::Imputation;
                FitConfig { prepare, with_gaussians, ..FitConfig::of(Family::Diffusion(diffusion)) }
            }
        }
    }

    /// Whether [`SizeRule`](super::SizeRule) has the other settings, once the size of the table is known.
    pub fn follows_size(self) -> bool {
        self != Purpose::Anomaly
    }

    /// Why these settings.
    pub fn reason(self) -> &'static str {
        match self {
            Purpose::Anomaly => {
                "densities of the data with noise of 1/2 to 4 scales tell unusual rows apart, whichever \
                 scale they are unusual at, and a small network learns them in seconds"
            }
            Purpose::Score => {
                "networks of the data themselves, without noise, that add to a mixture of Gaussians are the most \
                 direct estimate"
            }
            Purpose::Density => {
                "networks of all noise levels have the best log likelihood of new rows, and better still \
                 with a Gaussian mixture beside them"
            }
            Purpose::Sampling => "what has the best log likelihood draws the best samples",
            Purpose::Imputation => {
                "what has the best log likelihood has the best conditional distributions; the Gaussian \
                 mixture is left out, since imputation follows the score of the networks"
            }
        }
    }
}

/// Columns that are scaled so where that can be, with noise where they are rounded.
fn prepared(standardization: Standardization) -> PrepareConfig {
    PrepareConfig {
        standardization,
        or_standardize: true,
        dequantize: Some(Vec::new()),
        ..PrepareConfig::default()
    }
}

/// Least and largest noise of the densities that anomaly scores average over, in standardized units.
const ANOMALY_NOISE: (f64, f64) = (0.5, 4.0);

/// A setting that follows the size of the table, unless the user has chosen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SizedSetting {
    /// `training.weight_decay`.
    WeightDecay,
    /// `noise.weight` of a diffusion model.
    NoiseWeight,
    /// `noise.times` of a diffusion model.
    Times,
    /// `floor` of a diffusion model.
    NoiseFloor,
    /// `training.steps`.
    Steps,
    /// `training.evaluate_every`.
    EvaluateEvery,
    /// `training.patience`.
    Patience,
    /// `members`.
    Members,
}

gradlogp_numeric::names!(SizedSetting {
    WeightDecay => "weight_decay",
    NoiseWeight => "noise_weight",
    Times => "times",
    NoiseFloor => "noise_floor",
    Steps => "steps",
    EvaluateEvery => "evaluate_every",
    Patience => "patience",
    Members => "members",
});

impl SizedSetting {
    /// All of them.
    pub const ALL: [SizedSetting; 8] = [
        SizedSetting::WeightDecay,
        SizedSetting::NoiseWeight,
        SizedSetting::Times,
        SizedSetting::NoiseFloor,
        SizedSetting::Steps,
        SizedSetting::EvaluateEvery,
        SizedSetting::Patience,
        SizedSetting::Members,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_has_settings_that_can_be_fitted_and_a_reason() {
        for purpose in Purpose::ALL {
            let config = purpose.config();
            assert!(config.validate().is_ok(), "{purpose}");
            assert_eq!(purpose.name().parse(), Ok(purpose));
            assert!(!purpose.reason().is_empty());
            assert_eq!(purpose.follows_size(), config.prepare.or_standardize, "{purpose}");
        }
        let with_gaussians = |purpose: Purpose| purpose.config().with_gaussians;
        assert!(with_gaussians(Purpose::Sampling) && !with_gaussians(Purpose::Imputation));
        assert!(with_gaussians(Purpose::Score));
    }
}
