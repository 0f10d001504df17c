//! Tests of `classifier.rs`.

use super::*;
use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity, Ring};
use ndarray::array;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

fn run(p: &dyn ReferenceDensity, q: &dyn ReferenceDensity, n: usize, seed: u64) -> ClassifierTest {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (x, y) = (p.sample(n, &mut rng), q.sample(n, &mut rng));
    classifier_test(x.view(), y.view(), &ClassifierConfig::default(), &mut rng).unwrap()
}

/// The best possible accuracy for N(0, 1) against N(t, 1) is Phi(t/2); for t = 1, 0.6915.
#[test]
fn accuracy_is_that_of_the_best_classifier() {
    let p = Gaussian::standard(1).unwrap();
    let q = Gaussian::new(array![1.0], array![[1.0]]).unwrap();
    let found = run(&p, &q, 4000, 1);
    assert!((found.accuracy - 0.6915).abs() < 4.0 * found.standard_error, "{found:?}");
    assert_eq!(found.n, 4000);
}

#[test]
fn one_law_cannot_be_told_apart() {
    let p = Ring::new(3.0, 0.3).unwrap();
    let found: Vec<ClassifierTest> = (0..100).map(|seed| run(&p, &p, 300, seed)).collect();
    let mean = found.iter().map(|f| f.accuracy).sum::<f64>() / 100.0;
    assert!((mean - 0.5).abs() < 4.0 * 0.5 / (100.0f64 * 300.0).sqrt(), "{mean}");
    // Binomial(100, 0.05): 13 or more has a chance of 0.15%.
    let rejected = found.iter().filter(|f| f.p_value < 0.05).count();
    assert!(rejected < 13, "{rejected} of 100");
}

/// Equal means and covariances; only the shape differs.
#[test]
fn shapes_are_told_apart() {
    let ring = Ring::new(3.0, 0.3).unwrap();
    let x = ring.sample(4000, &mut ChaCha8Rng::seed_from_u64(0));
    let spread = x.mapv(|v| v * v).mean().unwrap();
    let gaussian = Gaussian::new(array![0.0, 0.0], Array2::eye(2) * spread).unwrap();
    assert!(run(&ring, &gaussian, 1000, 1).p_value < 1e-6);
    let means = array![[-2.0, 0.0], [2.0, 0.0]];
    let of = |w: f64| GaussianMixture::isotropic(array![w, 1.0 - w], means.view(), 0.3).unwrap();
    // Half against 60% in one mode: at best 55% right.
    let found = run(&of(0.5), &of(0.6), 4000, 2);
    assert!((found.accuracy - 0.55).abs() < 4.0 * found.standard_error, "{found:?}");
    assert!(found.p_value < 1e-3);
}

#[test]
fn logistic_regression_solves_its_equation() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let features = Gaussian::standard(3).unwrap().sample(60, &mut rng);
    let w = logistic_regression(&features, 25, 0.5).unwrap();
    let loss = |w: &Array1<f64>| {
        let each = features.dot(w);
        let sign = |i: usize| if i < 25 { 1.0 } else { -1.0 };
        each.iter().enumerate().map(|(i, a)| (sign(i) * a).exp().ln_1p()).sum::<f64>()
            + 0.25 * w.dot(w)
    };
    for i in 0..3 {
        let mut e = Array1::zeros(3);
        e[i] = 1e-4;
        assert!((loss(&(&w + &e)) - loss(&(&w - &e))).abs() < 1e-9);
    }
}

#[test]
fn verdicts_by_hand() {
    // 60 of 100 right, as many called x as y: 30 of 50 y so called or more,
    // scipy.stats.hypergeom.sf(29, 100, 50, 50).
    let found = verdict(60, 50, 100).unwrap();
    assert!((found.p_value - 0.035_671_201_744_105_15).abs() < 1e-12, "{found:?}");
    assert!(found.accuracy == 0.6 && (found.standard_error - 0.5 / 99f64.sqrt()).abs() < 1e-15);
    // sf(1099, 4000, 2000, 2100): 1100 of 2100 called y are.
    let many = verdict(2100, 2100, 4000).unwrap();
    assert!((many.p_value / 0.000_858_807_589_192_123_6 - 1.0).abs() < 1e-9, "{many:?}");
    // All of four and four right: one of 70 ways to choose four.
    assert!((verdict(8, 4, 8).unwrap().p_value - 1.0 / 70.0).abs() < 1e-12);
    for called in [0, 100] {
        assert_eq!(verdict(50, called, 100).unwrap().p_value, 1.0);
    }
    assert!((verdict(0, 4, 8).unwrap().p_value - 1.0).abs() < 1e-12);
}

/// Chance of p <= a is at most a, however few rows there are: all 70 outcomes of four and four, by hand.
#[test]
fn p_values_of_few_rows_are_exact() {
    let ways = [1.0, 16.0, 36.0, 16.0, 1.0];
    for h in 0..=4 {
        let p = verdict(2 * h, 4, 8).unwrap().p_value;
        let chance: f64 = ways[h..].iter().sum::<f64>() / 70.0;
        assert!((p - chance).abs() < 1e-12, "{h}: {p} {chance}");
    }
}

#[test]
fn constant_columns_do_no_harm_and_bad_input_is_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let x = concatenate![
        Axis(1),
        Gaussian::standard(1).unwrap().sample(50, &mut rng),
        Array2::zeros((50, 1))
    ];
    let fine = ClassifierConfig::default();
    let mut of = |y: ArrayView2<'_, f64>, config: &ClassifierConfig| {
        classifier_test(x.view(), y, config, &mut rng)
    };
    assert!(of(x.view(), &fine).unwrap().accuracy.is_finite());
    assert!(of(x.slice(s![.., ..1]), &fine).is_err());
    assert!(of(x.slice(s![..7, ..]), &fine).is_err());
    assert!(of(x.slice(s![..8, ..]), &fine).is_ok());
    assert!(of(x.view(), &ClassifierConfig { ridge: 0.0, ..fine }).is_err());
}

#[test]
fn features_by_hand() {
    let waves = Waves { frequencies: array![[1.0, 0.0], [0.5, 2.0]], phases: array![0.25, 1.0] };
    let found = features(&waves, array![[2.0, -3.0]].view());
    let expected = [1.0, 2.0, -3.0, 4.0, 9.0, 0.75f64.cos(), (-5.0f64).cos()];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-15, "{found} {expected}");
    }
    assert_eq!(found.dim(), (1, 7));
}

/// Frequencies are normal with sd 1/h, then 4/h, h the median distance; phases uniform on a turn.
#[test]
fn waves_have_two_widths() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    // Distances 0 (within a half) and 3 between: more of the latter.
    let z = Array2::from_shape_fn((40, 1), |(i, _)| if i < 20 { 0.0 } else { 3.0 });
    let n = 4000;
    let found = Waves::draw(z.view(), (n, n), &mut rng);
    assert_eq!((found.frequencies.dim(), found.phases.len()), ((1, 2 * n), 2 * n));
    for (from, sd) in [(0, 1.0 / 3.0), (n, 4.0 / 3.0)] {
        let part = found.frequencies.slice(s![0, from..from + n]);
        assert!((part.std(0.0) / sd - 1.0).abs() < 0.05, "{from}: {}", part.std(0.0));
        assert!((part.mean().unwrap() / sd).abs() < 4.5 / (n as f64).sqrt());
    }
    let turn = std::f64::consts::TAU;
    assert!(found.phases.iter().all(|p| (0.0..turn).contains(p)));
    assert!((found.phases.mean().unwrap() / turn - 0.5).abs() < 0.02);
}

/// Halves of an odd number, the smaller side's, bounded by the setting.
#[test]
fn as_many_rows_are_tested_of_each_side() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let p = Gaussian::standard(1).unwrap();
    let (x, y) = (p.sample(11, &mut rng), p.sample(30, &mut rng) + 50.0);
    let of = |most_rows: usize, x: &Array2<f64>, y: &Array2<f64>| {
        let config = ClassifierConfig { features: 5, most_rows, ..Default::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        classifier_test(x.view(), y.view(), &config, &mut rng).unwrap()
    };
    for (most, n) in [(100, 12), (9, 10), (8, 8)] {
        for found in [of(most, &x, &y), of(most, &y, &x)] {
            // Nobody mistakes these for each other.
            assert_eq!((found.n, found.accuracy), (n, 1.0), "{most}");
        }
    }
}

#[test]
fn settings_at_their_least_are_taken() {
    let least = ClassifierConfig { features: 0, ridge: 1e-9, most_rows: 8 };
    assert!(least.validate().is_ok());
    for bad in [
        ClassifierConfig { most_rows: 7, ..least.clone() },
        ClassifierConfig { ridge: -1.0, ..least.clone() },
        ClassifierConfig { ridge: f64::INFINITY, ..least },
    ] {
        assert!(bad.validate().is_err(), "{bad:?}");
    }
}

/// The first half of the waves and not one more has the smaller frequency.
#[test]
fn frequencies_are_scaled_draws() {
    let z = array![[0.0], [2.0], [4.0]];
    let of = |seed| ChaCha8Rng::seed_from_u64(seed);
    let drawn = Waves::draw(z.view(), (3, 3), &mut of(2));
    let mut rng = of(2);
    for (k, found) in drawn.frequencies.iter().enumerate() {
        // Distances 2, 2, 4.
        let scale = if k < 3 { 0.5 } else { 2.0 };
        let want = scale * rng.sample::<f64, _>(StandardNormal);
        assert!((found - want).abs() < 1e-12, "{k}: {found} {want}");
    }
}
