//! Results of the evaluations of a run.

use serde::{Deserialize, Serialize};

use super::held_out::HeldOutLoss;

/// One held-out evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HistoryPoint {
    /// Steps taken.
    pub step: u64,
    /// Mean training loss since the evaluation before.
    pub train_loss: f64,
    /// Held-out loss, MATH (4), of the weights that would be kept.
    pub held_out: HeldOutLoss,
}
