//! Eigenvalues and Cholesky factors of symmetric matrices in f64.
//!
//! The only place that names the crate which computes them: its code is generic, and is compiled here once. Of
//! a matrix, given by its entries, the lower half counts.

use faer::linalg::solvers::{DenseSolveCore, Llt, Solve};
use faer::{Mat, Side};
use ndarray::{Array1, Array2};

/// A d x d matrix from its entries (row, column).
type Entries<'a> = &'a dyn Fn(usize, usize) -> f64;

/// L of A = L L^T.
#[derive(Debug, Clone)]
pub struct Cholesky(Llt<f64>);

impl Cholesky {
    /// Of a d x d matrix; None where it is not positive definite.
    #[inline(never)]
    pub fn new(d: usize, entries: Entries<'_>) -> Option<Self> {
        Mat::from_fn(d, d, entries).llt(Side::Lower).ok().map(Cholesky)
    }

    /// L: d x d.
    #[inline(never)]
    pub fn lower(&self) -> Array2<f64> {
        let factor = self.0.L();
        Array2::from_shape_fn((factor.nrows(), factor.ncols()), |(i, j)| match i >= j {
            true => factor[(i, j)],
            false => 0.0,
        })
    }

    /// A^-1, exactly symmetric: d x d.
    #[inline(never)]
    pub fn inverse(&self) -> Array2<f64> {
        let found = self.0.inverse();
        Array2::from_shape_fn((found.nrows(), found.ncols()), |(i, j)| {
            0.5 * (found[(i, j)] + found[(j, i)])
        })
    }

    /// A^-1 b, d values.
    #[inline(never)]
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let x = self.0.solve(&Mat::from_fn(b.len(), 1, |i, _| b[i]));
        (0..x.nrows()).map(|i| x[(i, 0)]).collect()
    }
}

/// Eigenvalues in rising order and eigenvectors as columns; None where the iteration does not converge.
#[inline(never)]
pub fn symmetric_eigen(d: usize, entries: Entries<'_>) -> Option<(Array1<f64>, Array2<f64>)> {
    let eigen = Mat::from_fn(d, d, entries).self_adjoint_eigen(Side::Lower).ok()?;
    let (vectors, values) = (eigen.U(), eigen.S());
    Some((
        Array1::from_shape_fn(d, |k| values[k]),
        Array2::from_shape_fn((d, d), |(i, k)| vectors[(i, k)]),
    ))
}

/// Eigenvalues in rising order; None where the iteration does not converge.
#[inline(never)]
pub fn symmetric_eigenvalues(d: usize, entries: Entries<'_>) -> Option<Vec<f64>> {
    Mat::from_fn(d, d, entries).self_adjoint_eigenvalues(Side::Lower).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// A = [[2, 1], [1, 2]]: eigenvalues 1 and 3, A^-1 = [[2, -1], [-1, 2]] / 3; the upper half is not looked at.
    #[test]
    fn two_by_two_by_hand() {
        let a = |i: usize, j: usize| match (i, j) {
            (0, 1) => f64::NAN,
            (1, 0) => 1.0,
            _ => 2.0,
        };
        let factor = Cholesky::new(2, &a).unwrap();
        let lower = factor.lower();
        let expected = array![[2f64.sqrt(), 0.0], [0.5f64.sqrt(), 1.5f64.sqrt()]];
        assert!((lower - expected).iter().all(|e| e.abs() < 1e-15));
        let expected = array![[2.0, -1.0], [-1.0, 2.0]] / 3.0;
        assert!((factor.inverse() - expected).iter().all(|e| e.abs() < 1e-15));
        let x = factor.solve(&[3.0, 0.0]);
        assert!((x[0] - 2.0).abs() < 1e-14 && (x[1] + 1.0).abs() < 1e-14, "{x:?}");
        let (values, vectors) = symmetric_eigen(2, &a).unwrap();
        assert!((values[0] - 1.0).abs() < 1e-14 && (values[1] - 3.0).abs() < 1e-14, "{values}");
        let column = vectors.column(1);
        assert!((column[0] - column[1]).abs() < 1e-14 && (column[0].abs() - 0.5f64.sqrt()) < 1e-14);
        assert_eq!(symmetric_eigenvalues(2, &a).unwrap(), values.to_vec());
        assert!(Cholesky::new(2, &|i, j| if i == j { 1.0 } else { 2.0 }).is_none());
    }
}
