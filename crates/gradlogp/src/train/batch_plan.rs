//! Which rows are in the batch of a step: a pure function of (seed, step), so that a resumed run sees
//! exactly the batches that the uninterrupted run would have seen.

use crate::engine::permutation::{Permutation, permute};
use crate::{Error, Result};

/// Every epoch visits every row once, in a new random order.
///
/// An epoch has S = ceil(n / batch) steps; their sizes differ by at most one row (n = 1025 at batch
/// 256 gives five batches of 205, not four of 256 and one of 1): no step has a much noisier gradient
/// than the others, and rows have equal weight. A batch above n becomes n.
///
/// ```
/// let mut plan = gradlogp::train::BatchPlan::new(5, 2, 0).unwrap();
/// let mut rows = Vec::new();
/// let sizes: Vec<usize> = (0..3)
///     .map(|step| {
///         plan.indices_for_step(step, &mut rows);
///         rows.len()
///     })
///     .collect();
/// assert_eq!(sizes, [2, 2, 1]);
/// ```
#[derive(Debug, Clone)]
pub struct BatchPlan {
    n: usize,
    batch: usize,
    seed: u64,
    /// The epoch whose order is cached.
    epoch: Option<u64>,
    order: Vec<usize>,
}

impl BatchPlan {
    /// A plan for n rows in batches of at most `batch`.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch of 0, [`Error::Data`] for no rows.
    pub fn new(n: usize, batch: usize, seed: u64) -> Result<Self> {
        if batch == 0 {
            return Err(Error::config("batch", "a batch needs at least one row"));
        }
        if n == 0 {
            return Err(Error::data("training rows", "there are none"));
        }
        Ok(BatchPlan { n, batch: batch.min(n), seed, epoch: None, order: Vec::new() })
    }

    /// Number of rows n.
    pub fn n_rows(&self) -> usize {
        self.n
    }

    /// The largest batch that will occur: ceil(n / S).
    pub fn largest_batch(&self) -> usize {
        self.n.div_ceil(self.steps_per_epoch() as usize)
    }

    /// Steps in one epoch, S = ceil(n / batch).
    pub fn steps_per_epoch(&self) -> u64 {
        self.n.div_ceil(self.batch) as u64
    }

    /// The epoch that a step belongs to; both count from 0.
    pub fn epoch_of(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// Puts the rows of a step (counted from 0) into `rows`. Steps may be asked in any order; the
    /// order of the current epoch is kept, so consecutive steps cost only their own rows. Nothing is
    /// allocated after the first call.
    pub fn indices_for_step(&mut self, step: u64, rows: &mut Vec<usize>) {
        let epoch = self.epoch_of(step);
        if self.epoch != Some(epoch) {
            permute(self.n, self.seed, Permutation::Batches, epoch, &mut self.order);
            self.epoch = Some(epoch);
        }
        let steps = self.steps_per_epoch() as usize;
        let k = (step % steps as u64) as usize;
        let (size, larger) = (self.n / steps, self.n % steps);
        let start = k * size + k.min(larger);
        let end = start + size + usize::from(k < larger);
        rows.clear();
        rows.extend_from_slice(&self.order[start..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(plan: &mut BatchPlan, step: u64) -> Vec<usize> {
        let mut out = vec![77];
        plan.indices_for_step(step, &mut out);
        out
    }

    #[test]
    fn an_epoch_visits_every_row_once_in_even_batches() {
        for (n, batch) in [(1025, 256), (7, 3), (5, 5), (5, 9), (6, 1), (1279, 128)] {
            let mut plan = BatchPlan::new(n, batch, 2).unwrap();
            for epoch in 0..3 {
                let first = epoch * plan.steps_per_epoch();
                let batches: Vec<Vec<usize>> =
                    (0..plan.steps_per_epoch()).map(|k| rows(&mut plan, first + k)).collect();
                let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
                let (small, large) = (*sizes.iter().min().unwrap(), *sizes.iter().max().unwrap());
                assert!(large <= batch && large - small <= 1 && large == plan.largest_batch());
                let mut all = batches.concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..n), "{n} {batch}");
            }
        }
    }

    #[test]
    fn random_access_gives_the_same_batches_as_running_through() {
        let mut through = BatchPlan::new(103, 10, 9).unwrap();
        let expected: Vec<Vec<usize>> = (0..50).map(|step| rows(&mut through, step)).collect();
        let mut jumping = BatchPlan::new(103, 10, 9).unwrap();
        for step in [49, 0, 23, 24, 7, 48, 23] {
            assert_eq!(rows(&mut jumping, step), expected[step as usize]);
            let mut fresh = BatchPlan::new(103, 10, 9).unwrap();
            assert_eq!(rows(&mut fresh, step), expected[step as usize]);
        }
    }

    #[test]
    fn epochs_and_seeds_shuffle_anew() {
        let mut plan = BatchPlan::new(40, 40, 1).unwrap();
        let (a, b) = (rows(&mut plan, 0), rows(&mut plan, 1));
        assert_ne!(a, b);
        assert_ne!(a, rows(&mut BatchPlan::new(40, 40, 2).unwrap(), 0));
        assert_eq!((plan.epoch_of(0), plan.epoch_of(1)), (0, 1));
    }

    #[test]
    fn nothing_to_batch_is_refused() {
        assert!(matches!(BatchPlan::new(5, 0, 0), Err(Error::Config { .. })));
        assert!(matches!(BatchPlan::new(0, 5, 0), Err(Error::Data { .. })));
    }
}
