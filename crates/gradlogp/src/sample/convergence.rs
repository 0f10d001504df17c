//! Have the chains met, and how many independent draws are they worth?
//!
//! **R-hat.** Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), "Rank-normalization, folding, and
//! localization: an improved R-hat". Each chain is split in halves; draws are replaced by normal
//! quantiles of their ranks, z = Phi^-1((rank - 3/8)/(S + 1/4)), so that nothing need have a variance.
//! With M chains of N draws each, W the mean of their variances and B/N the variance of their means:
//!
//! ```text
//! V     = (N - 1)/N W + B/N
//! R-hat = sqrt(V/W)                                 the larger of that of z and of folded z
//! ```
//!
//! Chains that each stand still at another place have W = 0 and an infinite R-hat.
//!
//! **Effective sample size**, in one of two ways, from the same V and W:
//!
//! ```text
//! lags      rho_t = 1 - (W - mean over chains of autocovariance at lag t)/V       of half chains
//!           ESS   = M N / tau,  tau = -1 + 2 sum_k P_k,  P_k = rho_2k + rho_2k+1
//! between   ESS   = M N V / B                                                     of whole chains
//! ```
//!
//! The lags (2021, section 3.2; Geyer 1992, initial monotone sequence) are summed while P_k > 0 and short of
//! the last pair, each P_k cut to the one before; of the pair where the sum ends rho_2k/2 is still added
//! where it is positive, which helps chains that swing from side to side. Autocovariances have divisor N, W
//! has N - 1. A sum that reaches the end of short chains has seen too little of their correlation and makes
//! too much of them: of chains of 4 to 9 draws it sees nothing at all.
//!
//! The other (Gelman, Carlin, Stern, Rubin 2003, "Bayesian Data Analysis", 2nd ed., eq. 11.4) compares the
//! variance of the chains' means with what it would be for independent draws. It needs no lags, so it holds
//! for chains of 2 draws, but many chains: its relative error is about sqrt(2/(M - 1)). That of the lags
//! is at least 2/N, from means of short chains. The smaller error decides. Where the lags run out, the
//! variance between chains does, if there are 20 chains; with fewer, the smaller of the two results, if tau is
//! more than a quarter of N. Both are at most S log10 S.
//!
//! **Bulk and tails.** Of z it is the bulk size; of the indicators x <= q, q the 5% and the 95% quantile of all
//! draws, the smaller one is the tail size.
//!
//! The lags are summed directly, each only when it is reached: fast for chains that mix, of order M N^2
//! for chains that never met.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};
use statrs::distribution::{ContinuousCDF, Normal};

/// Least chains from whose means alone an effective size is told: it is then known to a third.
const CHAINS: usize = 20;

/// How one column has converged. NaN where that cannot be known: see [`r_hat`] and
/// [`effective_sample_size`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convergence {
    /// Rank-normalised split R-hat: 1 when the chains agree; above 1.01 they have not met. Infinite where
    /// each chain stands still.
    pub r_hat: f64,
    /// Bulk effective sample size: independent draws that would give the same error of the mean.
    pub effective_sample_size: f64,
    /// The same for the 5% and the 95% quantile, the smaller of the two.
    pub tail_effective_sample_size: f64,
}

/// [`Convergence`] of every column of `draws` (chains x draws x d).
pub fn summarise(draws: ArrayView3<'_, f64>) -> Vec<Convergence> {
    draws
        .axis_iter(Axis(2))
        .map(|column| Convergence {
            r_hat: r_hat(column),
            effective_sample_size: effective_sample_size(column),
            tail_effective_sample_size: tail_effective_sample_size(column),
        })
        .collect()
}

/// Chains all of whose draws are one and the same row, `draws` being chains x draws x d: they have not moved.
/// 0 where there is only one draw a chain.
pub fn still_chains(draws: ArrayView3<'_, f64>) -> usize {
    let still = |chain: &ArrayView2<'_, f64>| chain.outer_iter().all(|row| row == chain.row(0));
    if draws.dim().1 < 2 { 0 } else { draws.outer_iter().filter(still).count() }
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

/// Bulk effective sample size of one column, `draws` being chains x draws. NaN for one draw a chain, for fewer than
/// 20 chains of fewer than 10 draws, for values that are not finite, and where all are equal.
///
/// ```
/// use gradlogp::sample::convergence::effective_sample_size;
///
/// // 100 chains that stand still are 100 draws, however often each is looked at.
/// let draws = ndarray::Array2::from_shape_fn((100, 4), |(chain, _)| chain as f64);
/// assert!((effective_sample_size(draws.view()) - 100.0).abs() < 1e-9);
/// ```
pub fn effective_sample_size(draws: ArrayView2<'_, f64>) -> f64 {
    sized(draws, rank_normalise)
}

/// Effective sample size for the 5% and the 95% quantile, the smaller of the two. NaN as in
/// [`effective_sample_size`]; a quantile beyond which there is nothing is passed over.
pub fn tail_effective_sample_size(draws: ArrayView2<'_, f64>) -> f64 {
    if draws.is_empty() {
        return f64::NAN;
    }
    let mut sorted: Vec<f64> = draws.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let of = |share: f64| {
        let at = quantile(&sorted, share);
        let below = |values: &Array2<f64>| values.mapv(|v| if v <= at { 1.0 } else { 0.0 });
        sized(draws, below)
    };
    // `min` passes over a NaN.
    of(0.05).min(of(0.95))
}

/// Effective sample size for the mean of the draws as they are (not rank-normalised): the one that
/// turns a standard deviation into the standard error of a mean, sd / sqrt(ESS).
pub fn effective_sample_size_of_mean(draws: ArrayView2<'_, f64>) -> f64 {
    sized(draws, Array2::clone)
}

/// The effective size of what `of` makes of the draws; see the head of this file for the choice.
fn sized(draws: ArrayView2<'_, f64>, of: impl Fn(&Array2<f64>) -> Array2<f64>) -> f64 {
    let (chains, n) = draws.dim();
    if draws.iter().any(|v| !v.is_finite()) {
        return f64::NAN;
    }
    let between = || between_chains(&of(&draws.to_owned()));
    let halves = split(draws).filter(|halves| halves.ncols() >= 5);
    let Some(halves) = halves else {
        return if n >= 2 && chains >= CHAINS { between() } else { f64::NAN };
    };
    let lags = by_lags(&of(&halves));
    let error_between = (2.0 / (chains as f64 - 1.0)).sqrt();
    let error_of_lags = 2.0 / halves.ncols() as f64;
    match lags.ended {
        true if error_of_lags <= error_between => lags.size,
        true => between(),
        false if chains >= CHAINS => between(),
        // Correlation over a good part of the chain: there is more of it beyond.
        false if chains >= 2 && lags.time > 0.25 * halves.ncols() as f64 => {
            lags.size.min(between())
        }
        false => lags.size,
    }
}

/// Most that an effective size is said to be.
fn most(draws: f64) -> f64 {
    draws * draws.log10()
}

/// M N V / B.
fn between_chains(chains: &Array2<f64>) -> f64 {
    let Variances { of_means, total, .. } = Variances::of(chains);
    let size = chains.nrows() as f64 * total / of_means;
    // Means that agree to the last digit are those of chains that swing from side to side.
    if total > 0.0 { size.min(most(chains.len() as f64)) } else { f64::NAN }
}

/// Value of sorted numbers at a share of them, between two where it falls between.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (at - at.floor()) * (high - low)
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

/// W, B/N and V of the formulas above.
struct Variances {
    within: f64,
    of_means: f64,
    total: f64,
}

impl Variances {
    fn of(chains: &Array2<f64>) -> Self {
        let n = chains.ncols() as f64;
        let within = chains.var_axis(Axis(1), 1.0).mean().unwrap_or(f64::NAN);
        let of_means = chains.mean_axis(Axis(1)).map_or(f64::NAN, |means| means.var(1.0));
        Variances { within, of_means, total: (n - 1.0) / n * within + of_means }
    }
}

fn plain_r_hat(chains: &Array2<f64>) -> f64 {
    let Variances { within, total, .. } = Variances::of(chains);
    if total > 0.0 { (total / within).sqrt() } else { f64::NAN }
}

/// What the lags give, and whether their sum ended before the lags ran out.
struct ByLags {
    size: f64,
    /// tau.
    time: f64,
    ended: bool,
}

fn by_lags(chains: &Array2<f64>) -> ByLags {
    let Variances { within, total, .. } = Variances::of(chains);
    if !(total > 0.0) {
        return ByLags { size: f64::NAN, time: f64::NAN, ended: true };
    }
    let centred = chains - &chains.mean_axis(Axis(1)).unwrap_or_default().insert_axis(Axis(1));
    let correlation = |lag: usize| 1.0 - (within - autocovariance(&centred, lag)) / total;
    let (mut sum, mut previous, mut ended) = (0.0, f64::INFINITY, false);
    for lag in (0..chains.ncols()).step_by(2) {
        // Lag 0 is 1 by definition; the estimate there would count the between-chain part twice.
        let even = if lag == 0 { 1.0 } else { correlation(lag) };
        // The last lags have too few products to be used.
        let out = lag + 5 > chains.ncols();
        let pair = if out { 0.0 } else { even + correlation(lag + 1) };
        if pair <= 0.0 {
            sum += 0.5 * even.max(0.0);
            ended = !out;
            break;
        }
        previous = pair.min(previous);
        sum += previous;
    }
    let (draws, time) = (chains.len() as f64, (2.0 * sum - 1.0).max(0.0));
    ByLags { size: (draws / time).min(most(draws)), time, ended }
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
        // Of few chains, 9 draws say nothing of their correlation; nor does one draw of however many.
        for (chains, n) in [(4, 9), (19, 4), (500, 1)] {
            let x = autoregression(0.0, chains, n, 9);
            let found = summarise(x.view().insert_axis(Axis(2)))[0];
            assert!(found.effective_sample_size.is_nan(), "{chains} x {n}: {found:?}");
            assert!(found.tail_effective_sample_size.is_nan(), "{chains} x {n}: {found:?}");
            assert_eq!(found.r_hat.is_nan(), n < 4, "{chains} x {n}: {found:?}");
        }
        let nothing = Array3::<f64>::zeros((3, 0, 2));
        assert!(summarise(nothing.view()).iter().all(|c| c.tail_effective_sample_size.is_nan()));
        assert_eq!(still_chains(nothing.view()), 0);
    }

    /// Every number of draws from 2 to 30 in 400 chains: draws that know nothing of each other, and an
    /// autoregression, whose sum of lags is finite and known.
    #[test]
    fn short_chains_are_worth_what_they_are() {
        for rho in [0.0f64, 0.4, 0.8] {
            for n in [2, 3, 4, 5, 8, 9, 10, 13, 20, 30] {
                let x = autoregression(rho, 400, n, 20 + n as u64);
                let lag = |t: usize| (1.0 - t as f64 / n as f64) * rho.powi(t as i32);
                let known = (400 * n) as f64 / (1.0 + 2.0 * (1..n).map(lag).sum::<f64>());
                for found in
                    [effective_sample_size(x.view()), effective_sample_size_of_mean(x.view())]
                {
                    // Known to sqrt(2/399) = 7%.
                    assert!((found / known - 1.0).abs() < 0.25, "{rho} {n}: {found}, not {known}");
                }
            }
        }
    }

    #[test]
    fn chains_that_stand_still_are_worth_one_draw_each_and_have_not_met() {
        let mut x = autoregression(0.0, 100, 12, 10);
        for mut chain in x.outer_iter_mut() {
            let start = chain[0];
            chain.fill(start);
        }
        for n in [4, 8, 12] {
            let few = x.slice(s![.., ..n]);
            assert_eq!(r_hat(few), f64::INFINITY);
            for size in [effective_sample_size(few), tail_effective_sample_size(few)] {
                assert!((size - 100.0).abs() < 1e-6, "{n}: {size}");
            }
            assert_eq!(still_chains(few.insert_axis(Axis(2))), 100);
        }
        // Four of them: each lag says that they never meet.
        let few = x.slice(s![..4, ..]);
        assert!((effective_sample_size(few) - 4.0).abs() < 1e-9, "{}", effective_sample_size(few));
        x[[7, 3]] += 1.0;
        assert_eq!(still_chains(x.view().insert_axis(Axis(2))), 99);
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
        chains_of(4, 501, rho, 0.2)
    }

    /// Autoregressions of uniform numbers, the last one shifted.
    fn chains_of(chains: usize, n: usize, rho: f64, shift: f64) -> Array2<f64> {
        let mut state = 42u64;
        let mut x = Array2::from_shape_simple_fn((chains, n), || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        });
        for mut chain in x.outer_iter_mut() {
            for t in 1..n {
                chain[t] += rho * chain[t - 1];
            }
        }
        x.row_mut(chains - 1).mapv_inplace(|v| v + shift);
        x
    }

    /// Golden numbers, R-hat and sizes of bulk, tails and mean, of chains that swing, have ties, are few and short,
    /// slow, many and short, stand (nearly) still, and stay apart:
    ///
    /// ```text
    /// # lcg as above
    /// def chains(m, n, rho, shift=0.0):
    ///     x = np.array(list(lcg(m * n, 42))).reshape(m, n)
    ///     for t in range(1, n): x[:, t] += rho * x[:, t - 1]
    ///     x[m - 1] += shift
    ///     return x
    /// def normal(x): return norm.ppf((rankdata(x) - 0.375) / (x.size + 0.25)).reshape(x.shape)
    /// def between(x):
    ///     b = x.mean(axis=1).var(ddof=1); n = x.shape[1]
    ///     v = (n - 1) / n * x.var(axis=1, ddof=1).mean() + b
    ///     return min(x.shape[0] * v / b, x.size * np.log10(x.size))
    /// def tail(x): return min(between((x <= np.quantile(x, p)) * 1.0) for p in (0.05, 0.95))
    /// apart = np.where(np.arange(40) % 2 == 0, 3.0, -3.0)[:, None]
    /// for x in (chains(4, 200, -0.9), np.round(4 * chains(4, 300, 0.5)), chains(4, 40, 0.3),
    ///           chains(4, 100, 0.95, 3.0), chains(250, 8, 0.4), chains(200, 6, -0.6),
    ///           chains(100, 1, 0.0) + 1e-6 * chains(100, 20, 0.0), chains(300, 2, 0.5),
    ///           chains(40, 50, 0.5) + apart):
    ///     ess = lambda of, **p: array_stats.ess(x, method=of, **p)           # arviz-stats 0.8.0
    ///     print(array_stats.rhat(x, method="rank"),
    ///           ess("bulk"), ess("tail", prob=(0.05, 0.95)), ess("mean"),
    ///           between(normal(x)), tail(x), between(x))                     # numpy, scipy
    /// ```
    ///
    /// arviz sums lags whatever the chains: it gives 6602, the most it ever says, for the many short ones,
    /// 167 for the 100 that stand still, and 46 to 550 for the last, 40 that never meet.
    #[test]
    fn agrees_with_the_references_on_short_tied_swinging_and_frozen_chains() {
        let two_places = |x: Array2<f64>| {
            let shift = |i: usize| if i.is_multiple_of(2) { 3.0 } else { -3.0 };
            Array2::from_shape_fn(x.dim(), |(i, t)| x[[i, t]] + shift(i))
        };
        let still = chains_of(100, 1, 0.0, 0.0) + chains_of(100, 20, 0.0, 0.0) * 1e-6;
        let ties = (chains_of(4, 300, 0.5, 0.0) * 4.0).mapv(f64::round_ties_even);
        let nan = f64::NAN;
        let cases: [(&str, Array2<f64>, [f64; 4]); 9] = [
            (
                "swinging, by lags",
                chains_of(4, 200, -0.9, 0.0),
                [1.0273760920316615, 2322.471989593555, 544.693260809475, 2322.471989593555],
            ),
            (
                "ties, by lags",
                ties,
                [1.0042709323684438, 377.51326738094787, 576.3871863731443, 380.5465404012583],
            ),
            (
                "few and short, by lags",
                chains_of(4, 40, 0.3, 0.0),
                [1.004750594227207, 98.86949699851222, 127.71704988063829, 103.06261753110246],
            ),
            (
                "slow, between, but for the tails",
                chains_of(4, 100, 0.95, 3.0),
                [1.7390813101768237, 5.709290057927896, 44.26446151229271, 4.725795293739857],
            ),
            (
                "many and short, between",
                chains_of(250, 8, 0.4, 0.0),
                [1.1623654186307801, 982.2581418878847, 1413.2388059701489, 1023.5451222474754],
            ),
            (
                "many that swing, between",
                chains_of(200, 6, -0.6, 0.0),
                [1.0958426766850702, 3695.0174952571497, 1216.3214285714287, 3695.0174952571497],
            ),
            (
                "still, between",
                still,
                [22.352448648276393, 100.19288814048447, 100.0, 100.00000000009675],
            ),
            (
                "two draws, between",
                chains_of(300, 2, 0.5, 0.0),
                [nan, 418.58071064296377, 517.4545454545455, 422.45259022604654],
            ),
            (
                "apart, between",
                two_places(chains_of(40, 50, 0.5, 0.0)),
                [1.7240735972153636, 60.51575420004314, 354.53053435114487, 40.44378395760465],
            ),
        ];
        let mut apart = Vec::new();
        for (name, x, golden) in cases {
            let found = [
                r_hat(x.view()),
                effective_sample_size(x.view()),
                tail_effective_sample_size(x.view()),
                effective_sample_size_of_mean(x.view()),
            ];
            for (k, (found, golden)) in found.into_iter().zip(golden).enumerate() {
                let agree =
                    (found / golden - 1.0).abs() < 1e-7 || found.is_nan() && golden.is_nan();
                if !agree {
                    apart.push(format!("{name}, {k}: {found}, not {golden}"));
                }
            }
        }
        assert!(apart.is_empty(), "{apart:#?}");
    }
}
