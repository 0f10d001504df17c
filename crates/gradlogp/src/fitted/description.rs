//! What a model file says about its model.

use serde::{Deserialize, Serialize};

use crate::data::{Dequantization, Transform};
use crate::model::Mlp;
use crate::train::{HistoryPoint, TrainConfig};

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
    /// Means of the training columns, in their units.
    pub column_mean: Vec<f64>,
    /// Standard deviations of the training columns, in their units.
    pub column_scale: Vec<f64>,
    /// Uniform noise that was added to rounded columns before training, if any.
    pub dequantization: Option<Dequantization>,
    /// How it was trained.
    pub training: TrainConfig,
    /// What it was trained on.
    pub data: DataRecord,
    /// What came of it.
    pub summary: FitSummary,
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
    /// Held-out evaluations.
    pub history: Vec<HistoryPoint>,
}
