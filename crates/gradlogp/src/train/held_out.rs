//! The loss by which training decides when to stop.
//!
//! Always an estimate of MATH (4), the implicit score matching loss, whatever objective trains the
//! model: it can be compared between objectives, slice distributions and model kinds. With many columns the
//! exact trace costs too much at every evaluation; then it is estimated along a fixed number of
//! Rademacher slices, the same at every evaluation, so that the *difference* between two evaluations
//! is nearly free of slice noise. Rows with weights, those of time models, give the weighted mean. There the
//! times at which rows are seen add noise of their own, by which early weights can look better than twice as
//! good ones; so every held-out row is noised to as many times as the work allows ([`HeldOut::noisings`]).

use serde::{Deserialize, Serialize};

use crate::domain::Domain;
use crate::engine::{Draw, LossEngine, StreamId};
use crate::model::{Model, PointSet, Points};
use crate::objective::Objective;
use crate::slice::SliceDistribution;
use gradlogp_numeric::Real;

/// Most columns for which every evaluation takes the exact trace.
const EXACT_COLUMNS: usize = 64;
/// Slices per row beyond that.
const SLICES: usize = 16;
/// Rows to take where they can be made at will, times one more than the directions each is differentiated in.
const NOISED_WORK: usize = 1 << 16;

/// Mean and standard error over rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldOutLoss {
    /// Mean of MATH (4).
    pub mean: f64,
    /// Its standard error over rows.
    pub standard_error: f64,
}

impl HeldOutLoss {
    /// Whether it is below 0, the loss of a score that is 0 everywhere, by more than chance would have it.
    pub fn beats_no_score(&self) -> bool {
        self.mean < -2.0 * self.standard_error
    }
}

/// Evaluates models on held-out rows.
pub struct HeldOut<T: Real> {
    engine: LossEngine<T>,
    rows: PointSet<T>,
    weights: Vec<T>,
    /// Rows of data; those of time models come several times.
    distinct: usize,
    seed: u64,
    /// Added to the losses of the rows of data, where there is any: those of a base.
    of_base: Vec<f64>,
}

impl<T: Real> HeldOut<T> {
    /// Most rows of data evaluated.
    pub const ROWS: usize = 4096;

    /// Times to which each of `rows` rows of `dim` columns is noised, at least 1.
    pub fn noisings(rows: usize, dim: usize) -> usize {
        let directions = if dim <= EXACT_COLUMNS { dim } else { SLICES };
        (NOISED_WORK / ((1 + directions) * rows.max(1))).max(1)
    }

    /// On `rows`, of which the first few thousand are used; weighted as MATH (7) has it on a domain
    /// with a boundary.
    pub fn new(
        model: &Model<T>,
        rows: Points<'_, T>,
        domain: Option<&Domain>,
        seed: u64,
        threads: usize,
    ) -> Self {
        let few = (rows.x.len() / model.dim()).min(Self::ROWS);
        HeldOut::of(model, rows.some(model.graph(), 0..few), domain, seed, threads)
    }

    /// On all of `noised`: every row of data once, then every one again at other times, and so on.
    pub fn over_time(
        model: &Model<T>,
        noised: Points<'_, T>,
        rows: usize,
        seed: u64,
        threads: usize,
    ) -> Self {
        HeldOut { distinct: rows, ..HeldOut::of(model, noised, None, seed, threads) }
    }

    fn of(
        model: &Model<T>,
        rows: Points<'_, T>,
        domain: Option<&Domain>,
        seed: u64,
        threads: usize,
    ) -> Self {
        let objective = if model.dim() <= EXACT_COLUMNS {
            Objective::Exact
        } else {
            Objective::SsmVr { slices: SLICES }
        };
        let law = SliceDistribution::Rademacher;
        HeldOut {
            engine: match rows.base.is_empty() {
                true => LossEngine::on_domain(domain, model, &objective, law, threads),
                false => LossEngine::on_base(model, &objective, law, threads),
            },
            distinct: rows.x.len() / model.dim(),
            rows: PointSet::copy_of(rows, model.graph()),
            weights: rows.weights.to_vec(),
            of_base: Vec::new(),
            seed,
        }
    }

    /// Whether what it evaluates adds to a base.
    pub fn is_on_base(&self) -> bool {
        !self.rows.base.is_empty()
    }

    /// Adds the losses of the base, one for each row of data, so that what is evaluated is the sum of both.
    pub fn add_base(&mut self, losses: &[f64]) {
        self.of_base = losses.iter().take(self.distinct).copied().collect();
    }

    /// The loss of `model`. Call inside a thread pool.
    pub fn evaluate(&mut self, model: &Model<T>) -> HeldOutLoss {
        let draw = Draw { seed: self.seed, stream: StreamId::Held, step: 0 };
        let points = Points { weights: &self.weights, ..Points::from(&self.rows) };
        let all = self.engine.losses(model, points, draw);
        let copies = all.len() / self.distinct;
        let of_row = |row| all.iter().skip(row).step_by(self.distinct).sum::<f64>() / copies as f64;
        let base = |row: usize| self.of_base.get(row).copied().unwrap_or(0.0);
        let losses: Vec<f64> = (0..self.distinct).map(|row| of_row(row) + base(row)).collect();
        let n = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / n;
        let squares = losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>();
        let standard_error = (squares / (n - 1.0).max(1.0) / n).sqrt();
        HeldOutLoss { mean, standard_error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Threads;
    use crate::model::{Mlp, ModelKind};

    #[test]
    fn rows_are_noised_as_often_as_the_work_allows() {
        let noisings = HeldOut::<f32>::noisings;
        assert_eq!([noisings(4000, 2), noisings(10, 2), noisings(1, 1)], [5, 2184, 32_768]);
        // 17 passes for 100 columns, 65 for 64.
        assert_eq!([noisings(60, 100), noisings(60, 64), noisings(4096, 64)], [64, 16, 1]);
    }

    /// Two rows seen three times each: mean and error are those of the rows' means.
    #[test]
    fn a_row_seen_several_times_counts_once() {
        let model = Mlp::new(1, ModelKind::Score).build::<f64>(1).unwrap();
        let threads = Threads::new(1).unwrap();
        let of = |mut evaluator: HeldOut<f64>| threads.install(|| evaluator.evaluate(&model));
        let loss = |x: f64| of(HeldOut::new(&model, Points::from(&[x][..]), None, 0, 1)).mean;
        let x = [0.3, -1.0, 0.5, 2.0, -0.7, 0.1];
        let [first, second] =
            [[0.3, 0.5, -0.7], [-1.0, 2.0, 0.1]].map(|x| x.map(loss).iter().sum::<f64>() / 3.0);
        let found = of(HeldOut::over_time(&model, Points::from(&x[..]), 2, 0, 1));
        assert!((found.mean - 0.5 * (first + second)).abs() < 1e-12, "{}", found.mean);
        let error = 0.5 * (first - second).abs();
        assert!((found.standard_error - error).abs() < 1e-12, "{}", found.standard_error);
    }
}
