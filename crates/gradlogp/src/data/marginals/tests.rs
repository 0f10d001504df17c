//! Tests of `marginals.rs`.

use super::*;
use ndarray::Axis;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Half of the rows at 0 to 1, the others far to the right with a heavy tail.
fn column() -> Array1<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    (0..900)
        .map(|i| {
            let v: f64 = rng.random();
            if i % 2 == 0 { v } else { 3.0 + 2.0 / (v + 0.01).sqrt() }
        })
        .collect()
}

fn map() -> Marginal {
    let column = column();
    Marginal::fit(column.view(), column.std(0.0))
}

/// F as the module states it, by another library's distributions.
#[test]
fn the_law_is_the_one_that_is_stated() {
    let map = map();
    let (normal, t) = (Normal::new(0.0, 1.0).unwrap(), StudentsT::new(0.0, 1.0, 3.0).unwrap());
    for x in [-50.0, -1.0, 0.2, 0.9, 1.7, 4.0, 9.0, 40.0] {
        let kernels: f64 =
            map.centres.iter().zip(&map.widths).map(|(q, h)| normal.cdf((x - q) / h)).sum();
        let share = kernels / map.centres.len() as f64;
        let expected = 0.95 * share + 0.05 * t.cdf((x - map.middle) / map.scale);
        let law = map.law(x);
        assert!((law.below - expected).abs() < 1e-9, "{x}: {} {expected}", law.below);
        assert!((law.below + law.above - 1.0).abs() < 1e-12);
        assert!((normal.cdf(map.forward(x)) - expected).abs() < 1e-9);
    }
    // Far out in both tails, 3 degrees of freedom: 1 - T_3(v sqrt 3) is about 2 / (3 pi v^3).
    for v in [1e3, 2e4, 1e6] {
        let x = map.middle + v * 3.0f64.sqrt() * map.scale;
        let expected = 0.05 * 2.0 / (3.0 * PI * v.powi(3));
        assert!((map.law(x).above / expected - 1.0).abs() < 1e-5, "{v}");
        assert!(map.forward(x).is_finite());
    }
}

/// Each derivative by central differences of the one before.
#[test]
fn derivatives_are_those_of_the_map() {
    let map = map();
    for x in [-30.0f64, -2.0, 0.1, 0.55, 0.98, 1.6, 3.9, 6.0, 25.0, 400.0] {
        let h = 1e-5 * map.widths.iter().copied().fold(f64::INFINITY, f64::min).max(1e-2 * x.abs());
        let difference =
            |f: &dyn Fn(Local) -> f64| (f(map.local(x + h)) - f(map.local(x - h))) / (2.0 * h);
        let at = map.local(x);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-4 * (a.abs() + b.abs()) + 1e-7;
        let rise = (map.forward(x + h) - map.forward(x - h)) / (2.0 * h);
        assert!(near(at.slope, rise), "{x}: {at:?}");
        assert!(near(at.slope.ln(), at.log_slope));
        assert!(near(at.first, difference(&|l| l.log_slope)), "{x}: {at:?}");
        assert!(near(at.second, difference(&|l| l.first)), "{x}: {at:?}");
        let curvature =
            warp(std::slice::from_ref(&map), ndarray::array![[x]].view()).curvature[[0, 0]];
        assert!(near(curvature, difference(&|l| l.slope)), "{x}: {curvature}");
    }
}

#[test]
fn there_and_back_is_where_it_was() {
    let map = map();
    for x in [-1e4, -7.0, 0.0, 0.3, 1.4, 2.2, 5.0, 12.0, 3e3] {
        let back = map.inverse(map.forward(x));
        // Where nearly no rows are, u says little of x.
        let error = 1e-9 * (1.0 + x.abs()) / map.local(x).slope.min(1.0);
        assert!((back - x).abs() < error, "{x} {back}");
    }
    for u in [-8.0, -3.0, 0.0, 1.0, 6.0] {
        assert!((map.forward(map.inverse(u)) - u).abs() < 1e-9, "{u}");
    }
    assert!(map.forward(f64::NAN).is_nan() && map.inverse(f64::NAN).is_nan());
}

/// The rows that it was fitted to become about normal: their moments, and their distribution function.
#[test]
fn columns_become_about_normal() {
    let normal = Normal::new(0.0, 1.0).unwrap();
    let quantile = |i: usize| normal.inverse_cdf((i as f64 + 0.5) / 900.0);
    let column: Array1<f64> = (0..900).map(|i| (1.5 * quantile(i)).exp()).collect();
    let map = Marginal::fit(column.view(), column.std(0.0));
    let u = forward(&[map], column.view().insert_axis(Axis(1)));
    let u = u.column(0).to_owned();
    let (mean, sd) = (u.mean().unwrap(), u.std(0.0));
    assert!(mean.abs() < 0.25 && (sd - 1.0).abs() < 0.2, "{mean} {sd}");
    let sorted = sorted(u.iter().copied());
    let n = sorted.len() as f64;
    let apart =
        sorted.iter().enumerate().map(|(i, u)| (normal.cdf(*u) - (i as f64 + 0.5) / n).abs());
    assert!(apart.fold(0.0, f64::max) < 0.1);
}
