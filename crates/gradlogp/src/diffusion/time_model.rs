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

    /// What `answer` makes of the network's derivatives at the rows of `x` (n x d, flat, in the network's units: of its
    /// frame at t if it has one) and time t.
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

impl<T: Real> TimeModel<T> {
    /// Rows in the units of the network, and the width of each column there.
    fn inside(&self, x: ArrayView2<'_, f64>, t: f64) -> (Vec<T>, Option<Array1<f64>>) {
        match self.clock.frame() {
            None => (narrow::<T>(x), None),
            Some(frame) => {
                let (place, width) = frame.at(t);
                let (place, width) = (Array1::from(place), Array1::from(width));
                (narrow::<T>(((&x - &place) / &width).view()), Some(width))
            }
        }
    }
}

impl<T: Real> TimeModel<T> {
    /// Rows, each at a time of its own, in the units of the network, and the width of each column there.
    fn inside_each(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> (Vec<T>, Option<Array2<f64>>) {
        let Some(frame) = self.clock.frame() else { return (narrow::<T>(x), None) };
        let (mut z, mut widths) = (x.to_owned(), Array2::zeros(x.dim()));
        for ((mut z, mut widths), t) in z.outer_iter_mut().zip(widths.outer_iter_mut()).zip(times) {
            let (place, width) = frame.at(*t);
            widths.assign(&Array1::from(width));
            z -= &Array1::from(place);
            z /= &widths;
        }
        (narrow::<T>(z.view()), Some(widths))
    }
}

impl<T: Real> TimeScore for TimeModel<T> {
    fn dim(&self) -> usize {
        self.network.dim()
    }

    fn score_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array2<f64> {
        let (z, width) = self.inside(x, t);
        let score = rows(&self.ask(&z, t, |at, z| at.score(z)), self.network.dim());
        match width {
            None => score,
            Some(width) => score / &width,
        }
    }

    fn trace_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array1<f64> {
        let (z, width) = self.inside(x, t);
        let trace = self.ask(&z, t, |at, z| match width {
            None => at.trace(z),
            Some(width) => {
                // The sum over k of e_k/s_k . (grad s_z) e_k/s_k.
                let directions = Array2::from_diag(&width.recip());
                at.curvature_sum(z, &narrow::<T>(directions.view()))
            }
        });
        trace.iter().map(|v| v.to_f64()).collect()
    }

    fn jacobian_vector_at(
        &self,
        x: ArrayView2<'_, f64>,
        t: f64,
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        let (z, width) = self.inside(x, t);
        let along = match &width {
            None => narrow::<T>(v),
            Some(width) => narrow::<T>((&v / width).view()),
        };
        let product = self.ask(&z, t, |at, z| at.jacobian_vector(z, &along));
        let product = rows(&product, self.network.dim());
        match width {
            None => product,
            Some(width) => product / &width,
        }
    }

    fn score_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array2<f64> {
        let (z, widths) = self.inside_each(x, times);
        outside(rows(&self.ask_each(&z, times, |at, z| at.score(z)), self.network.dim()), widths)
    }

    fn trace_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array1<f64> {
        let (z, widths) = self.inside_each(x, times);
        let trace = self.ask_each(&z, times, |at, z| match widths {
            None => at.trace(z),
            Some(widths) => {
                // The sum over k of e_k/s_k . (grad s_z) e_k/s_k, with s_k of each row.
                let mut sum = vec![T::ZERO; times.len()];
                for (k, width) in widths.columns().into_iter().enumerate() {
                    let mut along = Array2::zeros(widths.dim());
                    along.column_mut(k).assign(&width.recip());
                    let part = at.curvature(z, &narrow::<T>(along.view()));
                    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                }
                sum
            }
        });
        trace.iter().map(|v| v.to_f64()).collect()
    }

    fn jacobian_vector_at_times(
        &self,
        x: ArrayView2<'_, f64>,
        times: &[f64],
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        let (z, widths) = self.inside_each(x, times);
        let along = match &widths {
            None => narrow::<T>(v),
            Some(widths) => narrow::<T>((&v / widths).view()),
        };
        let product = self.ask_each(&z, times, |at, z| at.jacobian_vector(z, &along));
        outside(rows(&product, self.network.dim()), widths)
    }
}

/// Gradients in the units of the rows.
fn outside(inside: Array2<f64>, widths: Option<Array2<f64>>) -> Array2<f64> {
    match widths {
        None => inside,
        Some(widths) => inside / &widths,
    }
}
