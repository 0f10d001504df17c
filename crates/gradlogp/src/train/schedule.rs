//! Learning rates as functions of the step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate moves after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Schedule {
    /// Falls to a hundredth of the rate along half a cosine: late steps average the slices' noise.
    #[default]
    Cosine,
    /// Stays.
    Constant,
}

gradlogp_numeric::names!(Schedule { Cosine => "cosine", Constant => "constant" });

/// Share of the rate that a cosine schedule ends at.
const FLOOR: f64 = 0.01;

impl Schedule {
    /// Factor on the rate at `step` (from 0) of `steps`: (step + 1) / warm-up while warming up, then
    /// 1, or floor + (1 - floor) (1 + cos(pi t)) / 2 with t the share of the rest that is done.
    ///
    /// ```
    /// use gradlogp::train::Schedule;
    /// assert_eq!(Schedule::Constant.factor(0, 100, 10), 0.1);
    /// assert_eq!(Schedule::Cosine.factor(10, 100, 10), 1.0);
    /// assert!((Schedule::Cosine.factor(55, 100, 10) - 0.505).abs() < 1e-12);
    /// ```
    pub fn factor(self, step: u64, steps: u64, warm_up: u64) -> f64 {
        if step < warm_up {
            return (step + 1) as f64 / warm_up as f64;
        }
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let share = (step - warm_up) as f64 / steps.saturating_sub(warm_up).max(1) as f64;
                FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + (PI * share.min(1.0)).cos())
            }
        }
    }
}
