//! Models whose columns are mapped one by one before they are whitened: all answers are of the user's columns.

use ndarray::{Array1, Array2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::tests::{fitted, table};
use super::*;
use crate::data::{Standardization, Transform};
use crate::diffusion::{NoiseConfig, TimeMlp};
use crate::model::ModelKind;
use crate::sde::{AnyProcess, Process, Vp};

/// A model over time of these rows with normal marginals; without weights it is the normal distribution of z.
fn over_time(x: &Array2<f64>, kind: Standardization, weights: bool) -> FittedModel {
    let d = x.ncols();
    let plain = fitted(ModelKind::LogDensity, Standardization::Standardize, x);
    let network = TimeMlp { hidden: vec![8], ..TimeMlp::new(d, ModelKind::LogDensity) };
    let columns = plain.description().columns.clone();
    let transform = Transform::fit_normal(kind, x.view(), &columns).unwrap();
    let process = AnyProcess::Named(Process::Vp(Vp::default()));
    let config = NoiseConfig::default();
    let record = NoiseRecord { process, network: network.clone(), config, scaling: None };
    let mut built = network.build::<f32>(2).unwrap();
    if !weights {
        built.parameters.fill(0.0);
    }
    let noise = Some(record);
    let description = Description { noise, transform, ..plain.description().clone() };
    FittedModel::new(built, description).unwrap()
}

#[test]
fn answers_are_derivatives_in_the_users_columns() {
    let x = table() * 0.1;
    let scale = x.std_axis(Axis(0), 0.0);
    for kind in [Standardization::Standardize, Standardization::Whiten] {
        let model = over_time(&x, kind, true).at_time(0.4).unwrap();
        let density = model.as_log_density().unwrap();
        let (score, diagonal) = (model.score(x.view()), model.jacobian_diagonal(x.view()));
        let (value, together) = density.log_density_and_score(x.view());
        assert!((value - density.log_density(x.view())).iter().all(|e: &f64| e.abs() < 1e-9));
        assert!((&together - &score).iter().all(|e: &f64| e.abs() < 1e-9));
        let vector =
            Array2::from_shape_fn(x.dim(), |(i, k)| scale[k] * (1.0 + (i + k) as f64).sin());
        let along = model.jacobian_vector(x.view(), vector.view()).unwrap();
        let mut numeric = Array2::<f64>::zeros(x.dim());
        let near = |a: f64, b: f64, size: f64| (a - b).abs() < 2e-4 * (size + a.abs() + b.abs());
        for k in 0..3 {
            let t = 1e-5 * scale[k];
            let moved = |t: f64| {
                let mut x = x.clone();
                x.column_mut(k).mapv_inplace(|v| v + t);
                x
            };
            let (up, down) = (moved(t), moved(-t));
            let rise =
                (density.log_density(up.view()) - density.log_density(down.view())) / (2.0 * t);
            let turn = (model.score(up.view()) - model.score(down.view())) / (2.0 * t);
            for i in 0..x.nrows() {
                assert!(near(rise[i], score[[i, k]], 1.0 / scale[k]), "{kind:?} {i} {k}");
                assert!(near(turn[[i, k]], diagonal[[i, k]], 1.0 / (scale[k] * scale[k])));
                for j in 0..3 {
                    numeric[[i, j]] += turn[[i, j]] * vector[[i, k]];
                }
            }
        }
        for ((i, j), found) in along.indexed_iter() {
            assert!(near(*found, numeric[[i, j]], 10.0 / scale[j]), "{kind:?}: {found}");
        }
        let trace = model.trace(x.view());
        let sum = diagonal.sum_axis(Axis(1));
        assert!((&trace - &sum).iter().zip(&sum).all(|(e, t)| e.abs() < 1e-9 * (1.0 + t.abs())));
        let width = Array1::from(model.description().column_scale.clone());
        let loss = (&diagonal * &width * &width).sum_axis(Axis(1))
            + (&score * &width).map_axis(Axis(1), |s| 0.5 * s.dot(&s));
        let found = model.exact_loss_rows(x.view());
        assert!((found - &loss).iter().zip(&loss).all(|(e, l)| e.abs() < 1e-9 * (1.0 + l.abs())));
        let mean = model.mean_jacobian(x.view());
        for k in 0..3 {
            assert!(near(mean[[k, k]], diagonal.column(k).mean().unwrap(), 0.0));
        }
    }
}

/// Without weights the density is that of a normal z: it integrates to 1 over the user's column, here of two heaps, and is the
/// distribution function of `marginals.rs` smoothed by nothing.
#[test]
fn the_density_of_a_row_integrates_to_one() {
    let x = Array2::from_shape_fn((400, 1), |(i, _)| {
        let t = (i as f64 + 0.5) / 400.0;
        if i % 2 == 0 { t } else { 50.0 + 3.0 * (t - 0.5).powi(3) }
    });
    let model = over_time(&x, Standardization::Standardize, false);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let step = 0.002;
    let grid = Array2::from_shape_fn((80_000, 1), |(i, _)| -50.0 + step * (i as f64 + 0.5));
    let z = model.description().transform.forward(grid.view());
    let warp = model.description().transform.warp(grid.view()).unwrap();
    let log_normal =
        z.map_axis(Axis(1), |z| -0.5 * z[0] * z[0]) - 0.5 * (2.0 * std::f64::consts::PI).ln();
    let expected = log_normal + model.description().transform.log_abs_det() + &warp.log_volume;
    let mass: f64 = expected.iter().map(|l| l.exp() * step).sum();
    assert!((mass - 1.0).abs() < 0.01, "{mass}");
    let some: Vec<usize> = (0..80_000).step_by(4001).collect();
    let rows = grid.select(Axis(0), &some);
    let found = model.log_likelihood(rows.view(), &LikelihoodConfig::default(), &mut rng).unwrap();
    for (i, found) in some.iter().zip(&found.log_density) {
        // The flow solves to 1e-5.
        assert!((found - expected[*i]).abs() < 1e-2, "{found} {}", expected[*i]);
    }
    // Rows that are noised until nothing is left of them are draws of the column's own law.
    let late = model.clone().at_time(1.0).unwrap();
    let drawn = late.noised(x.view(), 5).unwrap().unwrap();
    let high = drawn.iter().filter(|x| **x > 25.0).count();
    assert!((140..260).contains(&high), "{high}");
}

#[test]
fn only_models_over_time_of_a_named_process_have_them() {
    let x = table();
    let model = over_time(&x, Standardization::Whiten, true);
    let file = tempfile::NamedTempFile::new().unwrap();
    model.save(file.path()).unwrap();
    let read = FittedModel::load(file.path()).unwrap();
    assert_eq!(read.score(x.view()), model.score(x.view()));
    assert_eq!(read.fingerprint(), model.fingerprint());
    let plain = fitted(ModelKind::LogDensity, Standardization::Standardize, &x);
    let transform = model.description().transform.clone();
    let wrong = Description { transform, ..plain.description().clone() };
    let error = FittedModel::new(plain.network().clone(), wrong).unwrap_err().to_string();
    assert!(error.contains("marginals"), "{error}");
}
