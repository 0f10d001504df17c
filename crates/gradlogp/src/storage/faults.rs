//! What can go wrong while a file is written, on purpose: in tests of this crate the n-th call that can fail does.
//! Elsewhere nothing of this is left.

use std::io::{Result, Write};

/// Bytes of one call in tests: few, so that small files take many.
#[cfg(test)]
const MOST: usize = 256;

/// A writer each of whose calls can fail.
#[derive(Debug)]
pub(super) struct Fallible<W>(pub(super) W);

impl<W: Write> Write for Fallible<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        call()?;
        #[cfg(test)]
        let bytes = &bytes[..bytes.len().min(MOST)];
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

/// One call that can fail.
#[cfg(not(test))]
#[inline]
pub(super) fn call() -> Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use on_purpose::call;
#[cfg(test)]
pub(crate) use on_purpose::failing;

#[cfg(test)]
mod on_purpose {
    use std::cell::Cell;
    use std::io::{Error, ErrorKind, Result};

    thread_local! {
        /// Calls of this thread that succeed before those that do not; how many do not.
        static LEFT: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
    }

    pub(in crate::storage) fn call() -> Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some((0, 0)) => Ok(()),
            Some((0, failing)) => {
                LEFT.set(Some((0, failing - 1)));
                Err(Error::from(ErrorKind::StorageFull))
            }
            Some((before, failing)) => {
                LEFT.set(Some((before - 1, failing)));
                Ok(())
            }
        }
    }

    /// Runs `work`, in which call number `n` (from 0) and the `more` after it fail. None where there were not
    /// so many calls, so that nothing failed.
    pub(crate) fn failing<R>(n: u64, more: u64, work: impl FnOnce() -> R) -> Option<R> {
        LEFT.set(Some((n, 1 + more)));
        let found = work();
        let left = LEFT.replace(None);
        left.is_some_and(|(before, failing)| before == 0 && failing <= more).then_some(found)
    }
}
