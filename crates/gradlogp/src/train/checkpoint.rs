//! Everything a run needs to continue, in one file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::held_out::HeldOutLoss;
use super::history::HistoryPoint;
use crate::storage::{Tensor, TensorFile};
use crate::{Error, Result};

/// The best weights so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Best {
    pub(super) step: u64,
    pub(super) loss: HeldOutLoss,
    pub(super) parameters: Vec<f32>,
}

/// The part of a run that is not weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) step: u64,
    pub(super) loss_sum: f64,
    pub(super) loss_count: u64,
    pub(super) since_best: u64,
    pub(super) history: Vec<HistoryPoint>,
    /// Stored beside it, as weights.
    #[serde(skip)]
    pub(super) best: Option<Best>,
}

/// A run that can be continued by [`super::Trainer::resume`].
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(super) parameters: Vec<f32>,
    pub(super) optimizer: AdamW<f32>,
    pub(super) state: State,
}

/// The JSON beside the weights.
#[derive(Serialize, Deserialize)]
struct Description {
    state: State,
    optimizer_step: u64,
    best: Option<(u64, HeldOutLoss)>,
    /// Whatever the caller needs to set the run up again.
    extra: serde_json::Value,
}

impl Checkpoint {
    /// The kind of its files, as [`TensorFile::kind`] tells it.
    pub const KIND: &str = "gradlogp.checkpoint";

    /// Steps taken.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// Refuses a state that no run of so many steps comes through.
    pub(super) fn check(&self, steps: u64) -> Result<()> {
        let State { step, loss_sum, loss_count, since_best, history, best } = &self.state;
        let in_order = history.windows(2).all(|pair| pair[0].step < pair[1].step);
        let finite = [&self.parameters, &self.optimizer.first, &self.optimizer.average]
            .iter()
            .all(|values| values.iter().all(|x| x.is_finite()));
        let wrong = if *step > steps {
            format!("it has taken {step} steps of {steps}")
        } else if self.optimizer.step != *step {
            format!("its optimizer has taken {} steps and it {step}", self.optimizer.step)
        } else if !in_order || history.last().is_some_and(|point| point.step > *step) {
            format!("its history is not one of {step} steps")
        } else if best.as_ref().is_some_and(|best| best.step > *step) {
            "its best weights are of a step that it has not taken".into()
        } else if *since_best > history.len() as u64 || *loss_count > *step {
            "it counts more evaluations or steps than it has made".into()
        } else if !loss_sum.is_finite() || !finite {
            "it has numbers that are not finite".into()
        } else if !self.optimizer.second.iter().all(|v| *v >= 0.0) {
            "its optimizer has mean squares below 0".into()
        } else {
            return Ok(());
        };
        Err(Error::config("checkpoint", wrong))
    }

    /// Writes it atomically, with a description of the run for whoever resumes it.
    ///
    /// # Errors
    /// When the file cannot be written; an older file stays whole.
    pub fn save(&self, path: &Path, extra: &serde_json::Value) -> Result<()> {
        let best = self.state.best.as_ref();
        let description = Description {
            state: self.state.clone(),
            optimizer_step: self.optimizer.step,
            best: best.map(|b| (b.step, b.loss)),
            extra: extra.clone(),
        };
        let mut tensors = vec![
            Tensor::flat("parameters", &self.parameters),
            Tensor::flat("first", &self.optimizer.first),
            Tensor::flat("second", &self.optimizer.second),
            Tensor::flat("average", &self.optimizer.average),
        ];
        tensors.extend(best.map(|b| Tensor::flat("best", &b.parameters)));
        TensorFile::write(path, Self::KIND, &description, tensors)
    }

    /// Reads a checkpoint and the description saved with it.
    ///
    /// # Errors
    /// When the file is missing, truncated or something else.
    pub fn load(path: &Path) -> Result<(Self, serde_json::Value)> {
        Self::from_bytes(&TensorFile::bytes(path)?, path)
    }

    /// The same of the bytes of a file; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_bytes(file: &[u8], path: &Path) -> Result<(Self, serde_json::Value)> {
        let (description, mut tensors) = TensorFile::decode::<Description>(file, path, Self::KIND)?;
        let mut take = |name: &str| -> Result<Vec<f32>> {
            let at = tensors.iter().position(|t| t.name == name);
            at.map(|at| tensors.swap_remove(at).data)
                .ok_or_else(|| Error::model_file(path, format!("has no tensor \"{name}\"")))
        };
        let parameters = take("parameters")?;
        let optimizer = AdamW {
            step: description.optimizer_step,
            first: take("first")?,
            second: take("second")?,
            average: take("average")?,
        };
        let mut state = description.state;
        if let Some((step, loss)) = description.best {
            state.best = Some(Best { step, loss, parameters: take("best")? });
        }
        let n = parameters.len();
        let lengths = [&optimizer.first, &optimizer.second, &optimizer.average];
        let best_fits = state.best.as_ref().is_none_or(|b| b.parameters.len() == n);
        if !best_fits || lengths.iter().any(|v| v.len() != n) {
            return Err(Error::model_file(path, "its tensors have different lengths"));
        }
        Ok((Checkpoint { parameters, optimizer, state }, description.extra))
    }
}
