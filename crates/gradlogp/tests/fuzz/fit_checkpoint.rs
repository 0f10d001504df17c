//! Checkpoints of fits: what can be read and taken up must take steps, and nothing else is taken up.

use std::ops::ControlFlow;
use std::path::Path;

use gradlogp::train::{Checkpoint, Event, Stop, TrainConfig, Trainer};
use gradlogp::{Mlp, ModelKind};

use crate::harness::{Input, Target, fuzz};
use crate::tensor_file;

#[test]
fn changed_fit_checkpoints_are_refused_or_go_on() {
    let tally = fuzz(&Target {
        name: "fit-checkpoint",
        seeds: || [0, 3, 10].map(at_step).to_vec(),
        change: tensor_file::change,
        accepts,
        inputs: 3000,
    });
    assert!(tally.inputs < 100 || tally.accepted > tally.inputs / 50, "{tally:?} tests too little");
}

fn trainer() -> Trainer {
    let mlp = Mlp { hidden: vec![3], ..Mlp::new(2, ModelKind::Score) };
    let x: Vec<f32> = (0..20).map(|i| (i as f32 * 1.3).sin()).collect();
    let config = TrainConfig {
        steps: 10,
        batch: 4,
        evaluate_every: 2,
        threads: 1,
        ..TrainConfig::default()
    };
    Trainer::new(mlp.build(1).unwrap(), x.clone(), &x[..6], config).unwrap()
}

/// A checkpoint after so many steps.
fn at_step(step: u64) -> Vec<u8> {
    let mut trainer = trainer();
    trainer.run(&mut |_, event| match event {
        Event::Step(p) if p.step >= step => ControlFlow::Break(()),
        Event::Evaluated { point, .. } if point.step >= step => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(trainer.step(), step);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c");
    trainer.checkpoint().save(&path, &serde_json::json!({ "plan": [1, "x"] })).unwrap();
    std::fs::read(&path).unwrap()
}

fn accepts(input: &Input<'_>) -> bool {
    let Ok((checkpoint, _)) = Checkpoint::from_bytes(input.bytes, Path::new("c")) else {
        return false;
    };
    assert!(checkpoint.step() <= u64::MAX / 2 || trainer().restored(checkpoint.clone()).is_err());
    let Ok(mut trainer) = trainer().restored(checkpoint) else { return false };
    let before = trainer.step();
    let stop = trainer.run(&mut |_, _| ControlFlow::Continue(()));
    assert!(trainer.step() >= before && trainer.step() <= 10);
    assert!(stop == Stop::Completed || matches!(stop, Stop::Diverged { .. }), "{stop:?}");
    true
}
