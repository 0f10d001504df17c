//! Pools of threads that are kept between calls. A process that was forked has none of its parent's threads, so that pools
//! belong to a process.

use std::sync::{Arc, Mutex, PoisonError};

use gradlogp::Result;
use gradlogp::engine::Threads;

struct Pool {
    process: u32,
    asked: usize,
    threads: Arc<Threads>,
}

static POOLS: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

/// A pool of so many threads, 0 being one for each core.
pub(crate) fn threads(asked: usize) -> Result<Arc<Threads>> {
    let process = std::process::id();
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    // The parent's are left as they are: to drop them would wait for threads that are not there.
    if let Some(found) = pools.iter().find(|pool| pool.process == process && pool.asked == asked) {
        return Ok(Arc::clone(&found.threads));
    }
    let threads = Arc::new(Threads::new(asked)?);
    pools.push(Pool { process, asked, threads: Arc::clone(&threads) });
    Ok(threads)
}
