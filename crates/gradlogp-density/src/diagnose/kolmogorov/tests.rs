//! Tests of `kolmogorov.rs`.

use super::*;
use crate::reference::{Gaussian, ReferenceDensity};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[test]
fn distances_of_equal_shifted_and_disjoint_samples() {
    let a = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(ks_distance(&a, &a), 0.0);
    assert_eq!(ks_distance(&a, &[9.0]), 1.0);
    assert_eq!(ks_distance(&[1.0, 1.0], &[1.0]), 0.0);
    assert!(ks_distance(&a, &[]).is_nan());
}

/// Every order of n and m values, by bits.
#[test]
fn exact_p_values_count_the_orders() {
    for (n, m) in [(3, 4), (5, 5), (2, 7), (1, 3)] {
        let orders: Vec<u32> = (0..1u32 << (n + m)).filter(|o| o.count_ones() == n).collect();
        let distance = |order: u32| {
            let of = |side: u32| -> Vec<f64> {
                (0..n + m).filter(|k| (order >> k) & 1 == side).map(f64::from).collect()
            };
            ks_distance(&of(1), &of(0))
        };
        let all: Vec<f64> = orders.iter().map(|o| distance(*o)).collect();
        for d in &all {
            let want = all.iter().filter(|other| **other > d - 1e-9).count() as f64;
            let got = exact_tail(n as usize, m as usize, *d);
            assert!((got - want / all.len() as f64).abs() < 1e-12, "{n} {m} {d}: {got}");
        }
    }
    // Where the distribution of large samples takes over, both agree.
    let (near, far) = (exact_tail(2000, 2000, 0.043), kolmogorov_tail(1000f64.sqrt() * 0.043));
    assert!((near / far - 1.0).abs() < 0.03, "{near} {far}");
    assert_eq!(exact_tail(4, 4, 0.0), 1.0);
}

/// Table of Smirnov (1948): 10%, 1% and 0.1% points; and both series where they meet.
#[test]
fn tail_is_that_of_the_table() {
    for (lambda, p) in [(1.2238, 0.10), (1.6276, 0.01), (1.9495, 0.001), (0.8276, 0.5)] {
        assert!((kolmogorov_tail(lambda) - p).abs() < 2e-4 * (1.0 + p), "{lambda}");
    }
    assert!((kolmogorov_tail(1.17999) - kolmogorov_tail(1.18001)).abs() < 1e-4);
    assert_eq!(
        (kolmogorov_tail(0.0), kolmogorov_tail(0.01), kolmogorov_tail(50.0)),
        (1.0, 1.0, 0.0)
    );
}

#[test]
fn p_values_are_uniform_for_one_law_and_small_for_two() {
    let p = Gaussian::standard(1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let values: Vec<f64> = (0..400)
        .map(|_| {
            let (x, y) = (p.sample(300, &mut rng), p.sample(200, &mut rng));
            column_tests(x.view(), y.view()).unwrap()[0].p_value
        })
        .collect();
    let uniform = ks_uniform(&values);
    assert!(uniform.p_value > 0.001, "{uniform:?}");
    let (x, y) = (p.sample(300, &mut rng), p.sample(300, &mut rng) + 0.5);
    assert!(column_tests(x.view(), y.view()).unwrap()[0].p_value < 1e-4);
}

#[test]
fn uniform_values_pass_and_others_do_not() {
    // Four values at the middles of the quarters: D = 1/8.
    assert!((ks_uniform(&[0.125, 0.875, 0.375, 0.625]).distance - 0.125).abs() < 1e-15);
    let grid = |power: i32| -> Vec<f64> {
        (0..500).map(|i| ((f64::from(i) + 0.5) / 500.0).powi(power)).collect()
    };
    assert!(ks_uniform(&grid(1)).p_value > 0.999 && ks_uniform(&grid(2)).p_value < 1e-9);
    assert!((ks_uniform(&[0.3]).distance - 0.7).abs() < 1e-15);
}

#[test]
fn refuses_other_columns_and_nan() {
    let p = ndarray::array![[1.0, 2.0]];
    assert!(column_tests(p.view(), ndarray::array![[1.0]].view()).is_err());
    assert!(column_tests(p.view(), ndarray::array![[1.0, f64::NAN]].view()).is_err());
}

/// 2 sum (-1)^(k-1) exp(-2 k^2 lambda^2) in fifty digits. Each form of the distribution where the other one would
/// have lost its digits: many terms below, small differences of large numbers above.
#[test]
fn tail_to_twelve_digits() {
    for (lambda, p) in [
        (0.1, 1.0),
        (0.2, 0.999_999_999_999_495),
        (0.3, 0.999_990_694_198_665_5),
        (0.5, 0.963_945_243_664_875_1),
        (0.8, 0.544_142_411_574_198_2),
        (1.0, 0.269_999_671_677_354_5),
        (1.17, 0.129_390_042_185_618_78),
        (1.19, 0.117_742_292_879_771_64),
        (1.5, 0.022_217_962_616_525_13),
        (2.0, 6.709_252_557_796_953e-4),
        (3.0, 3.045_995_948_942_526e-8),
        (5.0, 3.857_499_695_927_835_6e-22),
    ] {
        let found = kolmogorov_tail(lambda);
        assert!((found / p - 1.0).abs() < 1e-12, "{lambda}: {found} {p}");
    }
}

/// Of the 45 orders of 8 and 2 values, 36 have D >= 1/2, counted one by one; N = 4 and D = 0.45.
#[test]
fn p_values_by_hand() {
    let a: Vec<f64> = (1..=8).map(f64::from).collect();
    let found = kolmogorov_smirnov(&a, &[4.5, 9.0]);
    assert_eq!(found.distance, 0.5);
    assert!((found.p_value - 36.0 / 45.0).abs() < 1e-12, "{found:?}");
    let found = ks_uniform(&[0.1, 0.3, 0.5, 0.55]);
    assert!((found.distance - 0.45).abs() < 1e-15);
    assert!((found.p_value - 0.293_478_498_287_669_4).abs() < 1e-12, "{found:?}");
}

#[test]
fn every_column_has_its_own_test() {
    let x = ndarray::array![[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]];
    let y = ndarray::array![[1.0, 1.0], [3.0, 2.0]];
    let found = column_tests(x.view(), y.view()).unwrap();
    let distances: Vec<f64> = found.iter().map(|f| f.distance).collect();
    assert!((distances[0] - 1.0 / 6.0).abs() < 1e-15 && distances[1] == 1.0, "{distances:?}");
}

/// 2100 and 2000 values are too many to count orders.
#[test]
fn large_samples_take_the_approximation() {
    let a: Vec<f64> = (0..2100).map(|i| f64::from(i) / 2100.0).collect();
    let b: Vec<f64> = (0..2000).map(|i| f64::from(i) / 2000.0 + 0.03).collect();
    let found = kolmogorov_smirnov(&a, &b);
    assert!((found.distance - 0.03).abs() < 1e-3, "{found:?}");
    // n m / (n + m) = 4,200,000 / 4100.
    let root = (42_000.0f64 / 41.0).sqrt();
    let want = kolmogorov_tail((root + 0.12 + 0.11 / root) * found.distance);
    assert!((found.p_value - want).abs() < 1e-14 && want > 0.1 && want < 0.5, "{found:?}");
    // Just below the limit orders are counted, which gives about the same.
    let exact = kolmogorov_smirnov(&a[..2000], &b);
    assert!((exact.p_value - kolmogorov_tail(exact.distance * 1000f64.sqrt())).abs() < 0.01);
}

#[test]
fn small_numbers_of_values_by_hand() {
    let found = ks_uniform(&[0.1, 0.2, 0.3, 0.4]);
    assert!((found.distance - 0.6).abs() < 1e-15);
    assert!((found.p_value - kolmogorov_tail((2.0 + 0.12 + 0.055) * 0.6)).abs() < 1e-15);
    for (n, m, distance) in [(0, 3, 0.5), (3, 0, 0.5), (2, 2, f64::NAN)] {
        assert!(exact_tail(n, m, distance).is_nan());
    }
}
