//! Columns with bounds of their own: boxes, half-spaces, half-lines.
//!
//! The weight of a column depends on that column alone: w_j = phi(min(x_j - low_j, high_j - x_j) / cap_j),
//! and 1 where it has no bound, so that unbounded columns are matched as if there were no bounds at all (Hyvarinen
//! 2007 with x^2 for phi; Yu, Drton, Shojaie 2019 with a cap).

use serde::{Deserialize, Serialize};

use super::{Outside, check_power, check_width, profile};
use crate::{Error, Result};

/// Bounds of one column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower bound, if any.
    pub low: Option<f64>,
    /// Upper bound, if any.
    pub high: Option<f64>,
    /// Distance from a bound at which the weight reaches 1.
    pub cap: f64,
}

/// The product of the columns' intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boxed {
    /// One entry per column.
    pub columns: Vec<Bounds>,
    /// k.
    pub power: f64,
}

impl Bounds {
    /// Bounds whose weight reaches 1 at a distance of `scale` (a standard deviation, say), or halfway
    /// between the bounds if that is less.
    pub fn new(low: Option<f64>, high: Option<f64>, scale: f64) -> Self {
        let half = low.zip(high).map_or(f64::INFINITY, |(low, high)| 0.5 * (high - low));
        Bounds { low, high, cap: scale.min(half) }
    }

    /// Distance to the nearest bound and the direction in which it grows.
    fn distance(&self, x: f64) -> (f64, f64) {
        let below = self.low.map_or(f64::INFINITY, |low| x - low);
        let above = self.high.map_or(f64::INFINITY, |high| high - x);
        if below <= above { (below, 1.0) } else { (above, -1.0) }
    }
}

impl Boxed {
    pub(super) fn validate(&self) -> Result<()> {
        check_power(self.power)?;
        for bounds in &self.columns {
            check_width("bounds", bounds.cap)?;
            let finite = |b: Option<f64>| b.is_none_or(f64::is_finite);
            let between = bounds.low.zip(bounds.high).is_none_or(|(low, high)| low < high);
            if !(finite(bounds.low) && finite(bounds.high) && between) {
                let side = |bound: Option<f64>| bound.map_or("none".into(), |b| b.to_string());
                let message = format!(
                    "the lower bound must lie below the upper one, and both must be finite: {} to {}",
                    side(bounds.low),
                    side(bounds.high)
                );
                return Err(Error::config("bounds", message));
            }
        }
        Ok(())
    }

    pub(super) fn outside(&self, x: &[f64]) -> Option<Outside> {
        self.columns.iter().zip(x).enumerate().find_map(|(column, (bounds, x))| {
            let (word, bound) = match (bounds.low, bounds.high) {
                (Some(low), _) if !(*x >= low) => ("below", low),
                (_, Some(high)) if !(*x <= high) => ("above", high),
                _ => return None,
            };
            let message = format!("{x} lies {word} the bound {bound}");
            Some(Outside { column: Some(column), message })
        })
    }

    pub(super) fn weights(&self, x: &[f64], weights: &mut [f64], weight_derivatives: &mut [f64]) {
        let out = weights.iter_mut().zip(weight_derivatives);
        for ((bounds, x), (weight, of_weight)) in self.columns.iter().zip(x).zip(out) {
            let (distance, direction) = bounds.distance(*x);
            let (value, derivative) = profile(distance / bounds.cap, self.power);
            (*weight, *of_weight) = (value, derivative * direction / bounds.cap);
        }
    }

    pub(super) fn scaled(&self, mean: &[f64], scale: &[f64]) -> Boxed {
        let units = mean.iter().zip(scale);
        let columns = self.columns.iter().zip(units).map(|(bounds, (mean, scale))| Bounds {
            low: bounds.low.map(|low| (low - mean) / scale),
            high: bounds.high.map(|high| (high - mean) / scale),
            cap: bounds.cap / scale,
        });
        Boxed { columns: columns.collect(), power: self.power }
    }
}
