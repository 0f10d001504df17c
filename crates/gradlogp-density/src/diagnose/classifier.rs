//! The classifier two-sample test: can rows and samples be told apart? MATH (33).
//!
//! Half of the rows of each side, as many of one as of the other, train a classifier; its accuracy on the
//! other halves is 1/2 on average where both have the same distribution, whatever the classifier. Here it is a
//! logistic regression, with a ridge, on the features
//!
//! ```text
//! 1,  z_j,  z_j^2,  cos(w.z + b)      w ~ N(0, I / h^2), b uniform, h in {median distance, a quarter of it}
//! ```
//!
//! of pooled standardized columns z (clipped to 5): the first three see means, spreads and tails, the random
//! Fourier features everything else. With N rows tested, half of each side, of which the classifier calls K y,
//! under the null any K of the N are as likely to be those: of the N/2 that are y it calls H by their name, with
//! a hypergeometric distribution, and p = P(H >= h) is exact (Fisher's test). With p_y = K/N the accuracy has
//! the standard error sqrt(p_y (1 - p_y) / (N - 1)).
//!
//! References: Lopez-Paz, Oquab (2017), "Revisiting classifier two-sample tests", section 3; Rahimi, Recht
//! (2007) for the features.

use super::fourier::Waves;
use super::{check_pair, pool, subset};
use crate::error::{Error, Result};
use crate::linear::Cholesky;
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rand::Rng;
use statrs::distribution::{DiscreteCDF, Hypergeometric};

/// Least rows of each side: with 8, four of each are tested, and only to tell them all right has a p-value (1/70)
/// below 0.05.
const LEAST: usize = 8;

/// Settings of [`classifier_test`].
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierConfig {
    /// Random Fourier features of each of the two widths.
    pub features: usize,
    /// Weight of the ridge |w|^2 / 2 against the summed log loss.
    pub ridge: f64,
    /// Most rows of each side.
    pub most_rows: usize,
}

impl Default for ClassifierConfig {
    /// 100 features of each width, ridge 1, 4000 rows.
    fn default() -> Self {
        ClassifierConfig { features: 100, ridge: 1.0, most_rows: 4000 }
    }
}

impl ClassifierConfig {
    /// # Errors
    /// [`Error::Config`] for a ridge that is not positive or fewer than 8 rows.
    pub fn validate(&self) -> Result<()> {
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::config("ridge", "must be positive"));
        }
        if self.most_rows < LEAST {
            return Err(Error::config("most_rows", format!("must be at least {LEAST}")));
        }
        Ok(())
    }
}

/// What [`classifier_test`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierTest {
    /// Share of test rows told right; 1/2 where the samples cannot be told apart.
    pub accuracy: f64,
    /// Its standard error for samples from the same distribution.
    pub standard_error: f64,
    /// Chance of so high an accuracy for samples from the same distribution.
    pub p_value: f64,
    /// Rows tested, both sides together.
    pub n: usize,
}

/// Tries to tell the rows of x (n x d) from those of y (m x d).
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] where a side has fewer than 8 rows; [`Error::Data`] for a value that is not finite.
pub fn classifier_test(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    config: &ClassifierConfig,
    rng: &mut dyn Rng,
) -> Result<ClassifierTest> {
    config.validate()?;
    check_pair("classifier test", x, y, LEAST)?;
    let each = x.nrows().min(y.nrows()).min(config.most_rows);
    let (x, y) = (subset(x, each, rng), subset(y, each, rng));
    // In random order, so that halves are random halves.
    let z = pool(x.view(), y.view())?.mapv_into(|z| z.clamp(-5.0, 5.0));
    let features =
        features(&Waves::draw(z.view(), (config.features, config.features), rng), z.view());
    let half = each / 2;
    let part = |from: usize, to: usize| {
        let rows = |side: usize| features.slice(s![side * each + from..side * each + to, ..]);
        concatenate![Axis(0), rows(0), rows(1)]
    };
    let weights = logistic_regression(&part(0, half), half, config.ridge)?;
    let called_y = part(half, each).dot(&weights).mapv(|score| score > 0.0);
    let tested = each - half;
    let right = called_y.iter().enumerate().filter(|(i, y)| **y == (*i >= tested)).count();
    let called = called_y.iter().filter(|y| **y).count();
    verdict(right, called, 2 * tested)
}

/// Of n rows, half of each side, `called` are called y and `right` are told right.
fn verdict(right: usize, called: usize, n: usize) -> Result<ClassifierTest> {
    let accuracy = right as f64 / n as f64;
    let share = called as f64 / n as f64;
    let standard_error = (share * (1.0 - share) / (n as f64 - 1.0)).sqrt();
    // right = h + (n/2 - (called - h)).
    let h = (right + called - n / 2) / 2;
    let distribution = Hypergeometric::new(n as u64, n as u64 / 2, called as u64)
        .map_err(|e| Error::Numerical { operation: "classifier test", message: e.to_string() })?;
    // Sums of rounded terms must not exceed 1.
    let p_value = if h == 0 { 1.0 } else { distribution.sf(h as u64 - 1).min(1.0) };
    Ok(ClassifierTest { accuracy, standard_error, p_value, n })
}

/// 1, the columns, their squares and the waves.
fn features(waves: &Waves, z: ArrayView2<'_, f64>) -> Array2<f64> {
    let cosines = waves.angles(z).mapv_into(f64::cos);
    let ones = Array2::ones((z.nrows(), 1));
    concatenate![Axis(1), ones, z, z.mapv(|z| z * z), cosines]
}

/// Newton steps for the ridge logistic regression of the rows after the first `split` (called 1)
/// against those before.
fn logistic_regression(features: &Array2<f64>, split: usize, ridge: f64) -> Result<Array1<f64>> {
    const STEPS: usize = 12;
    let (n, p) = features.dim();
    let target = Array1::from_shape_fn(n, |i| if i < split { 0.0 } else { 1.0 });
    let mut weights = Array1::<f64>::zeros(p);
    for _ in 0..STEPS {
        let chance = features.dot(&weights).mapv(|a| 1.0 / (1.0 + (-a).exp()));
        let gradient = features.t().dot(&(&chance - &target)) + &weights * ridge;
        let curvature = chance.mapv(|c| (c * (1.0 - c)).sqrt()).insert_axis(Axis(1));
        let scaled = features * &curvature;
        let mut hessian = scaled.t().dot(&scaled);
        hessian.diag_mut().map_inplace(|h| *h += ridge);
        let step = solve(&hessian, &gradient)?;
        let size = step.dot(&step).sqrt();
        weights -= &step;
        if size < 1e-6 {
            break;
        }
    }
    Ok(weights)
}

/// A^-1 b for a symmetric positive definite A.
fn solve(a: &Array2<f64>, b: &Array1<f64>) -> Result<Array1<f64>> {
    let p = b.len();
    let factor = Cholesky::new(p, &|i, j| a[[i, j]]).ok_or_else(|| {
        let message = "the features are too nearly dependent; raise the ridge".into();
        Error::Numerical { operation: "classifier test", message }
    })?;
    Ok(factor.solve(&b.to_vec()).into())
}

#[cfg(test)]
mod tests;
