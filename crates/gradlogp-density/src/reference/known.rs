//! What all densities known exactly have in common.

use super::Gaussian;
use crate::score::{LogDensity, ScoreTrace};
use ndarray::Array2;
use rand::Rng;

/// A density known exactly: [`LogDensity::log_density`] includes its normalizer (the integral of
/// exp of it is 1), and independent rows can be drawn from it.
pub trait ReferenceDensity: LogDensity + ScoreTrace + Send {
    /// `n` independent rows: n x d. Equal generators give equal rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64>;

    /// The Gaussians that it is a mixture of, with their weights; None if it is none.
    fn gaussians(&self) -> Option<Vec<(f64, &Gaussian)>> {
        None
    }
}

impl<O: ReferenceDensity + ?Sized> ReferenceDensity for Box<O> {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        (**self).sample(n, rng)
    }

    fn gaussians(&self) -> Option<Vec<(f64, &Gaussian)>> {
        (**self).gaussians()
    }
}

impl ReferenceDensity for Gaussian {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        self.draw(n, rng)
    }

    fn gaussians(&self) -> Option<Vec<(f64, &Gaussian)>> {
        Some(vec![(1.0, self)])
    }
}
