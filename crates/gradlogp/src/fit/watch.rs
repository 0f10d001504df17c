//! Who looks on while a fit runs.

use std::ops::ControlFlow;

/// A fit after a step of training, all members of an ensemble counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitStep {
    /// Steps taken.
    pub step: u64,
    /// Steps to take, at most.
    pub steps: u64,
    /// Loss of the last batch.
    pub loss: f64,
    /// The last held-out loss, once there is one.
    pub held_out: Option<f64>,
}

/// Watches a fit.
pub trait FitWatch: Send {
    /// Sees a step. A break ends training there; the best weights so far become the model.
    fn step(&mut self, _step: FitStep) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Whether all is to be given up, asked between the parts of a fit.
    fn gives_up(&mut self) -> bool {
        false
    }

    /// Seconds since the fit began, for the record: the library reads no clock.
    fn seconds(&self) -> f64 {
        0.0
    }
}

/// Lets a fit go on to its end.
impl FitWatch for () {}
