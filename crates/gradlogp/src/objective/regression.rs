//! Regression on a score that is given beside every row (explicit score matching).
//!
//! loss = 1/2 |s(x)|^2 - s(x).y, which is 1/2 |s(x) - y|^2 less 1/2 |y|^2, a number that no model changes. With y the
//! score of a noise kernel at the noised row x it is denoising score matching, MATH (6), at any noise level; the
//! level may differ from row to row. Without |y|^2, which is large where noise is small, its expectation is
//! MATH (1) of the noised rows, as that of the other objectives.

use super::{Directions, RowLoss};
use gradlogp_numeric::Real;

/// 1/2 |s|^2 - s.y.
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
        let mut loss = T::ZERO;
        for ((s, y), bar) in score.iter().zip(target).zip(score_bar) {
            *bar = *s - *y;
            loss = (T::of(0.5) * *s - *y).mul_add(*s, loss);
        }
        loss
    }
}
