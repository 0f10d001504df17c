//! Working memory of evaluations, kept between calls: chains ask for the scores of a few hundred rows
//! thousands of times, and would else spend their time on fresh pages.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::graph::Graph;
use crate::jet::{Request, Tape};
use gradlogp_numeric::Real;

/// Different requests for which tapes are kept.
const REQUESTS: usize = 3;

/// Idle tapes, each for the graph of one model.
pub(super) struct TapePool<T>(Mutex<Vec<Tape<T>>>);

impl<T: Real> TapePool<T> {
    /// Calls `work` with a tape for `request`, which must not need [`Tape::prepare`].
    pub(super) fn with<R>(
        &self,
        graph: &Graph,
        request: Request,
        work: impl FnOnce(&mut Tape<T>) -> R,
    ) -> R {
        let mut tape = self.take(request).unwrap_or_else(|| Tape::new(graph, request));
        let result = work(&mut tape);
        self.keep(tape);
        result
    }

    fn take(&self, request: Request) -> Option<Tape<T>> {
        let mut tapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = tapes.iter().rposition(|tape| tape.request() == request)?;
        Some(tapes.remove(at))
    }

    /// For later: as many for each of the last few requests as there are threads. A solver asks for a
    /// score and a divergence in turn, and neither may push out the tapes of the other.
    fn keep(&self, tape: Tape<T>) {
        let mut tapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = rayon::current_num_threads();
        let request = tape.request();
        let alike = |kept: &Tape<T>| kept.request() == request;
        if tapes.iter().filter(|&kept| alike(kept)).count() >= threads {
            let oldest = tapes.iter().position(alike).expect("some are alike");
            tapes.remove(oldest);
        } else if tapes.len() >= REQUESTS * threads {
            tapes.remove(0);
        }
        tapes.push(tape);
    }
}

impl<T> Default for TapePool<T> {
    fn default() -> Self {
        TapePool(Mutex::new(Vec::new()))
    }
}

/// Nothing is shared with the copy.
impl<T> Clone for TapePool<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> fmt::Debug for TapePool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TapePool")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jet::First;
    use crate::model::{Derivatives, Mlp, ModelKind};

    fn kept(pool: &TapePool<f64>) -> Vec<Request> {
        pool.0.lock().unwrap().iter().map(Tape::request).collect()
    }

    #[test]
    fn as_many_are_kept_as_there_are_threads_for_each_of_a_few_requests() {
        let graph = Mlp { hidden: vec![3], ..Mlp::new(2, ModelKind::Score) }.graph().unwrap();
        let (pool, value) = (TapePool::default(), Request::Value);
        let request = |m| Request::first(First::Shared, m);
        let at_once = |asked| {
            pool.with(&graph, asked, |_| {
                pool.with(&graph, asked, |_| pool.with(&graph, asked, |_| ()))
            });
        };
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        threads.install(|| {
            at_once(value);
            assert_eq!(kept(&pool), [value, value]);
            // In turn, as a solver asks: nothing is made anew.
            for _ in 0..3 {
                pool.with(&graph, request(1), |_| ());
                pool.with(&graph, value, |_| ());
            }
            assert_eq!(kept(&pool), [value, request(1), value]);
            // Many kinds of requests do not pile up.
            (2..9).for_each(|m| pool.with(&graph, request(m), |_| ()));
            assert_eq!(kept(&pool).len(), REQUESTS * 2);
            assert_eq!(kept(&pool)[5], request(8));
        });
    }

    /// A tape that served one call does not change what the next one gives, whatever their rows, and
    /// follows the parameters.
    #[test]
    fn used_tapes_are_as_good_as_new() {
        for kind in [ModelKind::LogDensity, ModelKind::Score] {
            let mut model =
                Mlp { hidden: vec![5, 4], ..Mlp::new(3, kind) }.build::<f64>(1).unwrap();
            let rows: Vec<f64> = (0..3 * 70).map(|i| (0.7 * i as f64).sin()).collect();
            for n in [70, 1, 33] {
                model.parameters.iter_mut().for_each(|p| *p *= 1.1);
                let (x, fresh) = (&rows[..3 * n], model.clone());
                let (used, new) = (Derivatives::new(&model), Derivatives::new(&fresh));
                assert_eq!(used.value_and_score(x), new.value_and_score(x));
                assert_eq!(used.jacobian_vector(x, x), new.jacobian_vector(x, x));
                assert_eq!(used.value_and_score(x), new.value_and_score(x));
            }
        }
    }
}
