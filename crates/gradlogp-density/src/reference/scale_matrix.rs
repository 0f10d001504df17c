//! A symmetric positive definite matrix S, kept as what densities need of it.

use crate::error::{Error, Result};
use crate::linear::Cholesky;
use ndarray::{Array1, Array2, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// S with its Cholesky factor L (S = L L^T), its inverse and the logarithm of its determinant.
#[derive(Debug, Clone)]
pub(super) struct ScaleMatrix {
    pub(super) matrix: Array2<f64>,
    pub(super) lower: Array2<f64>,
    pub(super) inverse: Array2<f64>,
    pub(super) log_det: f64,
}

impl ScaleMatrix {
    /// Refuses what is not square, not symmetric or not positive definite.
    pub(super) fn new(operation: &'static str, matrix: Array2<f64>) -> Result<Self> {
        let d = matrix.nrows();
        if d == 0 || matrix.ncols() != d {
            return Err(Error::Shape {
                operation,
                expected: vec![d.max(1), d.max(1)],
                found: matrix.shape().to_vec(),
            });
        }
        check_symmetric(operation, &matrix)?;
        let factor = Cholesky::new(d, &|i, j| matrix[[i, j]])
            .ok_or_else(|| numerical(operation, "the matrix is not positive definite"))?;
        let (lower, inverse) = (factor.lower(), factor.inverse());
        let log_det = 2.0 * lower.diag().mapv(f64::ln).sum();
        Ok(Self { matrix, lower, inverse, log_det })
    }

    /// d.
    pub(super) fn dim(&self) -> usize {
        self.matrix.nrows()
    }

    /// S^-1 (x - location) for every row: n x d.
    pub(super) fn whitened_twice(
        &self,
        x: ArrayView2<'_, f64>,
        location: &Array1<f64>,
    ) -> Array2<f64> {
        // The inverse is symmetric, so rows times it are the products asked for.
        (&x - location).dot(&self.inverse)
    }

    /// Rows L z, z ~ N(0, I): n x d.
    pub(super) fn correlated_normals(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let z = Array2::from_shape_simple_fn((n, self.dim()), || StandardNormal.sample(rng));
        z.dot(&self.lower.t())
    }
}

fn check_symmetric(operation: &'static str, matrix: &Array2<f64>) -> Result<()> {
    for ((i, j), &value) in matrix.indexed_iter() {
        let size = (matrix[[i, i]] * matrix[[j, j]]).abs().sqrt();
        if !value.is_finite() || (value - matrix[[j, i]]).abs() > 1e-9 * size.max(value.abs()) {
            let message = format!("the matrix is not finite and symmetric at ({i}, {j})");
            return Err(numerical(operation, &message));
        }
    }
    Ok(())
}

fn numerical(operation: &'static str, message: &str) -> Error {
    Error::Numerical { operation, message: message.to_string() }
}

/// Refuses a location whose length is not the matrix's.
pub(super) fn check_location(
    operation: &'static str,
    location: &Array1<f64>,
    dim: usize,
) -> Result<()> {
    if location.len() != dim {
        return Err(Error::Shape { operation, expected: vec![dim], found: vec![location.len()] });
    }
    if location.iter().any(|value| !value.is_finite()) {
        return Err(numerical(operation, "the location is not finite"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn factors_agree_with_hand_calculation() {
        let scale = ScaleMatrix::new("test", array![[4.0, 2.0], [2.0, 5.0]]).unwrap();
        assert_eq!(scale.lower, array![[2.0, 0.0], [1.0, 2.0]]);
        assert!((scale.log_det - 16f64.ln()).abs() < 1e-14);
        let expected = array![[5.0, -2.0], [-2.0, 4.0]] / 16.0;
        assert!((&scale.inverse - &expected).iter().all(|e| e.abs() < 1e-15));
    }

    #[test]
    fn refuses_what_is_no_covariance() {
        assert!(ScaleMatrix::new("test", array![[1.0, 2.0]]).is_err());
        assert!(ScaleMatrix::new("test", array![[1.0, 0.5], [0.4, 1.0]]).is_err());
        assert!(ScaleMatrix::new("test", array![[1.0, 2.0], [2.0, 1.0]]).is_err());
        assert!(ScaleMatrix::new("test", array![[f64::NAN]]).is_err());
    }
}
