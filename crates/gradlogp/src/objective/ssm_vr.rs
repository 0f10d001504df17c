//! Sliced score matching with variance reduction (Song et al. 2019, eq. 8; MATH (3)).
//!
//! loss = 1/M sum_m v_m.(grad s) v_m + 1/2 |s|^2: the squared projection is replaced by its mean over
//! v, which is known.

use super::{Directions, RowLoss, SliceTerm, Slices};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::dot;

/// MATH (3).
#[derive(Debug, Clone, Copy)]
pub struct SsmVr {
    /// M.
    pub slices: usize,
}

impl<T: Real> RowLoss<T> for SsmVr {
    fn directions(&self) -> Directions {
        Directions::Slices(self.slices)
    }

    fn has_score_term(&self) -> bool {
        true
    }

    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let weight = T::of(1.0 / self.slices as f64);
        projections_bar.fill(T::ZERO);
        SliceTerm { loss: weight * seen.curvature, curvature_bar: weight }
    }

    fn score_term(&self, score: &[T], _: &[T], score_bar: &mut [T]) -> T {
        score_bar.copy_from_slice(score);
        T::of(0.5) * dot(score, score)
    }
}
