//! Denoising score matching at one noise level (Vincent 2011, eq. 12; MATH (6)).
//!
//! With x~ = x + sigma z, z ~ N(0, I): loss = 1/2 |s(x~) + z / sigma|^2. The optimum is the score of the
//! **smoothed** density p * N(0, sigma^2 I), not of p. The expectation is MATH (1) of the smoothed
//! density plus d / (2 sigma^2).
//!
//! Sign: the noise points away from the data, the score back to it, hence the plus.

use super::{Directions, RowLoss};
use gradlogp_numeric::Real;

/// MATH (6).
#[derive(Debug, Clone, Copy)]
pub struct Dsm {
    /// Noise level.
    pub sigma: f64,
}

impl<T: Real> RowLoss<T> for Dsm {
    fn directions(&self) -> Directions {
        Directions::None
    }

    fn has_score_term(&self) -> bool {
        true
    }

    fn noise(&self) -> Option<f64> {
        Some(self.sigma)
    }

    fn score_term(&self, score: &[T], noise: &[T], score_bar: &mut [T]) -> T {
        let scale = T::of(1.0 / self.sigma);
        let mut squares = T::ZERO;
        for ((s, z), bar) in score.iter().zip(noise).zip(score_bar) {
            *bar = scale.mul_add(*z, *s);
            squares = bar.mul_add(*bar, squares);
        }
        T::of(0.5) * squares
    }
}
