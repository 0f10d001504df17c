//! Runs passes over the shards of a batch on threads.
//!
//! Each shard has its own buffers and single-threaded kernels; what the shards yield is combined in
//! a fixed order, so the same seed and thread count give bit-identical results.

mod estimator_variance;
mod given_draws;
mod loss_engine;
pub(crate) mod permutation;
mod stream;
mod threads;

pub use estimator_variance::{EstimatorVariance, estimator_variance, estimator_variance_on_domain};
pub use given_draws::GivenDraws;
pub use loss_engine::{Draw, LossEngine, Part};
pub use stream::{StreamId, stream};
pub use threads::Threads;
pub(crate) use threads::shard_rows;
