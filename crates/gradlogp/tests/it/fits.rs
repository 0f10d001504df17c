//! Whole fits against known answers.

use std::ops::ControlFlow;

use gradlogp::data::{Standardization, Transform};
use gradlogp::fitted::{DataRecord, Description, FitSummary, FittedModel};
use gradlogp::reference::{Gaussian, ReferenceDensity};
use gradlogp::train::{Stop, TrainConfig, Trainer};
use gradlogp::{Mlp, ModelKind, Objective};
use ndarray::{Array2, Axis, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Fits `x` (the last tenth held out) and wraps the result in the units of `x`.
fn fit(x: &Array2<f64>, mlp: Mlp, kind: Standardization, config: TrainConfig) -> FittedModel {
    let columns: Vec<String> = (0..x.ncols()).map(|k| format!("x{k}")).collect();
    let cut = x.nrows() * 9 / 10;
    let (train, held) = (x.slice(s![..cut, ..]), x.slice(s![cut.., ..]));
    let transform = Transform::fit(kind, train, &columns).unwrap();
    let inside = |x| transform.forward(x).iter().map(|z| *z as f32).collect::<Vec<f32>>();
    let network = mlp.build::<f32>(config.seed).unwrap();
    let mut trainer = Trainer::new(network, inside(train), &inside(held), config.clone()).unwrap();
    let stop = trainer.run(&mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(stop, Stop::Completed | Stop::Patience), "{stop:?}");
    let description = Description {
        library_version: String::new(),
        network: mlp,
        column_mean: train.mean_axis(Axis(0)).unwrap().to_vec(),
        column_scale: train.std_axis(Axis(0), 0.0).to_vec(),
        columns,
        transform,
        condition: None,
        dequantization: None,
        noise: None,
        domain: None,
        training: config,
        choice: None,
        data: DataRecord {
            source: "test".into(),
            built_in: false,
            rows: x.nrows(),
            parts: [cut, x.nrows() - cut, 0],
            content_hash: String::new(),
        },
        summary: FitSummary {
            stopped: format!("{stop:?}"),
            steps: trainer.step(),
            best_step: trainer.best().unwrap().0,
            seconds: 0.0,
            score_scale: 1.0,
            history: trainer.history().to_vec(),
        },
        kernel: None,
        gaussians: None,
    };
    FittedModel::new(trainer.best_model(), description).unwrap()
}

fn frobenius(a: &Array2<f64>) -> f64 {
    a.iter().map(|a| a * a).sum::<f64>().sqrt()
}

/// |mean Jacobian + S^-1| / |S^-1| for a potential fitted to a Gaussian with condition number 100.
fn precision_error(kind: Standardization, objective: Objective, n: usize, steps: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let truth = Gaussian::with_condition_number(10, 100.0, &mut rng).unwrap();
    let x = truth.sample(n, &mut rng);
    let mlp = Mlp { hidden: vec![64, 64], ..Mlp::new(10, ModelKind::LogDensity) };
    let config = TrainConfig { objective, steps, learning_rate: 5e-3, ..TrainConfig::default() };
    let model = fit(&x, mlp, kind, config);
    let jacobian = model.mean_jacobian(x.slice(s![..2000, ..]));
    frobenius(&(&jacobian + truth.precision())) / frobenius(truth.precision())
}

#[test]
#[ignore = "takes a minute; run with: cargo test --release --test it -- --ignored --nocapture"]
// The figures are the point of running it.
#[allow(clippy::print_stdout)]
fn potential_recovers_the_precision_matrix_of_an_ill_conditioned_gaussian() {
    for kind in [Standardization::Standardize, Standardization::Whiten] {
        for objective in [Objective::SsmVr { slices: 1 }, Objective::Exact] {
            let error = precision_error(kind, objective, 20_000, 4000);
            println!("{kind:?} {objective:?}: {:.2}% off", 100.0 * error);
            assert!(error < 0.05, "{kind:?} {objective:?}: {error}");
        }
    }
}
