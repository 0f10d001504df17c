//! Implicit score matching with the exact trace (Hyvarinen 2005, theorem 1; MATH (4)).
//!
//! loss = tr(grad s) + 1/2 |s|^2 = sum over i of \[ e_i.(grad s) e_i + 1/2 (e_i.s)^2 \], a slice term over
//! the unit vectors, additive, so that they may come in blocks.

use super::{Directions, RowLoss, SliceTerm, Slices};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::dot;

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

/// The same loss with its two terms apart: the trace as the curvature over all unit vectors at once, and
/// 1/2 |s|^2 as a score term.
#[derive(Debug, Clone, Copy)]
pub struct ExactApart;

impl<T: Real> RowLoss<T> for ExactApart {
    fn directions(&self) -> Directions {
        Directions::Basis
    }

    fn has_score_term(&self) -> bool {
        true
    }

    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        projections_bar.fill(T::ZERO);
        SliceTerm { loss: seen.curvature, curvature_bar: T::ONE }
    }

    fn score_term(&self, score: &[T], _: &[T], score_bar: &mut [T]) -> T {
        score_bar.copy_from_slice(score);
        T::of(0.5) * dot(score, score)
    }
}
