//! Domains with a boundary: boxes and half-lines, polytopes, ellipsoids, each with the weights that
//! make score matching right on them (MATH (7)).
//!
//! On a domain with a boundary the integration by parts behind MATH (1) leaves a boundary term, and
//! the loss without a weight has the wrong minimiser. Let w_j(x) >= 0, one weight per column, vanish on the boundary
//! (those of the columns that the boundary limits) and d_j = dw_j/dx_j be its slope. Then
//!
//! ```text
//! 1/2 E[ sum_j w_j (s_j - s*_j)^2 ] = E[ sum_j w_j (1/2 s_j^2 + ds_j/dx_j) + d_j s_j ] + constant
//! ```
//!
//! for every s for which w_j s_j p vanishes on the boundary (Hyvarinen 2007; Yu, Drton, Shojaie
//! 2019; Liu, Kanamori, Williams 2022). Each domain file says which weights it takes; all are made from
//! phi(t) = min(1, t)^k of the distance t to the boundary in units of its `cap`: 1 away from the boundary, so that
//! the loss is MATH (4) there. Where the density grows without bound at the boundary, as x^(a-1) with a < 1,
//! k = 1 is not enough (w s p does not vanish): k = 2 is, for any a > 0.

mod boxed;
mod ellipsoid;
mod polytope;
mod within;

pub use boxed::{Bounds, Boxed};
pub use ellipsoid::Ellipsoid;
pub use polytope::{Face, Polytope};
pub use within::{FieldWithin, Within};

use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A convex domain and its weights, in some units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Domain {
    /// Columns with bounds of their own.
    Box(Boxed),
    /// Linear inequalities; the simplex is one.
    Polytope(Polytope),
    /// A ball or, after scaling of columns, an ellipsoid.
    Ellipsoid(Ellipsoid),
}

impl Domain {
    /// Number of columns d.
    pub fn dim(&self) -> usize {
        match self {
            Domain::Box(d) => d.columns.len(),
            Domain::Polytope(d) => d.faces.first().map_or(0, |f| f.normal.len()),
            Domain::Ellipsoid(d) => d.axes.len(),
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// Bounds that leave nothing between them, widths that are not positive, faces of different
    /// numbers of columns, a power below 1.
    pub fn validate(&self) -> Result<()> {
        match self {
            Domain::Box(d) => d.validate(),
            Domain::Polytope(d) => d.validate(),
            Domain::Ellipsoid(d) => d.validate(),
        }
    }

    /// Whether `x` (d numbers) lies in the domain, its boundary included.
    pub fn contains(&self, x: &[f64]) -> bool {
        self.outside(x).is_none()
    }

    /// Why `x` lies outside, and the column that says so, if it is one; None inside.
    pub fn outside(&self, x: &[f64]) -> Option<Outside> {
        match self {
            Domain::Box(d) => d.outside(x),
            Domain::Polytope(d) => d.outside(x),
            Domain::Ellipsoid(d) => d.outside(x),
        }
    }

    /// Refuses rows of `x` (n x d) outside, naming the row, and the column where the bound is one of a
    /// column; `columns` are their names, `source` what the rows are.
    ///
    /// # Errors
    /// [`Error::Data`] for the first row outside.
    pub fn check(&self, x: ArrayView2<'_, f64>, columns: &[String], source: &str) -> Result<()> {
        for (row, x) in x.outer_iter().enumerate() {
            if let Some(outside) = self.outside(&x.to_vec()) {
                return Err(Error::Data {
                    source_name: source.to_string(),
                    row: Some(row + 1),
                    column: outside.column.and_then(|j| columns.get(j).cloned()),
                    message: format!("{}; the model knows no density there", outside.message),
                });
            }
        }
        Ok(())
    }

    /// Log densities of the rows of `x` with -infinity in place of those outside.
    pub fn cut(&self, x: ArrayView2<'_, f64>, mut log_density: Array1<f64>) -> Array1<f64> {
        for (value, x) in log_density.iter_mut().zip(x.outer_iter()) {
            if !self.contains(&x.to_vec()) {
                *value = f64::NEG_INFINITY;
            }
        }
        log_density
    }

    /// Writes the weights w_j and their slopes dw_j/dx_j at `x`, d numbers each.
    pub fn weigh(&self, x: &[f64], weights: &mut [f64], slopes: &mut [f64]) {
        match self {
            Domain::Box(d) => d.weigh(x, weights, slopes),
            Domain::Polytope(d) => d.weigh(x, weights, slopes),
            Domain::Ellipsoid(d) => d.weigh(x, weights, slopes),
        }
    }

    /// The same domain and weights for z = (x - mean) / scale, column by column.
    pub fn scaled(&self, mean: &[f64], scale: &[f64]) -> Domain {
        match self {
            Domain::Box(d) => Domain::Box(d.scaled(mean, scale)),
            Domain::Polytope(d) => Domain::Polytope(d.scaled(mean, scale)),
            Domain::Ellipsoid(d) => Domain::Ellipsoid(d.scaled(mean, scale)),
        }
    }

    /// The loss of one row, MATH (7): sum_j w_j (1/2 s_j^2 + J_jj) + dw_j/dx_j s_j, from the score s and the
    /// diagonal of its Jacobian J.
    ///
    /// ```
    /// use gradlogp::domain::{Bounds, Boxed, Domain};
    ///
    /// // x >= 0 with weight min(1, x / 2); at x = 1 the weight is 1/2, its slope 1/2.
    /// let bounds = Bounds { low: Some(0.0), high: None, cap: 2.0 };
    /// let half_line = Domain::Box(Boxed { columns: vec![bounds], power: 1.0 });
    /// // s = -3, s' = 4: 1/2 (9/2 + 4) - 3/2.
    /// assert_eq!(half_line.loss(&[1.0], &[-3.0], &[4.0]), 2.75);
    /// ```
    pub fn loss(&self, x: &[f64], score: &[f64], jacobian_diagonal: &[f64]) -> f64 {
        let (mut weights, mut slopes) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        self.weigh(x, &mut weights, &mut slopes);
        let parts = weights.iter().zip(&slopes).zip(score).zip(jacobian_diagonal);
        parts.map(|(((w, d), s), j)| w * (0.5 * s * s + j) + d * s).sum()
    }
}

/// What a row outside a domain violates.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// The column, where the bound is one of a column.
    pub column: Option<usize>,
    /// In words, e.g. "-0.5 lies below the bound 0".
    pub message: String,
}

/// phi(t) = min(1, t)^k and its derivative, for t >= 0; 0 and 0 below.
fn profile(t: f64, power: f64) -> (f64, f64) {
    match t {
        t if t >= 1.0 => (1.0, 0.0),
        t if t < 0.0 || t.is_nan() => (0.0, 0.0),
        t if power == 1.0 => (t, 1.0),
        t => (t.powf(power), power * t.powf(power - 1.0)),
    }
}

fn check_power(power: f64) -> Result<()> {
    if power >= 1.0 && power.is_finite() {
        return Ok(());
    }
    Err(Error::config("boundary_power", format!("must be 1 or more, not {power}")))
}

fn check_width(name: &'static str, width: f64) -> Result<()> {
    if width > 0.0 && width.is_finite() {
        return Ok(());
    }
    Err(Error::config(name, format!("must be a positive number, not {width}")))
}

#[cfg(test)]
mod tests;
