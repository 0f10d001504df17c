//! Sliced score matching (Song et al. 2019, eq. 7; MATH (2)).
//!
//! loss = 1/M sum_m \[ v_m.(grad s) v_m + 1/2 (v_m.s)^2 \], unbiased for MATH (1) over v.

use super::{Directions, RowLoss, SliceTerm, Slices};
use gradlogp_numeric::Real;

/// MATH (2).
#[derive(Debug, Clone, Copy)]
pub struct Ssm {
    /// M.
    pub slices: usize,
}

impl<T: Real> RowLoss<T> for Ssm {
    fn directions(&self) -> Directions {
        Directions::Slices(self.slices)
    }

    fn has_score_term(&self) -> bool {
        false
    }

    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let weight = T::of(1.0 / self.slices as f64);
        let mut squares = T::ZERO;
        for (p, bar) in seen.projections.iter().zip(projections_bar) {
            squares = p.mul_add(*p, squares);
            *bar = weight * *p;
        }
        SliceTerm { loss: weight * (seen.curvature + T::of(0.5) * squares), curvature_bar: weight }
    }
}
