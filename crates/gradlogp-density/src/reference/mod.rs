//! Densities whose score, Laplacian and normalizer are known exactly, each with a sampler.
//!
//! They are what everything else is tested against (MATH 4) and they are data sets with a known
//! answer: the Fisher divergence of a fitted score can be computed only where a reference density is. One
//! density per file, its derivation at the top.
//!
//! All follow [`Score`](crate::Score) and [`LogDensity`](crate::LogDensity): rows are points, units are those
//! of the rows.

mod banana;
mod dirichlet;
mod exponential;
mod funnel;
mod gaussian;
mod known;
mod mixture;
mod pinwheel;
mod ring;
mod rows;
mod scale_matrix;
mod student_t;
pub mod synthetic;
mod truncated_gaussian;

pub use banana::Banana;
pub use dirichlet::Dirichlet;
pub use exponential::Exponential;
pub use funnel::Funnel;
pub use gaussian::Gaussian;
pub use known::ReferenceDensity;
pub use mixture::{GaussianMixture, Mixture};
pub use pinwheel::PinwheelArm;
pub use ring::Ring;
pub use student_t::StudentT;
pub use truncated_gaussian::{TruncatedColumn, TruncatedGaussian};

use rows::{LN_2PI, map_rows, map_rows_into};

#[cfg(test)]
mod check;
