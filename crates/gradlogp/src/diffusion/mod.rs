//! Models of the score at every time of a noising process: time-conditional networks, and batches
//! of noised rows to train them on (MATH 6).
//!
//! A time model is trained by the objectives of [`crate::objective`], row by row at points (x_t, t) with
//! a weight lambda(t). [`Noising`] makes these points fresh at every step: by the process's kernel, or by
//! simulation where there is none or none is wanted. Sliced and exact score matching need the points
//! alone; denoising also needs the kernel, whose score it takes for its target.

mod clock;
mod frame;
mod measure;
mod noised_rows;
mod noising;
mod time_mlp;
mod time_model;

pub use clock::{Clock, TimeFeatures};
pub use frame::{Frame, Measured};
pub use noised_rows::NoisedRows;
pub use noising::{NoiseConfig, NoiseWeight, Noised, Noising, TimeDistribution};
pub use time_mlp::TimeMlp;

pub use crate::model::Conditioning;
pub use time_model::TimeModel;

#[cfg(test)]
mod tests;
