//! The affine map from the user's units to those a network is trained in, and the way back.
//!
//! z = A (x - m) for a row x; for n x d rows, Z = (X - 1 m^T) A^T. With D = diag(sd):
//! - none: A = I, m = 0;
//! - standardize: A = D^-1, m the mean;
//! - common: A = I / c, m the mean, c the root mean square of the standard deviations: columns of one kind,
//!   such as pixels, keep their widths beside each other;
//! - robust: A = D^-1, m the median, D the standard deviations of columns whose lowest and highest
//!   twentieths are pulled in to the 5% and 95% quantiles (winsorised; Tukey 1962), so that neither outliers nor heavy
//!   tails set the unit in which they are measured; but at least a quarter of the ordinary standard deviations,
//!   so that columns with one value almost everywhere do not become huge;
//! - whiten: A = L^(-1/2) U^T D^-1, where U L U^T = R is the eigendecomposition of the correlation
//!   matrix, so that the transformed training rows have the identity as covariance (divisor n).
//!
//! Of all whitening matrices (they differ by a rotation; Kessy, Lewin and Strimmer 2018) this is "PCA-cor": it
//! does not depend on the columns' units, and neither does its test for singularity, so columns of
//! 1e-5 and 1e5 side by side lose nothing. The rotation is fixed: directions by falling variance, the
//! largest entry of each positive.
//!
//! What a model knows of z carries over to x by the chain rule, A being constant:
//!
//! | in z | in the user's units |
//! |---|---|
//! | log density | log p(x) = log p_z(z) + log abs det A |
//! | score s_z = grad log p_z | s(x) = A^T s_z(z); for rows, S_z A |
//! | Jacobian or Hessian G_z (symmetric or not) | G(x) = A^T G_z A |
//! | its diagonal and trace | G(x)_kk = (A e_k)^T G_z (A e_k), and their sum over k |
//!
//! Before it may stand a map of each column by itself (`marginals.rs`): then x above is what that makes of the row, `forward` and
//! `inverse` go the whole way, and [`Transform::warp`] has what carries the rest over.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::marginals::{self, Marginal, Warp};
use super::names::{option_list, quoted_list};
use crate::linear::symmetric_eigen;
use crate::stats::{quantile, sorted};
use crate::{Error, Result};

/// Which map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standardization {
    /// Every column to mean 0 and standard deviation 1.
    #[default]
    Standardize,
    /// Every column to median 0 and winsorised standard deviation 1.
    Robust,
    /// Mean 0 and covariance I.
    Whiten,
    /// Every column to mean 0, and all divided by one number, so that their mean variance is 1.
    Common,
    /// The data as they are.
    None,
}

gradlogp_numeric::names!(Standardization {
    Standardize => "standardize",
    Robust => "robust",
    Whiten => "whiten",
    Common => "common",
    None => "none",
});

/// Eigenvalues of the correlation matrix below this make whitening singular: a direction whose
/// width is 1e-5 of the columns' holds rounding errors, not data.
const SINGULAR: f64 = 1e-10;

/// A column takes part in a dependence when its squared entry in the null space is above this: entries
/// of 1e-4 (a column that varies little beside the others) count, rounding errors do not.
const INVOLVED: f64 = 1e-8;

/// A fitted map; see the module's formulas. Serializes to plain numbers, f64 exact in JSON.
///
/// ```
/// use gradlogp::data::{Standardization, Transform};
/// let x = ndarray::array![[1.0], [3.0], [5.0]]; // mean 3, variance 8/3
/// let t = Transform::fit(Standardization::Standardize, x.view(), &["x".into()]).unwrap();
/// let sd = (8.0f64 / 3.0).sqrt();
/// assert!((t.forward(x.view())[[2, 0]] - 2.0 / sd).abs() < 1e-15);
/// assert!((t.log_abs_det() + sd.ln()).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Transform(Parts);

/// The numbers of a transform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parts {
    kind: Standardization,
    /// m, d values in the columns' units; medians if robust.
    mean: Vec<f64>,
    /// sd, d values in the columns' units; winsorised if robust; 1 for none.
    sd: Vec<f64>,
    /// Whitening only: U^T by rows (row k the k-th direction), d x d.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    directions: Vec<f64>,
    /// Whitening only: square roots of the eigenvalues, d values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    direction_sd: Vec<f64>,
    /// What is done to each column before, if anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    marginals: Vec<Marginal>,
}

impl TryFrom<Parts> for Transform {
    type Error = String;

    fn try_from(parts: Parts) -> std::result::Result<Self, String> {
        let d = parts.mean.len();
        let (directions, widths) = match parts.kind {
            Standardization::Whiten => (d * d, d),
            _ => (0, 0),
        };
        let sizes = (parts.sd.len(), parts.directions.len(), parts.direction_sd.len());
        if d == 0 || sizes != (d, directions, widths) {
            return Err(format!("a transform of {d} columns has parts of sizes {sizes:?}"));
        }
        let mapped = parts.marginals.len();
        if !(mapped == 0 || mapped == d) || !parts.marginals.iter().all(Marginal::is_sound) {
            return Err(format!("the maps of {mapped} of {d} columns are none"));
        }
        let positive = |v: &[f64]| v.iter().all(|&x| x.is_finite() && x > 0.0);
        let finite = |v: &[f64]| v.iter().all(|x| x.is_finite());
        let sound = positive(&parts.sd) && positive(&parts.direction_sd);
        if !(sound && finite(&parts.mean) && finite(&parts.directions)) {
            return Err("a transform has numbers that are not finite or widths not positive".into());
        }
        Ok(Transform(parts))
    }
}

impl From<Transform> for Parts {
    fn from(transform: Transform) -> Parts {
        transform.0
    }
}

impl Transform {
    /// Fits the map to training rows (n x d, user units); `columns` are their names, for messages.
    ///
    /// # Errors
    /// [`Error::Data`] for no rows, columns that are constant in these rows, and, for whitening, too
    /// few rows or linearly dependent columns (which are named, with those to leave out);
    /// [`Error::Numerical`] if the eigenvalue iteration fails.
    pub fn fit(
        kind: Standardization,
        rows: ArrayView2<'_, f64>,
        columns: &[String],
    ) -> Result<Transform> {
        let (n, d) = rows.dim();
        if columns.len() != d {
            let (expected, found) = (vec![n, columns.len()], vec![n, d]);
            return Err(Error::Shape { operation: "fitting a transform", expected, found });
        }
        if n == 0 || d == 0 {
            return Err(training("there are none".into()));
        }
        if kind == Standardization::None {
            return Ok(Transform::identity(d));
        }
        let mean: Vec<f64> = rows.columns().into_iter().map(mean).collect();
        let mut sd = standard_deviations(rows, &mean, columns)?;
        if kind == Standardization::Common {
            let square = sd.iter().map(|sd| sd * sd).sum::<f64>() / d as f64;
            sd.fill(square.sqrt());
        }
        let mut parts = Parts {
            kind,
            mean,
            sd,
            directions: Vec::new(),
            direction_sd: Vec::new(),
            marginals: Vec::new(),
        };
        match kind {
            Standardization::Whiten => fit_directions(&mut parts, rows, columns)?,
            Standardization::Robust => make_robust(&mut parts, rows),
            _ => {}
        }
        Ok(Transform(parts))
    }

    /// The same after a map of each column to one that is about normal.
    ///
    /// # Errors
    /// As [`Transform::fit`].
    pub fn fit_normal(
        kind: Standardization,
        rows: ArrayView2<'_, f64>,
        columns: &[String],
    ) -> Result<Transform> {
        // Refuses columns that have no width.
        let units = Transform::fit(Standardization::Standardize, rows, columns)?;
        let sd = units.standard_deviations();
        let maps = rows.columns().into_iter().zip(sd);
        let maps: Vec<Marginal> = maps.map(|(column, sd)| Marginal::fit(column, *sd)).collect();
        let mapped = marginals::forward(&maps, rows);
        let mut transform = Transform::fit(kind, mapped.view(), columns)?;
        transform.0.marginals = maps;
        Ok(transform)
    }

    /// Whether each column is mapped by itself first.
    pub fn has_marginals(&self) -> bool {
        !self.0.marginals.is_empty()
    }

    /// The derivatives of the maps of single columns at rows of x, where there are any.
    pub fn warp(&self, x: ArrayView2<'_, f64>) -> Option<Warp> {
        self.has_marginals().then(|| marginals::warp(&self.0.marginals, x))
    }

    /// The map that changes nothing.
    pub fn identity(d: usize) -> Transform {
        Transform(Parts {
            kind: Standardization::None,
            mean: vec![0.0; d],
            sd: vec![1.0; d],
            directions: Vec::new(),
            direction_sd: Vec::new(),
            marginals: Vec::new(),
        })
    }

    /// The map to z = (x - m) / s of each column: `m` and `s`, positive, d values each.
    pub(crate) fn from_frame((mean, sd): (Vec<f64>, Vec<f64>)) -> Transform {
        Transform(Parts {
            kind: Standardization::Standardize,
            mean,
            sd,
            directions: Vec::new(),
            direction_sd: Vec::new(),
            marginals: Vec::new(),
        })
    }

    /// Which map this is.
    pub fn kind(&self) -> Standardization {
        self.0.kind
    }

    /// Number of columns d.
    pub fn dim(&self) -> usize {
        self.0.mean.len()
    }

    /// m: d values in the columns' units; medians if robust.
    pub fn mean(&self) -> ArrayView1<'_, f64> {
        ArrayView1::from(&self.0.mean)
    }

    /// What columns are divided by: the standard deviations of the training columns in their units (divisor n),
    /// winsorised if robust, one number where it is common, 1 where not used.
    pub fn standard_deviations(&self) -> ArrayView1<'_, f64> {
        ArrayView1::from(&self.0.sd)
    }

    /// z = A (x - m): n x d rows in user units to n x d rows without unit.
    pub fn forward(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut z = match self.has_marginals() {
            true => marginals::forward(&self.0.marginals, x) - self.mean(),
            false => &x - &self.mean(),
        };
        z /= &self.standard_deviations();
        match self.directions() {
            None => z,
            Some((u, width)) => z.dot(&u.t()) / width,
        }
    }

    /// x = m + A^-1 z, the inverse of [`forward`](Transform::forward).
    pub fn inverse(&self, z: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut x = match self.directions() {
            None => z.to_owned(),
            Some((u, width)) => (&z * &width).dot(&u),
        };
        x *= &self.standard_deviations();
        x += &self.mean();
        match self.has_marginals() {
            true => marginals::inverse(&self.0.marginals, x.view()),
            false => x,
        }
    }

    /// log |det dz/dx| = log |det A| = - sum of the logarithms of all widths.
    pub fn log_abs_det(&self) -> f64 {
        -self.0.sd.iter().chain(&self.0.direction_sd).map(|width| width.ln()).sum::<f64>()
    }

    /// log p of rows of x for which z is standard normal, n values: how near to a Gaussian the map makes them.
    pub fn log_density_of_normal(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let z = self.forward(x);
        let constant = 0.5 * self.dim() as f64 * (2.0 * std::f64::consts::PI).ln();
        let normal = z.map_axis(Axis(1), |z| -0.5 * z.dot(&z) - constant);
        let log_density = self.log_density_to_user(normal.view());
        match self.warp(x) {
            Some(warp) => log_density + &warp.log_volume,
            None => log_density,
        }
    }

    /// log p(x) = log p_z(z) + log |det A|, n values.
    pub fn log_density_to_user(&self, log_p_z: ArrayView1<'_, f64>) -> Array1<f64> {
        &log_p_z + self.log_abs_det()
    }

    /// s(x) = A^T s_z(z): n x d scores to n x d scores in 1 / (unit of x). Rows: S_z A.
    pub fn score_to_user(&self, s_z: ArrayView2<'_, f64>) -> Array2<f64> {
        let scaled = match self.directions() {
            None => s_z.to_owned(),
            Some((u, width)) => (&s_z / &width).dot(&u),
        };
        scaled / self.standard_deviations()
    }

    /// G(x) = A^T G_z A for one point: the d x d Hessian of log p, or the Jacobian of a score field
    /// that is no gradient (row i, column j: d s_i / d x_j).
    pub fn hessian_to_user(&self, g_z: ArrayView2<'_, f64>) -> Array2<f64> {
        match self.diagonal_scale() {
            Some(a) => &g_z * &a * a.view().insert_axis(Axis(1)),
            None => {
                let a = self.jacobian_factor();
                a.t().dot(&g_z).dot(&a)
            }
        }
    }

    /// A itself, d x d: z = A (x - m).
    pub fn jacobian_factor(&self) -> Array2<f64> {
        let identity = Array2::eye(self.dim());
        self.score_to_user(identity.view())
    }

    /// The diagonal of A where A is diagonal (all but whiten): 1 / sd. A trace then needs only the
    /// diagonal of G_z: tr G(x) = sum_k a_k^2 (G_z)_kk.
    pub fn diagonal_scale(&self) -> Option<Array1<f64>> {
        self.0.directions.is_empty().then(|| self.standard_deviations().mapv(f64::recip))
    }

    /// d x d, row k = A e_k: the directions v with G(x)_kk = v^T G_z v. Their sum is the trace in
    /// user units (unit of x)^-2, so an engine that differentiates along given directions gets the exact
    /// trace and the Hessian's diagonal in user units without any d x d matrix.
    pub fn column_directions(&self) -> Array2<f64> {
        self.jacobian_factor().reversed_axes().as_standard_layout().to_owned()
    }

    /// U^T by rows and the directions' widths, for whitening.
    fn directions(&self) -> Option<(ArrayView2<'_, f64>, ArrayView1<'_, f64>)> {
        let d = self.dim();
        let u = ArrayView2::from_shape((d, d), &self.0.directions).ok()?;
        Some((u, ArrayView1::from(&self.0.direction_sd)))
    }
}

fn training(message: String) -> Error {
    Error::data("training rows", message)
}

/// Mean in two passes: the second removes the first one's rounding.
fn mean(column: ArrayView1<'_, f64>) -> f64 {
    let n = column.len() as f64;
    let first = column.sum() / n;
    first + column.iter().map(|x| x - first).sum::<f64>() / n
}

/// Standard deviations with divisor n. Scaled by the largest deviation, so that columns of 1e-200
/// do not underflow.
fn standard_deviations(
    rows: ArrayView2<'_, f64>,
    mean: &[f64],
    columns: &[String],
) -> Result<Vec<f64>> {
    let n = rows.nrows() as f64;
    let spread = |(column, &mean): (ArrayView1<'_, f64>, &f64)| {
        let largest = column.iter().fold(0.0f64, |m, x| m.max((x - mean).abs()));
        // Rounding alone can leave a few units in the last place.
        if largest <= 16.0 * f64::EPSILON * mean.abs() {
            return 0.0;
        }
        let squares: f64 = column.iter().map(|x| ((x - mean) / largest).powi(2)).sum();
        largest * (squares / n).sqrt()
    };
    let sd: Vec<f64> = rows.columns().into_iter().zip(mean).map(spread).collect();
    let constant: Vec<&String> =
        columns.iter().zip(&sd).filter(|(_, sd)| **sd == 0.0).map(|(name, _)| name).collect();
    match constant.is_empty() {
        true => Ok(sd),
        false => Err(training(format!(
            "columns that are constant there (perhaps not in the whole table): {}; use `drop = {}`",
            quoted_list(&constant),
            option_list(&constant)
        ))),
    }
}

/// Share of the rows at either end that a robust scale pulls in.
const WINSORISED: f64 = 0.05;

/// The least robust scale, in standard deviations.
const LEAST_ROBUST: f64 = 0.25;

/// Medians and winsorised standard deviations, in place of means and standard deviations.
fn make_robust(parts: &mut Parts, rows: ArrayView2<'_, f64>) {
    for (j, column) in rows.columns().into_iter().enumerate() {
        let sorted = sorted(column.iter().copied());
        let at = |share| quantile(&sorted, share).unwrap_or(f64::NAN);
        let (low, high, middle) = (at(WINSORISED), at(1.0 - WINSORISED), at(0.5));
        let spread = high - low;
        parts.mean[j] = middle;
        if spread > 16.0 * f64::EPSILON * middle.abs() {
            // In units of the spread, which neither underflows nor overflows.
            let inside: Vec<f64> =
                sorted.iter().map(|x| (x.clamp(low, high) - middle) / spread).collect();
            let centre = inside.iter().sum::<f64>() / inside.len() as f64;
            let squares: f64 = inside.iter().map(|x| (x - centre).powi(2)).sum();
            let robust = spread * (squares / inside.len() as f64).sqrt();
            parts.sd[j] = robust.max(LEAST_ROBUST * parts.sd[j]);
        } else {
            parts.sd[j] *= LEAST_ROBUST;
        }
    }
}

/// Correlation matrix, its eigendecomposition, and the refusal of a singular one.
fn fit_directions(parts: &mut Parts, rows: ArrayView2<'_, f64>, columns: &[String]) -> Result<()> {
    let (n, d) = rows.dim();
    if n <= d {
        return Err(training(format!(
            "whitening {d} columns needs more than {d} rows, there are {n}; standardize instead, or \
             choose fewer columns"
        )));
    }
    let mut z = &rows - &ArrayView1::from(&parts.mean);
    z /= &ArrayView1::from(&parts.sd);
    let correlation = z.t().dot(&z) / n as f64;
    let eigen = symmetric_eigen(d, &|i, j| correlation[[i, j]]);
    let (eigenvalues, eigenvectors) = eigen.ok_or_else(|| Error::Numerical {
        operation: "whitening",
        message: "the eigenvalue iteration did not converge; standardize instead".into(),
    })?;
    // Eigenvalues come in rising order, eigenvectors as columns.
    let by_falling = || (0..d).rev();
    let vectors = Array2::from_shape_fn((d, d), |(k, j)| eigenvectors[[j, d - 1 - k]]);
    let values: Vec<f64> = by_falling().map(|k| eigenvalues[k]).collect();
    if values[d - 1] < SINGULAR {
        return Err(singular(&correlation, &vectors, &values, columns));
    }
    let directions = vectors.rows().into_iter().flat_map(with_fixed_sign).collect();
    parts.directions = directions;
    parts.direction_sd = values.into_iter().map(f64::sqrt).collect();
    Ok(())
}

/// The vector or its negative, whichever has its largest entry positive.
fn with_fixed_sign(vector: ArrayView1<'_, f64>) -> Vec<f64> {
    let largest = vector.iter().fold(0.0f64, |m, &x| if x.abs() > m.abs() { x } else { m });
    vector.iter().map(|x| x * largest.signum()).collect()
}

/// Names the columns with a share in the null space, and a smallest set to drop.
fn singular(
    correlation: &Array2<f64>,
    vectors: &Array2<f64>,
    values: &[f64],
    columns: &[String],
) -> Error {
    let null: Vec<usize> = (0..values.len()).filter(|&k| values[k] < SINGULAR).collect();
    let share = |j: usize| null.iter().map(|&k| vectors[[k, j]].powi(2)).sum::<f64>();
    let shares: Vec<f64> = (0..columns.len()).map(share).collect();
    let involved: Vec<&String> =
        columns.iter().zip(&shares).filter(|(_, s)| **s > INVOLVED).map(|(name, _)| name).collect();
    let extra: Vec<&String> =
        dependent(correlation, null.len(), &shares).into_iter().map(|j| &columns[j]).collect();
    training(format!(
        "whitening is singular: columns {} are linearly dependent; use `drop = {}`, or standardize \
         instead of whitening",
        quoted_list(&involved),
        option_list(&extra)
    ))
}

/// The `count` columns that are best explained by the columns before them (Cholesky without pivots,
/// a dependent column being left out of what follows).
fn dependent(correlation: &Array2<f64>, count: usize, shares: &[f64]) -> Vec<usize> {
    let d = correlation.nrows();
    let mut factor = Array2::<f64>::zeros((d, d));
    let mut kept: Vec<usize> = Vec::new();
    let mut dropped: Vec<usize> = Vec::new();
    for j in 0..d {
        for (k, &i) in kept.iter().enumerate() {
            let known: f64 = (0..k).map(|l| factor[[i, l]] * factor[[j, l]]).sum();
            factor[[j, k]] = (correlation[[i, j]] - known) / factor[[i, k]];
        }
        let k = kept.len();
        let rest = correlation[[j, j]] - (0..k).map(|l| factor[[j, l]].powi(2)).sum::<f64>();
        // An eigenvalue below SINGULAR bounds this rest only up to the size of the null vector's entry.
        if rest < 1e3 * SINGULAR && shares[j] > INVOLVED && dropped.len() < count {
            dropped.push(j);
        } else {
            factor[[j, k]] = rest.max(SINGULAR).sqrt();
            kept.push(j);
        }
    }
    if dropped.is_empty() {
        let largest = (0..d).max_by(|&a, &b| shares[a].total_cmp(&shares[b]));
        dropped.extend(largest);
    }
    dropped
}

#[cfg(test)]
mod tests;
