//! Random Fourier features cos(w.z + b) of rows: w ~ N(0, I / h^2) and b uniform, h the median distance of the rows for
//! the wide ones and a quarter of it for the narrow ones (Rahimi, Recht 2007).

use super::pair_sums::median_distance;
use ndarray::{Array1, Array2, ArrayView2};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Frequencies, one a column, and phases; the wide ones first.
pub(super) struct Waves {
    pub(super) frequencies: Array2<f64>,
    pub(super) phases: Array1<f64>,
}

impl Waves {
    /// So many wide and narrow ones, for the rows of `z`.
    pub(super) fn draw(
        z: ArrayView2<'_, f64>,
        (wide, narrow): (usize, usize),
        rng: &mut dyn Rng,
    ) -> Self {
        let width = median_distance(z).unwrap_or(1.0);
        let frequency = |k: usize| if k < wide { 1.0 / width } else { 4.0 / width };
        let frequencies = Array2::from_shape_fn((z.ncols(), wide + narrow), |(_, k)| {
            frequency(k) * rng.sample::<f64, _>(StandardNormal)
        });
        let phases =
            Array1::from_shape_fn(wide + narrow, |_| rng.random_range(0.0..std::f64::consts::TAU));
        Waves { frequencies, phases }
    }

    /// The angles w.z + b: one a column.
    pub(super) fn angles(&self, z: ArrayView2<'_, f64>) -> Array2<f64> {
        z.dot(&self.frequencies) + &self.phases
    }

    /// w, one frequency a column.
    pub(super) fn frequencies(&self) -> ArrayView2<'_, f64> {
        self.frequencies.view()
    }
}
