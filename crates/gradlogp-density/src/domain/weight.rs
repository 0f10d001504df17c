//! The profile of every weight, and what all shapes check.

use crate::{Error, Result};

/// What a row outside a domain violates.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// The column, where the bound is one of a column.
    pub column: Option<usize>,
    /// In words, e.g. "-0.5 lies below the bound 0".
    pub message: String,
}

/// phi(t) = min(1, t)^k and its derivative, for t >= 0; 0 and 0 below.
pub(super) fn profile(t: f64, power: f64) -> (f64, f64) {
    match t {
        t if t >= 1.0 => (1.0, 0.0),
        t if t < 0.0 || t.is_nan() => (0.0, 0.0),
        t if power == 1.0 => (t, 1.0),
        t => (t.powf(power), power * t.powf(power - 1.0)),
    }
}

pub(super) fn check_power(power: f64) -> Result<()> {
    if power >= 1.0 && power.is_finite() {
        return Ok(());
    }
    Err(Error::config("boundary_power", format!("must be 1 or more, not {power}")))
}

pub(super) fn check_width(name: &'static str, width: f64) -> Result<()> {
    if width > 0.0 && width.is_finite() {
        return Ok(());
    }
    Err(Error::config(name, format!("must be a positive number, not {width}")))
}
