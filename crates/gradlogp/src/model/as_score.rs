//! Models as [`Score`] and [`LogDensity`], for samplers and diagnostics.

use ndarray::{Array1, Array2, ArrayView2};

use super::{Derivatives, Model, ModelKind};
use crate::score::{LogDensity, Score, ScoreTrace};
use gradlogp_numeric::Real;

/// A potential, known to have a log density.
#[derive(Debug, Clone, Copy)]
pub struct Potential<'m, T>(&'m Model<T>);

impl<T: Real> Model<T> {
    /// The model as a log density, if it is a potential.
    pub fn as_log_density(&self) -> Option<Potential<'_, T>> {
        (self.kind == ModelKind::LogDensity).then_some(Potential(self))
    }
}

/// Rows in the model's precision.
pub(crate) fn narrow<T: Real>(x: ArrayView2<'_, f64>) -> Vec<T> {
    x.iter().map(|x| T::of(*x)).collect()
}

pub(crate) fn rows<T: Real>(values: &[T], d: usize) -> Array2<f64> {
    let wide = values.iter().map(|v| v.to_f64()).collect();
    Array2::from_shape_vec((values.len() / d, d), wide).expect("whole rows")
}

pub(super) fn column<T: Real>(values: &[T]) -> Array1<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// For models without contexts, others by [`Model::at_condition`]; a method panics if the graph reads one.
impl<T: Real> Score for Model<T> {
    fn dim(&self) -> usize {
        self.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        rows(&Derivatives::new(self).score(narrow::<T>(x).as_slice()), self.dim())
    }
}

impl<T: Real> ScoreTrace for Model<T> {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        column(&Derivatives::new(self).trace(narrow::<T>(x).as_slice()))
    }
}

gradlogp_density::delegate_score!(Score [T: Real] Potential<'_, T>, |this| this.0);

gradlogp_density::delegate_score!(ScoreTrace [T: Real] Potential<'_, T>, |this| this.0);

impl<T: Real> LogDensity for Potential<'_, T> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        column(&Derivatives::new(self.0).value(narrow::<T>(x).as_slice()))
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (value, score) = Derivatives::new(self.0).value_and_score(narrow::<T>(x).as_slice());
        (column(&value), rows(&score, self.0.dim()))
    }
}
