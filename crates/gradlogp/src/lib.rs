//! Fit the score of your data, and know how far to trust it.

pub mod error;
pub mod graph;
pub mod jet;
pub mod kernel;
pub mod score;
pub mod slice;

pub use error::{Error, ErrorClass, Result};
pub use score::{LogDensity, Score};
pub use slice::SliceLaw;
