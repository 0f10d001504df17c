//! What a run tells those who watch it, and why it ends.

use super::history::HistoryPoint;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps taken.
    pub step: u64,
    /// Steps to take.
    pub steps: u64,
    /// Loss of the last batch.
    pub loss: f64,
    /// Norm of its gradient before clipping.
    pub gradient_norm: f64,
    /// Rows in the last batch.
    pub rows: usize,
}

/// What a run tells its observer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A step was taken.
    Step(Progress),
    /// The held-out loss was evaluated; `best` if it is the lowest so far.
    Evaluated {
        /// The evaluation.
        point: HistoryPoint,
        /// Whether it is the lowest so far.
        best: bool,
    },
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Stop {
    /// All steps were taken.
    Completed,
    /// The held-out loss has not improved for as long as asked.
    Patience,
    /// The observer said so.
    Interrupted,
    /// The loss left the finite range; the best weights so far are kept. Says what to try.
    Diverged {
        /// What was seen and what to try.
        message: String,
    },
}
