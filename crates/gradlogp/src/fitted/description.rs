//! What a model file says about its model.

use serde::{Deserialize, Deserializer, Serialize};

use super::Scaling;
use crate::Result;
use crate::data::{Dequantization, Transform};
use crate::diffusion::{Clock, NoiseConfig, TimeMlp};
use crate::dkef::{Estimator, KernelFamily, KernelRecord, LogNormalizer};
use crate::domain::Domain;
use crate::model::Mlp;
use crate::sde::AnyProcess;
use crate::train::{Choice, HeldOutLoss, HistoryPoint, TrainConfig};

/// Everything but the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Version of the library that wrote it.
    pub library_version: String,
    /// The network as settings.
    pub network: Mlp,
    /// Column names, in the order of the network's input.
    pub columns: Vec<String>,
    /// From the user's units to the network's.
    pub transform: Transform,
    /// What the model is conditioned on, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<GivenColumns>,
    /// Means of the training columns, in their units.
    pub column_mean: Vec<f64>,
    /// Standard deviations of the training columns, in their units.
    pub column_scale: Vec<f64>,
    /// Uniform noise that was added to rounded columns before training, if any.
    pub dequantization: Option<Dequantization>,
    /// The domain with a boundary outside which there is no density, in the columns' units, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// How it was trained.
    pub training: TrainConfig,
    /// How its objective was chosen, if it was not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// For time models: the process and the network that knows the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseRecord>,
    /// What it was trained on.
    pub data: DataRecord,
    /// What came of it.
    pub summary: FitSummary,
    /// For a kernel family: how its potential came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelDescription>,
}

/// A kernel family behind a potential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelDescription {
    /// As settings.
    pub family: KernelFamily,
    /// The loss that alpha and the kernels minimise.
    pub estimator: Estimator,
    /// What is known of the solve.
    pub record: KernelRecord,
    /// Estimate of the logarithm of the integral, in the network's units, which has been subtracted:
    /// the stored log density is normalised up to the error given here.
    pub log_normalizer: LogNormalizer,
}

/// How a time model was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseRecord {
    /// The process, in the units of the model's transform.
    pub process: AnyProcess,
    /// The network as settings.
    pub network: TimeMlp,
    /// How rows were noised.
    pub config: NoiseConfig,
    /// How columns are scaled for the network at every time, where the process is in their own units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
}

impl NoiseRecord {
    /// The process with its noise levels, and the network's units.
    ///
    /// # Errors
    /// As [`AnyProcess::sde`] and [`Clock::new`].
    pub fn clock(&self) -> Result<Clock> {
        let clock = Clock::new(self.process.sde()?)?;
        Ok(match &self.scaling {
            None => clock,
            Some(scaling) => clock.in_frame(scaling.frame.clone()),
        })
    }
}

/// The columns c of a model of p(x | c).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GivenColumns {
    /// Their names, in the order of the network's context.
    pub columns: Vec<String>,
    /// From the user's units to the network's.
    pub transform: Transform,
}

/// What a model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// File as the user named it, or the name of a built-in set.
    pub source: String,
    /// Whether the source is a built-in set.
    pub built_in: bool,
    /// Rows in all.
    pub rows: usize,
    /// Rows of each part: training, validation, test.
    pub parts: [usize; 3],
    /// Hash of the table, in hexadecimal.
    pub content_hash: String,
}

/// What came of a fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitSummary {
    /// Why training ended.
    pub stopped: String,
    /// Steps taken.
    pub steps: u64,
    /// Step of the weights that were kept.
    pub best_step: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Root mean square of the score over training rows and columns, in the network's units.
    pub score_scale: f64,
    /// Held-out evaluations. The last one of a run that diverged has numbers that are not finite,
    /// which JSON writes as null.
    #[serde(deserialize_with = "history")]
    pub history: Vec<HistoryPoint>,
}

/// A history in which null stands for a number that is not finite.
fn history<'de, D: Deserializer<'de>>(
    input: D,
) -> std::result::Result<Vec<HistoryPoint>, D::Error> {
    #[derive(Deserialize)]
    struct Loss {
        mean: Option<f64>,
        standard_error: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Point {
        step: u64,
        train_loss: Option<f64>,
        held_out: Loss,
    }
    let number = |x: Option<f64>| x.unwrap_or(f64::NAN);
    let point = |p: Point| HistoryPoint {
        step: p.step,
        train_loss: number(p.train_loss),
        held_out: HeldOutLoss {
            mean: number(p.held_out.mean),
            standard_error: number(p.held_out.standard_error),
        },
    };
    Ok(Vec::<Point>::deserialize(input)?.into_iter().map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_a_diverged_run_can_be_read() {
        let held_out = HeldOutLoss { mean: f64::INFINITY, standard_error: f64::NAN };
        let history = vec![HistoryPoint { step: 3, train_loss: -1.5, held_out }];
        let summary = FitSummary {
            stopped: String::new(),
            steps: 3,
            best_step: 0,
            seconds: 0.5,
            score_scale: 1.0,
            history,
        };
        let json = serde_json::to_string(&summary).unwrap();
        let back: FitSummary = serde_json::from_str(&json).unwrap();
        assert_eq!((back.history[0].step, back.history[0].train_loss), (3, -1.5));
        assert!(back.history[0].held_out.mean.is_nan());
    }
}
