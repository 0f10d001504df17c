//! The progress that a run reports after each step, whatever its kind.

use std::ops::ControlFlow;

use ndarray::ArrayView2;

/// The state of a run after a step.
pub(super) struct Step<'a> {
    pub(super) step: usize,
    pub(super) steps: usize,
    pub(super) acceptance: Option<f64>,
    pub(super) position: ArrayView2<'a, f64>,
    pub(super) time: Option<f64>,
    pub(super) stops: bool,
}

/// Watches a run of jobs J.
pub(super) trait Steps<J> {
    /// Sees a step; `job` is what would go on from there.
    fn step(&mut self, step: Step<'_>, job: &dyn Fn() -> J) -> ControlFlow<()>;

    /// Whether the run is to be stopped.
    fn stops(&mut self) -> bool;
}
