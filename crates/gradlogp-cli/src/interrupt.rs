//! Ctrl-C and termination signals: a flag that loops look at. A second one ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit;

static STOP: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C from now on.
pub(crate) fn watch() {
    // Fails only if a handler is set already, and then that one does the same.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
    });
}

/// Whether Ctrl-C was pressed.
pub(crate) fn requested() -> bool {
    STOP.load(Ordering::Relaxed)
}
