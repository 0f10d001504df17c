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
//! Chains that are each stuck at a different place have W = 0 and an infinite R-hat.
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

use crate::stats::{median, quantile, sorted};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};
use statrs::distribution::{ContinuousCDF, Normal};

/// Least number of chains from whose means alone an effective size is reported: it is then known to a third.
const CHAINS: usize = 20;

/// How one column has converged. NaN where that cannot be known: see [`r_hat`] and
/// [`effective_sample_size`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convergence {
    /// Rank-normalized split R-hat: 1 when the chains agree; above 1.01 they have not mixed. Infinite where
    /// each chain is stuck.
    pub r_hat: f64,
    /// Bulk effective sample size: independent draws that would give the same error of the mean.
    pub effective_sample_size: f64,
    /// The same for the 5% and the 95% quantile, the smaller of the two.
    pub tail_effective_sample_size: f64,
}

/// [`Convergence`] of every column of `draws` (chains x draws x d).
pub fn summarize(draws: ArrayView3<'_, f64>) -> Vec<Convergence> {
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

/// Rank-normalized split R-hat of one column, `draws` being chains x draws. NaN for fewer than 4
/// draws a chain, for values that are not finite, and where all are equal.
pub fn r_hat(draws: ArrayView2<'_, f64>) -> f64 {
    let Some(halves) = split(draws) else { return f64::NAN };
    let centre = median(halves.iter().copied()).unwrap_or(f64::NAN);
    let folded = halves.mapv(|v| (v - centre).abs());
    // `max` would pass over a NaN of one of them, which folding can produce (two values only).
    let bulk = plain_r_hat(&rank_normalize(&halves));
    let tail = plain_r_hat(&rank_normalize(&folded));
    if tail.is_nan() { bulk } else { bulk.max(tail) }
}

/// Bulk effective sample size of one column, `draws` being chains x draws. NaN for one draw a chain, for fewer than
/// 20 chains of fewer than 10 draws, for values that are not finite, and where all are equal.
///
/// ```
/// use gradlogp_density::sample::convergence::effective_sample_size;
///
/// // 100 chains that are stuck are 100 draws, however often each is looked at.
/// let draws = ndarray::Array2::from_shape_fn((100, 4), |(chain, _)| chain as f64);
/// assert!((effective_sample_size(draws.view()) - 100.0).abs() < 1e-9);
/// ```
pub fn effective_sample_size(draws: ArrayView2<'_, f64>) -> f64 {
    sized(draws, rank_normalize)
}

/// Effective sample size for the 5% and the 95% quantile, the smaller of the two. NaN as in
/// [`effective_sample_size`]; a quantile beyond which there is nothing is passed over.
pub fn tail_effective_sample_size(draws: ArrayView2<'_, f64>) -> f64 {
    if draws.is_empty() {
        return f64::NAN;
    }
    let sorted = sorted(draws.iter().copied());
    let of = |share: f64| {
        let at = quantile(&sorted, share).unwrap_or(f64::NAN);
        let below = |values: &Array2<f64>| values.mapv(|v| if v <= at { 1.0 } else { 0.0 });
        sized(draws, below)
    };
    // `min` passes over a NaN.
    of(0.05).min(of(0.95))
}

/// Effective sample size for the mean of the draws as they are (not rank-normalized): the one that
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

/// Ranks over all chains together, ties sharing their mean rank, as normal quantiles.
fn rank_normalize(draws: &Array2<f64>) -> Array2<f64> {
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
mod tests;
