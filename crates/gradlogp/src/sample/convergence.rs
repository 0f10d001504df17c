//! Have the chains met, and how many independent draws are they worth?
//!
//! Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), "Rank-normalization, folding, and
//! localization: an improved R-hat". Each chain is split in halves; draws are replaced by normal
//! quantiles of their ranks, z = Phi^-1((rank - 3/8)/(S + 1/4)), so that nothing need have a variance.
//! With M half chains of N draws each, W the mean of their variances and B/N the variance of their
//! means:
//!
//! ```text
//! V     = (N - 1)/N W + B/N
//! R-hat = sqrt(V/W)                                 the larger of that of z and of folded z
//! rho_t = 1 - (W - mean over chains of autocovariance at lag t)/V
//! ESS   = M N / tau,  tau = -1 + 2 sum_k P_k,  P_k = rho_2k + rho_2k+1
//! ```
//!
//! summed while P_k > 0 and short of the last pair of lags, each P_k cut to the one before (Geyer's
//! initial monotone sequence, 1992); of the pair where the sum ends rho_2k/2 is still added where it
//! is positive, which helps chains that swing from side to side. Autocovariances have divisor N,
//! W has N - 1. ESS is at most M N log10(M N). The lags are summed directly, each only when it is
//! reached: fast for chains that mix, of order M N^2 for chains that never met.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};
use statrs::distribution::{ContinuousCDF, Normal};

/// How one column has converged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convergence {
    /// Rank-normalised split R-hat: 1 when the chains agree; above 1.01 they have not met.
    pub r_hat: f64,
    /// Bulk effective sample size: independent draws that would give the same error of the mean.
    pub effective_sample_size: f64,
}

/// [`Convergence`] of every column of `draws` (chains x draws x d).
pub fn summarise(draws: ArrayView3<'_, f64>) -> Vec<Convergence> {
    draws
        .axis_iter(Axis(2))
        .map(|column| Convergence {
            r_hat: r_hat(column),
            effective_sample_size: effective_sample_size(column),
        })
        .collect()
}

/// Rank-normalised split R-hat of one column, `draws` being chains x draws. NaN for fewer than 4
/// draws a chain, for values that are not finite, and where all are equal.
pub fn r_hat(draws: ArrayView2<'_, f64>) -> f64 {
    let Some(halves) = split(draws) else { return f64::NAN };
    let centre = median(&halves);
    let folded = halves.mapv(|v| (v - centre).abs());
    // `max` would pass over a NaN of one of them, which folding can produce (two values only).
    let bulk = plain_r_hat(&rank_normalise(&halves));
    let tail = plain_r_hat(&rank_normalise(&folded));
    if tail.is_nan() { bulk } else { bulk.max(tail) }
}

/// Bulk effective sample size of one column, `draws` being chains x draws. NaN as in [`r_hat`].
pub fn effective_sample_size(draws: ArrayView2<'_, f64>) -> f64 {
    split(draws).map_or(f64::NAN, |halves| plain_effective_sample_size(&rank_normalise(&halves)))
}

/// Effective sample size for the mean of the draws as they are (not rank-normalised): the one that
/// turns a standard deviation into the standard error of a mean, sd / sqrt(ESS).
pub fn effective_sample_size_of_mean(draws: ArrayView2<'_, f64>) -> f64 {
    split(draws).map_or(f64::NAN, |halves| plain_effective_sample_size(&halves))
}

/// Twice as many chains of half the length; the middle draw of an odd number is left out.
fn split(draws: ArrayView2<'_, f64>) -> Option<Array2<f64>> {
    let (chains, n) = draws.dim();
    if n < 4 || chains == 0 || draws.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let half = n / 2;
    let mut out = Array2::zeros((2 * chains, half));
    out.slice_mut(s![..chains, ..]).assign(&draws.slice(s![.., ..half]));
    out.slice_mut(s![chains.., ..]).assign(&draws.slice(s![.., n - half..]));
    Some(out)
}

fn median(values: &Array2<f64>) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    0.5 * (sorted[(n - 1) / 2] + sorted[n / 2])
}

/// Ranks over all chains together, ties sharing their mean rank, as normal quantiles.
fn rank_normalise(draws: &Array2<f64>) -> Array2<f64> {
    let values: Vec<f64> = draws.iter().copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let normal = Normal::standard();
    let mut out = Array2::zeros(draws.dim());
    let columns = draws.ncols();
    let mut before = 0;
    for ties in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = before as f64 + 0.5 * (ties.len() + 1) as f64;
        let z = normal.inverse_cdf((rank - 0.375) / (values.len() as f64 + 0.25));
        ties.iter().for_each(|&i| out[[i / columns, i % columns]] = z);
        before += ties.len();
    }
    out
}

/// (W, V) of the formulas above.
fn variances(chains: &Array2<f64>) -> (f64, f64) {
    let n = chains.ncols() as f64;
    let within = chains.var_axis(Axis(1), 1.0).mean().unwrap_or(f64::NAN);
    let between = chains.mean_axis(Axis(1)).map_or(f64::NAN, |means| means.var(1.0));
    (within, (n - 1.0) / n * within + between)
}

fn plain_r_hat(chains: &Array2<f64>) -> f64 {
    let (within, total) = variances(chains);
    if total > 0.0 { (total / within).sqrt() } else { f64::NAN }
}

fn plain_effective_sample_size(chains: &Array2<f64>) -> f64 {
    let (within, total) = variances(chains);
    if total <= 0.0 {
        return f64::NAN;
    }
    let centred = chains - &chains.mean_axis(Axis(1)).unwrap_or_default().insert_axis(Axis(1));
    let correlation = |lag: usize| 1.0 - (within - autocovariance(&centred, lag)) / total;
    let (mut sum, mut previous) = (0.0, f64::INFINITY);
    for lag in (0..chains.ncols()).step_by(2) {
        // Lag 0 is 1 by definition; the estimate there would count the between-chain part twice.
        let even = if lag == 0 { 1.0 } else { correlation(lag) };
        // The last lags have too few products to be used.
        let pair = if lag + 5 > chains.ncols() { 0.0 } else { even + correlation(lag + 1) };
        if pair <= 0.0 {
            sum += 0.5 * even.max(0.0);
            break;
        }
        previous = pair.min(previous);
        sum += previous;
    }
    let draws = chains.len() as f64;
    draws / (2.0 * sum - 1.0).max(1.0 / draws.log10())
}

/// Mean over chains of sum_i x_i x_{i+lag} / n, for centred chains.
fn autocovariance(centred: &Array2<f64>, lag: usize) -> f64 {
    let n = centred.ncols();
    let sum: f64 = centred
        .outer_iter()
        .map(|chain| chain.slice(s![..n - lag]).dot(&chain.slice(s![lag..])))
        .sum();
    sum / (centred.nrows() * n) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// x_t = rho x_{t-1} + sqrt(1 - rho^2) z, stationary from the start.
    fn autoregression(rho: f64, chains: usize, n: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut x: Array2<f64> =
            Array2::from_shape_simple_fn((chains, n), || StandardNormal.sample(&mut rng));
        for mut chain in x.outer_iter_mut() {
            for t in 1..n {
                chain[t] = rho * chain[t - 1] + (1.0 - rho * rho).sqrt() * chain[t];
            }
        }
        x
    }

    #[test]
    fn effective_size_of_an_autoregression_is_the_known_one() {
        for rho in [-0.5, 0.0, 0.5, 0.9] {
            let x = autoregression(rho, 4, 10_000, 1);
            let expected = 40_000.0 * (1.0 - rho) / (1.0 + rho);
            for found in [effective_sample_size(x.view()), effective_sample_size_of_mean(x.view())]
            {
                assert!(
                    (found / expected - 1.0).abs() < 0.12,
                    "rho {rho}: {found}, not {expected}"
                );
            }
        }
    }

    /// The quantity the effective size stands for: the error of the mean of one chain.
    #[test]
    fn effective_size_predicts_the_error_of_the_mean() {
        let x = autoregression(0.8, 400, 1000, 2);
        let variance_of_means = x.mean_axis(Axis(1)).unwrap().var(1.0);
        let per_chain = effective_sample_size_of_mean(x.view()) / 400.0;
        let ratio = x.var(1.0) / per_chain / variance_of_means;
        assert!((ratio - 1.0).abs() < 0.3, "{ratio}");
    }

    #[test]
    fn r_hat_is_one_for_chains_that_agree() {
        let found = r_hat(autoregression(0.3, 4, 2000, 3).view());
        assert!((0.999..1.01).contains(&found), "{found}");
    }

    #[test]
    fn r_hat_sees_shifted_means() {
        let mut x = autoregression(0.0, 4, 1000, 4);
        x.row_mut(0).mapv_inplace(|v| v + 3.0);
        let found = r_hat(x.view());
        assert!(found > 1.3, "{found}");
        assert!(effective_sample_size(x.view()) < 40.0);
    }

    #[test]
    fn r_hat_sees_different_widths_by_folding_and_drift_by_splitting() {
        let mut wide = autoregression(0.0, 4, 1000, 5);
        wide.row_mut(2).mapv_inplace(|v| v * 4.0);
        assert!(r_hat(wide.view()) > 1.05, "{}", r_hat(wide.view()));
        let mut drifting = autoregression(0.0, 4, 1000, 6);
        for mut chain in drifting.outer_iter_mut() {
            chain.iter_mut().enumerate().for_each(|(t, v)| *v += t as f64 / 300.0);
        }
        assert!(r_hat(drifting.view()) > 1.2, "{}", r_hat(drifting.view()));
    }

    /// By hand: halves (1, 2), (3, 4): W = 1/2, B/N = 2, V = 1/4 + 2, R-hat = sqrt(4.5).
    #[test]
    fn plain_r_hat_by_hand() {
        let halves = split(array![[1.0, 2.0, 3.0, 4.0]].view()).unwrap();
        assert_eq!(halves, array![[1.0, 2.0], [3.0, 4.0]]);
        assert!((plain_r_hat(&halves) - 4.5f64.sqrt()).abs() < 1e-14);
    }

    #[test]
    fn ties_share_their_mean_rank() {
        let z = rank_normalise(&array![[5.0, 1.0], [5.0, 9.0]]);
        // Ranks 1, 2.5, 2.5, 4 of 4: the shared one is the middle, the outer ones mirror.
        assert!(z[[0, 0]].abs() < 1e-12 && z[[1, 0]].abs() < 1e-12);
        assert!((z[[0, 1]] + z[[1, 1]]).abs() < 1e-12);
        // Phi(-1.049131) = 0.625/4.25.
        assert!((z[[0, 1]] + 1.049_131).abs() < 1e-6, "{}", z[[0, 1]]);
    }

    #[test]
    fn nothing_is_claimed_where_nothing_can_be() {
        assert!(r_hat(array![[1.0, 2.0, 3.0]].view()).is_nan());
        assert!(r_hat(Array2::ones((2, 10)).view()).is_nan());
        assert!(effective_sample_size(Array2::ones((2, 10)).view()).is_nan());
        assert!(r_hat(array![[1.0, f64::NAN, 3.0, 4.0]].view()).is_nan());
    }

    #[test]
    fn summary_goes_by_column() {
        let mut draws = Array3::zeros((4, 500, 2));
        draws.slice_mut(s![.., .., 0]).assign(&autoregression(0.0, 4, 500, 7));
        draws.slice_mut(s![.., .., 1]).assign(&autoregression(0.9, 4, 500, 8));
        let found = summarise(draws.view());
        assert!(found[0].effective_sample_size > 5.0 * found[1].effective_sample_size);
    }

    /// Golden numbers by arviz-stats 0.8.0, for chains that are slow, slower, have not met, and swing:
    ///
    /// ```text
    /// def lcg(n, x):
    ///     for _ in range(n):
    ///         x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
    ///         yield (x >> 11) / 2.0**53 - 0.5
    /// for rho in (0.7, 0.93, 0.97, -0.7):
    ///     x = np.array(list(lcg(4 * 501, 42))).reshape(4, 501)
    ///     for t in range(1, 501): x[:, t] += rho * x[:, t - 1]
    ///     x[3] += 0.2
    ///     print(rho, array_stats.rhat(x, method="rank"), array_stats.ess(x, method="bulk"),
    ///           array_stats.ess(x, method="mean"))
    /// ```
    #[test]
    fn agrees_with_arviz() {
        for (rho, golden) in [
            (0.7, [1.0199196350237694, 357.6918407913527, 359.4642678497671]),
            (0.93, [1.0386218389868398, 101.46812502615438, 100.49147331021906]),
            (0.97, [1.1092693102691982, 30.653534135266153, 28.889231232817238]),
            (-0.7, [1.0197774812732654, 173.9658593972488, 185.45627433888845]),
        ] {
            let x = golden_chains(rho);
            let found = [
                r_hat(x.view()),
                effective_sample_size(x.view()),
                effective_sample_size_of_mean(x.view()),
            ];
            for (found, golden) in found.into_iter().zip(golden) {
                assert!((found / golden - 1.0).abs() < 1e-9, "rho {rho}: {found}, not {golden}");
            }
        }
    }

    fn golden_chains(rho: f64) -> Array2<f64> {
        let mut state = 42u64;
        let mut x = Array2::from_shape_simple_fn((4, 501), || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        });
        for mut chain in x.outer_iter_mut() {
            for t in 1..501 {
                chain[t] += rho * chain[t - 1];
            }
        }
        x.row_mut(3).mapv_inplace(|v| v + 0.2);
        x
    }
}
