//! Tests of `impute.rs`.

use super::*;
use crate::reference::{Gaussian, GaussianMixture};
use ndarray::array;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn on(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// For N(mu, S): x_a | x_b is N(mu_a + S_ab S_bb^-1 (x_b - mu_b), S_aa - S_ab S_bb^-1 S_ba). Here two
/// patterns of missing columns, both draws in the columns' own, very different units.
#[test]
fn draws_follow_the_conditional_law() {
    let covariance = array![[1.0, 80.0, 0.0], [80.0, 10_000.0, 30.0], [0.0, 30.0, 1.0]];
    let p = Gaussian::new(array![5.0, -100.0, 0.0], covariance).unwrap();
    let nan = f64::NAN;
    let rows = array![[6.0, nan, 1.0], [nan, -50.0, nan], [1.0, 2.0, 3.0]];
    let n = 1500;
    for field in [false, true] {
        let target = if field { Target::Field(&p) } else { Target::Density(&p) };
        let config = ImputeConfig {
            draws: n,
            warm_up: if field { 600 } else { 150 },
            steps: 100,
            step_size: field.then_some(0.02),
            ..Default::default()
        };
        let known: (&[f64], &[f64]) = (&[5.0, -100.0, 0.0], &[1.0, 100.0, 1.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let run = impute(target, rows.view(), known, &config, &mut rng, &mut on).unwrap().unwrap();
        assert_eq!(run.acceptance.is_none(), field);
        let of = |i: usize, j: usize| Array1::from_shape_fn(n, |k| run.rows[[k * 3 + i, j]]);
        for (i, j) in [(0, 0), (0, 2), (1, 1), (2, 0), (2, 1), (2, 2)] {
            assert!(of(i, j).iter().all(|x| x.to_bits() == rows[[i, j]].to_bits()));
        }
        // Row 0: 80 * 1 + 30 * 1 above the mean, 10000 - 6400 - 900; row 1: 0.008 and 0.003 times 50.
        let bias = if field { 0.03 } else { 0.0 };
        for (i, j, mean, variance) in [(0, 1, 10.0, 2700.0), (1, 0, 5.4, 0.36), (1, 2, 0.15, 0.91)]
        {
            let x = of(i, j);
            let error = (x.mean().unwrap() - mean).abs() / (variance / n as f64).sqrt();
            assert!(error < 4.0, "{i} {j}: {}", x.mean().unwrap());
            let ratio = x.var(1.0) / variance;
            let band = 4.5 * (2.0 / n as f64).sqrt() + bias;
            assert!((ratio - 1.0).abs() < band, "{i} {j}: {ratio}");
        }
        let (a, c) = (of(1, 0), of(1, 2));
        let covariance = ((&a - 5.4) * (&c - 0.15)).mean().unwrap();
        assert!((covariance + 0.24).abs() < 0.07, "{covariance}");
    }
}

#[test]
fn r_hat_sees_chains_that_do_not_meet() {
    let run = |gap: f64| {
        let centres = array![[-gap, 0.0], [gap, 0.0]];
        let p = GaussianMixture::isotropic(array![0.5, 0.5], centres.view(), 0.5).unwrap();
        let config = ImputeConfig { draws: 20, ..Default::default() };
        let rows = array![[f64::NAN, 0.0]];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let known: (&[f64], &[f64]) = (&[0.0, 0.0], &[gap, 0.5]);
        let found = impute(Target::Density(&p), rows.view(), known, &config, &mut rng, &mut on);
        found.unwrap().unwrap().r_hat.unwrap()
    };
    assert!(run(0.3) < 1.05, "{}", run(0.3));
    assert!(run(6.0) > 2.0, "{}", run(6.0));
}

/// x given c is N(0, w^2) with w = 0.05 for c < 0 and 5 for c >= 0; of c nothing is known but that its score
/// is not a number from 1e300 on.
struct Fan;

impl Fan {
    fn width(c: f64) -> f64 {
        if c < 0.0 { 0.05 } else { 5.0 }
    }
}

impl Score for Fan {
    fn dim(&self) -> usize {
        2
    }
    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let at = |i: usize| match x[[i, 0]] {
            c if c >= 1e300 => f64::NAN,
            c => -x[[i, 1]] / Fan::width(c).powi(2),
        };
        Array2::from_shape_fn(x.dim(), |(i, j)| if j == 0 { 0.0 } else { at(i) })
    }
}

impl LogDensity for Fan {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let square = |x: ndarray::ArrayView1<'_, f64>| (x[1] / Fan::width(x[0])).powi(2);
        x.map_axis(Axis(1), |x| -0.5 * square(x))
    }
}

/// Rows whose widths differ a hundredfold get their own, in any number beside each other, and by both samplers.
#[test]
fn every_row_has_a_step_of_its_own() {
    let (narrow, wide) = (30, 400);
    let rows = Array2::from_shape_fn((narrow + wide, 2), |(i, j)| match (j, i < narrow) {
        (1, _) => f64::NAN,
        (_, true) => -1.0,
        (_, false) => 1.0,
    });
    let known: (&[f64], &[f64]) = (&[0.0, 0.0], &[1.0, 4.0]);
    for target in [Target::Density(&Fan), Target::Field(&Fan)] {
        let config = ImputeConfig { draws: 5, ..Default::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let run = impute(target, rows.view(), known, &config, &mut rng, &mut on);
        let run = run.unwrap().unwrap();
        assert!(run.not_mixed.is_empty() && run.lost.is_empty(), "{:?}", run.not_mixed);
        for (c, n) in [(-1.0, 5 * narrow), (1.0, 5 * wide)] {
            let of = run.rows.outer_iter().filter(|x| x[0] == c).map(|x| x[1]);
            let ratio = of.collect::<Array1<f64>>().var(1.0) / Fan::width(c).powi(2);
            let field = if matches!(target, Target::Field(_)) { 1.05 } else { 1.0 };
            let error = (ratio / field - 1.0) / (2.0 / n as f64).sqrt();
            assert!(error.abs() < 4.0, "c = {c}: variance {ratio} times the right one");
        }
    }
}

/// The bits of a row are the same alone in its place, among others, and beside rows that are far off or hopeless;
/// these are named.
#[test]
fn other_rows_change_nothing() {
    let p = Gaussian::rank_one(0.5, 2).unwrap();
    let nan = f64::NAN;
    let known: (&[f64], &[f64]) = (&[0.0, 0.0], &[1.0, 1.0]);
    let few = array![[1.0, nan], [-0.5, nan], [nan, 0.3]];
    let far = [[1e5, nan], [nan, -999_999_999_999_999.0], [nan, 1e308]];
    let many = concatenate![Axis(0), few, ndarray::arr2(&far)];
    for target in [Target::Density(&p), Target::Field(&p)] {
        let config = ImputeConfig { draws: 2, warm_up: 60, steps: 60, ..Default::default() };
        let run = |rows: &Array2<f64>| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            impute(target, rows.view(), known, &config, &mut rng, &mut on).unwrap().unwrap()
        };
        let (alone, among) = (run(&few), run(&many));
        for draw in 0..2 {
            for i in 0..3 {
                assert_eq!(alone.rows.row(draw * 3 + i), among.rows.row(draw * 6 + i));
            }
        }
    }
    let rows = array![[-1.0, nan], [1e301, nan], [1.0, nan]];
    let config = ImputeConfig { draws: 2, ..Default::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let run = impute(Target::Density(&Fan), rows.view(), known, &config, &mut rng, &mut on);
    let run = run.unwrap().unwrap();
    assert_eq!(run.lost, [1, 4]);
    assert!(run.rows[[1, 1]].is_nan() && run.rows[[4, 1]].is_nan());
    assert!([0, 2, 3, 5].iter().all(|i| run.rows[[*i, 1]].is_finite()));
    assert!(run.failure().unwrap().to_string().contains("row 2"));
}

/// x given c: at -6 or 6 for c = 0, at 0 for others, in both cases 0.4 wide.
struct Split;

impl Score for Split {
    fn dim(&self) -> usize {
        2
    }
    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        // -(x - m tanh(m x / w^2)) / w^2.
        let (m, w) = (|c: f64| if c == 0.0 { 6.0 } else { 0.0 }, 0.16);
        let at = |c: f64, x: f64| -(x - m(c) * (m(c) * x / w).tanh()) / w;
        Array2::from_shape_fn(x.dim(), |(i, j)| j as f64 * at(x[[i, 0]], x[[i, 1]]))
    }
}

impl LogDensity for Split {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let of = |c: f64, x: f64| match c == 0.0 {
            true => {
                -0.5 * (x.abs() - 6.0).powi(2) / 0.16 + (-2.0 * 6.0 * x.abs() / 0.16).exp().ln_1p()
            }
            false => -0.5 * x * x / 0.16,
        };
        x.map_axis(Axis(1), |x| of(x[0], x[1]))
    }
}

/// Of rows with separate parts and rows with one, the first are named.
#[test]
fn rows_that_do_not_mix_are_named() {
    let rows = Array2::from_shape_fn((40, 2), |(i, j)| match (j, i % 4) {
        (1, _) => f64::NAN,
        (_, 2) => 0.0,
        _ => 3.0,
    });
    let known: (&[f64], &[f64]) = (&[1.2, 0.0], &[1.5, 5.5]);
    for target in [Target::Density(&Split), Target::Field(&Split)] {
        let config = ImputeConfig { draws: 12, ..Default::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let run = impute(target, rows.view(), known, &config, &mut rng, &mut on);
        let found = run.unwrap().unwrap().not_mixed;
        assert_eq!(found, (0..10).map(|k| 4 * k + 2).collect::<Vec<_>>());
    }
}

#[test]
fn stops_when_told_and_refuses_what_does_not_fit() {
    let p = Gaussian::standard(2).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let rows = array![[f64::NAN, 1.0]];
    let known: (&[f64], &[f64]) = (&[0.0, 0.0], &[1.0, 1.0]);
    let config = ImputeConfig::default();
    let mut stop = |step: usize, total: usize| {
        assert_eq!(total, config.warm_up + config.steps);
        if step == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let target = Target::Density(&p);
    let run = impute(target, rows.view(), known, &config, &mut rng, &mut stop).unwrap();
    assert!(run.is_none());
    let short: (&[f64], &[f64]) = (&[0.0], &[1.0, 1.0]);
    assert!(impute(target, rows.view(), short, &config, &mut rng, &mut on).is_err());
    let none = ImputeConfig { draws: 0, ..config.clone() };
    assert!(impute(target, rows.view(), known, &none, &mut rng, &mut on).is_err());
    let infinite = array![[f64::NAN, f64::INFINITY]];
    let error = impute(target, infinite.view(), known, &config, &mut rng, &mut on).unwrap_err();
    assert!(error.to_string().contains("row 1"), "{error}");
}
