//! Have the chains of one distribution met? A test for each distribution by itself, since chains of different
//! distributions should differ.
//!
//! Each of the K chains is cut in halves of n steps. With W the mean of the variances within the 2K halves and
//! B/n the variance of their means, R-hat = sqrt(V/W), V = (n - 1)/n W + B/n, as in
//! [`convergence`](super::convergence) without ranks. Of chains that have met, (B/n)/W is about tau/n times
//! an F of 2K - 1 and 2K (n/tau - 1) degrees of freedom, tau being the autocorrelation time. Of many
//! thousand distributions some exceed any fixed bound by chance, so the bound here is what R-hat exceeds once in
//! 100,000 where tau is 20 steps: 1.2 for 20 chains of 200 steps, 5 for a single one.

use ndarray::{Array2, ArrayView2, Zip};
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// Autocorrelation time that is still called mixing, in steps.
const TIME: f64 = 20.0;
/// How often chains that have met are said not to have.
const LEVEL: f64 = 1e-5;
/// The least bound.
const LEAST: f64 = 1.1;

/// What R-hat of `chains` chains, each halved into parts of `half` values every `thinning`-th step, should not
/// exceed.
pub(super) fn bound(chains: usize, half: usize, thinning: usize) -> f64 {
    let (halves, n) = (2.0 * chains as f64, half as f64);
    let time = (TIME / thinning as f64).max(1.0);
    let within = (halves * (n / time - 1.0)).max(1.0);
    let quantile = FisherSnedecor::new(halves - 1.0, within)
        .map_or(f64::INFINITY, |distribution| distribution.inverse_cdf(1.0 - LEVEL));
    (1.0 + time / n * quantile).sqrt().max(LEAST)
}

/// Mean and sum of squares of every chain and column over the steps of each half.
pub(super) struct Halves {
    half: usize,
    seen: usize,
    parts: [Moments; 2],
}

struct Moments {
    mean: Array2<f64>,
    squares: Array2<f64>,
}

impl Halves {
    /// For `steps` steps of chains x d; the middle one of an odd number is left out.
    pub(super) fn new(shape: (usize, usize), steps: usize) -> Self {
        let part = || Moments { mean: Array2::zeros(shape), squares: Array2::zeros(shape) };
        Halves { half: steps / 2, seen: steps % 2, parts: [part(), part()] }
    }

    /// Steps of a half.
    pub(super) fn half(&self) -> usize {
        self.half
    }

    /// Takes in where the chains are after a step.
    pub(super) fn add(&mut self, position: ArrayView2<'_, f64>) {
        let at = self.seen;
        self.seen += 1;
        if self.half == 0 || at >= 2 * self.half {
            return;
        }
        let count = (at % self.half + 1) as f64;
        let Moments { mean, squares } = &mut self.parts[at / self.half];
        Zip::from(mean).and(squares).and(position).for_each(|mean, squares, x| {
            let miss = x - *mean;
            *mean += miss / count;
            *squares += miss * (x - *mean);
        });
    }

    /// R-hat of one column of the chains of one distribution: infinite where none of them moved, NaN for halves
    /// of fewer than two steps.
    pub(super) fn r_hat(&self, chains: impl Iterator<Item = usize>, column: usize) -> f64 {
        if self.half < 2 {
            return f64::NAN;
        }
        let n = self.half as f64;
        let (mut means, mut within) = (Vec::new(), 0.0);
        for chain in chains {
            for part in &self.parts {
                means.push(part.mean[[chain, column]]);
                within += part.squares[[chain, column]] / (n - 1.0);
            }
        }
        let count = means.len() as f64;
        let mean = means.iter().sum::<f64>() / count;
        let between = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let within = within / count;
        if within > 0.0 { ((n - 1.0) / n + between / within).sqrt() } else { f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// x' = rho x + sqrt(1 - rho^2) z from the stationary distribution, many distributions of K chains each.
    fn largest(rho: f64, chains: usize, distributions: usize, steps: usize) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let shape = (distributions * chains, 1);
        let mut draw = || Array2::from_shape_simple_fn(shape, || StandardNormal.sample(&mut rng));
        let (mut x, mut halves): (Array2<f64>, _) = (draw(), Halves::new(shape, steps));
        for _ in 0..steps {
            x = x * rho + draw() * (1.0 - rho * rho).sqrt();
            halves.add(x.view());
        }
        let of =
            |distribution: usize| halves.r_hat((0..chains).map(|k| distribution * chains + k), 0);
        (0..distributions).map(of).fold(0.0, f64::max)
    }

    /// With autocorrelation times (1 + rho)/(1 - rho) of 1 and 19 no distribution in thousands is beyond the
    /// bound, though some are beyond 1.1.
    #[test]
    fn chains_that_have_met_are_within_the_bound() {
        for (rho, chains, distributions) in
            [(0.9, 20, 500), (0.9, 2, 3000), (0.9, 1, 3000), (0.0, 1, 3000)]
        {
            let (found, bound) = (largest(rho, chains, distributions, 200), bound(chains, 100, 1));
            assert!(found < bound, "{rho} {chains}: {found}, bound {bound}");
            assert!(rho == 0.0 || found > 1.1, "{rho} {chains}: {found} tests little");
        }
        assert!((1.1..1.3).contains(&bound(20, 100, 1)), "{}", bound(20, 100, 1));
    }

    #[test]
    fn frozen_and_separate_chains_are_beyond_it() {
        let mut halves = Halves::new((3, 1), 20);
        for step in 0..20 {
            let swing = f64::from(step % 2);
            halves.add(ndarray::array![[1.0], [swing], [50.0 + swing]].view());
        }
        assert_eq!(halves.r_hat(0..1, 0), f64::INFINITY);
        assert!(halves.r_hat(1..2, 0) < 1.1);
        assert!(halves.r_hat(1..3, 0) > 10.0);
        assert!(Halves::new((1, 1), 3).r_hat(0..1, 0).is_nan());
    }

    /// By hand: the steps 0, 2 | 4, 6 have W = 2 and B/n = 8.
    #[test]
    fn r_hat_by_hand() {
        let mut halves = Halves::new((1, 1), 4);
        [0.0, 2.0, 4.0, 6.0].iter().for_each(|x| halves.add(ndarray::array![[*x]].view()));
        assert!((halves.r_hat(0..1, 0) - (0.5 + 4.0f64).sqrt()).abs() < 1e-14);
    }
}
