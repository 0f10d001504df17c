//! Sampling checkpoints changed at random: a job that can be read and passes its checks runs, or fails with a sentence.
//! `GRADLOGP_FUZZ_INPUTS` asks for more of them, as in the library's own `tests/fuzz`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gradlogp::diffusion::{TimeFeatures, TimeMlp};
use gradlogp::draw::{Job, Sampler};
use gradlogp::fitted::Description;
use gradlogp::train::TrainConfig;
use gradlogp::{FittedModel, Mlp, ModelKind};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::args::ChainArgs;
use crate::mutate;
use crate::sampling;

/// Snapshots after which a job has shown that it runs.
const SNAPSHOTS: usize = 12;

fn description(network: &Mlp, noise: Value) -> Description {
    let description = json!({
        "library_version": "0", "network": network, "columns": ["a", "b"],
        "transform": {"kind": "standardize", "mean": [0.5, -1.0], "sd": [2.0, 0.5]},
        "column_mean": [0.5, -1.0], "column_scale": [2.0, 0.5], "dequantization": null,
        "training": TrainConfig::default(), "noise": noise,
        "data": {"source": "t", "built_in": false, "rows": 9, "parts": [7, 1, 1], "content_hash": ""},
        "summary": {"stopped": "", "steps": 1, "best_step": 1, "seconds": 0.5, "score_scale": 1.0, "history": []},
    });
    serde_json::from_value(description).unwrap()
}

fn models() -> [FittedModel; 2] {
    let plain = |kind| Mlp { hidden: vec![3], ..Mlp::new(2, kind) };
    let potential = Mlp { base_scale: Some(2.0), ..plain(ModelKind::LogDensity) };
    let time = TimeMlp {
        hidden: vec![3],
        features: TimeFeatures::LogNoise,
        ..TimeMlp::new(2, ModelKind::Score)
    };
    let noise = json!({
        "process": {"process": "ve", "sigma_min": 0.01, "sigma_max": 5.0}, "network": time,
        "config": {"weight": "balanced", "times": "log-noise", "levels": null, "simulate": null},
    });
    let score = description(&plain(ModelKind::Score), noise);
    [
        FittedModel::new(potential.build(1).unwrap(), description(&potential, Value::Null))
            .unwrap(),
        FittedModel::new(time.build(1).unwrap(), score).unwrap(),
    ]
}

/// Jobs as checkpoints hold them, before the first step and on the way.
fn jobs(model: &FittedModel, sampler: Sampler) -> Vec<Value> {
    let args = ChainArgs {
        sampler,
        chains: Some(3),
        warm_up: 30,
        thinning: 2,
        steps: 5,
        ..ChainArgs::default()
    };
    let first = sampling::job(model, 9, &args).unwrap();
    let mut jobs = vec![serde_json::to_value(&first).unwrap()];
    let outcome = sampling::run(first, model, true, |snapshot| {
        if [3, 25, 33].contains(&snapshot.step) {
            jobs.push(serde_json::to_value((snapshot.job)())?);
        }
        Ok(())
    });
    outcome.unwrap();
    jobs
}

/// Whether it was taken for a job of the model.
fn accepts(model: &FittedModel, job: &Value) -> bool {
    let Ok(job) = serde_json::from_value::<Job>(job.clone()) else { return false };
    if job.check(model).is_err() || sampling::check_room(&job, model).is_err() {
        return false;
    }
    let (done, total) = job.steps();
    assert!(done <= total);
    let text = serde_json::to_value(&job).unwrap();
    let number = |pointer: &str| text.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let large =
        ["/chains/config/chains", "/chains/leapfrog", "/reverse/steps", "/reverse/corrections"];
    if large.iter().any(|pointer| number(pointer) > 1000) {
        // Sound, and long: as on a command line.
        return true;
    }
    let mut snapshots = 0;
    let _ = sampling::run(job, model, true, |_| {
        snapshots += 1;
        anyhow::ensure!(snapshots < SNAPSHOTS, "enough");
        Ok(())
    });
    true
}

#[test]
fn changed_jobs_are_refused_or_run() {
    let inputs = std::env::var("GRADLOGP_FUZZ_INPUTS").map_or(1500, |n| n.parse().unwrap());
    let [potential, over_time] = models();
    let of = |model: &FittedModel, sampler| -> Vec<(FittedModel, Value)> {
        jobs(model, sampler).into_iter().map(|job| (model.clone(), job)).collect()
    };
    let seeds = [
        of(&potential, Sampler::Ula),
        of(&potential, Sampler::Mala),
        of(&potential, Sampler::Hmc),
        of(&over_time, Sampler::Heun),
        of(&over_time, Sampler::Annealed),
    ]
    .concat();
    assert!(seeds.iter().all(|(model, job)| accepts(model, job)));
    let mut accepted = 0;
    for k in 0..inputs {
        let mut rng = ChaCha8Rng::seed_from_u64(k);
        let (model, mut job) = seeds[k as usize % seeds.len()].clone();
        for _ in 0..1 + k % 3 {
            mutate::json(&mut rng, &mut job);
        }
        let ended = catch_unwind(AssertUnwindSafe(|| accepts(&model, &job)));
        accepted += u64::from(ended.unwrap_or_else(|_| panic!("input {k}: {job}")));
    }
    assert!(accepted > inputs / 50, "{accepted} of {inputs}");
}
