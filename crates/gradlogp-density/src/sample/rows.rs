//! What all steps need of rows of chains: noise, and what is wrong with them.

use crate::error::{Error, Result};
use ndarray::Array2;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

pub(super) fn normals(shape: (usize, usize), rng: &mut (impl Rng + ?Sized)) -> Array2<f64> {
    Array2::from_shape_simple_fn(shape, || StandardNormal.sample(rng))
}

pub(super) fn check_columns(
    operation: &'static str,
    position: &Array2<f64>,
    dim: usize,
) -> Result<()> {
    if position.ncols() == dim && position.nrows() > 0 {
        return Ok(());
    }
    let expected = vec![position.nrows().max(1), dim];
    Err(Error::Shape { operation, expected, found: position.shape().to_vec() })
}

/// The rows with a value that is not finite.
pub(super) fn bad_rows(rows: &Array2<f64>) -> Vec<usize> {
    let bad = |i: &usize| rows.row(*i).iter().any(|v| !v.is_finite());
    (0..rows.nrows()).filter(bad).collect()
}
