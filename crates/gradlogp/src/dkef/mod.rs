//! Deep kernel exponential families: log p is a base density plus a combination of learnt kernels at
//! inducing points, whose coefficients score matching gives in closed form (Wenliang, Sutherland, Strathmann,
//! Gretton 2019), MATH 7.
//!
//! ```text
//! log p(x) = log q0(x) + sum_m alpha_m k(x, z_m) + constant
//! k(x, z) = sum_r rho_r exp(-|phi_r(x) - phi_r(z)|^2 / (2 * 10^(s_r)))                         MATH (60)
//! alpha = -(G + lambda I)^-1 b                                                                 MATH (61)
//! ```
//!
//! A step fits alpha to one half of a batch and differentiates the loss on the other half through that fit, to
//! networks phi, widths s, weights rho, inducing points z and lambda. Rows are never copied for the inducing
//! points: `layer.rs` says how. A fitted family becomes an ordinary potential ([`KernelFit::potential`]), so
//! that scores, files, samplers and checks are those of every other model.

mod checkpoint;
mod diagonal;
mod engine;
mod estimator;
mod family;
mod layer;
mod normalizer;
mod phi;
mod propagation;
mod solve;
mod trainer;
mod worker;

pub use estimator::KernelBatch;
pub(crate) use estimator::stored;
pub use family::{KernelFamily, Layout};
pub use normalizer::{LogNormalizer, log_normalizer};
pub use solve::ILL_CONDITIONED;
pub use trainer::{
    KernelConfig, KernelFit, KernelGradient, KernelRecord, KernelStep, KernelTrainer,
    median_log_width,
};

#[cfg(test)]
mod tests;
