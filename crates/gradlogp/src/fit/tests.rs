use std::ops::ControlFlow;

use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::data::{Marginals, Standardization, Table};
use crate::diagnose::fisher_divergence;
use crate::draw::ImputeSettings;
use crate::model::{Conditioning, ModelKind};
use crate::objective::Objective;
use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
use crate::score::{LogDensity, Score};
use crate::train::{Stop, TrainConfig};

/// Rows of N((1, -2), ((4, 1), (1, 1))).
fn gaussian() -> (Gaussian, Table) {
    let truth = Gaussian::new(array![1.0, -2.0], array![[4.0, 1.0], [1.0, 1.0]]).unwrap();
    let rows = truth.sample(2000, &mut ChaCha8Rng::seed_from_u64(3));
    (truth, Table::new("rows", vec!["a".into(), "b".into()], rows).unwrap())
}

fn small(family: Family) -> FitConfig {
    let usual = FitConfig::of(family);
    let training = TrainConfig {
        steps: 600,
        learning_rate: 5e-3,
        ema_decay: 0.99,
        threads: 1,
        ..usual.training
    };
    FitConfig { training, ..usual }
}

#[test]
fn a_table_becomes_a_model_with_the_score_of_its_density() {
    let (truth, table) = gaussian();
    let network = NetworkConfig { hidden: vec![16, 16], ..NetworkConfig::default() };
    let fit = fit(table, &small(Family::Network(network))).unwrap();
    assert!(fit.warnings.is_empty() && fit.notes.is_empty(), "{:?}", fit.warnings);
    // The scales of columns and their means are undone: a wrong factor of 1.3 would show as 0.09.
    let fresh = truth.sample(500, &mut ChaCha8Rng::seed_from_u64(7));
    let distance = fisher_divergence(&fit.model, &truth, fresh.view()).unwrap();
    assert!(distance.relative.mean < 0.04, "{:?}", distance.relative);
    let [training, validation, test] = fit.model.description().data.parts;
    assert_eq!([training, validation, test], [1600, 200, 200]);
    let evaluation = fit.evaluation.unwrap();
    assert_eq!(evaluation.rows, 200);
    assert!(!evaluation.baselines.is_empty());
    // Columns in units of their standard deviations: -1/2 tr(R^-1), R having correlation 1/2.
    assert!((evaluation.exact_loss.mean + 4.0 / 3.0).abs() < 0.3, "{:?}", evaluation.exact_loss);
    // The density is Gaussian, so no network is better than a Gaussian.
    let verdict = evaluation.verdict();
    assert!(verdict.grade.is_usable(), "{verdict}");
    assert!(verdict.reason.starts_with("no better than a Gaussian"), "{verdict}");
    assert!(evaluation.evidence().iter().any(|e| e.measure == Measure::Overfitting));
}

#[test]
fn the_steps_one_by_one_are_the_whole() {
    let (_, table) = gaussian();
    let network = NetworkConfig { hidden: vec![8], ..NetworkConfig::score_field() };
    let config = small(Family::Network(network)).with_objective(Objective::Ssm { slices: 1 });
    let whole = fit(table.clone(), &config).unwrap();
    let prepared = CheckedTable::new(table, &config).unwrap().prepare(&config).unwrap();
    let mut trainer = prepared.trainer(&config, prepared.training(&config)).unwrap();
    let stop = trainer.run(&mut |_, _| ControlFlow::Continue(()));
    let trained = Trained::of(&trainer, config.mlp(2), stop);
    let model = prepared.model(&trained, None, 0.0).unwrap();
    assert_eq!(model.description(), whole.model.description());
    let x = array![[0.5, -1.0], [3.0, 0.0]];
    assert_eq!(model.score(x.view()), whole.model.score(x.view()));
    assert_eq!(whole.stop, Stop::Completed);
}

#[test]
fn conditions_and_regions_belong_to_networks_and_are_named_by_column() {
    let (_, table) = gaussian();
    let support =
        Support::Conditional { columns: vec!["b".into()], conditioning: Conditioning::Concat };
    let network = NetworkConfig { hidden: vec![8], support, ..NetworkConfig::default() };
    let config = small(Family::Network(network));
    let prepared = CheckedTable::new(table.clone(), &config).unwrap().prepare(&config).unwrap();
    assert_eq!((prepared.dim(), prepared.columns()), (1, &["a".to_string()][..]));
    assert_eq!(prepared.conditions(&[0, 1]).dim(), (2, 1));
    let within = |column: &str, low| {
        let column = ColumnBounds { column: column.into(), low: Some(low), high: None };
        let support = Support::Domain { domain: DomainConfig::Columns(vec![column]), power: 1.0 };
        let network = NetworkConfig { support, ..NetworkConfig::default() };
        let config = small(Family::Network(network));
        CheckedTable::new(table.clone(), &config).unwrap().prepare(&config).map(|_| ())
    };
    assert!(within("a", -100.0).is_ok());
    let message = within("a", 1.0).unwrap_err().to_string();
    assert!(message.contains("rows, row "), "{message}");
    let message = within("A2", 1.0).unwrap_err().to_string();
    assert_eq!(
        message,
        "bounds: there is no column \"A2\". Did you mean \"a\"? The columns are \"a\", \"b\""
    );
}

#[test]
fn settings_without_meaning_are_refused_before_any_row_is_read() {
    let refused = |config: FitConfig| config.validate().unwrap_err().to_string();
    let usual = FitConfig::default;
    assert!(usual().validate().is_ok());
    let prepare = PrepareConfig { validation: 0.5, test: 0.5, ..PrepareConfig::default() };
    assert!(refused(FitConfig { prepare, ..usual() }).contains("no row is left"));
    let network = NetworkConfig { kind: ModelKind::Score, ..NetworkConfig::default() };
    assert!(refused(FitConfig::of(Family::Network(network))).contains("base belongs"));
    let diffusion = FitConfig::of(Family::Diffusion(DiffusionConfig::default()));
    assert!(diffusion.validate().is_ok());
    assert!(refused(FitConfig { choose_objective: true, ..diffusion }).starts_with("objective"));
    let kernel = KernelFamilyConfig { inducing: 0, ..KernelFamilyConfig::default() };
    assert!(refused(FitConfig::of(Family::Kernel(kernel))).contains("inducing"));
}

#[test]
fn a_verdict_names_the_worst_first() {
    let (truth, table) = gaussian();
    let network = NetworkConfig { hidden: vec![8], ..NetworkConfig::default() };
    let config = small(Family::Network(network));
    let training = TrainConfig { steps: 1, ..config.training.clone() };
    // One step leaves the base density, of width 3.
    let untrained = fit(table, &FitConfig { training, ..config }).unwrap();
    let verdict = untrained.evaluation.unwrap().verdict();
    assert_eq!(verdict.grade, Grade::NotUsable);
    assert!(verdict.reason.starts_with("worse than a Gaussian; "), "{verdict}");
    // Few rows, of whatever model, cannot tell.
    let few = truth.sample(6, &mut ChaCha8Rng::seed_from_u64(5));
    let evaluation = evaluate(&untrained.model, few.view(), None, 0).unwrap();
    assert!(!evaluation.verdict().grade.is_usable());
    assert!(
        enough_rows(2).is_err()
            && evaluate(&untrained.model, Array2::zeros((2, 2)).view(), None, 0).is_err()
    );
}

/// J(mean s) = mean J(s) - 1/2 mean |s_k - mean s|^2, row by row.
#[test]
fn an_ensemble_has_the_mean_score_and_the_loss_that_follows() {
    let (truth, table) = gaussian();
    let network = NetworkConfig { hidden: vec![8], ..NetworkConfig::default() };
    let config = small(Family::Network(network)).with_objective(Objective::Exact);
    let training = TrainConfig { steps: 100, ..config.training.clone() };
    let config = FitConfig { training, members: 2, ..config };
    let prepared = CheckedTable::new(table, &config).unwrap().prepare(&config).unwrap();
    let mut members = Vec::new();
    for member in 0..2 {
        let training = prepared.member_training(&config, member);
        let mut trainer = prepared.trainer(&config, training).unwrap();
        trainer.run(&mut |_, _| ControlFlow::Continue(()));
        members.push(TrainedMember::of(&trainer));
    }
    let model = |members: &[TrainedMember]| {
        let trained = prepared.ensemble(&config, members, Stop::Completed).unwrap();
        prepared.model(&trained, None, 0.0).unwrap()
    };
    let (first, second, both) = (model(&members[..1]), model(&members[1..]), model(&members));
    let x = truth.sample(50, &mut ChaCha8Rng::seed_from_u64(11));
    let (a, b) = (first.score(x.view()), second.score(x.view()));
    let mean = (&a + &b) / 2.0;
    assert!((&both.score(x.view()) - &mean).iter().all(|e| e.abs() < 1e-10));
    // Columns in units of their standard deviations.
    let scale = ndarray::Array1::from(both.description().column_scale.clone());
    let apart = ((&a - &b) * &scale / 2.0).mapv(|e| e * e).sum_axis(ndarray::Axis(1));
    let losses = |model: &crate::FittedModel| model.exact_loss_rows(x.view());
    let right = (losses(&first) + losses(&second)) / 2.0 - apart / 2.0;
    assert!((&losses(&both) - &right).iter().all(|e| e.abs() < 1e-9));
    assert!(apart_is_seen(&a, &b));
    // The whole does the same.
    let whole = fit(gaussian().1, &config).unwrap();
    assert_eq!(whole.model.network().parameters, both.network().parameters);
}

fn apart_is_seen(a: &Array2<f64>, b: &Array2<f64>) -> bool {
    (a - b).iter().any(|e| e.abs() > 1e-3)
}

/// A mixture in the units of the transform has the density of the same rows, up to the volume.
#[test]
fn a_mixture_is_carried_into_the_units_of_the_transform() {
    let (truth, table) = gaussian();
    let config = FitConfig::default();
    let prepare = PrepareConfig { standardization: Standardization::Whiten, ..config.prepare };
    let config = FitConfig { prepare, ..config };
    let prepared = CheckedTable::new(table, &config).unwrap().prepare(&config).unwrap();
    let centres = array![[-1.0, 0.5], [2.0, 0.0]];
    let scaled = GaussianMixture::isotropic(array![0.3, 0.7], centres.view(), 0.5).unwrap();
    let inside = prepared.inside(&scaled).unwrap();
    let x = truth.sample(20, &mut ChaCha8Rng::seed_from_u64(13));
    let (u, z) = (prepared.units.forward(x.view()), prepared.transform.forward(x.view()));
    let volume = scaled.log_density(u.view()) - inside.log_density(z.view());
    // log |dz/du|: from correlation 1/2 to none, so about -1/2 log(3/4).
    assert!((volume[0] + 0.5 * 0.75f64.ln()).abs() < 0.1, "{}", volume[0]);
    assert!(volume.iter().all(|v| (v - volume[0]).abs() < 1e-9), "{volume}");
}

/// Breaks at a step, or gives up there.
#[derive(Default)]
struct Looks {
    seen: Vec<FitStep>,
    breaks: Option<u64>,
    gives_up: bool,
}

impl FitWatch for Looks {
    fn step(&mut self, step: FitStep) -> ControlFlow<()> {
        self.seen.push(step);
        match self.breaks == Some(step.step) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn gives_up(&mut self) -> bool {
        self.gives_up && !self.seen.is_empty()
    }

    fn seconds(&self) -> f64 {
        7.0
    }
}

#[test]
fn who_watches_a_fit_sees_the_steps_of_all_members_and_may_end_it() {
    let (_, table) = gaussian();
    let network = NetworkConfig { hidden: vec![4], ..NetworkConfig::score_field() };
    let usual = small(Family::Network(network)).with_objective(Objective::Exact);
    let training = TrainConfig { steps: 20, evaluate_every: 10, ..usual.training.clone() };
    let config = FitConfig { training, members: 2, ..usual };
    let mut looks = Looks::default();
    let watched = fit_watched(table.clone(), &config, &mut looks).unwrap().unwrap();
    let steps: Vec<u64> = looks.seen.iter().map(|step| step.step).collect();
    assert_eq!(steps, (1..=40).collect::<Vec<u64>>());
    assert!(looks.seen.iter().all(|step| step.steps == 40 && step.loss.is_finite()));
    assert_eq!(watched.model.description().summary.seconds, 7.0);
    let alone = fit(table.clone(), &config).unwrap();
    assert_eq!(watched.model.fingerprint(), alone.model.fingerprint());

    let mut looks = Looks { breaks: Some(13), ..Looks::default() };
    let broken = fit_watched(table.clone(), &config, &mut looks).unwrap().unwrap();
    assert_eq!((looks.seen.len(), broken.stop), (13, Stop::Interrupted));
    assert_eq!(broken.model.description().summary.best_step, 10);
    let held_out = looks.seen.last().unwrap().held_out.unwrap();
    let history = &broken.model.description().summary.history;
    assert_eq!(held_out, history.last().unwrap().held_out.mean);

    let mut looks = Looks { breaks: Some(3), gives_up: true, ..Looks::default() };
    assert!(fit_watched(table, &config, &mut looks).unwrap().is_none());
    assert_eq!(looks.seen.len(), 3);
}

#[test]
fn a_model_for_missing_values_can_fill_them_in() {
    let (_, table) = gaussian();
    let mut config = Purpose::Imputation.config();
    config.training.steps = 2;
    let model = fit(table, &config).unwrap().model;
    let holes = array![[f64::NAN, -2.0], [1.0, f64::NAN]];
    let filled = model.impute(holes.view(), &ImputeSettings::default()).unwrap().rows;
    assert_eq!([filled[[0, 1]], filled[[1, 0]]], [-2.0, 1.0]);
    assert!(filled.iter().all(|x| x.is_finite()), "{filled}");
}

/// Columns with heavy tails and heaps are mapped; columns of which one nearly follows from the others are not, though each
/// alone is far from normal.
#[test]
fn columns_are_made_normal_where_that_makes_them_nearer_to_a_gaussian() {
    let (_, table) = gaussian();
    let bent = table.rows.mapv(|x: f64| (0.9 * x).exp());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let noise = Gaussian::standard(1).unwrap().sample(2000, &mut rng);
    let close = Array2::from_shape_fn((2000, 3), |(i, j)| match j {
        2 => table.rows[[i, 0]] - 2.0 * bent[[i, 1]] + 1e-4 * noise[[i, 0]],
        1 => bent[[i, 1]],
        _ => table.rows[[i, 0]],
    });
    let config = Purpose::Density.config_for(2000, 2);
    let prepared = |rows: &Array2<f64>, config: &FitConfig| {
        let names = (0..rows.ncols()).map(|j| format!("c{j}")).collect();
        let table = Table::new("rows", names, rows.clone()).unwrap();
        CheckedTable::new(table, config).unwrap().prepare(config).unwrap()
    };
    let mapped =
        |rows: &Array2<f64>, config: &FitConfig| prepared(rows, config).transform.has_marginals();
    assert!(mapped(&bent, &config) && !mapped(&close, &config));
    let with = |marginals| {
        let prepare = PrepareConfig { marginals, ..config.prepare.clone() };
        FitConfig { prepare, ..config.clone() }
    };
    let scaled = Purpose::Imputation.config();
    assert!(mapped(&bent, &scaled) && !mapped(&close, &scaled));
    assert!(!mapped(&bent, &with(Marginals::Keep)) && mapped(&close, &with(Marginals::Normal)));
    // log p of a normal z is that of the table's own density where the map is exact: here a lognormal one, nearly.
    let prepared = prepared(&bent, &config);
    let test = prepared.rows(&prepared.split.test);
    let found = prepared.transform.log_density_of_normal(test.view()).mean().unwrap();
    let logs = test.mapv(|x: f64| x.ln() / 0.9);
    let (truth, _) = gaussian();
    let volume = logs.mapv(|l| 0.9 * l + 0.9f64.ln()).sum_axis(ndarray::Axis(1));
    let expected = (truth.log_density(logs.view()) - volume).mean().unwrap();
    assert!((found - expected).abs() < 0.15, "{found} {expected}");
    let network = FitConfig::of(Family::Network(NetworkConfig::default()));
    let prepare = PrepareConfig { marginals: Marginals::Auto, ..network.prepare.clone() };
    let error = FitConfig { prepare, ..network }.validate().unwrap_err().to_string();
    assert!(error.contains("marginals"), "{error}");
}
