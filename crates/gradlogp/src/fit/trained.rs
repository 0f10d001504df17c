//! Results of training.

use serde::{Deserialize, Serialize};

use super::config::Family;
use super::kernel_family;
use crate::fitted::KernelDescription;
use crate::model::{Mlp, Model};
use crate::train::{HeldOutLoss, HistoryPoint, Stop, TrainConfig, Trainer};
use crate::{Error, Result};

/// What training leaves, of whatever family.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The weights that were kept: of an ensemble all of them, one member after the other.
    pub network: Model<f32>,
    /// The network's settings, without the time of a diffusion model.
    pub settings: Mlp,
    /// How it was trained.
    pub training: TrainConfig,
    /// Steps taken, by all members together.
    pub steps: u64,
    /// Step of the weights that were kept, and their held-out loss, of the first member; None where there never was
    /// a finite one.
    pub best: Option<(u64, HeldOutLoss)>,
    /// Held-out evaluations of the first member.
    pub history: Vec<HistoryPoint>,
    /// Of a kernel family.
    pub kernel: Option<KernelDescription>,
    /// Why training ended.
    pub stop: Stop,
}

/// What the training of one member of an ensemble leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedMember {
    pub(super) parameters: Vec<f32>,
    pub(super) steps: u64,
    pub(super) best: Option<(u64, HeldOutLoss)>,
    pub(super) history: Vec<HistoryPoint>,
}

impl TrainedMember {
    /// The best weights of a trainer.
    pub fn of(trainer: &Trainer) -> Self {
        TrainedMember {
            parameters: trainer.best_model().parameters,
            steps: trainer.step(),
            best: trainer.best(),
            history: trainer.history().to_vec(),
        }
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

impl Trained {
    /// What one trainer leaves: its best weights.
    pub fn of(trainer: &Trainer, settings: Mlp, stop: Stop) -> Self {
        Trained {
            network: trainer.best_model(),
            settings,
            training: trainer.config().clone(),
            steps: trainer.step(),
            best: trainer.best(),
            history: trainer.history().to_vec(),
            kernel: None,
            stop,
        }
    }

    /// Why training ended, in words.
    pub fn stopped(&self) -> &'static str {
        match self.stop {
            Stop::Completed => "all steps taken",
            Stop::Patience => "no better held-out loss for a while",
            Stop::Interrupted => "interrupted",
            _ => "diverged",
        }
    }

    /// Refuses a run that diverged before there was any finite held-out loss: it leaves nothing to keep.
    ///
    /// # Errors
    /// [`Error::Diverged`].
    pub fn usable(&self) -> Result<()> {
        let Stop::Diverged { message } = &self.stop else { return Ok(()) };
        if self.best.is_some() {
            return Ok(());
        }
        let step = self.steps;
        let message =
            message.strip_prefix(&format!("diverged at step {step}: ")).unwrap_or(message);
        let message = format!("{message}. No model was written");
        Err(Error::Diverged { step, rows: Vec::new(), message })
    }

    /// What to know of weights that may not be what they could be.
    pub fn warnings(&self, family: &Family) -> Vec<String> {
        let kernel = self.kernel.iter().flat_map(kernel_family::warnings);
        kernel.chain(self.overfitting(family)).collect()
    }

    /// What to try when a diffusion model was best early, as those of small tables are.
    fn overfitting(&self, family: &Family) -> Option<String> {
        let (best, _) = self.best?;
        let early = best < self.steps / self.settings.members as u64 / 4;
        let diffuses = matches!(family, Family::Diffusion(_));
        (early && diffuses && self.training.weight_decay == 0.0).then(|| {
            format!(
                "the held-out loss was lowest at step {best} of {} and has not come back to it: the network \
                 is overfitting these rows. On small tables `weight_decay` 1 helps, and `noise_weight` \
                 noise with `times` uniform",
                self.steps / self.settings.members as u64
            )
        })
    }
}
