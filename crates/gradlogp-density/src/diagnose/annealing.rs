//! Annealed importance sampling between a normalized density q and an unnormalized one, p~, in both
//! directions. MATH (37).
//!
//! On a ladder 0 = b_0 < ... < b_T = 1 of densities pi_k = q^(1 - b_k) p~^(b_k), with MALA steps that leave
//! pi_k as it is:
//!
//! ```text
//! forward   x_0 ~ q;     log w = sum_k (b_k - b_{k-1}) (log p~ - log q)(x_{k-1}),  x_k from x_{k-1} under pi_k
//!           E w = Z
//! reverse   x_T ~ p;     the same ladder downwards;  log w = - sum of the same
//!           E w = 1 / Z
//! ```
//!
//! Both are exact on average for any ladder and any number of steps. By Jensen's inequality the forward
//! log mean is too small on average, the reverse one (of Z) too large: together they enclose log Z. The
//! reverse bound holds as far as its starts are draws from p: here held-out rows, moved by MALA
//! steps under p first. Step sizes are adapted on a run of their own, so the runs that count have fixed
//! steps and stay exact.
//!
//! References: Neal (2001), "Annealed importance sampling", Statistics and Computing 11, eq. 11 to 13;
//! Grosse, Ghahramani, Adams (2015) for both directions.

use crate::error::Result;
use crate::reference::ReferenceDensity;
use crate::sample::mala;
use crate::score::{LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;

/// Acceptance at which MALA moves best (Roberts and Rosenthal 1998).
const ACCEPTANCE: f64 = 0.574;

/// pi of one rung: (1 - b) log q + b log p~.
struct Rung<'a> {
    base: &'a dyn ReferenceDensity,
    target: &'a dyn LogDensity,
    share: f64,
}

impl Score for Rung<'_> {
    fn dim(&self) -> usize {
        self.target.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        self.log_density_and_score(x).1
    }
}

impl LogDensity for Rung<'_> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.target.log_density(x) * self.share + self.base.log_density(x) * (1.0 - self.share)
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (p, p_score) = self.target.log_density_and_score(x);
        let (q, q_score) = self.base.log_density_and_score(x);
        let rest = 1.0 - self.share;
        (p * self.share + q * rest, p_score * self.share + q_score * rest)
    }
}

/// The ladder: b_1..b_T with a MALA step size for each.
pub(super) struct Ladder<'a> {
    base: &'a dyn ReferenceDensity,
    target: &'a dyn LogDensity,
    steps: Vec<f64>,
}

impl<'a> Ladder<'a> {
    /// `count` rungs at even distances; step sizes adapted on `chains` chains of their own.
    pub(super) fn adapt(
        base: &'a dyn ReferenceDensity,
        target: &'a dyn LogDensity,
        count: usize,
        chains: usize,
        rng: &mut dyn Rng,
    ) -> Result<Self> {
        let d = target.dim() as f64;
        let mut ladder = Ladder { base, target, steps: vec![0.0; count] };
        let mut position = base.sample(chains, rng);
        let mut size = d.powf(-1.0 / 3.0);
        for k in 0..count {
            let rung = ladder.rung(k);
            // The first rung takes more steps: its size comes from nowhere.
            for _ in 0..if k == 0 { 20 } else { 1 } {
                let state = mala::init(position, &rung)?;
                let (state, info) = mala::step(rng, state, &rung, size);
                let accepted = info.acceptance.mean().unwrap_or(0.0);
                size = (size * (0.5 * (accepted - ACCEPTANCE)).exp()).clamp(1e-8, 10.0);
                position = state.position;
            }
            ladder.steps[k] = size;
        }
        Ok(ladder)
    }

    /// pi_{k+1}: the last one is p~.
    fn rung(&self, k: usize) -> Rung<'a> {
        let share = (k + 1) as f64 / self.steps.len() as f64;
        Rung { base: self.base, target: self.target, share }
    }

    /// (log p~ - log q) at rows, a difference of minus infinity where p~ is 0.
    fn log_ratio(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.target.log_density(x) - self.base.log_density(x)
    }

    /// One MALA step of every row under pi_{k+1}.
    fn step(&self, k: usize, x: Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        let rung = self.rung(k);
        let state = mala::init(x, &rung)?;
        Ok(mala::step(rng, state, &rung, self.steps[k]).0.position)
    }

    /// Log weights with mean Z, from `n` draws of the base.
    pub(super) fn forward(&self, n: usize, rng: &mut dyn Rng) -> Result<Array1<f64>> {
        let count = self.steps.len();
        let mut x = self.base.sample(n, rng);
        let mut log_weights = Array1::zeros(n);
        for k in 0..count {
            log_weights.scaled_add(1.0 / count as f64, &self.log_ratio(x.view()));
            if k + 1 < count {
                x = self.step(k, x, rng)?;
            }
        }
        Ok(log_weights)
    }

    /// Log weights with mean 1/Z, from rows that are (nearly) draws of p: they are first moved by
    /// `warm_up` steps under p~.
    pub(super) fn reverse(
        &self,
        start: ArrayView2<'_, f64>,
        warm_up: usize,
        rng: &mut dyn Rng,
    ) -> Result<Array1<f64>> {
        let count = self.steps.len();
        let mut x = start.to_owned();
        for _ in 0..warm_up {
            x = self.step(count - 1, x, rng)?;
        }
        let mut log_weights = Array1::zeros(x.len_of(Axis(0)));
        for k in (0..count).rev() {
            log_weights.scaled_add(-1.0 / count as f64, &self.log_ratio(x.view()));
            if k > 0 {
                x = self.step(k - 1, x, rng)?;
            }
        }
        Ok(log_weights)
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogMean;
    use super::*;
    use crate::reference::{Gaussian, GaussianMixture};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// log p + 3.7, whose normalizer is known.
    struct Shifted<'a>(&'a dyn ReferenceDensity);

    crate::delegate_score!(Score [] Shifted<'_>, |this| this.0);

    impl LogDensity for Shifted<'_> {
        fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            self.0.log_density(x) + 3.7
        }
    }

    fn both(p: &dyn ReferenceDensity, count: usize, seed: u64) -> (LogMean, LogMean) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let base = Gaussian::new(Array1::zeros(2), Array2::eye(2) * 9.0).unwrap();
        let target = Shifted(p);
        let ladder = Ladder::adapt(&base, &target, count, 64, &mut rng).unwrap();
        let forward = LogMean::of(ladder.forward(400, &mut rng).unwrap().view());
        let start = p.sample(400, &mut rng);
        let reverse = LogMean::of(ladder.reverse(start.view(), 5, &mut rng).unwrap().view());
        (forward, reverse)
    }

    fn targets() -> (Gaussian, GaussianMixture) {
        let gaussian = Gaussian::new(array![1.0, -1.0], array![[1.0, 0.5], [0.5, 0.6]]).unwrap();
        let means = array![[-2.5, 0.0], [2.0, 1.0]];
        (gaussian, GaussianMixture::isotropic(array![0.3, 0.7], means.view(), 0.5).unwrap())
    }

    #[test]
    fn both_directions_find_the_normalizer() {
        let (gaussian, mixture) = targets();
        let references: [&dyn ReferenceDensity; 2] = [&gaussian, &mixture];
        for (k, p) in references.into_iter().enumerate() {
            let (forward, reverse) = both(p, 60, k as u64);
            let miss = (forward.value - 3.7) / forward.standard_error;
            assert!(miss.abs() < 4.0, "{k}: {forward:?}");
            let miss = (-reverse.value - 3.7) / reverse.standard_error;
            assert!(miss.abs() < 4.0, "{k}: {reverse:?}");
            assert!(forward.effective_size > 50.0 && reverse.effective_size > 50.0);
        }
    }

    /// With few rungs the log weights themselves lie below log Z forwards and above it in reverse.
    #[test]
    fn mean_log_weights_are_bounds() {
        let (gaussian, _) = targets();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let base = Gaussian::new(Array1::zeros(2), Array2::eye(2) * 9.0).unwrap();
        let target = Shifted(&gaussian);
        let mut gaps = Vec::new();
        for count in [3, 30] {
            let ladder = Ladder::adapt(&base, &target, count, 64, &mut rng).unwrap();
            let lower = ladder.forward(400, &mut rng).unwrap().mean().unwrap();
            let start = gaussian.sample(400, &mut rng);
            let upper = -ladder.reverse(start.view(), 0, &mut rng).unwrap().mean().unwrap();
            assert!(lower < 3.7 && 3.7 < upper, "{count}: {lower} {upper}");
            gaps.push(upper - lower);
        }
        assert!(gaps[1] < 0.5 * gaps[0], "{gaps:?}");
    }

    /// log pi = 0.7 log q + 0.3 log p~ at b = 0.3, and so with score and trace.
    #[test]
    fn a_rung_is_the_geometric_mean() {
        let (gaussian, _) = targets();
        let base = Gaussian::new(Array1::zeros(2), Array2::eye(2) * 9.0).unwrap();
        let target = Shifted(&gaussian);
        let ladder = Ladder { base: &base, target: &target, steps: vec![0.1; 10] };
        let x = array![[0.3, -2.0], [4.0, 1.0]];
        let rung = ladder.rung(2);
        let mix = |q: f64, p: f64| 0.7 * q + 0.3 * p;
        let (value, score) = rung.log_density_and_score(x.view());
        let (p, q) = (target.log_density_and_score(x.view()), base.log_density_and_score(x.view()));
        for r in 0..2 {
            assert!((value[r] - mix(q.0[r], p.0[r])).abs() < 1e-12);
            for j in 0..2 {
                assert!((score[[r, j]] - mix(q.1[[r, j]], p.1[[r, j]])).abs() < 1e-12);
            }
        }
        assert!((rung.log_density(x.view()) - value).iter().all(|e| e.abs() < 1e-12));
        assert!((rung.score(x.view()) - score).iter().all(|e| e.abs() < 1e-12));
        assert_eq!((rung.dim(), ladder.rung(9).share), (2, 1.0));
    }

    /// One rung is importance sampling from the base, whose log weights are log p~ - log q at its draws.
    #[test]
    fn one_rung_is_importance_sampling() {
        let (gaussian, _) = targets();
        let base = Gaussian::new(Array1::zeros(2), Array2::eye(2) * 9.0).unwrap();
        let target = Shifted(&gaussian);
        let ladder = Ladder { base: &base, target: &target, steps: vec![0.1] };
        let found = ladder.forward(50, &mut ChaCha8Rng::seed_from_u64(8)).unwrap();
        let x = base.sample(50, &mut ChaCha8Rng::seed_from_u64(8));
        let expected = target.log_density(x.view()) - base.log_density(x.view());
        assert!((&found - &expected).iter().all(|e| e.abs() < 1e-12));
        let back = ladder.reverse(x.view(), 0, &mut ChaCha8Rng::seed_from_u64(8)).unwrap();
        assert!((back + expected).iter().all(|e| e.abs() < 1e-12));
    }

    /// Once the first rungs have found a size, chains accept about as many moves as they should.
    #[test]
    fn step_sizes_are_adapted_to_the_best_acceptance() {
        let (gaussian, _) = targets();
        let base = Gaussian::new(Array1::zeros(2), Array2::eye(2) * 9.0).unwrap();
        let target = Shifted(&gaussian);
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let ladder = Ladder::adapt(&base, &target, 40, 200, &mut rng).unwrap();
        for k in [20, 39] {
            let rung = ladder.rung(k);
            let start =
                if k == 39 { gaussian.sample(2000, &mut rng) } else { base.sample(2000, &mut rng) };
            let start = (0..100).try_fold(start, |x, _| ladder.step(k, x, &mut rng)).unwrap();
            let state = mala::init(start, &rung).unwrap();
            let (_, info) = mala::step(&mut rng, state, &rung, ladder.steps[k]);
            let accepted = info.acceptance.mean().unwrap();
            assert!((accepted - ACCEPTANCE).abs() < 0.12, "{k}: {accepted}");
        }
    }
}
