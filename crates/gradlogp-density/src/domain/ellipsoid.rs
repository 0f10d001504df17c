//! A ball, or the ellipsoid that it becomes when columns are scaled.
//!
//! With r = |((x_j - c_j) / a_j)_j|, a_j the half axes, one weight for all columns: w = phi((1 - r) / cap) and
//! dw/dx_j = -phi' (x_j - c_j) / (a_j^2 r cap).

use serde::{Deserialize, Serialize};

use super::{Outside, check_power, check_width, profile};
use crate::{Error, Result};

/// The points with r <= 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ellipsoid {
    /// c: d numbers.
    pub centre: Vec<f64>,
    /// a: d half axes.
    pub axes: Vec<f64>,
    /// 1 - r at which the weight reaches 1; at most 1.
    pub cap: f64,
    /// k.
    pub power: f64,
}

impl Ellipsoid {
    /// A ball whose weight reaches 1 at a distance of `scale` from its surface (a typical standard deviation
    /// of the columns, say), or at its centre if that is nearer.
    pub fn ball(centre: Vec<f64>, radius: f64, scale: f64, power: f64) -> Self {
        let axes = vec![radius; centre.len()];
        Ellipsoid { centre, axes, cap: (scale / radius).min(1.0), power }
    }

    /// r.
    fn radius(&self, x: &[f64]) -> f64 {
        let parts = x.iter().zip(&self.centre).zip(&self.axes);
        parts.map(|((x, c), a)| ((x - c) / a).powi(2)).sum::<f64>().sqrt()
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_power(self.power)?;
        check_width("radius", self.cap)?;
        self.axes.iter().try_for_each(|a| check_width("radius", *a))?;
        let sound = self.cap <= 1.0
            && !self.axes.is_empty()
            && self.centre.len() == self.axes.len()
            && self.centre.iter().all(|c| c.is_finite());
        match sound {
            true => Ok(()),
            false => {
                Err(Error::config("radius", "needs a finite centre and axis for every column"))
            }
        }
    }

    pub(super) fn outside(&self, x: &[f64]) -> Option<Outside> {
        let r = self.radius(x);
        let inside = r <= 1.0 + 16.0 * f64::EPSILON;
        let message = || format!("the row lies {r} times the radius from the centre of the ball");
        (!inside).then(|| Outside { column: None, message: message() })
    }

    pub(super) fn weights(&self, x: &[f64], weights: &mut [f64], weight_derivatives: &mut [f64]) {
        let r = self.radius(x);
        let (value, derivative) = profile((1.0 - r) / self.cap, self.power);
        weights.fill(value);
        let parts = x.iter().zip(&self.centre).zip(&self.axes);
        for (of_weight, ((x, c), a)) in weight_derivatives.iter_mut().zip(parts) {
            // At the centre the weight has reached 1 and is flat.
            let towards = if r > 0.0 { (x - c) / (a * a * r) } else { 0.0 };
            *of_weight = -derivative * towards / self.cap;
        }
    }

    pub(super) fn scaled(&self, mean: &[f64], scale: &[f64]) -> Ellipsoid {
        let units = || mean.iter().zip(scale);
        Ellipsoid {
            centre: self.centre.iter().zip(units()).map(|(c, (m, s))| (c - m) / s).collect(),
            axes: self.axes.iter().zip(scale).map(|(a, s)| a / s).collect(),
            cap: self.cap,
            power: self.power,
        }
    }
}
