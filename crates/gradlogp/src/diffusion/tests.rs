//! Time networks and noised batches against what is known of them.

use std::sync::Arc;

use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::engine::{Draw, LossEngine, StreamId, Threads};
use crate::model::{Model, ModelKind, Points};
use crate::objective::Objective;
use crate::reference::Gaussian;
use crate::score::TimeScore;
use crate::sde::{CustomSde, Kernel, Marginal, OrnsteinUhlenbeck, Process, Sde, Ve, Vp};
use crate::slice::SliceDistribution;

const KINDS: [ModelKind; 2] = [ModelKind::Score, ModelKind::LogDensity];

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

/// MATH (46): the same weights without scaling are N, whose score (or gradient) at x/r the whole model has in
/// it, times G, beside -x/r^2.
#[test]
fn scaled_networks_are_the_linear_score_and_g_times_the_network() {
    let x = array![[0.3, -0.2], [1.1, 0.4]];
    // Under vp r is 1 at every time.
    for (kind, sde) in KINDS
        .into_iter()
        .flat_map(|kind| [(kind, Process::Vp(Vp::default())), (kind, Process::Ve(Ve::default()))])
    {
        for floor in [0.0, 0.1, 0.7] {
            let scaled = TimeMlp { floor, ..small(kind, Conditioning::Film) };
            let plain = TimeMlp { scaled: false, ..scaled.clone() };
            let weights = scaled.build::<f64>(3).unwrap().parameters;
            let bare = Model::new(kind, plain.graph().unwrap(), weights.clone()).unwrap();
            let whole = Model::new(kind, scaled.graph().unwrap(), weights).unwrap();
            let (bare, whole) = (
                TimeModel::new(bare, plain, clock(sde)),
                TimeModel::new(whole, scaled, clock(sde)),
            );
            for t in [1e-3, 0.3, 1.0] {
                let Kernel { scale, std } = sde.kernel(t).unwrap();
                let r = (scale * scale + std * std).sqrt();
                let gain = scale / r / (std * std + floor * floor).sqrt();
                let inside = bare.score_at((&x / r).view(), t);
                let expected = &x * (-1.0 / (r * r)) + &inside * gain;
                let miss = &whole.score_at(x.view(), t) - &expected;
                let size = expected.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
                assert!(miss.iter().all(|e| e.abs() < 1e-12 * size), "{kind:?} {floor} at {t}");
            }
        }
    }
    let refused = TimeMlp { floor: -1.0, ..small(ModelKind::Score, Conditioning::Film) };
    assert!(refused.graph().unwrap_err().to_string().contains("noise_floor"));
}

/// A file that says nothing of a floor is of a model that had none.
#[test]
fn older_settings_have_no_floor() {
    let now = serde_json::to_value(small(ModelKind::Score, Conditioning::Film)).unwrap();
    assert_eq!(now["floor"], 0.1);
    let mut older = now;
    older.as_object_mut().unwrap().remove("floor");
    assert_eq!(serde_json::from_value::<TimeMlp>(older).unwrap().floor, 0.0);
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
    for clock in [clock(Vp::default()), clock(Ve::default())] {
        for share in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let back = 0.5 * (clock.position(clock.time_at(share)) + 1.0);
            assert!((back - share).abs() < 1e-9, "{clock:?} {share}");
        }
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

/// Weights std^2 at uniform times.
const PLAIN: NoiseConfig = NoiseConfig {
    weight: NoiseWeight::Noise,
    times: TimeDistribution::Uniform,
    levels: None,
    simulate: None,
};

/// Times are stratified, x_t has the kernel's distribution, the target is its score, the weight is lambda.
#[test]
fn noised_rows_follow_the_kernel() {
    let sde = Vp::default();
    let x = normals(2 * 4000, 1);
    let noising = noising(sde, PLAIN);
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

/// Whatever the distribution of times, the weighted mean of h(t) is the mean of lambda h over uniform times.
#[test]
fn importance_weights_undo_the_law_of_times() {
    let sde = Vp::default();
    let h = |t: f64| 1.0 + t * t;
    let ratio = |t: f64| {
        let Kernel { scale, std } = sde.kernel(t).unwrap();
        (std / scale).ln()
    };
    // The slope of log(b/a), by differences of the kernel, over its mean.
    let slope = |t: f64| (ratio(t * (1.0 + 1e-5)) - ratio(t * (1.0 - 1e-5))) / (2e-5 * t);
    let (fine, width) = (100_000, 1.0 - sde.t_min);
    let middle = |k: usize| sde.t_min + width * (k as f64 + 0.5) / fine as f64;
    let decades = ratio(1.0) - ratio(sde.t_min);
    let square = |t: f64| sde.kernel(t).unwrap().std.powi(2) + 0.01;
    let balanced = |t: f64| slope(t) * width / decades * square(t);
    for (weight, lambda) in [
        (NoiseWeight::Balanced, &balanced as &dyn Fn(f64) -> f64),
        (NoiseWeight::Likelihood, &|t: f64| sde.beta.rate(t)),
        (NoiseWeight::Noise, &|t: f64| sde.kernel(t).unwrap().std.powi(2)),
        (NoiseWeight::None, &|_| 1.0),
    ] {
        let expected =
            (0..fine).map(|k| lambda(middle(k)) * h(middle(k))).sum::<f64>() / fine as f64;
        for times in
            [TimeDistribution::Uniform, TimeDistribution::Importance, TimeDistribution::LogNoise]
        {
            let config = NoiseConfig { weight, times, ..NoiseConfig::default() };
            let rows = noised(&noising(sde, config), &normals(2 * 40_000, 1), 5);
            let sum: f64 =
                rows.times.iter().zip(&rows.weights).map(|(t, w)| h(*t) * f64::from(*w)).sum();
            let found = sum / 40_000.0;
            assert!((found / expected - 1.0).abs() < 0.01, "{weight:?} {times:?}: {found}");
        }
    }
    // The integral of a/r = 1/sqrt(1 + sigma^2) over log sigma, sigma = b/a, is asinh(1/sigma) below: from 5.250 at
    // sigma = 0.0105 (t_min) to 0.007 at T. A row's weight is r/a (std^2 + w^2) times the mean of a/r.
    let rows = noised(&noising(sde, NoiseConfig::default()), &normals(2 * 4000, 1), 5);
    for (t, weight) in rows.times.iter().zip(&rows.weights) {
        let steep = ratio(*t).exp().hypot(1.0) * (5.250 - 0.007) / decades;
        assert!((f64::from(*weight) / (steep * square(*t)) - 1.0).abs() < 0.01);
    }
    // Half of it is left at sigma = 1/sinh(2.628) = 0.1452.
    let below = rows.times.iter().filter(|t| ratio(**t) < (0.1452f64).ln()).count();
    assert!((below as f64 / 4000.0 - 0.5).abs() < 0.01, "{below}");
    // The integral of g^2/std^2 is L = log(e^B - 1): times are such that L is uniform.
    let config = NoiseConfig {
        weight: NoiseWeight::Likelihood,
        times: TimeDistribution::Importance,
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
    let config = NoiseConfig { levels: Some(4), ..PLAIN };
    let rows = noised(&noising(Ve::default(), config), &normals(2000, 1), 1);
    let mut times = rows.times.clone();
    times.dedup();
    assert_eq!(times, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
}

/// Mean loss and gradient of `model` on noised rows.
fn loss(model: &Model<f32>, points: Points<'_, f32>, objective: Objective) -> (f64, Vec<f32>) {
    let mut engine = LossEngine::new(model, &objective, SliceDistribution::Rademacher, 2);
    let draw = Draw { seed: 1, stream: StreamId::Train, step: 0 };
    let mean = Threads::new(2).unwrap().install(|| engine.loss_and_gradient(model, points, draw));
    (mean, engine.gradient().to_vec())
}

/// Denoising without its constant is implicit score matching in expectation, whatever the network: MATH (47). A
/// wrong sign or scale of target, weight or contexts breaks it.
#[test]
fn denoising_is_implicit_score_matching() {
    let n = 20_000;
    let x: Vec<f32> = normals(2 * n, 1).iter().map(|z| 0.5 * z + 0.3).collect();
    for kind in KINDS {
        let settings = small(kind, Conditioning::Film);
        let noising =
            Noising::new(settings.clone(), clock(Ve { sigma_min: 0.3, sigma_max: 4.0 }), PLAIN)
                .unwrap();
        let single = noised(&noising, &x, 2);
        let mut pairs = Noised::default();
        noising.fill_pairs(&x, &mut ChaCha8Rng::seed_from_u64(2), &mut pairs);
        for rows in [&single, &pairs] {
            let mut differences = Vec::new();
            for seed in [3, 4] {
                let model = settings.build::<f32>(seed).unwrap();
                let dsm = loss(&model, rows.into(), Objective::Regression).0;
                let exact = loss(&model, rows.into(), Objective::Exact).0;
                differences.push(dsm - exact);
            }
            assert!(differences.iter().all(|d| d.abs() < 0.03), "{kind:?}: {differences:?}");
        }
    }
}

/// Two copies of a row have one time, one weight, its mean, and opposite noise, with the score of the kernel at
/// each as its target.
#[test]
fn pairs_have_opposite_noise() {
    let (sde, x) = (Vp::default(), normals(2 * 50, 1));
    let mut rows = Noised::default();
    let noising = noising(sde, NoiseConfig::default());
    noising.fill_pairs(&x, &mut ChaCha8Rng::seed_from_u64(2), &mut rows);
    assert_eq!((rows.times.len(), rows.x.len(), rows.weights.len()), (100, 200, 100));
    for i in 0..50 {
        assert_eq!(rows.times[2 * i], rows.times[2 * i + 1]);
        assert_eq!(rows.weights[2 * i], rows.weights[2 * i + 1]);
        let Kernel { scale, std } = sde.kernel(rows.times[2 * i]).unwrap();
        for j in 0..2 {
            let at = |k: usize| f64::from(rows.x[4 * i + 2 * k + j]);
            let mean = scale * f64::from(x[2 * i + j]);
            assert!((0.5 * (at(0) + at(1)) - mean).abs() < 1e-5);
            for k in 0..2 {
                let target = f64::from(rows.targets[4 * i + 2 * k + j]);
                let expected = -(at(k) - mean) / (std * std);
                assert!(
                    (target - expected).abs() < 2e-3 * (1.0 + 1.0 / std),
                    "{target} {expected}"
                );
            }
        }
    }
}

/// At little noise the gradient of pairs varies a hundred times less than that of as many rows with noise of
/// their own, and its mean is that of the exact loss.
#[test]
fn pairs_take_away_most_of_the_noise_of_denoising() {
    let settings = small(ModelKind::Score, Conditioning::Film);
    let model = settings.build::<f32>(3).unwrap();
    let sde = Ve { sigma_min: 0.01, sigma_max: 0.02 };
    let noising = Noising::new(settings, clock(sde), PLAIN).unwrap();
    let x = normals(2 * 100, 1);
    let twice: Vec<f32> = x.chunks(2).flat_map(|x| [x[0], x[1], x[0], x[1]]).collect();
    let mut rows = Noised::default();
    let mut gradients = |pairs: bool, objective: Objective| -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        (0..40)
            .map(|_| {
                match pairs {
                    true => noising.fill_pairs(&x, &mut rng, &mut rows),
                    false => noising.fill(&twice, &mut rng, &mut rows),
                }
                loss(&model, (&rows).into(), objective).1
            })
            .collect()
    };
    let pairs = gradients(true, Objective::Regression);
    let single = gradients(false, Objective::Regression);
    let exact = gradients(false, Objective::Exact);
    let mean = |g: &[Vec<f32>], k: usize| g.iter().map(|g| f64::from(g[k])).sum::<f64>() / 40.0;
    let spread = |g: &[Vec<f32>]| -> f64 {
        let variance = |k: usize| {
            let m = mean(g, k);
            g.iter().map(|g| (f64::from(g[k]) - m).powi(2)).sum::<f64>() / 39.0
        };
        (0..g[0].len()).map(variance).sum()
    };
    let (few, many) = (spread(&pairs), spread(&single));
    assert!(few < 0.01 * many, "{few} against {many}");
    let distance: f64 =
        (0..exact[0].len()).map(|k| (mean(&pairs, k) - mean(&exact, k)).powi(2)).sum();
    // Of the means of 40 draws each.
    let expected = (few + spread(&exact)) / 40.0;
    assert!(distance < 2.0 * expected, "{distance}, expected about {expected}");
}

/// The gradient with weights a and b is a times that of the first row plus b times that of the second.
#[test]
fn weights_scale_losses_and_gradients_of_their_rows() {
    for kind in KINDS {
        let settings = small(kind, Conditioning::Concat);
        let model = settings.build::<f32>(1).unwrap();
        let noising = Noising::new(settings, clock(Vp { t_min: 0.1, ..Vp::default() }), PLAIN);
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
    let says = |sde: Arc<dyn Sde>| Clock::new(sde).unwrap_err().to_string();
    assert!(says(Arc::new(start)).contains("t_min: must be above 0"));
    // Each is blamed on the setting that is at fault.
    let own = |g: fn(f64) -> f64, horizon: f64, t_min: f64| -> Arc<dyn Sde> {
        Arc::new(CustomSde::new(|_, _, f| f.fill(0.0), g, horizon, t_min).unwrap())
    };
    assert!(says(own(|_| 0.0, 1.0, 0.01)).starts_with("diffusion: is 0 at every time"));
    assert!(says(own(|_| 1e-200, 1.0, 0.01)).starts_with("diffusion: is so small"));
    assert!(says(own(|_| 1e-100, 1e-200, 0.0)).starts_with("horizon: is so small"));
    assert!(says(own(|_| 1e200, 1.0, 0.01)).starts_with("diffusion: is so large"));
    assert!(says(own(|_| 1e10, 1e300, 0.01)).starts_with("horizon: is so large"));
    assert!(says(own(|_| 1.0, 1.0, 0.0)).starts_with("t_min: must be above 0"));
    let late = |t: f64| if t > 0.5 { 1.0 } else { 0.0 };
    assert!(says(own(late, 1.0, 0.01)).starts_with("t_min: must be later"));
    let early = |t: f64| if t > 0.5 { 0.0 } else { 1.0 };
    assert!(says(own(early, 1.0, 0.6)).starts_with("diffusion: adds no noise between"));
    let quiet = OrnsteinUhlenbeck { t_min: 1e-30, ..OrnsteinUhlenbeck::default() };
    assert!(says(Arc::new(quiet)).starts_with("t_min: is so small that the least noise"));
    assert!(says(Arc::new(Ve { sigma_min: 1e-12, sigma_max: 1.0 })).starts_with("sigma_min: "));
    let steps = |n| NoiseConfig { simulate: Some(n), ..NoiseConfig::default() };
    assert!(refused(&scaled, clock(Vp::default()), steps(usize::MAX)).contains("at most 10000"));
}

/// Score, product and trace in a frame are the derivatives of each other in the units of the process, and the
/// network sees z.
#[test]
fn answers_in_a_frame_are_in_the_units_of_the_process() {
    let custom = CustomSde::new(|_, _, f| f.fill(0.0), |_| 1.0, 1.0, 0.1).unwrap();
    let frame = Frame::new(
        vec![0.0, 1.0],
        vec![vec![100.0, -3.0], vec![200.0, -3.0]],
        vec![vec![50.0, 0.1], vec![50.0, 0.3]],
    )
    .unwrap();
    let framed = clock(custom).in_frame(frame);
    let (t, x) = (0.5, array![[180.0, -2.9], [120.0, -3.3]]);
    for kind in KINDS {
        let settings = small(kind, Conditioning::Film);
        let mut zero: Model<f64> = settings.build(1).unwrap();
        zero.parameters.fill(0.0);
        let gaussian = TimeModel::new(zero, settings.clone(), framed.clone());
        // -z/s with z = (x - m)/s, m = (150, -3) and s = (50, 0.2).
        let score = gaussian.score_at(x.view(), t);
        assert!((score[[0, 0]] + 30.0 / 2500.0).abs() < 1e-12, "{kind:?}: {score}");
        assert!((score[[1, 1]] - 0.3 / 0.04).abs() < 1e-9, "{kind:?}: {score}");
        let trace = gaussian.trace_at(x.view(), t);
        assert!((trace[0] + 1.0 / 2500.0 + 25.0).abs() < 1e-9, "{kind:?}: {trace}");
        let model = TimeModel::new(settings.build::<f64>(2).unwrap(), settings, framed.clone());
        let mut sum = ndarray::Array1::<f64>::zeros(2);
        for (j, h) in [(0, 1e-3), (1, 1e-6)] {
            let mut unit = Array2::zeros((2, 2));
            unit.column_mut(j).fill(1.0);
            let along = (model.score_at((&x + &(&unit * h)).view(), t)
                - model.score_at((&x - &(&unit * h)).view(), t))
                / (2.0 * h);
            let product = model.jacobian_vector_at(x.view(), t, unit.view());
            for (a, b) in along.iter().zip(&product) {
                assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{kind:?}: {a} {b}");
            }
            sum += &product.column(j);
        }
        let trace = model.trace_at(x.view(), t);
        assert!((&sum - &trace).iter().all(|e| e.abs() < 1e-9 * (1.0 + sum[0].abs())));
        // Rows at times of their own: each what it is at its time alone.
        let (times, v) = ([0.2, 0.9], array![[3.0, 0.1], [-1.0, 0.4]]);
        let score = model.score_at_times(x.view(), &times);
        let trace = model.trace_at_times(x.view(), &times);
        let product = model.jacobian_vector_at_times(x.view(), &times, v.view());
        for (i, t) in times.into_iter().enumerate() {
            let row = |of: &Array2<f64>| of.slice(ndarray::s![i..i + 1, ..]).to_owned();
            assert_eq!(row(&score), model.score_at(row(&x).view(), t), "{kind:?}");
            let alone = model.trace_at(row(&x).view(), t)[0];
            assert!((trace[i] - alone).abs() < 1e-9 * (1.0 + alone.abs()), "{kind:?}");
            let alone = model.jacobian_vector_at(row(&x).view(), t, row(&v).view());
            assert_eq!(row(&product), alone, "{kind:?}");
        }
    }
}

/// Rows enter in the frame at 0 and leave in that of their time; weights are relative to widths.
#[test]
fn rows_are_simulated_in_the_units_of_the_process() {
    let custom =
        CustomSde::new(|_, _, f| f.copy_from_slice(&[7.0, 0.0]), |_| 2.0, 1.0, 0.1).unwrap();
    let frame = Frame::new(
        vec![0.0, 1.0],
        vec![vec![100.0, -3.0], vec![107.0, -3.0]],
        vec![vec![50.0, 4.0], vec![50.0, 4.0]],
    )
    .unwrap();
    let framed = clock(custom).in_frame(frame);
    let settings = small(ModelKind::Score, Conditioning::Film);
    let config = NoiseConfig { weight: NoiseWeight::Likelihood, simulate: Some(3), ..PLAIN };
    let noising = Noising::new(settings.clone(), framed.clone(), config).unwrap();
    let x = [0.5f32, -2.0].repeat(4000);
    let rows = noised(&noising, &x, 1);
    // x_t = (125 + 7t, -11) + 2 sqrt(t) noise; m(t) = (100 + 7t, -3).
    let mean = |j: usize| (0..4000).map(|i| f64::from(rows.x[2 * i + j])).sum::<f64>() / 4000.0;
    assert!(
        (mean(0) - 0.5).abs() < 2e-3 && (mean(1) + 2.0).abs() < 0.03,
        "{} {}",
        mean(0),
        mean(1)
    );
    // g^2 over the least width squared.
    assert!(rows.weights.iter().all(|w| (w - 4.0 / 16.0).abs() < 1e-6));
    let three = TimeMlp { dim: 3, ..settings.clone() };
    let refused = Noising::new(three, framed.clone(), config).unwrap_err().to_string();
    assert!(refused.contains("frame"), "{refused}");
    let none = NoiseConfig { simulate: None, ..config };
    assert!(Noising::new(settings, framed, none).unwrap_err().to_string().contains("simulate"));
}
