//! Ctrl-C and termination signals.
//!
//! Where there is nothing to keep, a signal ends the program at once. While a [`Keeping`] lives there is: the
//! signal sets a flag, at which the loop stops, and what is done is written. A launcher may send one signal to
//! the program and one to its group, so a second one within [`GRACE`] is taken for the same; one after that
//! means that the user will not wait.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::{exit, text};

/// Signals so close together are one.
const GRACE: Duration = Duration::from_millis(500);

static STOP: AtomicBool = AtomicBool::new(false);
static KEEPING: AtomicUsize = AtomicUsize::new(0);
static FIRST: Mutex<Option<Instant>> = Mutex::new(None);
static NOTE: Mutex<&'static str> = Mutex::new("stopped; nothing was written");

/// While it lives, what is done is worth keeping, and whoever holds it looks at [`requested`].
pub(crate) struct Keeping(());

/// From now on a signal only sets the flag.
pub(crate) fn keep() -> Keeping {
    KEEPING.fetch_add(1, Ordering::SeqCst);
    Keeping(())
}

impl Drop for Keeping {
    fn drop(&mut self) {
        KEEPING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is said when a signal ends the program at once, from now on.
pub(crate) fn say(note: &'static str) {
    if let Ok(mut now) = NOTE.lock() {
        *now = note;
    }
}

/// Watches for Ctrl-C from now on.
pub(crate) fn watch(quiet: bool) {
    // Fails only where the system has no such signals.
    let _ = ctrlc::set_handler(move || {
        STOP.store(true, Ordering::SeqCst);
        let keeping = KEEPING.load(Ordering::SeqCst) > 0;
        let since = FIRST.lock().map_or(GRACE, |mut first| match keeping {
            true => first.get_or_insert_with(Instant::now).elapsed(),
            false => GRACE,
        });
        if leaves(keeping, since) {
            leave(quiet || keeping);
        }
    });
}

/// Whether a signal ends the program at once, `since` the first one.
fn leaves(keeping: bool, since: Duration) -> bool {
    !keeping || since >= GRACE
}

fn leave(quiet: bool) -> ! {
    if !quiet && let Ok(note) = NOTE.lock() {
        text::note(&note);
    }
    gradlogp::storage::discard_unfinished();
    std::process::exit(i32::from(exit::INTERRUPTED))
}

/// Whether Ctrl-C was pressed while there was something to keep.
pub(crate) fn requested() -> bool {
    STOP.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_moment_are_one_and_a_later_one_ends_all() {
        let after = |ms| leaves(true, Duration::from_millis(ms));
        assert!(!after(0) && !after(499) && after(500));
        assert!(leaves(false, Duration::ZERO), "nothing to wait for");
    }
}
