//! A trained time network as a [`TimeScore`].

use ndarray::{Array1, Array2, ArrayView2};

use super::{Clock, TimeMlp};
use crate::model::{Derivatives, Model, Points, narrow, rows};
use crate::score::TimeScore;
use gradlogp_numeric::Real;

/// A network with the process that it was trained on.
#[derive(Debug, Clone)]
pub struct TimeModel<T> {
    network: Model<T>,
    settings: TimeMlp,
    clock: Clock,
}

impl<T: Real> TimeModel<T> {
    /// Joins them; `network` must have been built by `settings`.
    pub fn new(network: Model<T>, settings: TimeMlp, clock: Clock) -> Self {
        TimeModel { network, settings, clock }
    }

    /// The process.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The network.
    pub fn network(&self) -> &Model<T> {
        &self.network
    }

    /// What `answer` makes of the network's derivatives at the rows of `x` (n x d, flat) and time t.
    pub fn ask<R>(
        &self,
        x: &[T],
        t: f64,
        answer: impl FnOnce(Derivatives<'_, T>, Points<'_, T>) -> R,
    ) -> R {
        self.ask_each(x, &vec![t; x.len() / self.network.dim()], answer)
    }

    /// [`TimeModel::ask`] with a time for each row.
    fn ask_each<R>(
        &self,
        x: &[T],
        times: &[f64],
        answer: impl FnOnce(Derivatives<'_, T>, Points<'_, T>) -> R,
    ) -> R {
        let mut contexts = Vec::new();
        self.settings.write_contexts(&self.clock, times, &mut contexts);
        let contexts: Vec<&[T]> = contexts.iter().map(Vec::as_slice).collect();
        answer(Derivatives::new(&self.network), Points::with_contexts(x, &contexts))
    }
}

impl<T: Real> TimeScore for TimeModel<T> {
    fn dim(&self) -> usize {
        self.network.dim()
    }

    fn score_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array2<f64> {
        rows(&self.ask(&narrow::<T>(x), t, |at, x| at.score(x)), self.network.dim())
    }

    fn trace_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array1<f64> {
        self.ask(&narrow::<T>(x), t, |at, x| at.trace(x)).iter().map(|v| v.to_f64()).collect()
    }

    fn jacobian_vector_at(
        &self,
        x: ArrayView2<'_, f64>,
        t: f64,
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        let (x, v) = (narrow::<T>(x), narrow::<T>(v));
        rows(&self.ask(&x, t, |at, x| at.jacobian_vector(x, &v)), self.network.dim())
    }

    fn score_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array2<f64> {
        rows(&self.ask_each(&narrow::<T>(x), times, |at, x| at.score(x)), self.network.dim())
    }

    fn trace_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array1<f64> {
        let trace = self.ask_each(&narrow::<T>(x), times, |at, x| at.trace(x));
        trace.iter().map(|v| v.to_f64()).collect()
    }

    fn jacobian_vector_at_times(
        &self,
        x: ArrayView2<'_, f64>,
        times: &[f64],
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        let (x, v) = (narrow::<T>(x), narrow::<T>(v));
        rows(&self.ask_each(&x, times, |at, x| at.jacobian_vector(x, &v)), self.network.dim())
    }
}
