//! Runs passes over the shards of a batch on threads.
//!
//! Each shard has its own buffers and single-threaded kernels; what the shards yield is combined in
//! a fixed order, so the same seed and thread count give bit-identical results.

mod draw_variance;
mod loss_engine;
pub(crate) mod permutation;
mod stream;
mod threads;

pub use draw_variance::{DrawVariance, draw_variance, draw_variance_within};
pub use loss_engine::{Draw, LossEngine};
pub use stream::{Domain, stream};
pub use threads::Threads;
pub(crate) use threads::shard_rows;
