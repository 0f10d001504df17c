//! Time networks and noised batches against what is known of them.

use std::sync::Arc;

use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::exec::{Domain, Draw, LossEngine, Threads};
use crate::model::{Model, ModelKind, Points};
use crate::objective::Objective;
use crate::oracle::Gaussian;
use crate::score::TimeScore;
use crate::sde::{CustomSde, Kernel, Marginal, OrnsteinUhlenbeck, Sde, Ve, Vp};
use crate::slice::SliceLaw;

const KINDS: [ModelKind; 2] = [ModelKind::Score, ModelKind::Potential];

fn clock(sde: impl Sde + 'static) -> Clock {
    Clock::new(Arc::new(sde)).unwrap()
}

fn small(kind: ModelKind, conditioning: Conditioning) -> TimeMlp {
    let features = TimeFeatures::Fourier { frequencies: 2 };
    TimeMlp { hidden: vec![12, 9], features, conditioning, ..TimeMlp::new(2, kind) }
}

fn normals(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// Without weights a scaled network is the best linear score: exact for N(0, I) data, at every time.
#[test]
fn a_network_of_zeros_is_the_score_of_normal_data() {
    let (sde, x) = (Vp::default(), array![[0.7, -1.3], [2.0, 0.1]]);
    let truth = Marginal::gaussian(Gaussian::standard(2).unwrap(), sde).unwrap();
    for kind in KINDS {
        let settings = small(kind, Conditioning::Film);
        let mut network: Model<f64> = settings.build(1).unwrap();
        network.parameters.fill(0.0);
        let model = TimeModel::new(network, settings, clock(sde));
        for t in [1e-3, 0.2, 1.0] {
            let (found, expected) = (model.score_at(x.view(), t), truth.score_at(x.view(), t));
            assert!((&found - &expected).iter().all(|e| e.abs() < 1e-12), "{kind:?} at {t}");
        }
    }
}

/// The scaling gives a network of size 1 the size of the score: b s stays of order 1 as b goes to 0.
#[test]
fn outputs_grow_as_the_noise_shrinks() {
    let settings = small(ModelKind::Score, Conditioning::Concat);
    let model = TimeModel::new(settings.build::<f64>(3).unwrap(), settings, clock(Ve::default()));
    let sizes: Vec<f64> = [0.0, 0.2, 0.4]
        .iter()
        .map(|t| {
            let s = model.score_at(array![[0.3, -0.2]].view(), *t);
            s.iter().map(|s| s * s).sum::<f64>().sqrt() * Ve::default().sigma(*t)
        })
        .collect();
    assert!(sizes.iter().all(|s| *s > 0.02 && *s < 5.0), "{sizes:?}");
}

/// J v and the trace are the derivatives of the score, for all kinds and ways of conditioning; and time
/// does matter.
#[test]
fn derivatives_of_time_networks_match_differences() {
    let (x, v, h) = (array![[0.7, -1.3], [0.2, 0.4]], array![[1.0, 0.5], [-0.3, 2.0]], 1e-5);
    for (kind, conditioning) in
        KINDS.into_iter().flat_map(|k| [(k, Conditioning::Concat), (k, Conditioning::Film)])
    {
        let settings = small(kind, conditioning);
        let model =
            TimeModel::new(settings.build::<f64>(2).unwrap(), settings, clock(Vp::default()));
        let along = |v: &Array2<f64>, t: f64| {
            (model.score_at((&x + &(v * h)).view(), t) - model.score_at((&x - &(v * h)).view(), t))
                / (2.0 * h)
        };
        let t = 0.3;
        let (product, difference) = (model.jacobian_vector_at(x.view(), t, v.view()), along(&v, t));
        assert!(
            (&product - &difference).iter().all(|e| e.abs() < 1e-7),
            "{kind:?} {conditioning:?}"
        );
        let unit = |j: usize| Array2::from_shape_fn((2, 2), |(_, k)| f64::from(u8::from(j == k)));
        let trace = &along(&unit(0), t).column(0) + &along(&unit(1), t).column(1);
        let error = &model.trace_at(x.view(), t) - &trace;
        assert!(error.iter().all(|e| e.abs() < 1e-7), "{kind:?} {conditioning:?}: {error}");
        let kernel = |t: f64| model.clock().noise(t);
        let rest = |t: f64| {
            let Kernel { scale, std } = kernel(t);
            &model.score_at(x.view(), t) * std / scale
        };
        assert!((rest(0.3) - rest(0.4)).iter().any(|e| e.abs() > 1e-3), "blind to time");
    }
}

#[test]
fn positions_run_from_minus_one_to_one() {
    for clock in [
        clock(Vp::default()),
        clock(Ve::default()),
        clock(OrnsteinUhlenbeck::default()),
        clock(CustomSde::new(|_, _, f| f.fill(0.0), |t| 1.0 + t, 2.0, 0.1).unwrap()),
    ] {
        let (low, high) = (clock.t_min(), clock.horizon());
        let at = |u: f64| clock.position(low + u * (high - low));
        assert!((at(0.0) + 1.0).abs() < 1e-12 && (at(1.0) - 1.0).abs() < 1e-12, "{clock:?}");
        assert!(at(0.2) < at(0.5) && at(0.5) < at(0.8), "{clock:?}");
    }
    // The integral of (1 + t)^2 from 0 to 2 is 26/3.
    let grown = CustomSde::new(|_, _, f| f.fill(0.0), |t| 1.0 + t, 2.0, 0.1).unwrap();
    assert!((clock(grown).noise(2.0).std.powi(2) - 26.0 / 3.0).abs() < 1e-4);
}

fn noising(sde: impl Sde + 'static, config: NoiseConfig) -> Noising {
    Noising::new(small(ModelKind::Score, Conditioning::Film), clock(sde), config).unwrap()
}

fn noised(noising: &Noising, x: &[f32], seed: u64) -> Noised {
    let mut rows = Noised::default();
    noising.fill(x, &mut ChaCha8Rng::seed_from_u64(seed), &mut rows);
    rows
}

/// Times are stratified, x_t has the kernel's law, the target is its score, the weight is lambda.
#[test]
fn noised_rows_follow_the_kernel() {
    let sde = Vp::default();
    let x = normals(2 * 4000, 1);
    let noising = noising(sde, NoiseConfig::default());
    let rows = noised(&noising, &x, 2);
    let n = rows.times.len();
    let mut z = Vec::new();
    for (i, t) in rows.times.iter().enumerate() {
        let u = (t - sde.t_min) / (1.0 - sde.t_min) * n as f64;
        assert!(u >= i as f64 - 1e-9 && u <= (i + 1) as f64 + 1e-9, "row {i} at stratum {u}");
        let Kernel { scale, std } = sde.kernel(*t).unwrap();
        assert!((f64::from(rows.weights[i]) - std * std).abs() < 1e-6);
        for j in 2 * i..2 * i + 2 {
            let noise = (f64::from(rows.x[j]) - scale * f64::from(x[j])) / std;
            assert!((f64::from(rows.targets[j]) + noise / std).abs() < 2e-3 * (1.0 + 1.0 / std));
            z.push(noise);
        }
    }
    let count = z.len() as f64;
    let (mean, square) =
        (z.iter().sum::<f64>() / count, z.iter().map(|z| z * z).sum::<f64>() / count);
    assert!(mean.abs() < 4.0 / count.sqrt(), "{mean}");
    assert!((square - 1.0).abs() < 4.0 * (2.0 / count).sqrt(), "{square}");
    let again = noised(&noising, &x, 3);
    assert!(rows.x != again.x && rows.times != again.times, "noise is drawn anew");
}

/// Whatever the law of times, the weighted mean of h(t) is the mean of lambda h over uniform times.
#[test]
fn importance_weights_undo_the_law_of_times() {
    let sde = Vp::default();
    let h = |t: f64| 1.0 + t * t;
    for (weight, lambda) in [
        (NoiseWeight::Likelihood, (&|t: f64| sde.beta.rate(t)) as &dyn Fn(f64) -> f64),
        (NoiseWeight::Noise, &|t: f64| sde.kernel(t).unwrap().std.powi(2)),
        (NoiseWeight::None, &|_| 1.0),
    ] {
        let grid = (0..10_000).map(|k| sde.t_min + (1.0 - sde.t_min) * (k as f64 + 0.5) / 1e4);
        let expected = grid.map(|t| lambda(t) * h(t)).sum::<f64>() / 1e4;
        for times in [TimeLaw::Uniform, TimeLaw::Importance] {
            let config = NoiseConfig { weight, times, ..NoiseConfig::default() };
            let rows = noised(&noising(sde, config), &normals(2 * 4000, 1), 5);
            let sum: f64 =
                rows.times.iter().zip(&rows.weights).map(|(t, w)| h(*t) * f64::from(*w)).sum();
            let found = sum / 4000.0;
            assert!((found / expected - 1.0).abs() < 0.01, "{weight:?} {times:?}: {found}");
        }
    }
    // The integral of g^2/std^2 is L = log(e^B - 1): times are such that L is uniform.
    let config = NoiseConfig {
        weight: NoiseWeight::Likelihood,
        times: TimeLaw::Importance,
        ..NoiseConfig::default()
    };
    let rows = noised(&noising(sde, config), &normals(2000, 1), 5);
    let log = |t: f64| sde.beta.integral(t).exp_m1().ln();
    for i in [300, 500, 900] {
        let share = (log(rows.times[i]) - log(sde.t_min)) / (log(1.0) - log(sde.t_min));
        assert!((share - i as f64 / 1000.0).abs() < 0.02, "row {i} at {share}");
    }
}

#[test]
fn a_ladder_has_only_its_levels() {
    let config = NoiseConfig { levels: Some(4), ..NoiseConfig::default() };
    let rows = noised(&noising(Ve::default(), config), &normals(2000, 1), 1);
    let mut times = rows.times.clone();
    times.dedup();
    assert_eq!(times, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
}

/// Mean loss and gradient of `model` on noised rows.
fn loss(model: &Model<f32>, points: Points<'_, f32>, objective: Objective) -> (f64, Vec<f32>) {
    let mut engine = LossEngine::new(model, &objective, SliceLaw::Rademacher, 2);
    let draw = Draw { seed: 1, domain: Domain::Train, step: 0 };
    let mean = Threads::new(2).unwrap().install(|| engine.loss_and_gradient(model, points, draw));
    (mean, engine.gradient().to_vec())
}

/// With weight std^2, denoising less implicit score matching is d/2 in expectation, whatever the
/// network: MATH (6). A wrong sign or scale of target, weight or contexts breaks it.
#[test]
fn denoising_is_implicit_score_matching_plus_a_constant() {
    let n = 20_000;
    let x: Vec<f32> = normals(2 * n, 1).iter().map(|z| 0.5 * z + 0.3).collect();
    for kind in KINDS {
        let settings = small(kind, Conditioning::Film);
        let noising = Noising::new(
            settings.clone(),
            clock(Ve { sigma_min: 0.3, sigma_max: 4.0 }),
            NoiseConfig::default(),
        )
        .unwrap();
        let rows = noised(&noising, &x, 2);
        let mut differences = Vec::new();
        for seed in [3, 4] {
            let model = settings.build::<f32>(seed).unwrap();
            let dsm = loss(&model, (&rows).into(), Objective::Regression).0;
            let exact = loss(&model, (&rows).into(), Objective::Exact).0;
            differences.push(dsm - exact);
        }
        assert!(differences.iter().all(|d| (d - 1.0).abs() < 0.03), "{kind:?}: {differences:?}");
    }
}

/// The gradient with weights a and b is a times that of the first row plus b times that of the second.
#[test]
fn weights_scale_losses_and_gradients_of_their_rows() {
    for kind in KINDS {
        let settings = small(kind, Conditioning::Concat);
        let model = settings.build::<f32>(1).unwrap();
        let noising = Noising::new(
            settings,
            clock(Vp { t_min: 0.1, ..Vp::default() }),
            NoiseConfig::default(),
        );
        let rows = noised(&noising.unwrap(), &normals(4, 1), 2);
        for objective in [
            Objective::Exact,
            Objective::Ssm { slices: 2 },
            Objective::SsmVr { slices: 2 },
            Objective::Regression,
        ] {
            let with = |weights: &[f32]| {
                loss(&model, Points { weights, ..Points::from(&rows) }, objective)
            };
            let (all, none) = (with(&[0.7, 2.5]), with(&[]));
            let (first, second, ones) = (with(&[1.0, 0.0]), with(&[0.0, 1.0]), with(&[1.0, 1.0]));
            let what = format!("{kind:?} {objective:?}");
            let close = |a: f64, b: f64| (a - b).abs() < 2e-5 * (1.0 + a.abs() + b.abs());
            assert!(close(all.0, 0.7 * first.0 + 2.5 * second.0), "{what}");
            assert!(close(none.0, ones.0) && first.0 != 0.0, "{what}");
            for (k, sum) in all.1.iter().enumerate() {
                let expected = 0.7 * first.1[k] + 2.5 * second.1[k];
                assert!(close((*sum).into(), expected.into()), "{what}: {sum} vs {expected}");
                assert!(close(none.1[k].into(), ones.1[k].into()), "{what}");
            }
        }
    }
}

#[test]
fn refuses_what_cannot_be_noised() {
    let custom = || CustomSde::new(|_, _, f| f.fill(0.0), |_| 1.0, 1.0, 0.1).unwrap();
    let scaled = small(ModelKind::Score, Conditioning::Film);
    let plain = TimeMlp { scaled: false, ..scaled.clone() };
    let simulated = NoiseConfig { simulate: Some(10), ..NoiseConfig::default() };
    let refused = |network: &TimeMlp, clock: Clock, config: NoiseConfig| {
        Noising::new(network.clone(), clock, config).unwrap_err().to_string()
    };
    let says = refused(&plain, clock(custom()), NoiseConfig::default());
    assert!(says.contains("no closed-form kernel"), "{says}");
    let says = refused(&scaled, clock(custom()), simulated);
    assert!(says.contains("no closed-form kernel"), "{says}");
    let none = NoiseConfig { simulate: Some(0), ..NoiseConfig::default() };
    assert!(refused(&scaled, clock(Vp::default()), none).contains("at least 1 step"));
    assert!(Noising::new(plain, clock(custom()), simulated).is_ok());
    let broken = CustomSde::new(|_, _, f| f.fill(0.0), |t| (t - 0.5).sqrt(), 1.0, 0.1).unwrap();
    let says = Clock::new(Arc::new(broken)).unwrap_err().to_string();
    assert!(says.contains("diffusion") && says.contains("NaN"), "{says}");
    let start = OrnsteinUhlenbeck { t_min: 0.0, ..OrnsteinUhlenbeck::default() };
    assert!(Clock::new(Arc::new(start)).unwrap_err().to_string().contains("some noise"));
}
