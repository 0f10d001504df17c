//! Fit the score of your data, and know how far to trust it.

pub mod data;
pub mod error;
pub mod score;

pub use error::{Error, ErrorClass, Result};
pub use score::{LogDensity, Score};
