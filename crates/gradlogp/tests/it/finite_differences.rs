//! Objectives by finite differences, MATH (5): their order, their automatic step, their expectation.

use gradlogp::engine::{LossEngine, stream};
use gradlogp::model::{Derivatives, Model, ModelKind};
use gradlogp::{Objective, SliceDistribution};
use rand_distr::{Distribution, StandardNormal};

use super::objectives::{KINDS, draw, engine, estimate, losses, normals, small};

/// What the differences stand for, at the same slices: MATH (2) for potentials, (3) for score fields.
fn derivative(kind: ModelKind, slices: usize) -> Objective {
    match kind {
        ModelKind::LogDensity => Objective::Ssm { slices },
        _ => Objective::SsmVr { slices },
    }
}

/// Mean loss and gradient of the same rows, slices and noise.
fn both(
    model: &Model<f64>,
    objective: Objective,
    distribution: SliceDistribution,
    x: &[f64],
) -> (f64, Vec<f64>) {
    let mut engine = engine(model, objective, distribution);
    let loss = engine.loss_and_gradient(model, x, draw(4));
    (loss, engine.gradient().to_vec())
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn loss_and_gradient_converge_to_the_sliced_ones_as_eps_squared() {
    let dim = 3;
    let x = normals(20 * dim, 5);
    for kind in KINDS {
        let model = small(kind, dim);
        for distribution in SliceDistribution::ALL {
            for slices in [1, 3] {
                let (loss, gradient) = both(&model, derivative(kind, slices), distribution, &x);
                let misses = [0.04, 0.02, 0.01].map(|eps| {
                    let fd = Objective::FdSsm { slices, eps: Some(eps) };
                    let (l, g) = both(&model, fd, distribution, &x);
                    ((l - loss).abs(), distance(&g, &gradient))
                });
                for pair in misses.windows(2) {
                    let orders = [pair[0].0 / pair[1].0, pair[0].1 / pair[1].1].map(f64::log2);
                    assert!(
                        orders.iter().all(|order| (order - 2.0).abs() < 0.1),
                        "{kind:?} {distribution:?} {slices}: orders {orders:?}"
                    );
                }
                let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                let (l, g) = misses[2];
                assert!(l < 1e-3 * (1.0 + loss.abs()) && g < 1e-3 * size, "{kind:?}: {l} {g}");
            }
        }
    }
}

#[test]
fn denoising_differences_are_what_their_formula_says() {
    // MATH (5) by hand, with the draws of the engine's stream: slices of every row, then the noise.
    let (dim, rows, slices, sigma) = (3, 12, 2, 0.6);
    let x = normals(rows * dim, 6);
    let eps = Some(1e-4);
    for kind in KINDS {
        let model = small(kind, dim);
        let mut engine = LossEngine::new(
            &model,
            &Objective::FdDsm { slices, sigma, eps },
            SliceDistribution::Gaussian,
            1,
        );
        let got = engine.losses(&model, &x, draw(7));
        let mut rng = stream(draw(7).seed, draw(7).stream, 7, 0);
        let mut v = vec![0.0; rows * slices * dim];
        v.chunks_mut(slices * dim).for_each(|v| SliceDistribution::Gaussian.draw(&mut rng, dim, v));
        let z: Vec<f64> = (0..rows * dim).map(|_| StandardNormal.sample(&mut rng)).collect();
        let noisy: Vec<f64> = x.iter().zip(&z).map(|(x, z)| x + sigma * z).collect();
        let s = Derivatives::new(&model).score(noisy.as_slice());
        for r in 0..rows {
            let gap: Vec<f64> = (r * dim..(r + 1) * dim).map(|k| s[k] + z[k] / sigma).collect();
            let dot = |v: &[f64]| v.iter().zip(&gap).map(|(v, g)| v * g).sum::<f64>();
            let want = match kind {
                ModelKind::LogDensity => {
                    let row = &v[r * slices * dim..(r + 1) * slices * dim];
                    row.chunks(dim).map(|v| dot(v).powi(2)).sum::<f64>() / (2 * slices) as f64
                }
                _ => 0.5 * gap.iter().map(|g| g * g).sum::<f64>(),
            };
            assert!((got[r] - want).abs() < 1e-6 * (1.0 + want), "{kind:?}: {} {want}", got[r]);
        }
    }
}

#[test]
fn denoising_differences_have_the_expectation_of_denoising() {
    let (dim, copies, sigma) = (3, 40_000, 0.7);
    let x = normals(dim, 4).repeat(copies);
    for kind in KINDS {
        let model = small(kind, dim);
        let (want, e1) = estimate(&losses(
            &model,
            Objective::Dsm { sigma },
            SliceDistribution::default(),
            &x,
            0,
        ));
        for distribution in SliceDistribution::ALL {
            let fd = Objective::FdDsm { slices: 2, sigma, eps: None };
            let (mean, e2) = estimate(&losses(&model, fd, distribution, &x, 1));
            let error = (e1 * e1 + e2 * e2).sqrt();
            assert!(
                (mean - want).abs() < 4.0 * error,
                "{kind:?} {distribution:?}: {mean} {want} {error}"
            );
        }
    }
}

/// Root mean square over rows of the f32 loss by differences against the f64 loss by derivatives,
/// same Rademacher slices, relative to the root mean square of the latter.
fn single_precision_error(kind: ModelKind, dim: usize, eps: Option<f64>) -> f64 {
    let model = small(kind, dim).cast::<f32>();
    let exact = model.cast::<f64>();
    let x: Vec<f32> = normals(100 * dim, 8).iter().map(|x| *x as f32).collect();
    let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let slices = 1;
    let distribution = SliceDistribution::Rademacher;
    let want = LossEngine::new(&exact, &derivative(kind, slices), distribution, 2).losses(
        &exact,
        &wide,
        draw(2),
    );
    let got = LossEngine::new(&model, &Objective::FdSsm { slices, eps }, distribution, 2).losses(
        &model,
        &x,
        draw(2),
    );
    distance(&got, &want) / want.iter().map(|l| l * l).sum::<f64>().sqrt()
}

#[test]
fn the_automatic_step_balances_truncation_and_rounding_in_single_precision() {
    for (kind, tolerance) in [(ModelKind::LogDensity, 5e-3), (ModelKind::Score, 1e-4)] {
        for dim in [2, 3, 30] {
            let automatic = single_precision_error(kind, dim, None);
            assert!(automatic < tolerance, "{kind:?} {dim}: {automatic}");
            let h = match kind {
                ModelKind::LogDensity => (48.0 * 2f64.powi(-24)).powf(0.25),
                _ => (3.0 * 2f64.powi(-24)).cbrt(),
            } / (dim as f64).sqrt();
            for factor in [1.0 / 30.0, 30.0] {
                let other = single_precision_error(kind, dim, Some(factor * h));
                assert!(automatic < 0.5 * other, "{kind:?} {dim} {factor}: {automatic} {other}");
            }
        }
    }
}
