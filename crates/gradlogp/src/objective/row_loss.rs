//! The loss of one row under an objective.

use std::sync::Arc;

use gradlogp_numeric::Real;

/// Along which directions an objective looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// None: it has no slice term.
    None,
    /// So many random slices, drawn fresh for every row and step.
    Slices(usize),
    /// The unit vectors e_1 ... e_d, possibly in blocks: the slice term must be additive over them.
    Basis,
}

/// What a slice term sees of one row.
#[derive(Debug, Clone, Copy)]
pub struct Slices<'a, T> {
    /// p_m = v_m.s, one per slice.
    pub projections: &'a [T],
    /// v_m.z with z the noise that was added to x as sigma z, one per slice; only for objectives with
    /// noise and slices.
    pub noise: &'a [T],
    /// q = sum over m of v_m.(grad s) v_m.
    pub curvature: T,
}

/// A second backward sweep that stands for the curvature, MATH (8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondSweep {
    /// Curvature propagation, so many times with fresh noise.
    Random(usize),
    /// The approximate diagonal.
    Diagonal,
}

/// A slice term and its derivative with respect to the curvature q.
#[derive(Debug, Clone, Copy)]
pub struct SliceTerm<T> {
    /// The term of one row.
    pub loss: T,
    /// d loss / d q.
    pub curvature_bar: T,
}

/// The loss of one row. Implementations override the terms they have.
pub trait RowLoss<T: Real>: Send + Sync {
    /// Along which directions it looks.
    fn directions(&self) -> Directions;

    /// Whether it has a score term.
    fn has_score_term(&self) -> bool;

    /// Whether its slice term depends on the curvature.
    fn has_curvature(&self) -> bool {
        true
    }

    /// Standard deviation sigma of the Gaussian noise to be added to x, if any.
    fn noise(&self) -> Option<f64> {
        None
    }

    /// The slice term; writes d loss / d p.
    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let _ = (seen, projections_bar);
        SliceTerm { loss: T::ZERO, curvature_bar: T::ZERO }
    }

    /// The score term from s (d numbers) and the standard normal noise z that was added as sigma z
    /// (d numbers, or none); writes d loss / d s.
    fn score_term(&self, score: &[T], noise: &[T], score_bar: &mut [T]) -> T {
        let _ = (score, noise, score_bar);
        T::ZERO
    }
}

/// Losses that are shared, say by the passes of all threads.
impl<T: Real, L: RowLoss<T> + ?Sized> RowLoss<T> for Arc<L> {
    fn directions(&self) -> Directions {
        (**self).directions()
    }

    fn has_score_term(&self) -> bool {
        (**self).has_score_term()
    }

    fn has_curvature(&self) -> bool {
        (**self).has_curvature()
    }

    fn noise(&self) -> Option<f64> {
        (**self).noise()
    }

    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        (**self).slice_term(seen, projections_bar)
    }

    fn score_term(&self, score: &[T], noise: &[T], score_bar: &mut [T]) -> T {
        (**self).score_term(score, noise, score_bar)
    }
}
