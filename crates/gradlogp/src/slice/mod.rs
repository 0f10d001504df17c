//! Slice distributions: distributions of projection directions v with E\[v v^T\] = I (MATH 2).
//!
//! With that normalization v.(grad s)v is an unbiased estimate of tr grad s, and every objective of
//! the family has the scale of the implicit score matching loss. Drawing v on the *unit* sphere, as
//! some texts do, would scale the trace term of the variance-reduced objective by 1/d and fit
//! score / d; the sphere here has radius sqrt(d) (MATH 2, trap 1).

mod coordinate;
mod distribution;
mod gaussian;
mod orthogonal;
mod rademacher;
mod sphere;

pub use distribution::SliceDistribution;
