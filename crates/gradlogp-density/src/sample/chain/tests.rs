//! Tests of `chain.rs`.

use super::super::convergence::effective_sample_size_of_mean;
use super::*;
use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
use ndarray::array;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn mala(p: &dyn ReferenceDensity, config: &ChainConfig, seed: u64) -> ChainRun {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let start = p.sample(config.chains, &mut rng);
    run_mala(p, start.view(), config, &mut rng).unwrap()
}

/// The mean of f over all draws is `exact` within 4.5 errors, sd / sqrt(ESS).
fn assert_mean(run: &ChainRun, f: impl Fn(ndarray::ArrayView1<'_, f64>) -> f64, exact: f64) {
    let values = run.draws.map_axis(Axis(2), f);
    let size = effective_sample_size_of_mean(values.view());
    let error = values.std(1.0) / size.sqrt();
    let mean = values.mean().unwrap();
    assert!((mean - exact).abs() < 4.5 * error, "{mean} +- {error}, not {exact}");
    assert!(size > 200.0, "only {size} effective draws: tests little");
}

#[test]
fn mala_draws_a_correlated_gaussian() {
    let p = Gaussian::new(array![1.0, -1.0], array![[1.0, 0.8], [0.8, 2.0]]).unwrap();
    let run = mala(&p, &ChainConfig { steps: 4000, ..Default::default() }, 1);
    assert_mean(&run, |x| x[0], 1.0);
    assert_mean(&run, |x| x[0] * x[0], 2.0);
    assert_mean(&run, |x| x[0] * x[1], -0.2);
    assert_mean(&run, |x| x[1] * x[1], 3.0);
    assert!(run.convergence.iter().all(|column| column.r_hat < 1.02), "{:?}", run.convergence);
    let rate = run.acceptance_rate().unwrap();
    assert!((rate - 0.574).abs() < 0.05, "adapted to {rate}");
}

#[test]
fn mala_draws_a_mixture() {
    let p =
        GaussianMixture::isotropic(array![0.7, 0.3], array![[-1.2], [1.2]].view(), 0.8).unwrap();
    let run = mala(&p, &ChainConfig { steps: 4000, ..Default::default() }, 2);
    assert_mean(&run, |x| x[0], -0.48);
    assert_mean(&run, |x| x[0] * x[0], 1.44 + 0.64);
}

#[test]
fn ula_keeps_its_step_and_has_its_own_variance() {
    let p = Gaussian::standard(1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let config = ChainConfig { step_size: 0.8, steps: 4000, ..Default::default() };
    let start = p.sample(8, &mut rng);
    let run = run_ula(&p, start.view(), &config, &mut rng).unwrap();
    assert_eq!((run.step_size, run.acceptance.is_none()), (0.8, true));
    assert_mean(&run, |x| x[0] * x[0], 1.25);
}

fn hmc(p: &dyn ReferenceDensity, config: &ChainConfig, seed: u64) -> ChainRun {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let start = standard_normal_start(config.chains, p.dim(), &mut rng);
    run_hmc(p, start.view(), config, 8, &mut rng).unwrap()
}

/// Columns whose standard deviations differ by 1000 are learnt, and then mix as one.
#[test]
fn hmc_learns_the_scale_of_the_columns() {
    let covariance = array![[1e-4, 0.0], [0.0, 100.0]];
    let p = Gaussian::new(array![0.0, 3.0], covariance).unwrap();
    let config = ChainConfig { target_acceptance: Some(0.8), ..Default::default() };
    let run = hmc(&p, &config, 5);
    assert_mean(&run, |x| x[0] * x[0] * 1e4, 1.0);
    assert_mean(&run, |x| x[1], 3.0);
    assert_mean(&run, |x| (x[1] - 3.0).powi(2), 100.0);
    let rate = run.acceptance_rate().unwrap();
    assert!((0.72..0.88).contains(&rate), "adapted to {rate}");
    // MALA, which knows one step size only, hardly moves in column 1.
    let other = mala(&p, &ChainConfig::default(), 5);
    let (ours, theirs) = (&run.convergence[1], &other.convergence[1]);
    assert!(ours.effective_sample_size > 20.0 * theirs.effective_sample_size);
    assert!(ours.r_hat < 1.01, "{ours:?}");
}

#[test]
fn hmc_draws_a_mixture() {
    let p =
        GaussianMixture::isotropic(array![0.7, 0.3], array![[-1.2], [1.2]].view(), 0.8).unwrap();
    let config = ChainConfig { target_acceptance: Some(0.8), ..Default::default() };
    let run = hmc(&p, &config, 6);
    assert_mean(&run, |x| x[0], -0.48);
    assert_mean(&run, |x| x[0] * x[0], 1.44 + 0.64);
}

/// A run that is stored and restored, in warm-up and after it, has the same bits.
#[test]
fn a_snapshot_goes_on_with_the_same_bits() {
    let p = Gaussian::rank_one(0.5, 2).unwrap();
    let config =
        ChainConfig { chains: 3, warm_up: 60, steps: 30, thinning: 2, ..Default::default() };
    let start = standard_normal_start(3, 2, &mut ChaCha8Rng::seed_from_u64(9));
    for sampler in 0..3 {
        let fresh = || match sampler {
            0 => Chains::ula(&p, start.view(), &config).unwrap(),
            1 => Chains::mala(&p, start.view(), &config).unwrap(),
            _ => Chains::hmc(&p, start.view(), &config, 4).unwrap(),
        };
        let whole = fresh().run(&mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        for stop in [0, 25, 60, 71] {
            let (mut chains, mut rng) = (fresh(), ChaCha8Rng::seed_from_u64(1));
            for _ in 0..stop {
                chains.advance(&mut rng).unwrap();
            }
            let json = serde_json::to_string(&chains.snapshot()).unwrap();
            let snapshot: Snapshot = serde_json::from_str(&json).unwrap();
            let chains = match sampler {
                0 => Chains::restore_ula(&p, snapshot).unwrap(),
                1 => Chains::restore_mala(&p, snapshot).unwrap(),
                _ => Chains::restore_hmc(&p, snapshot, 4).unwrap(),
            };
            let parts = chains.run(&mut rng).unwrap();
            assert_eq!((&parts.draws, &parts.acceptance), (&whole.draws, &whole.acceptance));
            assert_eq!(parts.step_size, whole.step_size);
        }
    }
    let mut torn = Chains::mala(&p, start.view(), &config).unwrap().snapshot();
    torn.position.pop();
    assert!(Chains::restore_mala(&p, torn).is_err());
}

/// N(0, w^2) for each row: the widths of a conditional model at a condition a row.
struct Widths(Vec<f64>);

impl Score for Widths {
    fn dim(&self) -> usize {
        2
    }
    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        Array2::from_shape_fn(x.dim(), |(i, j)| {
            if self.0[i].is_nan() { f64::NAN } else { -x[[i, j]] / self.0[i].powi(2) }
        })
    }
}

impl LogDensity for Widths {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let half = |i: usize| -0.5 * x.row(i).dot(&x.row(i)) / self.0[i].powi(2);
        (0..x.nrows()).map(half).collect()
    }
}

fn apart(p: &Widths, sampler: usize, config: &ChainConfig) -> ChainRun {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let start = Array2::from_shape_fn((config.chains, 2), |(i, j)| 0.5 + (i % 3 + j) as f64);
    let chains = match sampler {
        0 => Chains::ula(p, start.view(), config).unwrap(),
        1 => Chains::mala(p, start.view(), config).unwrap(),
        _ => Chains::hmc(p, start.view(), config, 5).unwrap(),
    };
    chains.run(&mut rng).unwrap()
}

/// 20 narrow distributions beside 200 that are thirty times wider: each gets its own width, by every sampler.
#[test]
fn chains_apart_adapt_each_to_its_own_law() {
    let widths = |i: usize| if i < 20 { 0.1 } else { 3.0 };
    let p = Widths((0..220).map(widths).collect());
    let config = ChainConfig {
        chains: 220,
        warm_up: 600,
        steps: 400,
        thinning: 20,
        apart: true,
        ..Default::default()
    };
    for sampler in 0..3 {
        let run = apart(&p, sampler, &config);
        assert!(run.not_mixed.is_empty() && run.lost.is_empty(), "{:?}", run.not_mixed);
        for (of, width) in [(s![..20, .., ..], 0.1), (s![20.., .., ..], 3.0)] {
            let draws = run.draws.slice(of);
            let ratio = draws.mapv(|x| x * x).mean().unwrap() / (width * width);
            let bias = if sampler == 0 { 1.05 } else { 1.0 };
            // Draws 20 steps apart are nearly independent.
            let error = (4.0 / draws.len() as f64).sqrt();
            assert!((ratio / bias - 1.0).abs() < 4.0 * error, "{sampler} {width}: {ratio}");
        }
    }
}

/// The same bits with other distributions beside it, and one that is hopeless is named and spoils nothing.
#[test]
fn chains_apart_do_not_feel_each_other() {
    let config =
        ChainConfig { chains: 3, warm_up: 60, steps: 20, apart: true, ..Default::default() };
    let (few, more) = (vec![0.1, 1.0, 5.0], vec![0.1, 1.0, 5.0, 1e-3, f64::NAN]);
    for sampler in 0..3 {
        let alone = apart(&Widths(few.clone()), sampler, &config);
        let config = ChainConfig { chains: 5, ..config.clone() };
        let among = apart(&Widths(more.clone()), sampler, &config);
        assert_eq!(alone.draws, among.draws.slice(s![..3, .., ..]), "{sampler}");
        assert_eq!(among.lost, [4], "{sampler}");
        assert!(among.draws.slice(s![4, .., ..]).iter().all(|x| x.is_nan()));
        assert!(among.draws.slice(s![3, .., ..]).iter().all(|x| x.is_finite()));
    }
    // Stored on the way and taken up again.
    for sampler in 0..3 {
        let p = Widths(few.clone());
        let whole = apart(&p, sampler, &config);
        let start = Array2::from_shape_fn((3, 2), |(i, j)| 0.5 + (i % 3 + j) as f64);
        for stop in [25, 60, 71] {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let mut chains = match sampler {
                0 => Chains::ula(&p, start.view(), &config).unwrap(),
                1 => Chains::mala(&p, start.view(), &config).unwrap(),
                _ => Chains::hmc(&p, start.view(), &config, 5).unwrap(),
            };
            (0..stop).for_each(|_| assert!(chains.advance(&mut rng).is_ok()));
            let json = serde_json::to_string(&chains.snapshot()).unwrap();
            let snapshot: Snapshot = serde_json::from_str(&json).unwrap();
            let chains = match sampler {
                0 => Chains::restore_ula(&p, snapshot).unwrap(),
                1 => Chains::restore_mala(&p, snapshot).unwrap(),
                _ => Chains::restore_hmc(&p, snapshot, 5).unwrap(),
            };
            let parts = chains.run(&mut rng).unwrap();
            assert_eq!(parts.draws, whole.draws, "{sampler} {stop}");
        }
    }
}

/// A chain that is given a step far too long for its distribution is named, and no other.
#[test]
fn chains_apart_that_do_not_move_are_named() {
    let p = Widths(vec![1.0, 1e-6, 1.0]);
    let config = ChainConfig {
        chains: 3,
        warm_up: 0,
        steps: 200,
        apart: true,
        target_acceptance: None,
        step_size: 0.5,
        ..Default::default()
    };
    assert_eq!(apart(&p, 1, &config).not_mixed, [1]);
}

/// HMC stopped within a move is where it was, and goes on from a copy of the generator with the same bits.
#[test]
fn a_move_can_be_stopped() {
    let p = Gaussian::rank_one(0.5, 2).unwrap();
    let config = ChainConfig { chains: 3, warm_up: 5, steps: 5, ..Default::default() };
    let start = standard_normal_start(3, 2, &mut ChaCha8Rng::seed_from_u64(9));
    let fresh = || Chains::hmc(&p, start.view(), &config, 1000).unwrap();
    let whole = fresh().run(&mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let (mut chains, mut rng) = (fresh(), ChaCha8Rng::seed_from_u64(1));
    (0..7).for_each(|_| assert!(chains.advance(&mut rng).is_ok()));
    let (kept, mut asked) = (rng.clone(), 0);
    let mut go_on_twice = || {
        asked += 1;
        asked < 3
    };
    assert_eq!(chains.advance_while(&mut rng, &mut go_on_twice).unwrap(), None);
    assert_eq!(asked, 3);
    let rest = chains.run(&mut kept.clone()).unwrap();
    assert_eq!(rest.draws, whole.draws);
}

#[test]
fn equal_seeds_give_equal_draws() {
    let p = Gaussian::rank_one(0.5, 2).unwrap();
    let config = ChainConfig { chains: 3, warm_up: 20, steps: 30, ..Default::default() };
    assert_eq!(mala(&p, &config, 1).draws, mala(&p, &config, 1).draws);
    assert_ne!(mala(&p, &config, 1).draws, mala(&p, &config, 2).draws);
}

#[test]
fn thinning_keeps_every_so_many_th_step() {
    let p = Gaussian::standard(1).unwrap();
    let all = ChainConfig { chains: 2, warm_up: 5, steps: 10, ..Default::default() };
    let some = ChainConfig { thinning: 3, ..all.clone() };
    let (all, some) = (mala(&p, &all, 1), mala(&p, &some, 1));
    assert_eq!(some.draws, all.draws.slice(s![.., 2..;3, ..]));
    assert_eq!(some.pooled().dim(), (6, 1));
    assert_eq!(some.pooled()[[3, 0]], some.draws[[1, 0, 0]]);
}

#[test]
fn observer_sees_every_step_and_can_stop() {
    let p = Gaussian::standard(1).unwrap();
    let config = ChainConfig { chains: 2, warm_up: 5, steps: 10, ..Default::default() };
    for (stop_at, draws) in [(3, 0), (9, 4), (15, 10), (99, 10)] {
        let mut seen = Vec::new();
        let mut observer = |progress: Progress| {
            seen.push((progress.step, progress.phase));
            match progress.step == stop_at {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let start = array![[0.0], [1.0]];
        let run = Chains::mala(&p, start.view(), &config)
            .unwrap()
            .run_with(&mut rng, &mut observer)
            .unwrap();
        assert_eq!(run.draws.dim(), (2, draws, 1));
        assert_eq!(run.completed, stop_at >= 15);
        assert_eq!(seen.len(), stop_at.min(15));
        assert!(seen.iter().all(|(step, phase)| (*step <= 5) == (*phase == Phase::WarmUp)));
    }
}

#[test]
fn refuses_bad_settings_by_name() {
    let good = ChainConfig::default();
    good.validate().unwrap();
    for (bad, name) in [
        (ChainConfig { chains: 0, ..good.clone() }, "chains"),
        (ChainConfig { thinning: 0, ..good.clone() }, "thinning"),
        (ChainConfig { steps: 3, thinning: 4, ..good.clone() }, "steps"),
        (ChainConfig { step_size: f64::NAN, ..good.clone() }, "step_size"),
        (ChainConfig { target_acceptance: Some(1.0), ..good.clone() }, "target_acceptance"),
    ] {
        assert!(bad.validate().unwrap_err().to_string().starts_with(name), "{name}");
    }
    let p = Gaussian::standard(2).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let start = Array2::zeros((7, 2));
    assert!(run_mala(&p, start.view(), &good, &mut rng).is_err());
}
