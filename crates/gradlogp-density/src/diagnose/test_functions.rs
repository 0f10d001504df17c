//! Stein identities against test functions of the user's choice. MATH (35).
//!
//! For a smooth density, s = grad log p and any vector field f that grows less fast than p falls,
//!
//! ```text
//! E[ s.f + div f ] = 0
//! ```
//!
//! by integrating div(p f). The identities of [`stein_check`](super::stein_check) are f = e_i and
//! f = x_j e_i; other f look where those do not: at spread (squares), tails (cubes), the bulk (tanh) or
//! waves. Everything is in standardized columns z = (x - m)/sd with s_z = sd s. All bands together
//! hold with probability at least 1 - `level` (Bonferroni over the functions given). m and sd are those
//! of the same rows, an effect of order 1/n.

use super::stein::{student_quantile, z_score};
use super::{Estimate, check_rows, finite_score, standardize};
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView2, Zip};

/// A vector field with its divergence, in standardized columns.
pub trait TestFunction {
    /// What messages call it.
    fn name(&self) -> String;

    /// f (n x d) and div f (n) at the rows of `z` (n x d).
    fn field(&self, z: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>);
}

/// g of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// z^2: skewness.
    Square,
    /// z^3: tails and spread.
    Cube,
    /// tanh z: the bulk, whatever the tails.
    Tanh,
    /// sin 2z: fine structure.
    Sine,
    /// cos 2z: fine structure.
    Cosine,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 5] =
        [Shape::Square, Shape::Cube, Shape::Tanh, Shape::Sine, Shape::Cosine];

    /// g(z) and g'(z).
    fn at(self, z: f64) -> (f64, f64) {
        match self {
            Shape::Square => (z * z, 2.0 * z),
            Shape::Cube => (z * z * z, 3.0 * z * z),
            Shape::Tanh => (z.tanh(), 1.0 - z.tanh().powi(2)),
            Shape::Sine => ((2.0 * z).sin(), 2.0 * (2.0 * z).cos()),
            Shape::Cosine => ((2.0 * z).cos(), -2.0 * (2.0 * z).sin()),
        }
    }

    /// As in "square of".
    pub fn word(self) -> &'static str {
        match self {
            Shape::Square => "square",
            Shape::Cube => "cube",
            Shape::Tanh => "tanh",
            Shape::Sine => "sine",
            Shape::Cosine => "cosine",
        }
    }
}

/// f = g(z_j) e_j: one column through one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFunction {
    /// j, from 0.
    pub column: usize,
    /// g.
    pub shape: Shape,
    /// What messages call the column.
    pub column_name: String,
}

impl TestFunction for ColumnFunction {
    fn name(&self) -> String {
        format!("{} of {}", self.shape.word(), self.column_name)
    }

    fn field(&self, z: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
        let column = z.column(self.column);
        let mut f = Array2::zeros(z.dim());
        f.column_mut(self.column).assign(&column.mapv(|z| self.shape.at(z).0));
        (f, column.mapv(|z| self.shape.at(z).1))
    }
}

/// One identity as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SteinStatement {
    /// Of its test function.
    pub name: String,
    /// `E[s.f + div f]`, which should be 0.
    pub value: Estimate,
    /// The same in standard errors.
    pub z: f64,
    /// Whether it lies in its simultaneous band.
    pub holds: bool,
}

/// The identity of every test function on the rows of `x` (n x d), which the score must not have been
/// fitted to.
///
/// ```
/// use gradlogp_density::diagnose::{ColumnFunction, Shape, TestFunction, test_functions};
/// use gradlogp_density::reference::{Gaussian, ReferenceDensity};
/// use rand::SeedableRng;
///
/// let p = Gaussian::standard(1)?;
/// let x = p.sample(1000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
/// let cube = ColumnFunction { column: 0, shape: Shape::Cube, column_name: "a".into() };
/// let found = test_functions(&p, x.view(), &[&cube as &dyn TestFunction], 0.05)?;
/// assert!(found[0].name == "cube of a" && found[0].z.abs() < 4.0);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for a level outside (0, 1); [`Error::Shape`] where columns differ, there are fewer
/// than 3 rows, or a function gives other shapes; [`Error::Data`] for a constant column;
/// [`Error::Numerical`] where the score is not finite.
pub fn test_functions(
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
    functions: &[&dyn TestFunction],
    level: f64,
) -> Result<Vec<SteinStatement>> {
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::config("level", "must lie between 0 and 1"));
    }
    check_rows("Stein test functions", score, x, 3)?;
    let (z, sd) = standardize(x)?;
    let s = finite_score("Stein test functions", score, x)? * &sd;
    let critical = student_quantile(x.nrows(), functions.len().max(1), level)?;
    functions.iter().map(|function| statement(*function, &z, &s, critical)).collect()
}

fn statement(
    function: &dyn TestFunction,
    z: &Array2<f64>,
    s: &Array2<f64>,
    critical: f64,
) -> Result<SteinStatement> {
    let (f, divergence) = function.field(z.view());
    if f.dim() != z.dim() || divergence.len() != z.nrows() {
        let found = vec![f.nrows(), f.ncols(), divergence.len()];
        let expected = vec![z.nrows(), z.ncols(), z.nrows()];
        return Err(Error::Shape { operation: "test function", expected, found });
    }
    let rows =
        Zip::from(s.rows()).and(f.rows()).and(&divergence).map_collect(|s, f, d| s.dot(&f) + d);
    let value = Estimate::of(rows.view());
    let z = z_score(value.mean, 0.0, value.standard_error);
    Ok(SteinStatement { name: function.name(), value, z, holds: z.abs() <= critical })
}

#[cfg(test)]
mod tests;
