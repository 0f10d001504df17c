//! Regression on a score that is given beside every row (explicit score matching).
//!
//! loss = 1/2 |s(x) - y|^2. With y the score of a noise kernel at the noised row x it is denoising score
//! matching, MATH (6), at any noise level; the level may differ from row to row.

use super::{Directions, RowLoss};
use crate::kernel::Real;

/// 1/2 |s - y|^2.
#[derive(Debug, Clone, Copy)]
pub struct Regression;

impl<T: Real> RowLoss<T> for Regression {
    fn directions(&self) -> Directions {
        Directions::None
    }

    fn has_score_term(&self) -> bool {
        true
    }

    fn score_term(&self, score: &[T], target: &[T], score_bar: &mut [T]) -> T {
        let mut squares = T::ZERO;
        for ((s, y), bar) in score.iter().zip(target).zip(score_bar) {
            *bar = *s - *y;
            squares = bar.mul_add(*bar, squares);
        }
        T::of(0.5) * squares
    }
}
