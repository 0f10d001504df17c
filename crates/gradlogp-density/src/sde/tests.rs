//! Facts that the processes declare, each against what does not use it.

use ndarray::{Array1, Array2, Axis, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::reference::GaussianMixture;
use crate::score::{Score, ScoreTrace, TimeScore};

/// Every named process, with settings other than the default ones too.
fn named() -> Vec<Process> {
    let short = OrnsteinUhlenbeck { rate: 0.7, diffusion: 0.9, horizon: 4.0, t_min: 0.01 };
    let gentle = BetaSchedule::Linear { beta_min: 0.5, beta_max: 12.0 };
    vec![
        Process::Ve(Ve::default()),
        Process::Ve(Ve { sigma_min: 0.3, sigma_max: 4.0 }),
        Process::Vp(Vp::default()),
        Process::Vp(Vp { beta: gentle, t_min: 0.01 }),
        Process::Vp(Vp { beta: BetaSchedule::Cosine, t_min: 1e-3 }),
        Process::SubVp(SubVp::default()),
        Process::SubVp(SubVp { beta: BetaSchedule::Cosine, t_min: 0.01 }),
        Process::OrnsteinUhlenbeck(OrnsteinUhlenbeck::default()),
        Process::OrnsteinUhlenbeck(short),
    ]
}

fn times(sde: &dyn Sde) -> Vec<f64> {
    [0.1, 0.37, 0.62, 0.93].iter().map(|u| u * sde.horizon()).collect()
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / (1e-3 + expected.abs());
    assert!(error < tolerance, "{what}: {found}, expected {expected}");
}

/// dm/dt = a(t) m and dv/dt = 2 a(t) v + g^2, the equations of mean and variance of a linear SDE, whose
/// rate a is read off the drift.
#[test]
fn kernels_solve_the_equations_of_their_moments() {
    for sde in named() {
        for t in times(&sde) {
            let what = format!("{sde:?} at {t}");
            let h = 1e-5 * sde.horizon();
            let (up, down) = (sde.kernel(t + h).unwrap(), sde.kernel(t - h).unwrap());
            let here = sde.kernel(t).unwrap();
            let mut rate = [0.0];
            sde.drift(&[1.0], t, &mut rate);
            let mean_slope = (up.scale - down.scale) / (2.0 * h);
            close(mean_slope, rate[0] * here.scale, 1e-6, &format!("mean of {what}"));
            let slope = (up.std.powi(2) - down.std.powi(2)) / (2.0 * h);
            let expected = 2.0 * rate[0] * here.std.powi(2) + sde.diffusion(t).powi(2);
            close(slope, expected, 1e-6, &format!("variance of {what}"));
        }
        let start = sde.kernel(0.0).unwrap();
        assert_eq!((start.scale, start.std), (1.0, sde.initial_std()), "{sde:?} at 0");
    }
}

#[test]
fn processes_end_in_their_prior() {
    for sde in named() {
        let end = sde.kernel(sde.horizon()).unwrap();
        let prior = sde.prior_std().unwrap();
        close(end.std, prior, 0.02, &format!("{sde:?}"));
        // What is left of the data is small beside the noise (VE: 1 in the ratio of the levels).
        let left = if matches!(sde, Process::Ve(_)) { 0.3 } else { 0.15 };
        assert!(end.scale / prior < left, "{sde:?} keeps {}", end.scale / prior);
    }
}

/// A fine simulation, which knows only drift and diffusion, has the mean and spread of the kernel.
#[test]
fn simulation_agrees_with_the_kernels() {
    let (n, start, steps) = (4000, 1.7, 400);
    for (seed, sde) in named().into_iter().enumerate() {
        let t = 0.6 * sde.horizon();
        let mut x = vec![start; n];
        let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
        simulate(&sde, &mut rng, &mut x, &vec![t; n], steps);
        let x = Array1::from(x);
        let kernel = sde.kernel(t).unwrap();
        let (mean, std) = (x.mean().unwrap(), x.std(1.0));
        let error = kernel.std / (n as f64).sqrt();
        let bias = 0.02 * start * kernel.scale;
        let off = (mean - kernel.scale * start).abs();
        assert!(off < 4.0 * error + bias, "{sde:?}: mean {mean}, not {}", kernel.scale * start);
        // The relative standard error of a standard deviation is 1/sqrt(2n) = 0.011.
        close(std, kernel.std, 0.05, &format!("{sde:?}: standard deviation"));
    }
}

/// dx = sqrt(2t) dW adds the variance t^2: the midpoint rule has it in any number of steps, g at their start
/// only 1 - 1/steps of it.
#[test]
fn simulation_takes_the_diffusion_of_the_middle_of_a_step() {
    let sde = CustomSde::new(|_, _, f| f.fill(0.0), |t| (2.0 * t).sqrt(), 1.0, 0.1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (n, t) = (20_000, 0.8);
    for steps in [1, 3] {
        let mut x = vec![0.0; n];
        simulate(&sde, &mut rng, &mut x, &vec![t; n], steps);
        // The relative standard error of a standard deviation is 1/sqrt(2n) = 0.005.
        close(Array1::from(x).std(1.0), t, 0.02, "standard deviation");
    }
}

fn mixture() -> GaussianMixture {
    GaussianMixture::new(
        array![3.0, 1.0],
        array![[-1.5, 0.0], [1.0, 1.0]].view(),
        vec![array![[0.5, 0.3], [0.3, 0.4]], array![[0.3, -0.1], [-0.1, 0.6]]],
    )
    .unwrap()
}

fn points() -> Array2<f64> {
    array![[0.3, -0.4], [-1.2, 0.1], [1.5, 1.0], [0.0, 2.0]]
}

/// d log p/dt = -div f - f.s + g^2/2 (tr grad s + |s|^2): ties kernel, drift, diffusion, score, trace and
/// density together; a wrong sign or factor in any of them breaks it.
#[test]
fn marginals_solve_the_fokker_planck_equation() {
    for sde in named() {
        let marginal = Marginal::new(mixture(), sde).unwrap();
        let x = points();
        for t in times(&sde) {
            let h = 1e-5 * sde.horizon();
            let slope = (marginal.log_density_at(x.view(), t + h)
                - marginal.log_density_at(x.view(), t - h))
                / (2.0 * h);
            let s = marginal.score_at(x.view(), t);
            let trace = marginal.trace_at(x.view(), t);
            let f = sde.drift_rows(x.view(), t);
            for i in 0..x.nrows() {
                let (s, f) = (s.row(i), f.row(i));
                let divergence = sde.drift_divergence(&x.row(i).to_vec(), t);
                let half_square = 0.5 * sde.diffusion(t).powi(2);
                let expected = -divergence - f.dot(&s) + half_square * (trace[i] + s.dot(&s));
                let what = format!("{sde:?} at {t}, row {i}");
                assert!((slope[i] - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{what}");
            }
        }
    }
}

/// (grad s) v against differences of the score along v; over the unit vectors it sums to the trace.
#[test]
fn jacobian_products_match_differences() {
    let marginal = Marginal::new(mixture(), Vp::default()).unwrap();
    let (x, t, h) = (points(), 0.2, 1e-5);
    let v = array![[1.0, -0.5], [0.2, 2.0], [-1.0, 1.0], [0.3, 0.0]];
    let product = marginal.jacobian_vector_at(x.view(), t, v.view());
    let difference = (marginal.score_at((&x + &(&v * h)).view(), t)
        - marginal.score_at((&x - &(&v * h)).view(), t))
        / (2.0 * h);
    for (a, b) in product.iter().zip(&difference) {
        assert!((a - b).abs() < 1e-7 * (1.0 + b.abs()), "{a} vs {b}");
    }
    let mut sum = Array1::<f64>::zeros(x.nrows());
    for j in 0..2 {
        let mut unit = Array2::zeros(x.dim());
        unit.column_mut(j).fill(1.0);
        sum += &marginal.jacobian_vector_at(x.view(), t, unit.view()).column(j);
    }
    for (a, b) in sum.iter().zip(&marginal.trace_at(x.view(), t)) {
        assert!((a - b).abs() < 1e-10 * (1.0 + b.abs()), "{a} vs {b}");
    }
}

#[test]
fn one_time_of_a_family_is_a_score() {
    let marginal = Marginal::new(mixture(), Ve::default()).unwrap();
    let at = crate::score::AtTime { family: &marginal, time: 0.4 };
    let distribution = marginal.at(0.4);
    assert_eq!(at.score(points().view()), distribution.score(points().view()));
    assert_eq!(at.trace(points().view()), distribution.trace(points().view()));
    let x = marginal.sample_at(2000, 0.4, &mut ChaCha8Rng::seed_from_u64(1));
    let mean = x.mean_axis(Axis(0)).unwrap();
    assert!((mean[0] + 0.875).abs() < 0.15 && (mean[1] - 0.25).abs() < 0.15, "{mean}");
}

#[test]
fn settings_survive_json() {
    for process in named() {
        let json = serde_json::to_string(&process).unwrap();
        assert_eq!(serde_json::from_str::<Process>(&json).unwrap(), process, "{json}");
        let any = serde_json::from_str::<AnyProcess>(&json).unwrap();
        assert_eq!(any, AnyProcess::Named(process), "{json}");
    }
    let own = AnyProcess::Expressions(ExpressionProcess {
        drift: vec!["-x".into()],
        diffusion: "1".into(),
        columns: vec!["a".into()],
        horizon: 1.0,
        t_min: 0.1,
    });
    let json = serde_json::to_string(&own).unwrap();
    assert_eq!(serde_json::from_str::<AnyProcess>(&json).unwrap(), own);
}

#[test]
fn refuses_what_is_no_process() {
    let says = |process: Process, word: &str| {
        let message = process.validate().unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    };
    says(Process::Ve(Ve { sigma_min: 2.0, sigma_max: 1.0 }), "sigma-max = 1");
    says(Process::Ve(Ve { sigma_min: 1.0, sigma_max: 1.0 }), "below");
    says(Process::Ve(Ve { sigma_min: 0.0, sigma_max: 1.0 }), "sigma_min");
    says(Process::Ve(Ve { sigma_min: 1e-300, sigma_max: 1.0 }), "sigma_min: must be from 1e-15");
    says(
        Process::Ve(Ve { sigma_min: 1.0, sigma_max: 1e300 }),
        "sigma_max: must be from 1e-15 to 1e15",
    );
    let fast = BetaSchedule::Linear { beta_min: 1.0, beta_max: 1e9 };
    says(Process::Vp(Vp { beta: fast, t_min: 0.01 }), "beta_max: of 1000000000 forgets");
    let falling = BetaSchedule::Linear { beta_min: 2.0, beta_max: 1.0 };
    says(Process::Vp(Vp { beta: falling, t_min: 0.01 }), "beta_max");
    says(Process::Vp(Vp { t_min: 1.0, ..Vp::default() }), "t_min");
    says(Process::SubVp(SubVp { t_min: -0.1, ..SubVp::default() }), "t_min");
    let backwards = OrnsteinUhlenbeck { rate: -1.0, ..OrnsteinUhlenbeck::default() };
    says(Process::OrnsteinUhlenbeck(backwards), "ou_rate: must be a positive number");
    let strong = OrnsteinUhlenbeck { rate: 1000.0, ..OrnsteinUhlenbeck::default() };
    says(Process::OrnsteinUhlenbeck(strong), "ou_rate: a horizon of 5 with a rate of 1000");
    let long = OrnsteinUhlenbeck { horizon: 1e9, ..OrnsteinUhlenbeck::default() };
    says(Process::OrnsteinUhlenbeck(long), "horizon: of 1000000000 with a rate of 1");
    let loud = OrnsteinUhlenbeck { diffusion: -1.0, ..OrnsteinUhlenbeck::default() };
    says(Process::OrnsteinUhlenbeck(loud), "ou_diffusion: ");
    assert!(CustomSde::new(|_, _, _| {}, |_| 1.0, f64::NAN, 0.1).is_err());
    let blind = CustomSde::new(|_, _, f| f.fill(0.0), |_| 1.0, 1.0, 0.1).unwrap();
    assert!(Marginal::new(mixture(), blind).is_err());
}

/// Geometric Brownian motion, dx = mu x dt + sigma x dW, by [`euler_maruyama`] in steps of 1/8 to 1/64 on the
/// same Brownian paths, beside its exact solution x_0 exp((mu - sigma^2/2) t + sigma W): the noise depends on
/// x, so the strong order is 1/2; the weak order is 1.
#[test]
fn euler_maruyama_has_strong_order_one_half_and_weak_order_one_in_noise_that_depends_on_x() {
    let (mu, sigma, fine, n) = (0.5, 0.8, 64, 40_000);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut noise = vec![vec![0.0; n]; fine];
    for z in noise.iter_mut().flatten() {
        *z = StandardNormal.sample(&mut rng);
    }
    let exact: Vec<f64> = (0..n)
        .map(|i| {
            let w: f64 = noise.iter().map(|z| z[i]).sum::<f64>() / (fine as f64).sqrt();
            (mu - 0.5 * sigma * sigma + sigma * w).exp()
        })
        .collect();
    let run = |steps: usize| {
        let (h, each) = (1.0 / steps as f64, fine / steps);
        let mut x = vec![1.0; n];
        for part in noise.chunks(each) {
            let drift: Vec<f64> = x.iter().map(|x| mu * x).collect();
            let mut i = 0;
            let normal = || {
                i += 1;
                part.iter().map(|z| z[i - 1]).sum::<f64>() / (each as f64).sqrt()
            };
            euler_maruyama(&mut x, h, &drift, |x| sigma * x, normal);
        }
        x
    };
    let (mut strong, mut weak) = (Vec::new(), Vec::new());
    for steps in [8, 16, 32, 64] {
        let (x, h) = (run(steps), 1.0 / steps as f64);
        let mean = |f: &dyn Fn(f64) -> f64| x.iter().map(|x| f(*x)).sum::<f64>() / n as f64;
        // The moments of the scheme itself are known: each step multiplies by 1 + mu h + sigma sqrt(h) z.
        let (first, second) = (1.0 + mu * h, (1.0 + mu * h).powi(2) + sigma * sigma * h);
        let (first, second) = (first.powi(steps as i32), second.powi(steps as i32));
        let spread = ((second - first * first) / n as f64).sqrt();
        assert!((mean(&|x| x) - first).abs() < 4.0 * spread, "{steps} steps: mean");
        // E x^4 of the exact solution bounds the variance of x^2.
        let fourth = (4.0 * mu + 6.0 * sigma * sigma).exp();
        let spread = (fourth / n as f64).sqrt();
        assert!((mean(&|x| x * x) - second).abs() < 4.0 * spread, "{steps} steps: mean square");
        let pairs = || x.iter().zip(&exact);
        strong.push(pairs().map(|(x, y)| (x - y).abs()).sum::<f64>() / n as f64);
        // The difference on one path varies little, so that its mean shows the weak error of E x.
        weak.push(pairs().map(|(x, y)| x - y).sum::<f64>().abs() / n as f64);
        let known = (mu.exp() - first).abs();
        let error = pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt() / n as f64;
        let found = weak[weak.len() - 1];
        assert!((found - known).abs() < 4.0 * error, "{steps} steps: weak {found}, not {known}");
    }
    let order = |errors: &[f64]| (errors[0] / errors[3]).log2() / 3.0;
    assert!((order(&strong) - 0.5).abs() < 0.1, "strong order {}: {strong:?}", order(&strong));
    assert!((order(&weak) - 1.0).abs() < 0.3, "weak order {}: {weak:?}", order(&weak));
    // Both moments of the scheme have order 1 exactly.
    let weak = |steps: f64| {
        let h = 1.0 / steps;
        let first = (1.0 + mu * h).powf(steps);
        let second = ((1.0 + mu * h).powi(2) + sigma * sigma * h).powf(steps);
        [first - mu.exp(), second - (2.0 * mu + sigma * sigma).exp()]
    };
    let (coarse, fine) = (weak(256.0), weak(1024.0));
    for k in 0..2 {
        let order = (coarse[k] / fine[k]).log2() / 2.0;
        assert!((order - 1.0).abs() < 0.02, "moment {}: {order}", k + 1);
    }
}

/// Rows that are simulated in blocks have the bits of rows simulated one after the other, and those that go on
/// from a time follow the same equation.
#[test]
fn simulation_in_blocks_has_the_bits_of_row_after_row() {
    let custom = ExpressionProcess {
        drift: vec!["sin(x)*t - x".into()],
        diffusion: "1 + t^2".into(),
        columns: vec!["a".into(), "b".into()],
        horizon: 2.0,
        t_min: 0.1,
    };
    let processes: [&dyn Sde; 3] =
        [&custom.sde().unwrap(), &Vp::default(), &Ve { sigma_min: 0.3, sigma_max: 4.0 }];
    for sde in processes {
        // Some blocks of rows, and one that is not full.
        let (n, d, steps) = (700, 2, 60);
        let start: Vec<f64> = (0..n * d).map(|i| (i as f64).cos()).collect();
        let times: Vec<f64> = (0..n).map(|i| 0.9 * (i as f64 + 1.0) / n as f64).collect();
        let mut found = start.clone();
        simulate(sde, &mut ChaCha8Rng::seed_from_u64(3), &mut found, &times, steps);
        let (mut expected, mut rng) = (start, ChaCha8Rng::seed_from_u64(3));
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut drift = [0.0; 2];
        for (x, time) in expected.chunks_mut(d).zip(&times) {
            let h = time / steps as f64;
            if sde.initial_std() > 0.0 {
                x.iter_mut().for_each(|x| *x += sde.initial_std() * normal());
            }
            for k in 0..steps {
                let t = k as f64 * h;
                sde.drift(x, t, &mut drift);
                let noise = sde.diffusion(t + 0.5 * h);
                euler_maruyama(x, h, &drift, |_| noise, &mut normal);
            }
        }
        assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    // Brownian motion from 1 to 3: variance 2.
    let motion = CustomSde::new(|_, _, f| f.fill(0.0), |_| 1.0, 3.0, 0.1).unwrap();
    let mut x = vec![5.0; 20_000];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    simulate_from(&motion, &mut rng, &mut x, 1.0, &vec![3.0; 20_000], 7);
    let x = Array1::from(x);
    close(x.var(0.0), 2.0, 0.04, "variance");
    close(x.mean().unwrap(), 5.0, 0.01, "mean");
}
