//! Checkpoints of kernel families: what is taken up must take steps.

use std::ops::ControlFlow;

use gradlogp::Objective;
use gradlogp::dkef::{KernelConfig, KernelFamily, KernelTrainer};

use crate::harness::{Input, Target, fuzz};
use crate::tensor_file;

#[test]
fn changed_kernel_checkpoints_are_refused_or_go_on() {
    let tally = fuzz(&Target {
        name: "kernel-checkpoint",
        seeds: || [0, 2, 5].map(after).to_vec(),
        change: tensor_file::change,
        accepts,
        inputs: 1500,
    });
    assert!(tally.inputs < 100 || tally.accepted > tally.inputs / 50, "{tally:?} tests too little");
}

fn trainer() -> KernelTrainer<f32> {
    let family = KernelFamily { inducing: 3, features: Some(2), ..KernelFamily::deep(2) };
    let config = KernelConfig {
        objective: Objective::Ssm { slices: 1 },
        steps: 6,
        batch: 6,
        validation_rows: 6,
        lambda_steps: 1,
        lambda_batch: 4,
        threads: 1,
        ..KernelConfig::default()
    };
    let x: Vec<f32> = (0..40).map(|k| ((k * k) as f32 * 0.37).sin()).collect();
    KernelTrainer::new(family, x[..30].to_vec(), x[30..].to_vec(), config).unwrap()
}

/// A checkpoint after so many steps.
fn after(steps: u64) -> Vec<u8> {
    let mut trainer = trainer();
    for _ in 0..steps {
        trainer.take_step().unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    trainer.save(&path, "kept").unwrap();
    std::fs::read(&path).unwrap()
}

fn accepts(input: &Input<'_>) -> bool {
    let mut trainer = trainer();
    if trainer.restore(&input.file()).is_err() {
        return false;
    }
    trainer.run(&mut |_| ControlFlow::Continue(()));
    assert!(trainer.steps() <= 6);
    let _ = trainer.finish();
    true
}
