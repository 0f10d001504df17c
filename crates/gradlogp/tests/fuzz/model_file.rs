//! Model files: what can be read must answer, and nothing else is taken for a model.

use std::path::Path;

use gradlogp::data::{Dequantization, GapRule, Grid, Standardization, Transform};
use gradlogp::diffusion::{Conditioning, NoiseConfig, TimeFeatures, TimeMlp};
use gradlogp::domain::{Bounds, Boxed, Domain};
use gradlogp::fitted::{ConditionColumns, DataRecord, Description, FitSummary, NoiseRecord};
use gradlogp::numeric::Activation;
use gradlogp::sde::{AnyProcess, ExpressionProcess, Process, Vp};
use gradlogp::train::{HeldOutLoss, HistoryPoint, TrainConfig};
use gradlogp::{FittedModel, Mlp, Model, ModelKind};
use ndarray::Array2;

use crate::harness::{Input, Target, fuzz};
use crate::tensor_file;

#[test]
fn changed_model_files_are_refused_or_answer() {
    let tally = fuzz(&Target {
        name: "model-file",
        seeds: || {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m");
            let bytes = |model: FittedModel| {
                model.save(&path).unwrap();
                std::fs::read(&path).unwrap()
            };
            models().into_iter().map(bytes).collect()
        },
        change: tensor_file::change,
        accepts,
        inputs: 3000,
    });
    assert!(tally.inputs < 100 || tally.accepted > tally.inputs / 50, "{tally:?} tests too little");
}

fn accepts(input: &Input<'_>) -> bool {
    let Ok(model) = FittedModel::from_bytes(input.bytes, Path::new("m")) else { return false };
    let d = model.description().columns.len();
    let x = Array2::from_shape_fn((3, d), |(i, j)| (i + 2 * j) as f64 * 0.3 - 0.4);
    let condition = model.condition_columns().len();
    let model = match condition {
        0 => model,
        _ => model.at_condition(Array2::from_elem((3, condition), 0.5).view()).unwrap(),
    };
    let scores = model.scores(x.view());
    assert_eq!(scores.score.dim(), (3, d));
    assert_eq!(model.jacobian_diagonal(x.view()).dim(), (3, d));
    assert_eq!(model.exact_loss_rows(x.view()).len(), 3);
    if let Some(density) = model.as_log_density() {
        assert_eq!(gradlogp::LogDensity::log_density(&density, x.view()).len(), 3);
    }
    true
}

/// One model of every kind that a file can hold.
pub(crate) fn models() -> Vec<FittedModel> {
    let x = Array2::from_shape_fn((12, 2), |(i, j)| ((i * 2 + j) as f64 * 1.7).sin() + j as f64);
    let columns = vec!["a".to_string(), "b".to_string()];
    let plain = |kind| Mlp { hidden: vec![3, 3], ..Mlp::new(2, kind) };
    let (potential, score) = (ModelKind::LogDensity, ModelKind::Score);
    let describe = |network: &Mlp, scaling| Description {
        library_version: "0".into(),
        network: network.clone(),
        columns: columns.clone(),
        transform: Transform::fit(scaling, x.view(), &columns).unwrap(),
        condition: None,
        column_mean: vec![0.0; 2],
        column_scale: vec![1.0; 2],
        dequantization: None,
        domain: None,
        training: TrainConfig::default(),
        choice: None,
        noise: None,
        data: DataRecord {
            source: "t.csv".into(),
            built_in: false,
            rows: 12,
            parts: [10, 1, 1],
            content_hash: "00".into(),
        },
        summary: FitSummary {
            stopped: "all steps taken".into(),
            steps: 5,
            best_step: 5,
            seconds: 0.5,
            score_scale: 1.0,
            history: vec![HistoryPoint {
                step: 5,
                train_loss: -1.0,
                held_out: HeldOutLoss { mean: -1.0, standard_error: 0.1 },
            }],
        },
        kernel: None,
        gaussians: None,
    };
    let joined = |network: Model<f32>, description| FittedModel::new(network, description).unwrap();
    let mut models = Vec::new();

    let mlp = Mlp { base_scale: Some(3.0), residual: true, ..plain(potential) };
    let mut description = describe(&mlp, Standardization::Standardize);
    let bounds = vec![Bounds::new(Some(-5.0), None, 1.0), Bounds::new(None, None, 1.0)];
    description.domain = Some(Domain::Box(Boxed { columns: bounds, power: 1.0 }));
    let grid = Grid { origin: 0.0, step: 1.0, low: 0.0, high: 9.0 };
    description.dequantization = Some(Dequantization {
        rule: GapRule::Gap,
        half_widths: vec![0.5, 0.0],
        grids: vec![Some(grid), None],
    });
    models.push(joined(mlp.build(1).unwrap(), description));

    let mlp = Mlp { activation: Activation::Tanh, ..plain(score) };
    let description = describe(&mlp, Standardization::Whiten);
    models.push(joined(mlp.build(2).unwrap(), description));

    for conditioning in [Conditioning::Concat, Conditioning::Film] {
        let mlp = Mlp { condition_dim: 1, conditioning, ..plain(potential) };
        let mut description = describe(&mlp, Standardization::Robust);
        let transform = Transform::identity(1);
        description.condition =
            Some(ConditionColumns { columns: vec!["c".into()], transform, range: None });
        models.push(joined(mlp.build(3).unwrap(), description));
    }

    let processes = [
        AnyProcess::Named(Process::Vp(Vp::default())),
        AnyProcess::Expressions(ExpressionProcess {
            drift: vec!["-a + sin(t)".into(), "-2*b".into()],
            diffusion: "1 + t".into(),
            columns: columns.clone(),
            horizon: 1.0,
            t_min: 0.01,
        }),
    ];
    for process in processes {
        let scaled = matches!(process, AnyProcess::Named(_));
        let time = TimeMlp {
            hidden: vec![3],
            features: TimeFeatures::Fourier { frequencies: 1 },
            scaled,
            ..TimeMlp::new(2, score)
        };
        let mut description = describe(&plain(score), Standardization::Standardize);
        let config = NoiseConfig { simulate: (!scaled).then_some(4), ..NoiseConfig::default() };
        let network = time.build(4).unwrap();
        description.noise = Some(NoiseRecord { process, network: time, config, scaling: None });
        models.push(joined(network, description));
    }
    models
}
