//! Worker threads, and how rows are dealt to them.

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
