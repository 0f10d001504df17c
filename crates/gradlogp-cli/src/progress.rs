//! Progress of a long run: a bar on a terminal, a line now and then elsewhere, or nothing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::text;

/// Least time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A running display.
pub(crate) enum Progress {
    /// Nothing.
    Quiet,
    /// A bar with the time left.
    Bar(ProgressBar),
    /// Plain lines.
    Lines {
        what: &'static str,
        total: u64,
        start: Instant,
        /// Position at the start, for the time left of a resumed run.
        from: u64,
        last: Option<Instant>,
    },
}

impl Progress {
    /// A display of `total` steps of `what`, of which `from` are done.
    pub(crate) fn new(quiet: bool, what: &'static str, from: u64, total: u64) -> Self {
        if quiet {
            return Progress::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Progress::Lines { what, total, start: Instant::now(), from, last: None };
        }
        let bar = ProgressBar::new(total).with_position(from);
        let template = "{prefix} {bar:24} {pos}/{len} {msg} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        Progress::Bar(bar)
    }

    /// Shows a position; `message` is made only when it will be seen.
    pub(crate) fn at(&mut self, position: u64, message: impl FnOnce() -> String) {
        match self {
            Progress::Quiet => {}
            Progress::Bar(bar) => {
                // Redrawing is limited by the bar itself; making the text is not.
                if position.is_multiple_of(16) || Some(position) == bar.length() {
                    bar.set_message(message());
                }
                bar.set_position(position);
            }
            Progress::Lines { what, total, start, from, last } => {
                let due = last.is_none_or(|last| last.elapsed() >= LINE_EVERY);
                if due || position == *total {
                    *last = Some(Instant::now());
                    let share = (position - *from).max(1) as f64;
                    let left = start.elapsed().as_secs_f64() * (*total - position) as f64 / share;
                    text::note(&format!(
                        "{what} {position}/{total} {} {left:.0} s left",
                        message()
                    ));
                }
            }
        }
    }

    /// Prints a warning, of a quiet run too, without spoiling the display.
    pub(crate) fn warn(&self, message: &str) {
        match self {
            Progress::Bar(bar) => bar.suspend(|| text::warning(message)),
            Progress::Quiet | Progress::Lines { .. } => text::warning(message),
        }
    }

    /// Takes the display away.
    pub(crate) fn finish(self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
