//! Tests of `convergence.rs`.

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
        for found in [effective_sample_size(x.view()), effective_sample_size_of_mean(x.view())] {
            assert!((found / expected - 1.0).abs() < 0.12, "rho {rho}: {found}, not {expected}");
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
    let z = rank_normalize(&array![[5.0, 1.0], [5.0, 9.0]]);
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
        let found = summarize(x.view().insert_axis(Axis(2)))[0];
        assert!(found.effective_sample_size.is_nan(), "{chains} x {n}: {found:?}");
        assert!(found.tail_effective_sample_size.is_nan(), "{chains} x {n}: {found:?}");
        assert_eq!(found.r_hat.is_nan(), n < 4, "{chains} x {n}: {found:?}");
    }
    let nothing = Array3::<f64>::zeros((3, 0, 2));
    assert!(summarize(nothing.view()).iter().all(|c| c.tail_effective_sample_size.is_nan()));
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
            for found in [effective_sample_size(x.view()), effective_sample_size_of_mean(x.view())]
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
    let found = summarize(draws.view());
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
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
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
            let agree = (found / golden - 1.0).abs() < 1e-7 || found.is_nan() && golden.is_nan();
            if !agree {
                apart.push(format!("{name}, {k}: {found}, not {golden}"));
            }
        }
    }
    assert!(apart.is_empty(), "{apart:#?}");
}
