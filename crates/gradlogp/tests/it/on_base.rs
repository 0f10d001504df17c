//! Scores that add to that of a base: losses of the sum less those of the base, and their gradient.

use gradlogp::Objective;
use gradlogp::SliceDistribution;
use gradlogp::engine::LossEngine;
use gradlogp::model::{Derivatives, Mlp, Model, ModelKind, Points};
use gradlogp::reference::{Gaussian, ReferenceDensity};
use gradlogp::score::{Score, ScoreTrace};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::objectives::{KINDS, draw};

/// Correlated, so that g.s of no row is 0.
fn base(dim: usize) -> Gaussian {
    Gaussian::rank_one(0.5, dim).unwrap()
}

fn rows(n: usize, dim: usize) -> Array2<f64> {
    base(dim).sample(n, &mut ChaCha8Rng::seed_from_u64(4)) * 1.3 + 0.2
}

/// 1/2 |g + s|^2 + tr grad (g + s), less the same of g alone.
fn by_hand(model: &Model<f64>, x: ArrayView2<'_, f64>) -> Vec<f64> {
    let flat: Vec<f64> = x.iter().copied().collect();
    let (at, d, base) = (Derivatives::new(model), x.ncols(), base(x.ncols()));
    let (s, trace, g, of_g) = (at.score(&flat), at.trace(&flat), base.score(x), base.trace(x));
    let half = |a: &[f64]| 0.5 * a.iter().map(|a| a * a).sum::<f64>();
    (0..x.nrows())
        .map(|r| {
            let (s, g) = (&s[r * d..(r + 1) * d], g.row(r).to_vec());
            let both: Vec<f64> = s.iter().zip(&g).map(|(s, g)| s + g).collect();
            half(&both) + trace[r] + of_g[r] - (half(&g) + of_g[r])
        })
        .collect()
}

fn network(kind: ModelKind, dim: usize) -> Model<f64> {
    Mlp { hidden: vec![6, 5], ..Mlp::new(dim, kind) }.build(3).unwrap()
}

fn points<'a>(x: &'a [f64], g: &'a [f64]) -> Points<'a, f64> {
    Points { base: g, ..Points::from(x) }
}

/// With few columns along unit vectors, with more as a whole, with 70 in two blocks.
#[test]
fn the_exact_loss_is_that_of_the_sum_less_that_of_the_base() {
    for (kind, dim) in KINDS.iter().flat_map(|kind| [2, 12, 70].map(|dim| (*kind, dim))) {
        let (model, x) = (network(kind, dim), rows(7, dim));
        let (flat, g): (Vec<f64>, Vec<f64>) =
            (x.iter().copied().collect(), base(dim).score(x.view()).iter().copied().collect());
        let law = SliceDistribution::default();
        let mut engine = LossEngine::on_base(&model, &Objective::Exact, law, 2);
        let found = engine.losses(&model, points(&flat, &g), draw(0));
        for (found, right) in found.iter().zip(by_hand(&model, x.view())) {
            assert!((found - right).abs() < 1e-9 * (1.0 + right.abs()), "{kind:?} {dim}");
        }
    }
}

/// The sliced losses have the exact one as their mean over slices.
#[test]
fn sliced_losses_are_unbiased() {
    for objective in [Objective::Ssm { slices: 2 }, Objective::SsmVr { slices: 2 }] {
        for kind in KINDS {
            let (model, x) = (network(kind, 3), rows(5, 3));
            let flat: Vec<f64> = x.iter().copied().collect();
            let g: Vec<f64> = base(3).score(x.view()).iter().copied().collect();
            let law = SliceDistribution::default();
            let mut engine = LossEngine::on_base(&model, &objective, law, 1);
            let exact = by_hand(&model, x.view());
            let draws = 4000;
            let (mut sum, mut squares) = (vec![0.0; 5], vec![0.0; 5]);
            for k in 0..draws {
                let found = engine.losses(&model, points(&flat, &g), draw(k));
                found.iter().enumerate().for_each(|(r, loss)| {
                    sum[r] += loss;
                    squares[r] += loss * loss;
                });
            }
            for r in 0..5 {
                let mean = sum[r] / draws as f64;
                let error = ((squares[r] / draws as f64 - mean * mean) / draws as f64).sqrt();
                assert!((mean - exact[r]).abs() < 5.0 * error + 1e-9, "{objective:?} {kind:?}");
            }
        }
    }
}

#[test]
fn the_gradient_is_that_of_the_losses() {
    let objectives =
        [Objective::Exact, Objective::Ssm { slices: 1 }, Objective::SsmVr { slices: 2 }];
    for (objective, (kind, dim)) in objectives.iter().flat_map(|o| {
        KINDS.iter().flat_map(|kind| [2, 12].map(|dim| (*kind, dim))).map(move |c| (o, c))
    }) {
        let (mut model, x) = (network(kind, dim), rows(6, dim));
        let flat: Vec<f64> = x.iter().copied().collect();
        let g: Vec<f64> = base(dim).score(x.view()).iter().copied().collect();
        let law = SliceDistribution::default();
        let mut engine = LossEngine::on_base(&model, objective, law, 2);
        engine.loss_and_gradient(&model, points(&flat, &g), draw(1));
        let gradient = engine.gradient().to_vec();
        let step = 1e-5;
        for k in (0..gradient.len()).step_by(7) {
            let mut at = |shift: f64| {
                model.parameters[k] += shift;
                let losses = engine.losses(&model, points(&flat, &g), draw(1));
                model.parameters[k] -= shift;
                losses.iter().sum::<f64>() / losses.len() as f64
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            let miss = (slope - gradient[k]).abs();
            assert!(miss < 1e-6 * (1.0 + slope.abs()), "{objective:?} {kind:?} {dim} {k}: {miss}");
        }
    }
}
