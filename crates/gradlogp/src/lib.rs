//! Fit the score of your data, and know how far to trust it.

pub mod data;
pub mod diagnose;
pub mod error;
pub mod exec;
pub mod fitted;
pub mod graph;
pub mod jet;
pub mod kernel;
pub mod model;
pub mod objective;
pub mod oracle;
pub mod sample;
pub mod score;
pub mod slice;
pub mod storage;
pub mod train;

pub use error::{Error, ErrorClass, Result};
pub use fitted::FittedModel;
pub use model::{Derivatives, Mlp, Model, ModelKind};
pub use objective::Objective;
pub use score::{LogDensity, Score};
pub use slice::SliceLaw;
