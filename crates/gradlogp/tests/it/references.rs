//! Score matching estimates computed elsewhere, on the tables they belong to, where these lie beside the
//! repository; skipped, saying so, where they do not.
#![allow(clippy::print_stderr)]

use std::path::PathBuf;

use gradlogp::data::{ReadOptions, read_csv};
use gradlogp::engine::LossEngine;
use gradlogp::model::{Mlp, Model, ModelKind};
use gradlogp::{Objective, SliceDistribution};

use super::objectives::draw;

fn file(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let there = path.exists();
    if !there {
        eprintln!("skipped: {} is not there", path.display());
    }
    there.then_some(path)
}

/// s(x) = -K (x - mean).
fn gaussian(k: &[Vec<f64>], mean: &[f64]) -> Model<f64> {
    let graph = Mlp { hidden: vec![], ..Mlp::new(mean.len(), ModelKind::Score) }.graph().unwrap();
    let weights = k.iter().flatten().map(|k| -k);
    let shift = k.iter().map(|row| row.iter().zip(mean).map(|(k, m)| k * m).sum::<f64>());
    let parameters = weights.chain(shift).collect();
    Model::new(ModelKind::Score, graph, parameters).unwrap()
}

/// The precision matrices that minimize the score matching loss on 88 exam marks, all free and with the zeros of a
/// graph: the loss there is the reference's, and its gradient with respect to the free entries is 0.
#[test]
fn precision_matrices_of_exam_marks_minimize_the_exact_loss() {
    let Some(marks) = file("mathmarks/mathmark.csv") else { return };
    let Some(reference) = file("mathmarks/closed_form_reference.json") else { return };
    let text = std::fs::read_to_string(reference).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let x: Vec<f64> =
        read_csv(&marks, &ReadOptions::default()).unwrap().0.rows.iter().copied().collect();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let mean = numbers(&reference["mean"]);
    let matrix = |value: &serde_json::Value| -> Vec<Vec<f64>> {
        value.as_array().unwrap().iter().map(numbers).collect()
    };
    let d = mean.len();
    for name in ["full_gaussian", "butterfly_graph"] {
        let k = matrix(&reference[name]["score_matching_K"]);
        let want = reference[name]["objective"].as_f64().unwrap();
        let model = gaussian(&k, &mean);
        // Coordinate slices, M = d, and the exact trace are two ways to the same loss.
        for (objective, distribution) in [
            (Objective::Exact, SliceDistribution::default()),
            (Objective::SsmVr { slices: d }, SliceDistribution::Coordinate),
        ] {
            let mut engine = LossEngine::new(&model, &objective, distribution, 1);
            let loss = engine.loss_and_gradient(&model, &x, draw(0));
            assert!((loss - want).abs() < 1e-12, "{name} {objective:?}: {loss} {want}");
            let gradient = engine.gradient();
            for i in 0..d {
                for j in (0..d).filter(|j| k[i][*j] != 0.0) {
                    // K is symmetric: both entries move together. Entries of the gradient are of the order of 1.
                    let slope = gradient[i * d + j] + gradient[j * d + i];
                    assert!(slope.abs() < 1e-8, "{name} {objective:?} {i} {j}: {slope}");
                }
                assert!(gradient[d * d + i].abs() < 1e-10, "{name} {objective:?} {i}");
            }
        }
        // The likelihood's optimum under the same zeros is another one.
        if let Some(mle) = reference[name].get("mle_K") {
            let model = gaussian(&matrix(mle), &mean);
            let mut engine =
                LossEngine::new(&model, &Objective::Exact, SliceDistribution::default(), 1);
            assert!(engine.loss_and_gradient(&model, &x, draw(0)) > want + 1e-6, "{name}");
        }
    }
}
