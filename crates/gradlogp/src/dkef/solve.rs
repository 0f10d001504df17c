//! alpha = -(G + lambda I)^-1 b, and solves with the same matrix for the gradient through it.

use crate::linear::{Cholesky, symmetric_eigenvalues};
use crate::{Error, Result};

/// Multiples of the mean diagonal that are tried in turn where the factorization fails.
const JITTERS: [f64; 4] = [1e-14, 1e-12, 1e-10, 1e-8];

/// Above this condition number of G + lambda I half of the digits of alpha are lost.
pub const ILL_CONDITIONED: f64 = 1e8;

/// The moments over rows that alpha depends on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments {
    /// Rows that were added up.
    pub(super) rows: usize,
    /// Sum over rows of G, M x M.
    pub(super) gram: Vec<f64>,
    /// Sum over rows of b, M.
    pub(super) linear: Vec<f64>,
}

impl Moments {
    /// Of no row, for M inducing points.
    pub(super) fn new(inducing: usize) -> Self {
        Moments { rows: 0, gram: vec![0.0; inducing * inducing], linear: vec![0.0; inducing] }
    }

    /// Entries of mean G + ridge I.
    fn entries(&self, ridge: f64) -> impl Fn(usize, usize) -> f64 {
        let m = self.linear.len();
        let n = self.rows as f64;
        move |i, j| {
            let mean = 0.5 * (self.gram[i * m + j] + self.gram[j * m + i]) / n;
            mean + if i == j { ridge } else { 0.0 }
        }
    }

    /// Factorizes mean G + lambda I.
    ///
    /// # Errors
    /// [`Error::Numerical`] where G is not finite, or not positive definite even with jitter.
    pub(super) fn solve(&self, lambda: f64) -> Result<Solution> {
        let m = self.linear.len();
        let n = self.rows.max(1) as f64;
        let finite = self.gram.iter().chain(&self.linear).all(|x| x.is_finite());
        if !(finite && lambda > 0.0 && lambda.is_finite()) {
            return Err(failed("G, b or lambda is not finite; lower the learning rate"));
        }
        let mean_diagonal = (0..m).map(|i| self.gram[i * (m + 1)]).sum::<f64>() / (n * m as f64);
        let size = mean_diagonal.max(lambda);
        for jitter in std::iter::once(0.0).chain(JITTERS) {
            let ridge = lambda + jitter * size;
            let Some(factor) = Cholesky::new(m, &self.entries(ridge)) else { continue };
            let mut solution = Solution { alpha: Vec::new(), jitter: jitter * size, factor };
            let target: Vec<f64> = self.linear.iter().map(|b| -b / n).collect();
            solution.alpha = solution.inverse_times(&target);
            return Ok(solution);
        }
        Err(failed("G + lambda I is not positive definite; use a larger lambda"))
    }

    /// Largest over smallest eigenvalue of mean G + lambda I.
    ///
    /// # Errors
    /// [`Error::Numerical`] where the eigenvalues cannot be computed.
    pub(super) fn condition(&self, lambda: f64) -> Result<f64> {
        let values = symmetric_eigenvalues(self.linear.len(), &self.entries(lambda))
            .ok_or_else(|| failed("the eigenvalues of G do not converge"))?;
        let (low, high) =
            values.iter().fold((f64::INFINITY, 0f64), |(low, high), v| (low.min(*v), high.max(*v)));
        Ok(high / low.max(f64::MIN_POSITIVE))
    }
}

fn failed(message: &str) -> Error {
    Error::Numerical { operation: "kernel family", message: message.to_string() }
}

/// A factorized system.
#[derive(Debug, Clone)]
pub(super) struct Solution {
    /// alpha.
    pub(super) alpha: Vec<f64>,
    /// What had to be added to lambda so that the matrix could be factorized.
    pub(super) jitter: f64,
    factor: Cholesky,
}

impl Solution {
    /// (G + lambda I)^-1 x.
    pub(super) fn inverse_times(&self, x: &[f64]) -> Vec<f64> {
        self.factor.solve(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_by_two_by_hand() {
        // Two rows: mean G = [[2, 1], [1, 3]], mean b = (1, 2), lambda = 1: A = [[3, 1], [1, 4]],
        // A^-1 = [[4, -1], [-1, 3]] / 11, alpha = -(2, 5) / 11.
        let moments = Moments { rows: 2, gram: vec![4.0, 2.0, 2.0, 6.0], linear: vec![2.0, 4.0] };
        let solution = moments.solve(1.0).unwrap();
        assert!((solution.alpha[0] + 2.0 / 11.0).abs() < 1e-15);
        assert!((solution.alpha[1] + 5.0 / 11.0).abs() < 1e-15);
        assert_eq!(solution.jitter, 0.0);
        // Eigenvalues of A: (7 +- sqrt 5) / 2.
        let want = (7.0 + 5f64.sqrt()) / (7.0 - 5f64.sqrt());
        assert!((moments.condition(1.0).unwrap() - want).abs() < 1e-12);
    }

    #[test]
    fn a_singular_matrix_gets_jitter_and_nonsense_is_refused() {
        let singular = Moments { rows: 1, gram: vec![1.0, 1.0, 1.0, 1.0], linear: vec![1.0, 1.0] };
        let solution = singular.solve(1e-300).unwrap();
        assert!(solution.jitter > 0.0 && solution.jitter < 1e-7);
        assert!((solution.alpha.iter().sum::<f64>() + 1.0).abs() < 1e-6);
        let nan = Moments { rows: 1, gram: vec![f64::NAN], linear: vec![0.0] };
        assert!(nan.solve(1.0).unwrap_err().to_string().contains("learning rate"));
        let negative = Moments { rows: 1, gram: vec![-1.0], linear: vec![0.0] };
        assert!(negative.solve(0.1).is_err());
    }
}
