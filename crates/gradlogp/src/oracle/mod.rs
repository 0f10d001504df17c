//! Densities whose score, Laplacian and normaliser are known exactly, each with a sampler.
//!
//! They are what everything else is tested against (MATH 4) and they are data sets with a known
//! answer: the Fisher divergence of a fitted score can be computed only where an oracle is. One
//! density per file, its derivation at the top.
//!
//! All follow [`Score`] and [`LogDensity`]: rows are points, units are those of the rows.

mod banana;
mod dirichlet;
mod exponential;
mod funnel;
mod gaussian;
mod mixture;
mod pinwheel;
mod ring;
mod scale_matrix;
mod student_t;
mod truncated_gaussian;

pub use banana::Banana;
pub use dirichlet::Dirichlet;
pub use exponential::Exponential;
pub use funnel::Funnel;
pub use gaussian::Gaussian;
pub use mixture::{GaussianMixture, Mixture};
pub use pinwheel::PinwheelArm;
pub use ring::Ring;
pub use student_t::StudentT;
pub use truncated_gaussian::{TruncatedColumn, TruncatedGaussian};

use crate::score::{LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Axis};
use rand::Rng;

/// A density known exactly: [`LogDensity::log_density`] includes its normaliser (the integral of
/// exp of it is 1), and independent rows can be drawn from it.
pub trait Oracle: LogDensity + Send {
    /// `n` independent rows: n x d. Equal generators give equal rows.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64>;

    /// The Gaussians that it is a mixture of, with their weights; None if it is none.
    fn gaussians(&self) -> Option<Vec<(f64, &Gaussian)>> {
        None
    }
}

impl<O: Oracle + ?Sized> Oracle for Box<O> {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        (**self).sample(n, rng)
    }

    fn gaussians(&self) -> Option<Vec<(f64, &Gaussian)>> {
        (**self).gaussians()
    }
}

impl<O: Oracle + ?Sized> LogDensity for Box<O> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        (**self).log_density(x)
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        (**self).log_density_and_score(x)
    }
}

impl<O: Oracle + ?Sized> Score for Box<O> {
    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        (**self).score(x)
    }

    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        (**self).trace(x)
    }
}

/// log(2 pi), the constant of every Gaussian.
const LN_2PI: f64 = 1.837_877_066_409_345_3;

/// One number per row.
fn map_rows(
    x: ArrayView2<'_, f64>,
    mut value: impl FnMut(ArrayView1<'_, f64>) -> f64,
) -> Array1<f64> {
    x.outer_iter().map(&mut value).collect()
}

/// One row per row, written in place.
fn map_rows_into(
    x: ArrayView2<'_, f64>,
    mut fill: impl FnMut(ArrayView1<'_, f64>, ArrayViewMut1<'_, f64>),
) -> Array2<f64> {
    let mut out = Array2::zeros(x.dim());
    for (row, into) in x.axis_iter(Axis(0)).zip(out.axis_iter_mut(Axis(0))) {
        fill(row, into);
    }
    out
}

#[cfg(test)]
mod check;
