use ndarray::{Array1, Array2, Axis, s};

use super::*;
use crate::data::{Standardization, Transform};
use crate::domain::{Bounds, Boxed, Domain};
use crate::model::{Conditioning, Mlp};
use crate::train::TrainConfig;

pub(super) fn fitted(
    kind: ModelKind,
    standardization: Standardization,
    x: &Array2<f64>,
) -> FittedModel {
    let columns: Vec<String> = (0..x.ncols()).map(|k| format!("c{k}")).collect();
    let mlp = Mlp { hidden: vec![8, 8], ..Mlp::new(x.ncols(), kind) };
    let transform = Transform::fit(standardization, x.view(), &columns).unwrap();
    let network = mlp.build::<f32>(4).unwrap();
    let description = Description {
        library_version: "0".into(),
        network: mlp,
        columns,
        transform,
        condition: None,
        column_mean: x.mean_axis(Axis(0)).unwrap().to_vec(),
        column_scale: x.std_axis(Axis(0), 0.0).to_vec(),
        dequantization: None,
        noise: None,
        domain: None,
        training: TrainConfig::default(),
        choice: None,
        data: DataRecord {
            source: "test".into(),
            built_in: false,
            rows: x.nrows(),
            parts: [x.nrows(), 0, 0],
            content_hash: String::new(),
        },
        summary: FitSummary {
            stopped: "completed".into(),
            steps: 1,
            best_step: 1,
            seconds: 0.5,
            score_scale: 1.0,
            history: vec![],
        },
        kernel: None,
        gaussians: None,
    };
    FittedModel::new(network, description).unwrap()
}

pub(super) fn table() -> Array2<f64> {
    Array2::from_shape_fn((12, 3), |(i, j)| {
        let t = (i * 3 + j) as f64;
        [10.0, 0.3, 500.0][j] * ((1.7 * t).sin() + 0.4 * (i as f64 * 0.9).cos() + j as f64)
    })
}

/// A small model of its own weights for every seed.
pub(super) fn small(seed: u64) -> FittedModel {
    let model = fitted(ModelKind::LogDensity, Standardization::Standardize, &table());
    let description = model.description().clone();
    FittedModel::new(description.network.build(seed).unwrap(), description).unwrap()
}

/// A potential of three columns without weights: a normal density with mean and standard deviations of training, as
/// exp(-|z|^2 / 2) without its constant.
pub(super) fn standard_normal() -> FittedModel {
    let model = fitted(ModelKind::LogDensity, Standardization::Standardize, &table());
    let network = Mlp { base_scale: Some(1.0), ..model.description().network.clone() };
    let mut weights = network.build::<f32>(0).unwrap();
    weights.parameters.fill(0.0);
    FittedModel::new(weights, Description { network, ..model.description().clone() }).unwrap()
}

const KINDS: [Standardization; 3] =
    [Standardization::Standardize, Standardization::Whiten, Standardization::None];

#[test]
fn answers_in_the_users_units_are_derivatives_in_the_users_units() {
    // Whatever the transform: score, Jacobian, trace and log density must be consistent in x itself.
    let x = table() * 0.1;
    let scale = x.std_axis(Axis(0), 0.0);
    for standardization in KINDS {
        let model = fitted(ModelKind::LogDensity, standardization, &x);
        let density = model.as_log_density().unwrap();
        let (score, diagonal) = (model.score(x.view()), model.jacobian_diagonal(x.view()));
        let (value, together) = density.log_density_and_score(x.view());
        assert!((value - density.log_density(x.view())).iter().all(|e: &f64| e.abs() < 1e-12));
        assert!((together - &score).iter().all(|e: &f64| e.abs() < 1e-12));
        let mean_jacobian = model.mean_jacobian(x.view());
        let mut numeric = Array2::<f64>::zeros((3, 3));
        for k in 0..3 {
            let t = 1e-4 * scale[k];
            let moved = |t: f64| {
                let mut x = x.clone();
                x.column_mut(k).mapv_inplace(|v| v + t);
                x
            };
            let (up, down) = (moved(t), moved(-t));
            let derivative =
                (density.log_density(up.view()) - density.log_density(down.view())) / (2.0 * t);
            let difference = (model.score(up.view()) - model.score(down.view())) / (2.0 * t);
            for r in 0..x.nrows() {
                let size = 1.0 / scale[k];
                assert!((derivative[r] - score[[r, k]]).abs() < 1e-6 * size, "{standardization:?}");
                assert!((difference[[r, k]] - diagonal[[r, k]]).abs() < 1e-5 * size * size);
            }
            numeric.column_mut(k).assign(&difference.mean_axis(Axis(0)).unwrap());
        }
        let trace = model.trace(x.view());
        for (t, d) in trace.iter().zip(diagonal.sum_axis(Axis(1))) {
            assert!((t - d).abs() < 1e-9 * (1.0 + d.abs()), "{standardization:?}: {t} {d}");
        }
        for ((i, j), got) in mean_jacobian.indexed_iter() {
            let size = 1.0 / (scale[i] * scale[j]);
            assert!((got - numeric[[i, j]]).abs() < 1e-5 * size, "{standardization:?}");
        }
    }
}

#[test]
fn the_jacobian_along_a_vector_is_the_slope_of_the_score() {
    let sd = |x: &Array2<f64>| Array1::from(x.std_axis(Axis(0), 0.0).to_vec());
    for kind in [ModelKind::Score, ModelKind::LogDensity] {
        for standardization in KINDS {
            let mut x = table();
            if standardization == Standardization::None {
                // Columns of moderate size, in which the network is not flat.
                let scale = sd(&x);
                x /= &scale;
            }
            // A standard deviation long, in whatever units.
            let scale = sd(&x);
            let v =
                Array2::from_shape_fn(x.dim(), |(i, j)| ((i * 3 + j) as f64 * 0.7).cos()) * &scale;
            let model = fitted(kind, standardization, &x);
            let found = model.jacobian_vector(x.view(), v.view()).unwrap();
            let t = 1e-4;
            let (up, down) = (&x + &(&v * t), &x - &(&v * t));
            let slope = (model.score(up.view()) - model.score(down.view())) / (2.0 * t);
            for ((i, j), found) in found.indexed_iter() {
                let error = (found - slope[[i, j]]).abs() * scale[j];
                assert!(error < 1e-6, "{kind:?} {standardization:?} {i} {j}: {error}");
            }
        }
    }
    let (model, x) = (small(1), table());
    assert!(model.jacobian_vector(x.view(), x.slice(s![1.., ..])).is_err());
}

#[test]
fn log_density_carries_the_log_determinant() {
    let x = table();
    let (plain, scaled) = (
        fitted(ModelKind::LogDensity, Standardization::Standardize, &x),
        fitted(ModelKind::LogDensity, Standardization::Standardize, &(&x * 2.0)),
    );
    // The same network on columns twice as wide: log p falls by d log 2.
    let one = plain.as_log_density().unwrap().log_density(x.view());
    let two = scaled.as_log_density().unwrap().log_density((&x * 2.0).view());
    for (a, b) in one.iter().zip(&two) {
        assert!((a - b - 3.0 * 2f64.ln()).abs() < 1e-9);
    }
}

#[test]
fn exact_loss_is_that_of_columns_in_standard_deviations() {
    let x = table();
    let scale = x.std_axis(Axis(0), 0.0);
    for standardization in KINDS {
        let model = fitted(ModelKind::Score, standardization, &x);
        let score = model.score(x.view()) * &scale;
        let diagonal = model.jacobian_diagonal(x.view()) * &scale * &scale;
        let want: Array1<f64> =
            diagonal.sum_axis(Axis(1)) + score.map_axis(Axis(1), |s| 0.5 * s.dot(&s));
        for (got, want) in model.exact_loss_rows(x.view()).iter().zip(&want) {
            assert!((got - want).abs() < 1e-9 * (1.0 + want.abs()), "{standardization:?}");
        }
        // In units of one's own, too.
        let own: Array1<f64> = scale.iter().enumerate().map(|(k, _)| 0.5 + k as f64).collect();
        let score = model.score(x.view()) * &own;
        let diagonal = model.jacobian_diagonal(x.view()) * &own * &own;
        let want = diagonal.sum_axis(Axis(1)) + score.map_axis(Axis(1), |s| 0.5 * s.dot(&s));
        for (got, want) in model.exact_loss_rows_in(x.view(), &own.to_vec()).iter().zip(&want) {
            assert!((got - want).abs() < 1e-9 * (1.0 + want.abs()), "{standardization:?}");
        }
    }
    // Standardized columns are the network's own: there it is the loss of the network.
    let model = fitted(ModelKind::Score, Standardization::Standardize, &x);
    let z = model.description().transform.forward(x.view());
    let (s, t) = (model.network().score(z.view()), ScoreTrace::trace(model.network(), z.view()));
    let want = t + s.map_axis(Axis(1), |s| 0.5 * s.dot(&s));
    for (got, want) in model.exact_loss_rows(x.view()).iter().zip(&want) {
        assert!((got - want).abs() < 1e-4 * (1.0 + want.abs()), "{got} {want}");
    }
}

/// A model of x given two more columns c.
fn conditional(
    (kind, conditioning): (ModelKind, Conditioning),
    x: &Array2<f64>,
    c: &Array2<f64>,
) -> FittedModel {
    let plain = fitted(kind, Standardization::Whiten, x);
    let network =
        Mlp { condition_dim: c.ncols(), conditioning, ..plain.description().network.clone() };
    let columns = vec!["g0".to_string(), "g1".to_string()];
    let transform = Transform::fit(Standardization::Standardize, c.view(), &columns).unwrap();
    let condition = Some(ConditionColumns { columns, transform, range: None });
    let description =
        Description { network: network.clone(), condition, ..plain.description().clone() };
    FittedModel::new(network.build(4).unwrap(), description).unwrap()
}

#[test]
fn a_conditional_model_answers_each_row_at_its_own_condition() {
    let x = table() * 0.1;
    let c = Array2::from_shape_fn((12, 2), |(i, j)| 7.0 + (i as f64 * (0.3 + j as f64)).sin());
    for conditioning in [Conditioning::Concat, Conditioning::Film] {
        answers_at_its_condition(
            &conditional((ModelKind::LogDensity, conditioning), &x, &c),
            &x,
            &c,
        );
    }
}

fn answers_at_its_condition(model: &FittedModel, x: &Array2<f64>, c: &Array2<f64>) {
    assert_eq!(model.all_columns(), ["c0", "c1", "c2", "g0", "g1"]);
    let at = model.at_condition(c.view()).unwrap();
    let all = at.scores(x.view());
    let (diagonal, losses) = (at.jacobian_diagonal(x.view()), at.exact_loss_rows(x.view()));
    assert_eq!(all.score.dim(), (12, 3));
    for r in 0..12 {
        // One row alone at its condition, and its condition given for several rows.
        let (row, here) = (x.slice(s![r..=r, ..]), c.slice(s![r..=r, ..]));
        let one = model.at_condition(here).unwrap();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
        let alone = one.scores(row);
        near(alone.score[[0, 1]], all.score[[r, 1]]);
        near(alone.trace[0], all.trace[r]);
        near(alone.log_density.unwrap()[0], all.log_density.as_ref().unwrap()[r]);
        near(one.jacobian_diagonal(row)[[0, 2]], diagonal[[r, 2]]);
        near(one.exact_loss_rows(row)[0], losses[r]);
        near(one.score(x.view())[[r, 0]], all.score[[r, 0]]);
        // The score is the gradient in x of the log density at fixed c.
        let mut moved = x.slice(s![r..=r, ..]).to_owned();
        let t = 1e-4 * x.column(0).std(0.0);
        moved[[0, 0]] += t;
        let up = one.as_log_density().unwrap().log_density(moved.view())[0];
        moved[[0, 0]] -= 2.0 * t;
        let down = one.as_log_density().unwrap().log_density(moved.view())[0];
        let derivative = (up - down) / (2.0 * t);
        assert!(
            (derivative - all.score[[r, 0]]).abs() < 1e-5 * (1.0 + derivative.abs()),
            "{derivative}"
        );
    }
    let other = model.at_condition((c + 1.0).view()).unwrap().score(x.view());
    assert!((&other - &all.score).iter().any(|gap| gap.abs() > 1e-3), "c has no effect");
    // The network's own units, in single precision.
    let z = model.description().transform.forward(x.view());
    let inside = at.in_network_units().score(z.view());
    let outside = model.description().transform.score_to_user(inside.view());
    assert!((&outside - &all.score).iter().all(|gap| gap.abs() < 1e-4 * 20.0));
    assert_eq!(at.at_first_conditions(3).condition().unwrap().nrows(), 3);
    let mean = at.at_mean_condition().condition().unwrap();
    assert!(mean.iter().all(|c| c.abs() < 1e-12) && mean.nrows() == 1);
}

#[test]
fn conditions_that_do_not_fit_are_refused_and_files_keep_them() {
    let (x, c) = (table(), Array2::from_shape_fn((12, 2), |(i, j)| (i * i + j) as f64));
    let model = conditional((ModelKind::Score, Conditioning::Concat), &x, &c);
    assert!(model.at_condition(c.slice(s![.., ..1])).is_err());
    assert!(model.at_condition(c.slice(s![..0, ..])).is_err());
    let error = model.at_condition((&c * f64::NAN).view()).unwrap_err().to_string();
    assert!(error.contains("g0"), "{error}");
    let description = Description { condition: None, ..model.description().clone() };
    assert!(FittedModel::new(model.network().clone(), description).is_err());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    model.save(&path).unwrap();
    let back = FittedModel::load(&path).unwrap();
    let at = |m: &FittedModel| m.at_condition(c.view()).unwrap().score(x.view());
    assert_eq!(at(&back), at(&model));
    let film = conditional((ModelKind::Score, Conditioning::Film), &x, &c);
    film.save(&path).unwrap();
    let back = FittedModel::load(&path).unwrap();
    assert_eq!((back.description(), at(&back)), (film.description(), at(&film)));
    assert_ne!(at(&film), at(&model));
    // A file from before there were conditions.
    let plain = fitted(ModelKind::Score, Standardization::None, &x);
    let mut json = serde_json::to_value(plain.description()).unwrap();
    assert!(json.get("given").is_none());
    json["network"].as_object_mut().unwrap().remove("given");
    json["network"].as_object_mut().unwrap().remove("conditioning");
    assert_eq!(serde_json::from_value::<Description>(json).unwrap(), *plain.description());
}

#[test]
fn a_model_at_a_condition_shares_weights_and_description() {
    let (x, c) = (table(), Array2::from_shape_fn((12, 2), |(i, j)| (i + j) as f64));
    let model = conditional((ModelKind::Score, Conditioning::Concat), &x, &c);
    let at = model.at_condition(c.view()).unwrap();
    for copy in [&at, &at.at_first_conditions(2), &at.at_mean_condition(), &model.clone()] {
        assert!(std::ptr::eq(copy.network(), model.network()), "weights are copied");
        assert!(std::ptr::eq(copy.description(), model.description()));
    }
}

#[test]
fn file_round_trip_gives_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let x = table();
    for kind in [ModelKind::Score, ModelKind::LogDensity] {
        let model = fitted(kind, Standardization::Whiten, &x);
        model.save(&path).unwrap();
        let back = FittedModel::load(&path).unwrap();
        assert_eq!(back.description(), model.description());
        assert_eq!(back.scores(x.view()).score, model.scores(x.view()).score);
        assert_eq!(back.as_log_density().is_some(), kind == ModelKind::LogDensity);
        let bytes = FittedModel::from_bytes(&model.to_bytes().unwrap(), &path).unwrap();
        assert_eq!(bytes.fingerprint(), model.fingerprint());
        assert_eq!(bytes.description(), model.description());
    }
}

#[test]
fn a_bounded_model_has_the_weighted_loss_in_every_unit_and_no_density_outside() {
    // MATH (7) in units of standard deviations, whatever the network's units are, against the formula
    // in the user's units: with D = diag(sd), sum_j w_j D_j^2 (1/2 s_j^2 + J_jj) + D_j^2 dw_j/dx_j s_j.
    let x = table() * 0.1;
    let scale = x.std_axis(Axis(0), 0.0);
    let low = |j: usize| x.column(j).fold(f64::INFINITY, |a: f64, b| a.min(*b)) - 0.01;
    let columns = (0..3).map(|j| Bounds::new((j != 1).then(|| low(j)), None, scale[j])).collect();
    let domain = Domain::Box(Boxed { columns, power: 1.0 });
    for standardization in [Standardization::Standardize, Standardization::None] {
        let model = fitted(ModelKind::LogDensity, standardization, &x);
        let bounded = Description { domain: Some(domain.clone()), ..model.description().clone() };
        let model = FittedModel::new(model.network().clone(), bounded).unwrap();
        model.check_domain(x.view(), "table").unwrap();
        let (s, j) = (model.score(x.view()), model.jacobian_diagonal(x.view()));
        let got = model.exact_loss_rows(x.view());
        for (r, got) in got.iter().enumerate() {
            let (mut w, mut d) = ([0.0; 3], [0.0; 3]);
            domain.weights(&x.row(r).to_vec(), &mut w, &mut d);
            let parts = (0..3).map(|k| {
                let square = scale[k] * scale[k];
                square * (w[k] * (0.5 * s[[r, k]] * s[[r, k]] + j[[r, k]]) + d[k] * s[[r, k]])
            });
            let want: f64 = parts.sum();
            assert!((got - want).abs() < 1e-9 * (1.0 + want.abs()), "{standardization:?}");
        }
        let mut outside = x.clone();
        outside[[4, 2]] = low(2) - 1.0;
        let densities = model.as_log_density().unwrap().log_density(outside.view());
        assert_eq!(densities, model.scores(outside.view()).log_density.unwrap());
        let lost: Vec<usize> = (0..12).filter(|r| densities[*r] == f64::NEG_INFINITY).collect();
        assert_eq!(lost, [4]);
        let error = model.check_domain(outside.view(), "new.csv").unwrap_err().to_string();
        assert!(error.starts_with("new.csv, row 5, column \"c2\""), "{error}");
    }
}

/// In columns of unit standard deviation, whatever the user's units: the loss of a Gaussian is then -d/2 for
/// columns that are independent, and the difference is that of the mean losses.
#[test]
fn baselines_are_compared_in_columns_of_unit_deviation() {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(8);
    let p = crate::reference::Gaussian::standard(3).unwrap();
    let draw = |rng: &mut rand_chacha::ChaCha8Rng| {
        use crate::reference::ReferenceDensity;
        p.sample(3000, rng) * &ndarray::array![10.0, 0.3, 500.0] + 7.0
    };
    let (training, validation, x) = (draw(&mut rng), draw(&mut rng), draw(&mut rng));
    for standardization in KINDS {
        let model = fitted(ModelKind::Score, standardization, &training);
        let baselines = model.fit_baselines(training.view(), validation.view(), &mut rng);
        let baselines = baselines.unwrap().unwrap();
        let found = model.beside_baselines(&baselines, x.view()).unwrap().unwrap()[0];
        // 1/2 tr S^-1, of which the scale and the rows each leave a standard error of 0.022.
        assert!((found.loss + 1.5).abs() < 0.15, "{found:?}");
        let mean = model.exact_loss_rows(x.view()).mean().unwrap();
        let error = found.loss + found.difference.mean - mean;
        assert!(error.abs() < 1e-9 * mean.abs().max(1.0), "{found:?} {mean}");
        let few = x.slice(s![..1, ..]);
        assert!(model.beside_baselines(&baselines, few).unwrap().is_none());
        let none = model.fit_baselines(training.view(), x.slice(s![..0, ..]), &mut rng);
        assert!(none.unwrap().is_none());
    }
}

/// A time model of a process in the columns' own units: score and density at each time are those of z in the frame
/// there, files keep them, and what a file of before there were frames lacks is none.
#[test]
fn a_model_in_a_frame_answers_in_the_users_units_at_every_time() {
    use crate::diffusion::{Frame, NoiseConfig, TimeMlp};
    use crate::sde::{AnyProcess, ExpressionProcess};
    let x = table();
    let plain = fitted(ModelKind::LogDensity, Standardization::None, &x);
    let network = TimeMlp { hidden: vec![8], ..TimeMlp::new(3, ModelKind::LogDensity) };
    let places = vec![vec![0.0, 1.0, 500.0], vec![4.0, 1.0, 300.0]];
    let widths = vec![vec![10.0, 0.5, 500.0], vec![30.0, 0.5, 100.0]];
    let process = ExpressionProcess {
        drift: vec!["-x".into()],
        diffusion: "1".into(),
        columns: plain.description().columns.clone(),
        horizon: 1.0,
        t_min: 0.1,
    };
    let end = End { mean: vec![0.0; 3], covariance: vec![0.0; 9], shape: 0.1, shape_band: 0.05 };
    let scaling = Scaling {
        kind: Standardization::Standardize,
        frame: Frame::new(vec![0.0, 1.0], places, widths).unwrap(),
        end: Some(end),
    };
    let config = NoiseConfig { simulate: Some(5), ..NoiseConfig::default() };
    let process = AnyProcess::Expressions(process);
    let record = NoiseRecord { process, network: network.clone(), config, scaling: Some(scaling) };
    // Without weights the network is the density -|z|^2/2.
    let mut zero = network.build::<f32>(1).unwrap();
    zero.parameters.fill(0.0);
    let description = Description { noise: Some(record.clone()), ..plain.description().clone() };
    let model = FittedModel::new(zero.clone(), description.clone()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    model.save(file.path()).unwrap();
    for model in [model, FittedModel::load(file.path()).unwrap()] {
        let model = model.at_time(0.5).unwrap();
        let (m, s) = (Array1::from(vec![2.0, 1.0, 400.0]), Array1::from(vec![20.0, 0.5, 300.0]));
        let z = (&x - &m) / &s;
        let found = model.scores(x.view());
        let miss = &found.score + &(&z / &s);
        assert!(miss.iter().all(|e| e.abs() < 1e-12), "{miss}");
        let trace = -s.mapv(|s: f64| s.powi(-2)).sum();
        assert!(found.trace.iter().all(|t| (t / trace - 1.0).abs() < 1e-12));
        let log_widths = s.mapv(f64::ln).sum();
        let expected = z.map_axis(Axis(1), |z| -0.5 * z.dot(&z)) - log_widths;
        let miss = found.log_density.unwrap() - expected;
        assert!(miss.iter().all(|e| e.abs() < 1e-9), "{miss}");
        assert!(model.end().unwrap().is_normal());
    }
    let mut older = serde_json::to_value(&record).unwrap();
    older.as_object_mut().unwrap().remove("scaling");
    let older: NoiseRecord = serde_json::from_value(older).unwrap();
    assert!(older.scaling.is_none() && older.clock().unwrap().frame().is_none());
    // A transform beside the frame, or a frame of other columns, is no model.
    let transform = Transform::fit(Standardization::Standardize, x.view(), &description.columns);
    let both = Description { transform: transform.unwrap(), ..description.clone() };
    assert!(FittedModel::new(zero.clone(), both).unwrap_err().to_string().contains("transform"));
    let one = Frame::new(vec![0.0], vec![vec![0.0]], vec![vec![1.0]]).unwrap();
    let narrow = Scaling { frame: one, kind: Standardization::Standardize, end: None };
    let other = NoiseRecord { scaling: Some(narrow), ..record };
    let other = Description { noise: Some(other), ..description };
    assert!(FittedModel::new(zero, other).is_err());
}

/// Rows of an exponential distribution in one column are told from normal ones, and moments are theirs.
#[test]
fn ends_that_are_not_normal_are_known() {
    let n = 4000;
    let quantile = |i: usize| (i as f64 + 0.5) / n as f64;
    let exponential = Array2::from_shape_fn((n, 1), |(i, _)| -(1.0 - quantile(i)).ln());
    let end = End::of(exponential.view()).unwrap();
    assert!((end.mean[0] - 1.0).abs() < 0.01 && (end.covariance[0] - 1.0).abs() < 0.02);
    // Skewness 2, excess kurtosis 6.
    assert!(!end.is_normal() && (end.shape - 3.0).abs() < 0.5, "{}", end.shape);
    let normal = statrs::distribution::Normal::new(0.0, 1.0).unwrap();
    use statrs::distribution::ContinuousCDF;
    let rows = Array2::from_shape_fn((n, 1), |(i, _)| 3.0 + 2.0 * normal.inverse_cdf(quantile(i)));
    let end = End::of(rows.view()).unwrap();
    assert!(end.is_normal() && end.shape < 0.05, "{}", end.shape);
    assert!((end.gaussian().unwrap().covariance()[[0, 0]] - 4.0).abs() < 0.05);
    assert!(End::of(rows.slice(s![..2, ..])).is_none());
}
