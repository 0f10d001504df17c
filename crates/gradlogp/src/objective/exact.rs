//! Implicit score matching with the exact trace (Hyvarinen 2005, theorem 1; MATH (4)).
//!
//! loss = tr(grad s) + 1/2 |s|^2 = sum over i of \[ e_i.(grad s) e_i + 1/2 (e_i.s)^2 \], a slice term over
//! the unit vectors, additive, so that they may come in blocks.

use super::{Directions, RowLoss, SliceTerm, Slices};
use crate::kernel::Real;

/// MATH (4).
#[derive(Debug, Clone, Copy)]
pub struct Exact;

impl<T: Real> RowLoss<T> for Exact {
    fn directions(&self) -> Directions {
        Directions::Basis
    }

    fn has_score_term(&self) -> bool {
        false
    }

    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let mut squares = T::ZERO;
        for (p, bar) in seen.projections.iter().zip(projections_bar) {
            squares = p.mul_add(*p, squares);
            *bar = *p;
        }
        SliceTerm { loss: seen.curvature + T::of(0.5) * squares, curvature_bar: T::ONE }
    }
}
