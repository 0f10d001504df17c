//! What a model file says about its model.

use ndarray::ArrayView2;
use serde::{Deserialize, Deserializer, Serialize};

use super::{GaussianPart, Scaling};
use crate::data::{Dequantization, Transform};
use crate::diffusion::{Clock, NoiseConfig, TimeMlp};
use crate::dkef::{KernelFamily, KernelRecord, LogNormalizer};
use crate::domain::Domain;
use crate::model::Mlp;
use crate::objective::Objective;
use crate::score::Score;
use crate::sde::AnyProcess;
use crate::train::{Choice, HeldOutLoss, HistoryPoint, TrainConfig};
use crate::{Error, Result};

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
    #[serde(default, rename = "given", skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionColumns>,
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
    /// For diffusion models: the Gaussian mixture that the density is mixed with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaussians: Option<GaussianPart>,
    /// What it was trained on.
    pub data: DataRecord,
    /// What came of it.
    pub summary: FitSummary,
    /// For a kernel family: how its potential came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelDescription>,
}

impl Description {
    /// Checks every number that an answer rests on, as the settings of a fit are checked.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Shape`] naming what no fit leaves.
    pub(super) fn validate(&self) -> Result<()> {
        let d = self.columns.len();
        let lengths = |operation, found: Vec<usize>| match found.iter().all(|n| *n == d) {
            true => Ok(()),
            false => Err(Error::Shape { operation, expected: vec![d; found.len()], found }),
        };
        let refuse = |name: &'static str, message: &str| Err(Error::config(name, message));
        let known = vec![self.transform.dim(), self.column_mean.len(), self.column_scale.len()];
        lengths("fitted model", known)?;
        lengths("settings of the network", vec![self.network.dim])?;
        let named = self.noise.as_ref().is_some_and(|noise| noise.scaling.is_none());
        if self.transform.has_marginals() && !named {
            return refuse("marginals", "are for models over time of a named process");
        }
        let condition = self.condition.iter().flat_map(|condition| &condition.columns);
        let mut names: Vec<&String> = self.columns.iter().chain(condition).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("columns", "two columns have the same name");
        }
        if !self.column_mean.iter().all(|x| x.is_finite()) {
            return refuse("column_mean", "must be finite numbers");
        }
        if !self.column_scale.iter().all(|x| *x > 0.0 && x.is_finite()) {
            return refuse("column_scale", "must be positive numbers");
        }
        if !(self.summary.score_scale >= 0.0 && self.summary.score_scale.is_finite()) {
            return refuse("score_scale", "must be 0 or a positive number");
        }
        if let Some(noise) = &self.dequantization {
            lengths("dequantization", vec![noise.half_widths.len()])?;
            if !noise.half_widths.iter().all(|h| *h >= 0.0 && h.is_finite()) {
                return refuse("half_widths", "must be 0 or positive numbers");
            }
        }
        self.training.validate()?;
        for domain in self.domain.iter().chain(&self.training.domain) {
            domain.validate()?;
            lengths("domain of a fitted model", vec![domain.dim()])?;
        }
        if let Some(noise) = &self.noise {
            noise.config.validate()?;
            lengths("network over time", vec![noise.network.dim])?;
        }
        if let Some(gaussians) = &self.gaussians {
            if self.noise.is_none() {
                return refuse("gaussians", "belong to the density of a diffusion model");
            }
            let mixture = gaussians.mixture()?;
            lengths("Gaussian mixture of a fitted model", vec![mixture.dim()])?;
        }
        if let Some(kernel) = &self.kernel {
            kernel.family.validate()?;
        }
        Ok(())
    }
}

/// A kernel family behind a potential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelDescription {
    /// As settings.
    pub family: KernelFamily,
    /// The loss that alpha and the kernels minimize.
    #[serde(rename = "estimator", with = "crate::dkef::stored")]
    pub objective: Objective,
    /// What is known of the solve.
    pub record: KernelRecord,
    /// Estimate of the logarithm of the integral, in the network's units, which has been subtracted:
    /// the stored log density is normalized up to the error given here.
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
pub struct ConditionColumns {
    /// Their names, in the order of the network's context.
    pub columns: Vec<String>,
    /// From the user's units to the network's.
    pub transform: Transform,
    /// Least and largest training value of each, where the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Vec<[f64; 2]>>,
}

/// Values of one column of a condition far from those of training.
#[derive(Debug, Clone, PartialEq)]
pub struct FarOff {
    /// The column.
    pub column: String,
    /// Rows, counted from 0.
    pub rows: Vec<usize>,
    /// The value furthest off.
    pub worst: f64,
    /// Least and largest value of training, where they are known.
    pub range: Option<[f64; 2]>,
}

impl ConditionColumns {
    /// The columns in which rows of `condition` (the user's units, columns as in
    /// [`columns`](ConditionColumns::columns)) are far from training: further outside its range than a quarter of
    /// its width; in models of files that do not say what it was, more than 6 standard deviations from the
    /// mean.
    pub fn far_off(&self, condition: ArrayView2<'_, f64>) -> Vec<FarOff> {
        let (mean, sd) = (self.transform.mean(), self.transform.standard_deviations());
        let of = |j: usize| {
            let (known, low, high) = match self.range.as_ref().and_then(|range| range.get(j)) {
                Some([low, high]) => {
                    let slack = 0.25 * (high - low);
                    (Some([*low, *high]), low - slack, high + slack)
                }
                None => (None, mean[j] - 6.0 * sd[j], mean[j] + 6.0 * sd[j]),
            };
            let out = |x: f64| (low - x).max(x - high);
            let column = condition.column(j);
            let rows: Vec<usize> = (0..column.len()).filter(|i| out(column[*i]) > 0.0).collect();
            let worst =
                rows.iter().map(|i| column[*i]).max_by(|a, b| out(*a).total_cmp(&out(*b)))?;
            Some(FarOff { column: self.columns[j].clone(), rows, worst, range: known })
        };
        (0..condition.ncols().min(self.columns.len())).filter_map(of).collect()
    }
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
    fn conditions_far_from_training_are_told_by_column_and_row() {
        use crate::data::Standardization;
        let training = ndarray::array![[0.0, 10.0], [4.0, 30.0], [2.0, 20.0]];
        let columns = vec!["age".to_string(), "dose".to_string()];
        let kind = Standardization::Standardize;
        let transform = Transform::fit(kind, training.view(), &columns).unwrap();
        let range = Some(vec![[0.0, 4.0], [10.0, 30.0]]);
        let mut condition = ConditionColumns { columns, transform, range };
        // A quarter of the width is 1 and 5.
        let asked = ndarray::array![[5.0, 34.0], [5.1, 20.0], [-9.0, 5.0], [2.0, 4.0]];
        let found = condition.far_off(asked.view());
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].column.as_str(), &found[0].rows[..]), ("age", &[1, 2][..]));
        assert_eq!((found[0].worst, found[0].range), (-9.0, Some([0.0, 4.0])));
        assert_eq!((found[1].column.as_str(), &found[1].rows[..]), ("dose", &[3][..]));
        // As files before were, without the range: by mean 2 and standard deviation 1.6.
        let mut old = serde_json::to_value(&condition).unwrap();
        old.as_object_mut().unwrap().remove("range");
        condition = serde_json::from_value(old).unwrap();
        let found = condition.far_off(ndarray::array![[10.0, 20.0], [14.1, 20.0]].view());
        assert_eq!((found.len(), &found[0].rows[..], found[0].range), (1, &[1][..], None));
    }

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
