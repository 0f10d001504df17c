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
//! waves. Everything is in standardised columns z = (x - m)/sd with s_z = sd s. All bands together
//! hold with probability at least 1 - `level` (Bonferroni over the functions given). m and sd are those
//! of the same rows, an effect of order 1/n.

use super::stein::{student_quantile, z_score};
use super::{Estimate, check_rows, finite_score, standardise};
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView2, Zip};

/// A vector field with its divergence, in standardised columns.
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
/// use gradlogp::diagnose::{ColumnFunction, Shape, TestFunction, test_functions};
/// use gradlogp::oracle::{Gaussian, Oracle};
/// use rand::SeedableRng;
///
/// let p = Gaussian::standard(1)?;
/// let x = p.sample(1000, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
/// let cube = ColumnFunction { column: 0, shape: Shape::Cube, column_name: "a".into() };
/// let found = test_functions(&p, x.view(), &[&cube as &dyn TestFunction], 0.05)?;
/// assert!(found[0].name == "cube of a" && found[0].z.abs() < 4.0);
/// # Ok::<(), gradlogp::Error>(())
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
    let (z, sd) = standardise(x)?;
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
mod tests {
    use super::super::testing::Changed;
    use super::*;
    use crate::oracle::{Banana, Gaussian, GaussianMixture, Oracle};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn all(d: usize) -> Vec<ColumnFunction> {
        let of = |column| {
            Shape::ALL.map(|shape| ColumnFunction {
                column,
                shape,
                column_name: column.to_string(),
            })
        };
        (0..d).flat_map(of).collect()
    }

    fn check(p: &dyn Oracle, score: &dyn Score, n: usize, seed: u64) -> Vec<SteinStatement> {
        let x = p.sample(n, &mut ChaCha8Rng::seed_from_u64(seed));
        let functions = all(p.dim());
        let functions: Vec<_> = functions.iter().map(|f| f as &dyn TestFunction).collect();
        test_functions(score, x.view(), &functions, 0.05).unwrap()
    }

    #[test]
    fn divergences_are_derivatives() {
        let z = array![[0.3, -1.1], [1.7, 0.2]];
        for function in all(2) {
            let (_, divergence) = function.field(z.view());
            let mut sum = Array1::zeros(2);
            for j in 0..2 {
                let moved = |e: f64| {
                    let mut z = z.clone();
                    z.column_mut(j).mapv_inplace(|v| v + e);
                    function.field(z.view()).0.column(j).to_owned()
                };
                sum += &((moved(1e-5) - moved(-1e-5)) / 2e-5);
            }
            assert!((sum - divergence).iter().all(|e: &f64| e.abs() < 1e-8), "{}", function.name());
        }
    }

    #[test]
    fn true_scores_pass_as_often_as_stated() {
        let means = array![[-2.0, 0.0], [2.0, 1.0]];
        let mixture = GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.9).unwrap();
        let banana = Banana::new(2, 1.0, 0.4, 0.7).unwrap();
        let oracles: [&dyn Oracle; 2] = [&mixture, &banana];
        for (k, p) in oracles.into_iter().enumerate() {
            let score: &dyn Score = p;
            let pass = |seed| check(p, score, 2000, seed).iter().all(|s| s.holds);
            let passed = (0..100).filter(|seed| pass(*seed)).count();
            // Binomial(100, 0.95): 88 or fewer has a chance of 0.4%.
            assert!(passed > 88, "oracle {k}: {passed} of 100");
        }
    }

    /// A scale error c: E[c s g + g'] = (1 - c) E[g'], which is 3 (1 - c) for the cube of N(0, 1).
    #[test]
    fn size_of_a_fault_is_as_computed() {
        let p = Gaussian::standard(1).unwrap();
        let wrong = Changed { score: &p, factor: 1.4, shift: Array1::zeros(1) };
        let found = check(&p, &wrong, 20_000, 1);
        let cube = found.iter().find(|s| s.name.starts_with("cube")).unwrap();
        assert!((cube.value.mean + 1.2).abs() < 4.0 * cube.value.standard_error, "{cube:?}");
        assert!(!cube.holds);
    }

    /// The Gaussian of the same mean and spread passes the identities of first order, and not these.
    #[test]
    fn a_wrong_shape_is_found() {
        let p = GaussianMixture::isotropic(array![0.5, 0.5], array![[-2.0], [2.0]].view(), 0.5)
            .unwrap();
        let gaussian = Gaussian::new(array![0.0], array![[4.25]]).unwrap();
        let x = p.sample(2000, &mut ChaCha8Rng::seed_from_u64(3));
        assert!(
            crate::diagnose::stein_check(&gaussian, x.view(), 0.05)
                .unwrap()
                .verdict
                .is_consistent()
        );
        assert!(check(&p, &gaussian, 2000, 3).iter().any(|s| !s.holds));
    }

    #[test]
    fn refuses_a_field_of_another_shape() {
        struct Bad;
        impl TestFunction for Bad {
            fn name(&self) -> String {
                "bad".into()
            }
            fn field(&self, z: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
                (Array2::zeros((1, 1)), Array1::zeros(z.nrows()))
            }
        }
        let p = Gaussian::standard(2).unwrap();
        let x = p.sample(10, &mut ChaCha8Rng::seed_from_u64(0));
        assert!(test_functions(&p, x.view(), &[&Bad as &dyn TestFunction], 0.05).is_err());
        assert!(test_functions(&p, x.view(), &[], 1.0).is_err());
        assert!(test_functions(&p, x.view(), &[], 0.05).unwrap().is_empty());
    }

    /// Three rows -1, 0, 1 (sd 1), s = -2x, f = (z, 0)^3: rows -2 + 3, 0 and -2 + 3.
    #[test]
    fn a_statement_by_hand() {
        let cube = ColumnFunction { column: 0, shape: Shape::Cube, column_name: "a".into() };
        let p = Gaussian::standard(1).unwrap();
        let wrong = Changed { score: &p, factor: 2.0, shift: Array1::zeros(1) };
        let x = array![[-1.0], [0.0], [1.0]];
        let found = test_functions(&wrong, x.view(), &[&cube as &dyn TestFunction], 0.05).unwrap();
        assert!((found[0].value.mean - 2.0 / 3.0).abs() < 1e-14);
        assert!((found[0].value.standard_error - 1.0 / 3.0).abs() < 1e-14);
        assert!(
            (found[0].z - 2.0).abs() < 1e-12 && found[0].holds,
            "4.3 for two degrees of freedom"
        );
        // t = 2 is the two-sided quantile of 2 degrees at 1 - sqrt(2/3) = 0.1835.
        for (level, holds) in [(0.18, true), (0.19, false)] {
            let one =
                test_functions(&wrong, x.view(), &[&cube as &dyn TestFunction], level).unwrap();
            assert_eq!(one[0].holds, holds, "{level}");
            // Two statements share the level.
            let two = [&cube as &dyn TestFunction, &cube];
            let two = test_functions(&wrong, x.view(), &two, 2.0 * level).unwrap();
            assert_eq!(two[1].holds, holds, "{level}");
        }
    }

    #[test]
    fn names_and_columns() {
        let names: Vec<String> = all(1).iter().map(TestFunction::name).collect();
        assert_eq!(names, ["square of 0", "cube of 0", "tanh of 0", "sine of 0", "cosine of 0"]);
        let of = ColumnFunction { column: 1, shape: Shape::Square, column_name: "b".into() };
        let (f, divergence) = of.field(array![[2.0, 3.0]].view());
        assert_eq!((f, divergence), (array![[0.0, 9.0]], array![6.0]));
    }

    /// g and g' at 0.3.
    #[test]
    fn shapes_by_hand() {
        let z = 0.3f64;
        for (shape, g, slope) in [
            (Shape::Square, 0.09, 0.6),
            (Shape::Cube, 0.027, 0.27),
            (Shape::Tanh, 0.291_312_612_451_590_9, 0.915_136_961_826_629_8),
            (Shape::Sine, 0.564_642_473_395_035_4, 2.0 * 0.825_335_614_909_678_3),
            (Shape::Cosine, 0.825_335_614_909_678_3, -2.0 * 0.564_642_473_395_035_4),
        ] {
            let found = shape.at(z);
            assert!((found.0 - g).abs() < 1e-14 && (found.1 - slope).abs() < 1e-14, "{shape:?}");
        }
    }

    #[test]
    fn refuses_a_divergence_of_another_length_and_levels_at_their_ends() {
        struct Short;
        impl TestFunction for Short {
            fn name(&self) -> String {
                "short".into()
            }
            fn field(&self, z: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
                (Array2::zeros(z.dim()), Array1::zeros(z.nrows() - 1))
            }
        }
        let p = Gaussian::standard(1).unwrap();
        let x = array![[1.0], [2.0], [4.0]];
        let error = test_functions(&p, x.view(), &[&Short as &dyn TestFunction], 0.05).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        assert!(test_functions(&p, x.view(), &[], 0.0).is_err());
        assert!(test_functions(&p, x.view(), &[], 0.999).is_ok());
    }
}
