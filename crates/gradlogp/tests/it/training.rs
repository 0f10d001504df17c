//! The training loop: does it converge to the right answer, and is it reproducible?

use std::ops::ControlFlow;
use std::sync::Arc;

use gradlogp::domain::{Bounds, Boxed, Domain};
use gradlogp::model::{Conditioning, Derivatives, PointSet, Points};
use gradlogp::numeric::{Activation, Real};
use gradlogp::objective::{Directions, RowLoss, SliceTerm, Slices};
use gradlogp::train::{Batches, Checkpoint, Event, Schedule, Stop, TrainConfig, Trainer};
use gradlogp::{Mlp, Model, ModelKind, Objective, SliceDistribution};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

fn normals(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

fn network(dim: usize, kind: ModelKind) -> Mlp {
    Mlp { hidden: vec![16, 16], activation: Activation::Tanh, ..Mlp::new(dim, kind) }
}

fn trainer(mlp: &Mlp, config: TrainConfig) -> Trainer {
    let d = mlp.dim;
    Trainer::new(mlp.build(1).unwrap(), normals(4000 * d, 2), &normals(500 * d, 3), config).unwrap()
}

/// Slope of the fitted score against x, by least squares on fresh rows: -1 for N(0, I).
fn slope(model: &Model<f32>) -> f64 {
    let model = model.cast::<f64>();
    let x: Vec<f64> = normals(1000 * model.dim(), 4).iter().map(|x| f64::from(*x)).collect();
    let s = Derivatives::new(&model).score(x.as_slice());
    let product: f64 = s.iter().zip(&x).map(|(s, x)| s * x).sum();
    product / x.iter().map(|x| x * x).sum::<f64>()
}

/// Sliced score matching as somebody else would write it, MATH (2): 1/M (q + 1/2 sum of p^2).
struct Mine {
    slices: usize,
    noise: Option<f64>,
}

impl<T: Real> RowLoss<T> for Mine {
    fn directions(&self) -> Directions {
        Directions::Slices(self.slices)
    }

    fn has_score_term(&self) -> bool {
        false
    }

    fn noise(&self) -> Option<f64> {
        self.noise
    }

    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let share = T::of(1.0 / self.slices as f64);
        let squares = seen.projections.iter().fold(T::ZERO, |sum, p| p.mul_add(*p, sum));
        projections_bar.iter_mut().zip(seen.projections).for_each(|(bar, p)| *bar = share * *p);
        SliceTerm { loss: share * (seen.curvature + T::of(0.5) * squares), curvature_bar: share }
    }
}

#[test]
fn a_loss_of_ones_own_trains_to_the_same_bits_as_ours() {
    let mine = |noise| Arc::new(Mine { slices: 2, noise });
    let base = TrainConfig { steps: 30, batch: 64, threads: 2, ..TrainConfig::default() };
    for kind in [ModelKind::Score, ModelKind::LogDensity] {
        let of = |objective| trainer(&network(3, kind), TrainConfig { objective, ..base.clone() });
        let mut ours = of(Objective::Ssm { slices: 2 });
        let mut own = of(Objective::Exact).with_loss(mine(None)).unwrap();
        let mut exact = of(Objective::Exact);
        for run in [&mut ours, &mut own, &mut exact] {
            assert_eq!(run.run(&mut |_, _| GO_ON), Stop::Completed);
        }
        assert_eq!(own.parameters(), ours.parameters(), "{kind:?}");
        assert_eq!(own.history().last(), ours.history().last());
        assert_ne!(own.parameters(), exact.parameters(), "the loss is not the one that was given");
    }
    let side = Bounds::new(Some(-9.0), None, 1.0);
    let domain = Domain::Box(Boxed { columns: vec![side; 3], power: 1.0 });
    let bounded = TrainConfig { domain: Some(domain), objective: Objective::Exact, ..base };
    let bounded = || trainer(&network(3, ModelKind::Score), bounded.clone());
    assert!(bounded().with_loss(mine(None)).is_ok());
    let error = bounded().with_loss(mine(Some(0.1))).err().unwrap().to_string();
    assert!(error.starts_with("loss: its noise"), "{error}");
}

#[test]
fn every_objective_and_distribution_finds_the_score_with_its_sign_and_scale() {
    // MATH 2, trap 1: a slice distribution of the wrong length would give a slope of -1/d under SSM-VR.
    let dim = 4;
    let base =
        TrainConfig { steps: 600, learning_rate: 1e-2, threads: 2, ..TrainConfig::default() };
    let mut cases = vec![
        (Objective::Exact, SliceDistribution::default(), -1.0),
        // MATH (6): the optimum belongs to the smoothed density, s = -x / (1 + sigma^2).
        (Objective::Dsm { sigma: 1.0 }, SliceDistribution::default(), -0.5),
        (Objective::FdSsm { slices: 2, eps: None }, SliceDistribution::default(), -1.0),
        (Objective::FdDsm { slices: 2, sigma: 1.0, eps: None }, SliceDistribution::default(), -0.5),
    ];
    for distribution in SliceDistribution::ALL {
        cases.push((Objective::Ssm { slices: 2 }, distribution, -1.0));
        cases.push((Objective::SsmVr { slices: 1 }, distribution, -1.0));
    }
    cases.push((Objective::Cp { slices: 2 }, SliceDistribution::default(), -1.0));
    for kind in [ModelKind::Score, ModelKind::LogDensity] {
        for (objective, distribution, want) in &cases {
            if objective.second_sweep().is_some() && kind == ModelKind::Score {
                continue;
            }
            let config = TrainConfig {
                objective: *objective,
                slice_distribution: *distribution,
                ..base.clone()
            };
            let mut trainer = trainer(&network(dim, kind), config);
            assert_eq!(trainer.run(&mut |_, _| GO_ON), Stop::Completed);
            // The last weights: for denoising the held-out loss would pick others.
            let mut model = trainer.best_model();
            if objective.sigma().is_some() {
                model.parameters = trainer.parameters().to_vec();
            }
            let got = slope(&model);
            assert!(
                (got - want).abs() < 0.12,
                "{kind:?} {objective:?} {distribution:?}: {got}, want {want}"
            );
        }
    }
}

fn short() -> TrainConfig {
    TrainConfig { steps: 60, evaluate_every: 7, batch: 300, threads: 2, ..TrainConfig::default() }
}

/// Rows of two columns that are moved at every step.
struct Moved {
    table: Vec<f32>,
    by: f32,
    batch: Vec<f32>,
}

impl Batches for Moved {
    fn rows(&self) -> usize {
        self.table.len() / 2
    }

    fn fill(&mut self, step: u64, chosen: &[usize]) -> Points<'_, f32> {
        let by = self.by * step as f32;
        self.batch.clear();
        for row in chosen {
            self.batch.extend(self.table[2 * row..2 * row + 2].iter().map(|x| x + by));
        }
        Points::from(&self.batch)
    }
}

#[test]
fn batches_of_ones_own_train_as_a_table_does() {
    let (mlp, held_out) = (network(2, ModelKind::Score), normals(1000, 3));
    let run = |by, distinct, held_out: &[f32]| {
        let batches = Box::new(Moved { table: normals(8000, 2), by, batch: Vec::new() });
        let model = mlp.build(1).unwrap();
        Trainer::with_batches(model, batches, held_out.into(), distinct, short()).map(|mut run| {
            assert_eq!(run.run(&mut |_, _| GO_ON), Stop::Completed);
            run
        })
    };
    let mut table = trainer(&mlp, short());
    table.run(&mut |_, _| GO_ON);
    let same = run(0.0, 500, &held_out).unwrap();
    assert_eq!((same.parameters(), same.history()), (table.parameters(), table.history()));
    assert_ne!(run(0.1, 500, &held_out).unwrap().parameters(), table.parameters());
    // The same rows twice over: the same mean, of as many rows.
    let twice = run(0.0, 500, &held_out.repeat(2)).unwrap();
    let (once, twice) = (same.history()[0].held_out, twice.history()[0].held_out);
    assert!((once.mean - twice.mean).abs() < 1e-6 * once.mean.abs());
    assert!((once.standard_error / twice.standard_error - 1.0).abs() < 1e-4);
    let refused = run(0.0, 300, &held_out).err().unwrap().to_string();
    assert!(refused.contains("copies of held-out rows"), "{refused}");
}

#[test]
fn resumed_runs_are_bit_identical_at_every_step() {
    let mlp = network(3, ModelKind::LogDensity);
    let mut whole = trainer(&mlp, short());
    whole.run(&mut |_, _| GO_ON);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c");
    for stop_at in [1, 6, 7, 8, 33, 59] {
        let mut first = trainer(&mlp, short());
        let stop = first.run(&mut |t: &Trainer, event| match event {
            Event::Step(p) if p.step == stop_at => {
                t.checkpoint().save(&path, &serde_json::json!({"note": 1})).unwrap();
                ControlFlow::Break(())
            }
            _ => GO_ON,
        });
        assert_eq!(stop, Stop::Interrupted);
        let (checkpoint, extra) = Checkpoint::load(&path).unwrap();
        assert_eq!((extra["note"].as_u64(), checkpoint.step()), (Some(1), stop_at));
        let mut second = Trainer::resume(
            mlp.build(1).unwrap(),
            normals(4000 * 3, 2),
            &normals(500 * 3, 3),
            short(),
            checkpoint,
        )
        .unwrap();
        assert_eq!(second.run(&mut |_, _| GO_ON), Stop::Completed);
        assert_eq!(second.checkpoint(), whole.checkpoint(), "stopped at {stop_at}");
    }
}

/// x | c ~ N(0.8 c, 1 - 0.8^2) in two columns, each with its own c.
fn conditional_rows(n: usize, seed: u64) -> PointSet<f32> {
    let (c, z) = (normals(2 * n, seed), normals(2 * n, seed + 1));
    let x = c.iter().zip(z).map(|(c, z)| 0.8 * c + 0.6 * z).collect();
    PointSet { x, contexts: vec![c], base: Vec::new() }
}

#[test]
fn every_objective_finds_the_conditional_score() {
    // s(x | c) = -(x - 0.8 c) / 0.36; for denoising -(x - 0.8 c) / (0.36 + sigma^2), MATH (6).
    let (training, held) = (conditional_rows(4000, 30), conditional_rows(500, 40));
    let fresh = conditional_rows(1000, 50);
    let widen = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let (x, c) = (widen(&fresh.x), widen(&fresh.contexts[0]));
    let base =
        TrainConfig { steps: 500, learning_rate: 1e-2, threads: 2, ..TrainConfig::default() };
    for kind in [ModelKind::Score, ModelKind::LogDensity] {
        let mlp = Mlp { condition_dim: 2, ..network(2, kind) };
        for (objective, variance) in [
            (Objective::Exact, 0.36),
            (Objective::Ssm { slices: 2 }, 0.36),
            (Objective::SsmVr { slices: 1 }, 0.36),
            (Objective::Dsm { sigma: 0.5 }, 0.61),
        ] {
            let config = TrainConfig { objective, ..base.clone() };
            let mut trainer =
                Trainer::new(mlp.build(1).unwrap(), training.clone(), &held, config).unwrap();
            assert_eq!(trainer.run(&mut |_, _| GO_ON), Stop::Completed);
            let mut model = trainer.best_model().cast::<f64>();
            if let Objective::Dsm { .. } = objective {
                model.parameters = widen(trainer.parameters());
            }
            let s = Derivatives::new(&model).score(Points::with_contexts(&x, &[&c]));
            assert_eq!(s.len(), x.len());
            let truth = |k: usize| -(x[k] - 0.8 * c[k]) / variance;
            let gap: f64 = (0..s.len()).map(|k| (s[k] - truth(k)).powi(2)).sum();
            let size: f64 = (0..s.len()).map(|k| truth(k).powi(2)).sum();
            // A fit of the marginal score of x would be off by 0.6.
            assert!(gap / size < 0.06, "{kind:?} {objective:?}: {}", gap / size);
        }
    }
}

/// Rows whose mean and spread both turn with c: x | c ~ N(sin 2c, exp(c)^2) in one column, c uniform in +-1.
fn turning_rows(n: usize, seed: u64) -> PointSet<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let c: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    let z = normals(n, seed + 1);
    let x = c.iter().zip(z).map(|(c, z)| (2.0 * c).sin() + c.exp() * z).collect();
    PointSet { x, contexts: vec![c], base: Vec::new() }
}

/// E|s - s*|^2 / E|s*|^2 of fits with FiLM. The best score without c is off by 0.49.
#[test]
fn film_finds_a_score_that_its_condition_moves_and_stretches() {
    let (training, held, fresh) =
        (turning_rows(10_000, 30), turning_rows(1000, 40), turning_rows(2000, 50));
    let config = TrainConfig {
        objective: Objective::Exact,
        steps: 1500,
        learning_rate: 1e-2,
        threads: 2,
        ..TrainConfig::default()
    };
    for kind in [ModelKind::Score, ModelKind::LogDensity] {
        let base_scale = (kind == ModelKind::LogDensity).then_some(3.0);
        let mlp = Mlp {
            condition_dim: 1,
            conditioning: Conditioning::Film,
            base_scale,
            ..network(1, kind)
        };
        let mut trainer =
            Trainer::new(mlp.build(1).unwrap(), training.clone(), &held, config.clone()).unwrap();
        trainer.run(&mut |_, _| GO_ON);
        let model = trainer.best_model();
        let s =
            Derivatives::new(&model).score(Points::with_contexts(&fresh.x, &[&fresh.contexts[0]]));
        let (mut gap, mut size) = (0.0, 0.0);
        for ((s, x), c) in s.iter().zip(&fresh.x).zip(&fresh.contexts[0]) {
            let truth = ((2.0 * c).sin() - x) / (2.0 * c).exp();
            gap += (s - truth).powi(2);
            size += truth * truth;
        }
        assert!(gap / size < 0.08, "{kind:?} {}", gap / size);
    }
}

#[test]
fn resumed_runs_with_contexts_are_bit_identical() {
    let mlp = Mlp { condition_dim: 2, ..network(2, ModelKind::LogDensity) };
    let (training, held) = (conditional_rows(700, 30), conditional_rows(100, 40));
    let model = || mlp.build(1).unwrap();
    let mut whole = Trainer::new(model(), training.clone(), &held, short()).unwrap();
    whole.run(&mut |_, _| GO_ON);
    let mut first = Trainer::new(model(), training.clone(), &held, short()).unwrap();
    first.run(&mut |_, event| match event {
        Event::Step(p) if p.step == 8 => ControlFlow::Break(()),
        _ => GO_ON,
    });
    let checkpoint = first.checkpoint();
    let mut second = Trainer::resume(model(), training, &held, short(), checkpoint).unwrap();
    second.run(&mut |_, _| GO_ON);
    assert_eq!(second.checkpoint(), whole.checkpoint());
}

#[test]
fn contexts_that_do_not_fit_are_refused() {
    let mlp = Mlp { condition_dim: 2, ..network(2, ModelKind::Score) };
    let rows = conditional_rows(50, 30);
    let refused = |training: PointSet<f32>, held: &PointSet<f32>| {
        let made = Trainer::new(mlp.build(1).unwrap(), training, held, short());
        made.err().expect("refused").to_string()
    };
    let without = PointSet::from(rows.x.clone());
    assert!(refused(without.clone(), &rows).contains("context"));
    assert!(refused(rows.clone(), &without).contains("context"));
    assert!(refused(PointSet { x: rows.x[1..].to_vec(), ..rows.clone() }, &rows).contains("in x"));
}

#[test]
fn same_seed_same_bits_and_other_seed_other_bits() {
    let run = |seed: u64| {
        let mut trainer = trainer(&network(2, ModelKind::Score), TrainConfig { seed, ..short() });
        trainer.run(&mut |_, _| GO_ON);
        trainer.checkpoint()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn threads_change_only_the_last_bits() {
    // Slices belong to rows and steps, not to threads: tiles are larger than these batches.
    let losses = |threads: usize| {
        let config = TrainConfig { threads, objective: Objective::Exact, steps: 5, ..short() };
        let mut trainer = trainer(&network(2, ModelKind::Score), config);
        let mut losses = Vec::new();
        trainer.run(&mut |_, event| {
            if let Event::Step(p) = event {
                losses.push(p.loss);
            }
            GO_ON
        });
        losses
    };
    for (one, two) in losses(1).iter().zip(losses(2)) {
        assert!((one - two).abs() < 1e-5 * (1.0 + one.abs()), "{one} {two}");
    }
}

#[test]
fn patience_stops_and_keeps_the_best() {
    let config = TrainConfig {
        steps: 5000,
        evaluate_every: 5,
        patience: 4,
        schedule: Schedule::Constant,
        batch: 20,
        learning_rate: 3e-2,
        ema_decay: 0.0,
        ..TrainConfig::default()
    };
    let mut trainer = trainer(&network(2, ModelKind::Score), config);
    assert_eq!(trainer.run(&mut |_, _| GO_ON), Stop::Patience);
    let (step, loss) = trainer.best().unwrap();
    let history = trainer.history();
    assert!(history.iter().all(|p| p.held_out.mean >= loss.mean));
    assert_eq!(history.last().unwrap().step, step + 4 * 5);
    // E[J] of N(0, I) at the truth is -d/2.
    assert!((loss.mean + 1.0).abs() < 0.2, "{loss:?}");
}

#[test]
fn overfitting_is_not_called_divergence() {
    let mlp = Mlp { hidden: vec![64, 64], ..Mlp::new(4, ModelKind::LogDensity) };
    let config = TrainConfig { steps: 800, learning_rate: 5e-3, ..TrainConfig::default() };
    let (few, held) = (normals(40 * 4, 2), normals(200 * 4, 3));
    let mut trainer = Trainer::new(mlp.build(1).unwrap(), few, &held, config).unwrap();
    assert_eq!(trainer.run(&mut |_, _| GO_ON), Stop::Completed);
    let last = trainer.history().last().unwrap();
    let (step, best) = trainer.best().unwrap();
    assert!(last.held_out.mean > best.mean + 1.0 && step < 800, "{last:?} {best:?}");
}

#[test]
fn divergence_ends_the_run_with_the_best_weights_and_advice() {
    let config = TrainConfig {
        learning_rate: 1e6,
        warm_up: 0,
        max_gradient_norm: f64::INFINITY,
        ema_decay: 0.0,
        evaluate_every: 10,
        ..TrainConfig::default()
    };
    let mut trainer = trainer(&network(2, ModelKind::Score), config);
    let Stop::Diverged { message } = trainer.run(&mut |_, _| GO_ON) else {
        panic!("no divergence")
    };
    assert!(message.contains("learning rate"), "{message}");
    assert!(trainer.best_model().parameters.iter().all(|p| p.is_finite()));
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let refuse = |config: TrainConfig, name: &str| {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    };
    let base = TrainConfig::default;
    refuse(TrainConfig { steps: 0, ..base() }, "steps");
    refuse(TrainConfig { batch: 0, ..base() }, "batch");
    refuse(TrainConfig { learning_rate: f64::NAN, ..base() }, "learning_rate");
    refuse(TrainConfig { learning_rate: -1.0, ..base() }, "learning_rate");
    refuse(TrainConfig { max_gradient_norm: 0.0, ..base() }, "max_gradient_norm");
    refuse(TrainConfig { ema_decay: 1.0, ..base() }, "ema_decay");
    refuse(TrainConfig { weight_decay: -0.1, ..base() }, "weight_decay: ");
    refuse(TrainConfig { objective: Objective::Ssm { slices: 0 }, ..base() }, "slices");
    refuse(TrainConfig { objective: Objective::Dsm { sigma: 0.0 }, ..base() }, "sigma");
    let fd = |slices, eps| TrainConfig { objective: Objective::FdSsm { slices, eps }, ..base() };
    refuse(fd(0, None), "slices");
    refuse(fd(1, Some(0.0)), "fd_eps");
}
