use ndarray::{Axis, array, s};

use super::*;
use crate::data::{Dequantization, GapRule, Grid, Standardization, Table};
use crate::domain::{Bounds, Boxed, Domain};
use crate::fit::{DiffusionConfig, Family, FitConfig, NetworkConfig, PrepareConfig, fit};
use crate::fitted::Description;
use crate::reference::{Gaussian, ReferenceDensity};
use crate::score::Score;
use crate::train::TrainConfig;

/// A model with weights of 0, so that all it knows is its Gaussian base: N(0, I) in the network's units.
fn base(family: Family, standardization: Standardization) -> FittedModel {
    let truth = Gaussian::new(array![1.0, -2.0], array![[4.0, 1.6], [1.6, 1.0]]).unwrap();
    let rows = truth.sample(300, &mut ChaCha8Rng::seed_from_u64(3));
    let table = Table::new("rows", vec!["a".into(), "b".into()], rows).unwrap();
    let usual = FitConfig::of(family);
    let training = TrainConfig { steps: 1, threads: 1, ..usual.training };
    let prepare = PrepareConfig { standardization, test: 0.0, ..usual.prepare };
    let config = FitConfig { prepare, training, with_gaussians: false, members: 1, ..usual };
    let model = fit(table, &config).unwrap().model;
    let mut network = model.network().clone();
    network.parameters.fill(0.0);
    FittedModel::new(network, model.description().clone()).unwrap()
}

fn of_one_density() -> FittedModel {
    let base_scale = Some(1.0);
    let network = NetworkConfig { hidden: vec![4], base_scale, ..NetworkConfig::default() };
    base(Family::Network(network), Standardization::Whiten)
}

fn with(model: &FittedModel, description: Description) -> FittedModel {
    FittedModel::new(model.network().clone(), description).unwrap()
}

/// Mean and standard deviation.
fn moments(values: ndarray::ArrayView1<'_, f64>) -> [f64; 2] {
    [values.mean().unwrap(), values.std(0.0)]
}

#[test]
fn missing_values_have_their_law_given_the_others() {
    let model = of_one_density();
    // In whitened columns the base is the Gaussian of the training rows, with precision P = -grad s.
    let rows = array![[3.0, f64::NAN], [0.5, 0.25]];
    let p = -model.mean_jacobian(rows.slice(s![1.., ..]));
    let mean = &model.description().column_mean;
    let expected = [mean[1] - p[[1, 0]] / p[[1, 1]] * (3.0 - mean[0]), p[[1, 1]].powf(-0.5)];
    let settings =
        ImputeSettings { draws: 4000, warm_up: 40, steps: 10, ..ImputeSettings::default() };
    let found = model.impute(rows.view(), &settings).unwrap();
    assert_eq!((found.sampler, &found.incomplete), (Sampler::Hmc, &vec![0]));
    assert_eq!((found.rows.dim(), found.not_mixed), ((8000, 2), Some(vec![])));
    let (acceptance, r_hat) = (found.acceptance_rate.unwrap(), found.r_hat.unwrap());
    assert!(acceptance > 0.5 && r_hat < 1.5, "{acceptance} {r_hat}");
    for (at, row) in found.rows.outer_iter().enumerate() {
        assert_eq!(row[0], rows[[at % 2, 0]]);
        assert!(at % 2 == 0 || row[1] == 0.25);
    }
    let [m, sd] = moments(found.rows.slice(s![..;2, 1]));
    let error = expected[1] / 4000f64.sqrt();
    assert!((m - expected[0]).abs() < 4.0 * error, "{m} {expected:?}");
    assert!((sd - expected[1]).abs() < 4.0 * error, "{sd} {expected:?}");
}

#[test]
fn score_fields_are_drawn_from_by_ula() {
    let network = NetworkConfig { hidden: vec![4], ..NetworkConfig::score_field() };
    let model = base(Family::Network(network), Standardization::Standardize);
    let settings = ImputeSettings { warm_up: 5, steps: 1, ..ImputeSettings::default() };
    let found = model.impute(array![[f64::NAN, 1.0]].view(), &settings).unwrap();
    assert_eq!((found.sampler, found.acceptance_rate), (Sampler::Ula, None));
    assert!(found.step_size.is_some());
}

#[test]
fn of_every_noise_level_they_come_by_the_reverse_process() {
    let family =
        || Family::Diffusion(DiffusionConfig { hidden: vec![4], ..DiffusionConfig::default() });
    let model = base(family(), Standardization::Standardize);
    let settings = ImputeSettings { draws: 1500, steps: 60, ..ImputeSettings::default() };
    let rows = array![[f64::NAN, 0.1], [1.0, -2.0]];
    let found = model.impute(rows.view(), &settings).unwrap();
    assert_eq!((found.sampler, found.step_size, found.not_mixed), (Sampler::Em, None, None));
    // Columns are independent there, with mean and standard deviation of training.
    let description = model.description();
    let [m, sd] = moments(found.rows.slice(s![..;2, 0]));
    let (mean, scale) = (description.column_mean[0], description.column_scale[0]);
    assert!((m - mean).abs() < 0.15 * scale && (sd / scale - 1.0).abs() < 0.1, "{m} {sd}");
    // To the network's units and back 0.1 would be rounded.
    assert!(found.rows.slice(s![..;2, 1]).iter().all(|x| *x == 0.1));
    // Of a table without holes there is nothing to draw.
    let whole = array![[1.0, 2.0]];
    assert_eq!(model.impute(whole.view(), &ImputeSettings::default()).unwrap().rows, whole);
}

#[test]
fn of_mixed_columns_too() {
    let family = DiffusionConfig { hidden: vec![4], ..DiffusionConfig::default() };
    let model = base(Family::Diffusion(family), Standardization::Whiten);
    // The Gaussian of the training rows, whose covariance is (A^T A)^-1.
    let a = model.description().transform.jacobian_factor();
    let p = a.t().dot(&a);
    let mean = &model.description().column_mean;
    let rows = array![[3.0, f64::NAN], [f64::NAN, 0.1], [f64::NAN, f64::NAN]];
    let settings = ImputeSettings { draws: 2000, steps: 60, ..ImputeSettings::default() };
    let found = model.impute(rows.view(), &settings).unwrap().rows;
    for (row, known, at) in [(0, 0, 3.0), (1, 1, 0.1)] {
        let other = 1 - known;
        let slope = p[[0, 1]] / p[[other, other]];
        let expected = mean[other] - slope * (at - mean[known]);
        let width = p[[other, other]].powf(-0.5);
        assert!(found.slice(s![row..;3, known]).iter().all(|x| *x == at));
        let [m, sd] = moments(found.slice(s![row..;3, other]));
        let error = width / 2000f64.sqrt();
        assert!((m - expected).abs() < 4.0 * error + 0.02 * width, "{m} {expected} {width}");
        assert!((sd / width - 1.0).abs() < 0.07 + 0.05, "{sd} {width}");
    }
    let all = found.slice(s![2..;3, ..]);
    let centred = &all - &all.mean_axis(Axis(0)).unwrap();
    let covariance = centred.t().dot(&centred) / 2000.0;
    let correlation = covariance[[0, 1]] / (covariance[[0, 0]] * covariance[[1, 1]]).sqrt();
    let expected = -p[[0, 1]] / (p[[0, 0]] * p[[1, 1]]).sqrt();
    assert!((correlation - expected).abs() < 0.05, "{correlation} {expected}");
    // A row is drawn as it is alone.
    let few = ImputeSettings { draws: 2, steps: 10, ..settings };
    let whole = model.impute(rows.view(), &few).unwrap().rows;
    let alone = model.impute(rows.slice(s![..1, ..]), &few).unwrap().rows;
    assert_eq!(whole.slice(s![..;3, ..]), alone);
}

#[test]
fn values_of_rounded_columns_are_rounded_unless_the_noise_is_to_stay() {
    let model = of_one_density();
    let grid = Grid { origin: 0.0, step: 0.5, low: -4.0, high: 0.0 };
    let grids = vec![None, Some(grid)];
    let noise = Dequantization { rule: GapRule::Gap, half_widths: vec![0.0, 0.25], grids };
    let model =
        with(&model, Description { dequantization: Some(noise), ..model.description().clone() });
    let rows = array![[f64::NAN, -0.3], [1.0, f64::NAN]];
    let mut settings =
        ImputeSettings { draws: 40, warm_up: 10, steps: 5, ..ImputeSettings::default() };
    let found = model.impute(rows.view(), &settings).unwrap().rows;
    let fraction = |x: &f64| (2.0 * x).fract();
    assert!(found.slice(s![1..;2, 1]).iter().all(|x| fraction(x) == 0.0 && *x <= 0.0));
    assert!(found.slice(s![..;2, 0]).iter().all(|x| fraction(x) != 0.0));
    assert!(found.slice(s![..;2, 1]).iter().all(|x| *x == -0.3), "observed values stay");
    settings.keep_noise = true;
    let noisy = model.impute(rows.view(), &settings).unwrap().rows;
    assert!(noisy.slice(s![1..;2, 1]).iter().all(|x| fraction(x) != 0.0));
    assert_eq!(found.slice(s![..;2, ..]), noisy.slice(s![..;2, ..]));
}

#[test]
fn rows_without_a_density_are_told_by_their_places_in_the_table() {
    let model = of_one_density();
    let rows = array![[1.0, 1.0], [0.5, f64::NAN], [1e300, f64::NAN]];
    let settings = ImputeSettings { draws: 2, warm_up: 5, steps: 2, ..ImputeSettings::default() };
    let go_on = &mut |_: usize, _: usize| ControlFlow::Continue(());
    let found = model.impute_watched(rows.view(), &settings, go_on).unwrap().unwrap();
    let missing: Vec<bool> = found.rows.column(1).iter().map(|x| x.is_nan()).collect();
    assert_eq!(missing, [false, false, true, false, false, true]);
    let Some(Error::Diverged { rows: lost, message, .. }) = &found.failure else {
        panic!("{found:?}")
    };
    assert_eq!(lost, &[2]);
    assert!(message.contains("is row 3;"), "{message}");
    let error = model.impute(rows.view(), &settings).unwrap_err();
    assert!(matches!(error, Error::Diverged { rows, .. } if rows == [2]));
    let alone = rows.select(Axis(0), &[0, 2]);
    let error = model.impute_watched(alone.view(), &settings, go_on).unwrap_err();
    assert!(matches!(error, Error::Diverged { rows, .. } if rows == [1]));
}

#[test]
fn a_run_stops_when_it_is_told_to_and_refuses_what_it_cannot_fill() {
    let model = of_one_density();
    let rows = array![[0.5, f64::NAN]];
    let settings = ImputeSettings { warm_up: 5, steps: 2, ..ImputeSettings::default() };
    let mut seen = 0;
    let stop = &mut |step: usize, steps: usize| {
        assert_eq!(steps, 7);
        seen = step;
        if step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(model.impute_watched(rows.view(), &settings, stop).unwrap().is_none());
    assert_eq!(seen, 3);
    let columns = vec![Bounds::new(Some(-1e3), None, 1.0), Bounds::new(None, None, 1.0)];
    let domain = Some(Domain::Box(Boxed { columns, power: 1.0 }));
    let bounded = with(&model, Description { domain, ..model.description().clone() });
    let refused = |model: &FittedModel, rows: Array2<f64>, settings: &ImputeSettings| {
        model.impute(rows.view(), settings).unwrap_err().to_string()
    };
    assert!(refused(&bounded, rows.clone(), &settings).contains("bounds"));
    let none = ImputeSettings { draws: 0, ..settings.clone() };
    assert!(refused(&model, rows, &none).contains("draws"));
    assert!(refused(&model, array![[1.0]], &settings).contains("columns to impute"));
    assert_eq!(model.dim(), 2);
}
