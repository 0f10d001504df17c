//! Denoising score matching along slices (MATH (5)).
//!
//! With x~ = x + sigma z, z ~ N(0, I), and slices v_m: loss = 1/(2M) sum_m (v_m.s(x~) + v_m.z / sigma)^2,
//! unbiased for [`Dsm`](super::Dsm) over v because E[v v^T] = I. It needs projections only, so a
//! potential is denoised by differences of its values, without its gradient (FD-DSM, Pang et al.
//! 2020, section 4).

use super::{Directions, RowLoss, SliceTerm, Slices};
use gradlogp_numeric::Real;

/// MATH (5), given the projections.
#[derive(Debug, Clone, Copy)]
pub struct SlicedDsm {
    /// M.
    pub slices: usize,
    /// Noise level.
    pub sigma: f64,
}

impl<T: Real> RowLoss<T> for SlicedDsm {
    fn directions(&self) -> Directions {
        Directions::Slices(self.slices)
    }

    fn has_score_term(&self) -> bool {
        false
    }

    fn has_curvature(&self) -> bool {
        false
    }

    fn noise(&self) -> Option<f64> {
        Some(self.sigma)
    }

    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let weight = T::of(1.0 / self.slices as f64);
        let scale = T::of(1.0 / self.sigma);
        let mut squares = T::ZERO;
        for ((p, z), bar) in seen.projections.iter().zip(seen.noise).zip(projections_bar) {
            let gap = scale.mul_add(*z, *p);
            squares = gap.mul_add(gap, squares);
            *bar = weight * gap;
        }
        SliceTerm { loss: T::of(0.5) * weight * squares, curvature_bar: T::ZERO }
    }
}
