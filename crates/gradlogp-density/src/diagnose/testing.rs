//! Scores that tests are made of.

use crate::score::{Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView2};

/// s(x) = -A (x - b), MATH 4.
pub(super) struct Linear {
    pub(super) a: Array2<f64>,
    pub(super) b: Array1<f64>,
}

impl Score for Linear {
    fn dim(&self) -> usize {
        self.b.len()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        -(&x - &self.b).dot(&self.a.t())
    }
}

impl ScoreTrace for Linear {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        Array1::from_elem(x.nrows(), -self.a.diag().sum())
    }
}

/// c s(x) + shift.
pub(super) struct Changed<'a, S: ?Sized> {
    pub(super) score: &'a S,
    pub(super) factor: f64,
    pub(super) shift: Array1<f64>,
}

impl<S: Score + ?Sized> Score for Changed<'_, S> {
    fn dim(&self) -> usize {
        self.score.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        self.score.score(x) * self.factor + &self.shift
    }
}

impl<S: ScoreTrace + ?Sized> ScoreTrace for Changed<'_, S> {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.score.trace(x) * self.factor
    }
}
