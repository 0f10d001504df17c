//! A score on all cores: rows in blocks of a fixed size, so that the bits do not depend on the threads.

use crate::score::{LogDensity, Score, ScoreTrace, TimeScore};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;

/// Rows of a block: few enough for 500 chains to keep some cores busy, enough for matrix products.
const BLOCK: usize = 128;

/// The model within, evaluated in blocks of rows on the current thread pool.
#[derive(Debug)]
pub struct Parallel<'m, M: ?Sized>(pub &'m M);

/// part(block of rows) for all of `x`, joined along the first axis.
fn rows(
    x: ArrayView2<'_, f64>,
    part: impl Fn(ArrayView2<'_, f64>) -> Array2<f64> + Sync + Send,
) -> Array2<f64> {
    let blocks: Vec<ArrayView2<'_, f64>> = x.axis_chunks_iter(Axis(0), BLOCK).collect();
    let parts: Vec<Array2<f64>> = blocks.into_par_iter().map(&part).collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).unwrap_or_else(|_| Array2::zeros(x.dim()))
}

/// part(block of rows, their times) for all of `x`.
fn rows_at_times(
    x: ArrayView2<'_, f64>,
    times: &[f64],
    part: impl Fn(ArrayView2<'_, f64>, &[f64]) -> Array2<f64> + Sync + Send,
) -> Array2<f64> {
    let blocks: Vec<_> = x.axis_chunks_iter(Axis(0), BLOCK).zip(times.chunks(BLOCK)).collect();
    let parts: Vec<Array2<f64>> = blocks.into_par_iter().map(|(x, times)| part(x, times)).collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).unwrap_or_else(|_| Array2::zeros(x.dim()))
}

/// One number per row as a column.
fn column(values: Array1<f64>) -> Array2<f64> {
    values.insert_axis(Axis(1))
}

impl<M: Score + ?Sized> Score for Parallel<'_, M> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        rows(x, |x| self.0.score(x))
    }
}

impl<M: ScoreTrace + ?Sized> ScoreTrace for Parallel<'_, M> {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        rows(x, |x| column(self.0.trace(x))).column(0).to_owned()
    }
}

impl<M: LogDensity + ?Sized> LogDensity for Parallel<'_, M> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        rows(x, |x| column(self.0.log_density(x))).column(0).to_owned()
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let both = rows(x, |x| {
            let (value, score) = self.0.log_density_and_score(x);
            let mut both = column(value);
            // The same number of rows in both.
            let _ = both.append(Axis(1), score.view());
            both
        });
        (both.column(0).to_owned(), both.slice(ndarray::s![.., 1..]).to_owned())
    }
}

impl<M: TimeScore + ?Sized> TimeScore for Parallel<'_, M> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn score_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array2<f64> {
        rows(x, |x| self.0.score_at(x, t))
    }

    fn trace_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array1<f64> {
        rows(x, |x| column(self.0.trace_at(x, t))).column(0).to_owned()
    }

    fn jacobian_vector_at(
        &self,
        x: ArrayView2<'_, f64>,
        t: f64,
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        self.0.jacobian_vector_at(x, t, v)
    }

    fn score_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array2<f64> {
        rows_at_times(x, times, |x, times| self.0.score_at_times(x, times))
    }

    fn trace_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array1<f64> {
        let trace = rows_at_times(x, times, |x, times| column(self.0.trace_at_times(x, times)));
        trace.column(0).to_owned()
    }

    fn jacobian_vector_at_times(
        &self,
        x: ArrayView2<'_, f64>,
        times: &[f64],
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        self.0.jacobian_vector_at_times(x, times, v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
    use crate::sde::{Marginal, Vp};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn blocks_join_to_the_whole() {
        let centres = array![[-1.0, 0.3], [1.2, 0.0]];
        let p = GaussianMixture::isotropic(array![0.4, 0.6], centres.view(), 0.7).unwrap();
        let family =
            Marginal::gaussian(Gaussian::rank_one(0.5, 2).unwrap(), Vp::default()).unwrap();
        for n in [1, 128, 129, 700] {
            let x = p.sample(n, &mut ChaCha8Rng::seed_from_u64(1));
            let many = Parallel(&p);
            assert_eq!(many.score(x.view()), p.score(x.view()));
            assert_eq!(many.trace(x.view()), p.trace(x.view()));
            assert_eq!(many.log_density(x.view()), p.log_density(x.view()));
            assert_eq!(many.log_density_and_score(x.view()), p.log_density_and_score(x.view()));
            let many = Parallel(&family);
            assert_eq!(many.score_at(x.view(), 0.3), family.score_at(x.view(), 0.3));
            assert_eq!(many.trace_at(x.view(), 0.3), family.trace_at(x.view(), 0.3));
            let times: Vec<f64> = (0..n).map(|i| 0.1 + 0.2 * (i % 3) as f64).collect();
            let found = many.score_at_times(x.view(), &times);
            assert_eq!(found, family.score_at_times(x.view(), &times));
            for (i, t) in times.iter().enumerate().take(3) {
                assert_eq!(found.row(i), family.score_at(x.view(), *t).row(i));
            }
            let traces = many.trace_at_times(x.view(), &times);
            assert_eq!(traces, family.trace_at_times(x.view(), &times));
            let v = x.view();
            assert_eq!(many.jacobian_vector_at(v, 0.3, v), family.jacobian_vector_at(v, 0.3, v));
        }
    }
}
