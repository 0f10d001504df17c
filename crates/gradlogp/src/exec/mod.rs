//! Runs passes over the shards of a batch on threads.
//!
//! Each shard has its own buffers and single-threaded kernels; what the shards yield is combined in
//! a fixed order, so the same seed and thread count give bit-identical results.

mod draw_variance;
mod loss_engine;
mod stream;

pub use draw_variance::{DrawVariance, draw_variance, draw_variance_within};
pub use loss_engine::{Draw, LossEngine};
pub use stream::{Domain, stream};

use crate::{Error, Result};

/// A pool of worker threads.
#[derive(Debug)]
pub struct Threads {
    pool: rayon::ThreadPool,
}

impl Threads {
    /// `count` workers; 0 takes one per available core.
    ///
    /// # Errors
    /// When the system refuses to start threads.
    pub fn new(count: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .build()
            .map_err(|e| Error::config("threads", format!("cannot start {count}: {e}")))?;
        Ok(Threads { pool })
    }

    /// Number of workers.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `f` on the pool. Wrap a whole loop, not each step: entering costs a hand-off.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.pool.install(f)
    }
}

/// The rows of shard `k` of `count` over `n` rows: contiguous, sizes differing by at most one.
pub(crate) fn shard_rows(n: usize, count: usize, k: usize) -> std::ops::Range<usize> {
    n * k / count..n * (k + 1) / count
}
