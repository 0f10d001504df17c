//! A disk that fails at call n, for every n of a fit: from its first checkpoint to its model.

use std::ops::ControlFlow;
use std::path::Path;

use super::tests::small;
use crate::storage::failing;
use crate::train::{Checkpoint, Event, TrainConfig, Trainer};
use crate::{Error, ErrorClass, FittedModel, Mlp, ModelKind};

/// A fit as a program makes it: a checkpoint at every evaluation, whose loss does not stop it, then the model.
/// How many checkpoints failed, and what became of the model.
fn fit(model: &FittedModel, folder: &Path) -> (usize, Result<(), Error>) {
    let mlp = Mlp { hidden: vec![3], ..Mlp::new(3, ModelKind::Score) };
    let x: Vec<f32> = (0..30).map(|i| (i as f32 * 1.3).sin()).collect();
    let config =
        TrainConfig { steps: 4, batch: 4, evaluate_every: 2, threads: 1, ..TrainConfig::default() };
    let mut trainer = Trainer::new(mlp.build(1).unwrap(), x.clone(), &x[..9], config).unwrap();
    let mut lost = 0;
    let mut last = None;
    while last != Some(4) {
        // Stopped at every evaluation and gone on with: writing on the thread that counts the calls.
        trainer.run(&mut |_, event| match event {
            Event::Step(p) if p.step % 2 == 0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        last = Some(trainer.step());
        let saved = trainer.checkpoint().save(&folder.join("m.checkpoint"), &serde_json::json!({}));
        lost += usize::from(saved.is_err());
    }
    (lost, model.save(&folder.join("m")))
}

/// Whatever call fails, each file is the old one or the new one, whole, and nothing else is left.
#[test]
fn every_call_of_a_fit_may_fail() {
    let (old, new) = (small(1), small(2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    old.save(&path).unwrap();
    let (mut n, mut kinds) = (0, [0; 3]);
    while let Some((lost, model)) = failing(n, 0, || fit(&new, folder.path())) {
        let there = FittedModel::load(&path).unwrap().fingerprint();
        match &model {
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Io, "call {n}");
                assert_eq!((lost, there), (0, old.fingerprint()), "call {n}");
                kinds[2] += 1;
            }
            Ok(()) => {
                assert_eq!((lost, there), (1, new.fingerprint()), "call {n}");
                old.save(&path).unwrap();
                // The first failed where only one is there: it is the second.
                let (checkpoint, _) =
                    Checkpoint::load(&folder.path().join("m.checkpoint")).unwrap();
                kinds[usize::from(checkpoint.step() == 2)] += 1;
            }
        }
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["m", "m.checkpoint"], "call {n}");
        n += 1;
    }
    assert_eq!(FittedModel::load(&path).unwrap().fingerprint(), new.fingerprint());
    assert!(kinds.iter().all(|k| *k > 5), "{n} calls: {kinds:?}");
}

/// A disk that stays full from call n on keeps what was there before.
#[test]
fn a_disk_that_stays_full_keeps_the_old_files() {
    let (old, new) = (small(1), small(2));
    for n in [0, 1, 7] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        old.save(&path).unwrap();
        let (lost, model) = failing(n, u64::MAX - 1, || fit(&new, folder.path())).unwrap();
        assert_eq!((lost, model.is_err()), (2, true));
        assert_eq!(FittedModel::load(&path).unwrap().fingerprint(), old.fingerprint());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
