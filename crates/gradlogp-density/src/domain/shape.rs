//! A domain of any shape.

use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::weight::Outside;
use super::{Boxed, Ellipsoid, Polytope};
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

    /// Writes the weights w_j and their derivatives dw_j/dx_j at `x`, d numbers each.
    pub fn weights(&self, x: &[f64], weights: &mut [f64], weight_derivatives: &mut [f64]) {
        match self {
            Domain::Box(d) => d.weights(x, weights, weight_derivatives),
            Domain::Polytope(d) => d.weights(x, weights, weight_derivatives),
            Domain::Ellipsoid(d) => d.weights(x, weights, weight_derivatives),
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
    /// use gradlogp_density::domain::{Bounds, Boxed, Domain};
    ///
    /// // x >= 0 with weight min(1, x / 2); at x = 1 the weight is 1/2, its derivative 1/2.
    /// let bounds = Bounds { low: Some(0.0), high: None, cap: 2.0 };
    /// let half_line = Domain::Box(Boxed { columns: vec![bounds], power: 1.0 });
    /// // s = -3, s' = 4: 1/2 (9/2 + 4) - 3/2.
    /// assert_eq!(half_line.loss(&[1.0], &[-3.0], &[4.0]), 2.75);
    /// ```
    pub fn loss(&self, x: &[f64], score: &[f64], jacobian_diagonal: &[f64]) -> f64 {
        let (mut weights, mut weight_derivatives) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        self.weights(x, &mut weights, &mut weight_derivatives);
        let parts = weights.iter().zip(&weight_derivatives).zip(score).zip(jacobian_diagonal);
        parts.map(|(((w, d), s), j)| w * (0.5 * s * s + j) + d * s).sum()
    }
}
