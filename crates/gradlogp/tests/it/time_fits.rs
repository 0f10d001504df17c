//! Time models against known answers: score matching inside an SDE, by sliced losses that know no kernel.

use std::ops::ControlFlow;
use std::sync::Arc;

use gradlogp::data::{Standardization, Transform};
use gradlogp::diagnose::{
    Estimate, NormalizerConfig, estimate_normalizer, fisher_divergence, likelihood,
};
use gradlogp::diffusion::{
    Clock, NoiseConfig, NoiseWeight, Noising, TimeDistribution, TimeFeatures, TimeMlp, TimeModel,
};
use gradlogp::fitted::Scaling;
use gradlogp::likelihood::{Divergence, log_likelihood};
use gradlogp::ode::OdeConfig;
use gradlogp::reference::{Gaussian, GaussianMixture, ReferenceDensity};
use gradlogp::score::AtTime;
use gradlogp::sde::{CustomSde, ExpressionProcess, Marginal, OrnsteinUhlenbeck, Sde, Vp, simulate};
use gradlogp::train::{Event, Stop, TrainConfig, Trainer};
use gradlogp::{LogDensity, Mlp, ModelKind, Objective, TimeScore};
use ndarray::{Array1, Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn network(dim: usize, kind: ModelKind, scaled: bool) -> TimeMlp {
    TimeMlp {
        hidden: vec![32, 32],
        features: TimeFeatures::Fourier { frequencies: 4 },
        scaled,
        ..TimeMlp::new(dim, kind)
    }
}

fn config(objective: Objective, steps: u64) -> TrainConfig {
    TrainConfig {
        objective,
        steps,
        learning_rate: 5e-3,
        ema_decay: 0.99,
        evaluate_every: steps / 5,
        threads: 2,
        seed: 1,
        ..TrainConfig::default()
    }
}

fn narrow(x: &Array2<f64>) -> Vec<f32> {
    x.iter().map(|x| *x as f32).collect()
}

fn fit(
    (data, held_out): (&Array2<f64>, &Array2<f64>),
    settings: TimeMlp,
    sde: impl Sde + 'static,
    noise: NoiseConfig,
    config: TrainConfig,
) -> TimeModel<f64> {
    let clock = Clock::new(Arc::new(sde)).unwrap();
    let noising = Noising::new(settings.clone(), clock.clone(), noise).unwrap();
    let start = settings.build(config.seed).unwrap();
    let mut trainer =
        Trainer::over_time(noising, start, narrow(data), &narrow(held_out), config).unwrap();
    assert_eq!(trainer.run(&mut |_, _| ControlFlow::Continue(())), Stop::Completed);
    TimeModel::new(trainer.best_model().cast(), settings, clock)
}

/// Relative Fisher divergence at each of the times, on fresh rows of the exact marginals.
fn relative_fisher<S: Sde>(
    model: &TimeModel<f64>,
    truth: &Marginal<S>,
    times: impl Iterator<Item = f64>,
) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    times
        .map(|time| {
            let distribution = truth.at(time);
            let x = distribution.sample(1000, &mut rng);
            let at = AtTime { family: model, time };
            fisher_divergence(&at, &distribution, x.view()).unwrap().relative.mean
        })
        .collect()
}

/// Midpoints of `n` equal parts of \[t_min, T\].
fn midpoints(sde: &dyn Sde, n: usize) -> impl Iterator<Item = f64> + use<> {
    let (low, high) = (sde.t_min(), sde.horizon());
    (0..n).map(move |k| low + (high - low) * (k as f64 + 0.5) / n as f64)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sliced loss alone, at x_t simulated by Euler and Maruyama: no kernel enters.
const SIMULATED: NoiseConfig = NoiseConfig {
    weight: NoiseWeight::Balanced,
    times: TimeDistribution::LogNoise,
    levels: None,
    simulate: Some(50),
};

/// Relative Fisher divergence at ten times after a fit to an Ornstein-Uhlenbeck process.
fn ornstein_uhlenbeck_errors(objective: Objective, noise: NoiseConfig, steps: u64) -> Vec<f64> {
    let data = Gaussian::new(array![0.5, -0.3], array![[0.6, 0.3], [0.3, 0.5]]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (rows, held) = (data.sample(4000, &mut rng), data.sample(500, &mut rng));
    let sde = OrnsteinUhlenbeck { horizon: 3.0, t_min: 0.02, ..OrnsteinUhlenbeck::default() };
    let truth = Marginal::gaussian(data, sde).unwrap();
    let settings = network(2, ModelKind::Score, true);
    let model = fit((&rows, &held), settings, sde, noise, config(objective, steps));
    relative_fisher(&model, &truth, midpoints(&sde, 10))
}

#[test]
fn sliced_score_matching_learns_inside_an_ornstein_uhlenbeck_process() {
    for objective in [Objective::Ssm { slices: 1 }, Objective::SsmVr { slices: 1 }] {
        let errors = ornstein_uhlenbeck_errors(objective, SIMULATED, 1200);
        assert!(mean(&errors) < 0.05, "{objective:?}: {errors:?}");
    }
}

fn mixture() -> GaussianMixture {
    GaussianMixture::isotropic(array![0.6, 0.4], array![[-1.0, 0.3], [1.0, -0.3]].view(), 0.35)
        .unwrap()
}

/// The same after a fit to a mixture under VP.
fn mixture_errors(objective: Objective, noise: NoiseConfig, steps: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (rows, held) = (mixture().sample(6000, &mut rng), mixture().sample(500, &mut rng));
    let sde = Vp { t_min: 0.01, ..Vp::default() };
    let truth = Marginal::new(mixture(), sde).unwrap();
    let settings = network(2, ModelKind::Score, true);
    let model = fit((&rows, &held), settings, sde, noise, config(objective, steps));
    relative_fisher(&model, &truth, midpoints(&sde, 10))
}

#[test]
fn sliced_score_matching_learns_a_mixture_under_vp_as_denoising_does() {
    for (objective, noise) in
        [(Objective::Ssm { slices: 1 }, SIMULATED), (Objective::Regression, NoiseConfig::default())]
    {
        let errors = mixture_errors(objective, noise, 1500);
        assert!(mean(&errors) < 0.05, "{objective:?}: {errors:?}");
    }
}

/// Figures of longer runs: mean over times of the relative Fisher divergence, and its values.
#[test]
#[ignore = "takes a minute; run with: cargo test --test it time_fits -- --ignored --nocapture"]
// The figures are the point of running it.
#[allow(clippy::print_stdout)]
fn figures_of_score_matching_inside_an_sde() {
    let kernel = NoiseConfig::default();
    let ssm = Objective::Ssm { slices: 1 };
    let ssm_vr = Objective::SsmVr { slices: 1 };
    let show = |name: &str, objective: Objective, errors: Vec<f64>| {
        let each: Vec<String> = errors.iter().map(|e| format!("{e:.4}")).collect();
        println!("{name} {objective:?}: {:.4}  [{}]", mean(&errors), each.join(" "));
        assert!(mean(&errors) < 0.05);
    };
    for (objective, noise) in
        [(ssm, SIMULATED), (ssm_vr, SIMULATED), (Objective::Regression, kernel)]
    {
        show("Ornstein-Uhlenbeck", objective, ornstein_uhlenbeck_errors(objective, noise, 4000));
        show("mixture under VP", objective, mixture_errors(objective, noise, 4000));
    }
    for objective in [ssm, ssm_vr] {
        show("double well", objective, double_well_errors(objective, 4000));
    }
}

/// A one-dimensional Fokker-Planck equation, dp/dt = -d(f p)/dx + g^2/2 d^2p/dx^2, on a grid, with the
/// exponentially fitted fluxes of Scharfetter and Gummel (1969): mass is kept, densities stay positive.
struct FokkerPlanck {
    low: f64,
    width: f64,
    density: Vec<f64>,
    time: f64,
}

impl FokkerPlanck {
    fn new(half: f64, cells: usize, start: impl Fn(f64) -> f64) -> Self {
        let width = 2.0 * half / cells as f64;
        let mut solver = FokkerPlanck { low: -half, width, density: Vec::new(), time: 0.0 };
        solver.density = (0..cells).map(|k| start(solver.centre(k))).collect();
        let mass = solver.density.iter().sum::<f64>() * width;
        solver.density.iter_mut().for_each(|p| *p /= mass);
        solver
    }

    fn centre(&self, k: usize) -> f64 {
        self.low + (k as f64 + 0.5) * self.width
    }

    /// Explicit steps up to `time`; drift and diffusion do not depend on time.
    fn advance(&mut self, drift: impl Fn(f64) -> f64, diffusion: f64, time: f64) {
        let (cells, half_square) = (self.density.len(), 0.5 * diffusion * diffusion);
        let bernoulli = |w: f64| if w.abs() < 1e-9 { 1.0 - 0.5 * w } else { w / w.exp_m1() };
        // Rates of the fluxes to the right and to the left through each inner face.
        let faces: Vec<(f64, f64)> = (1..cells)
            .map(|k| {
                let w = drift(self.low + k as f64 * self.width) * self.width / half_square;
                let rate = half_square / self.width;
                (rate * bernoulli(-w), rate * bernoulli(w))
            })
            .collect();
        let fastest = faces.iter().map(|(r, l)| r + l).fold(0.0, f64::max);
        let steps = ((time - self.time) * fastest / self.width / 0.4).ceil().max(1.0);
        let h = (time - self.time) / steps;
        for _ in 0..steps as usize {
            let flux: Vec<f64> = faces
                .iter()
                .enumerate()
                .map(|(k, (right, left))| right * self.density[k] - left * self.density[k + 1])
                .collect();
            for (k, flux) in flux.iter().enumerate() {
                self.density[k] -= h / self.width * flux;
                self.density[k + 1] += h / self.width * flux;
            }
        }
        self.time = time;
    }

    /// d log p/dx at x, by differences of the grid, linear between.
    fn score(&self, x: f64) -> f64 {
        let at = ((x - self.low) / self.width - 0.5).clamp(1.0, self.density.len() as f64 - 3.0);
        let k = at as usize;
        let slope =
            |k: usize| (self.density[k + 1] / self.density[k - 1]).ln() / (2.0 * self.width);
        slope(k) + (at - k as f64) * (slope(k + 1) - slope(k))
    }
}

/// The solver itself against Ornstein-Uhlenbeck: var = v0 e^-2t + 1 - e^-2t.
#[test]
fn the_fokker_planck_solver_knows_ornstein_and_uhlenbeck() {
    let mut solver = FokkerPlanck::new(5.0, 400, |x| (-(x - 1.0).powi(2) / 0.5).exp());
    solver.advance(|x| -x, 2f64.sqrt(), 0.7);
    let (mean, decay) = ((-0.7f64).exp(), (-1.4f64).exp());
    let variance = 0.25 * decay + 1.0 - decay;
    for x in [-1.5, 0.0, 0.4, 2.0] {
        let expected = -(x - mean) / variance;
        assert!((solver.score(x) - expected).abs() < 0.01, "{} vs {expected}", solver.score(x));
    }
}

const NOISE: f64 = 0.7;

/// Drift along the diagonal of the plane: two wells; across it: a spring.
fn wells(u: f64) -> f64 {
    u - u.powi(3)
}

fn spring(w: f64) -> f64 {
    -2.0 * w
}

fn rotated(x: &[f64], _: f64, f: &mut [f64]) {
    let r = 0.5f64.sqrt();
    let (along, across) = (wells(r * (x[0] + x[1])), spring(r * (x[0] - x[1])));
    f[0] = r * (along + across);
    f[1] = r * (along - across);
}

/// No closed kernel: a double well in a plane, turned by 45 degrees. The truth is the product of two
/// solutions of the Fokker-Planck equation, one along each axis of the turned plane. Relative squared
/// error of the score at six times.
fn double_well_errors(objective: Objective, steps: u64) -> Vec<f64> {
    let sde = || CustomSde::new(rotated, |_| NOISE, 2.0, 0.1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut normal = |n| {
        Array2::from_shape_simple_fn((n, 2), || {
            let z: f64 = StandardNormal.sample(&mut rng);
            0.5 * z
        })
    };
    let (rows, held) = (normal(4000), normal(500));
    let noise =
        NoiseConfig { weight: NoiseWeight::None, times: TimeDistribution::Uniform, ..SIMULATED };
    let settings = network(2, ModelKind::Score, false);
    let model = fit((&rows, &held), settings, sde(), noise, config(objective, steps));

    let start = |x: f64| (-x * x / 0.5).exp();
    let mut along = FokkerPlanck::new(3.0, 300, start);
    let mut across = FokkerPlanck::new(3.0, 300, start);
    let r = 0.5f64.sqrt();
    let at_time = |t: f64| {
        along.advance(wells, NOISE, t);
        across.advance(spring, NOISE, t);
        let mut x: Vec<f64> = normal(1000).into_iter().collect();
        simulate(&sde(), &mut ChaCha8Rng::seed_from_u64(7), &mut x, &vec![t; 1000], 100);
        let x = Array2::from_shape_vec((1000, 2), x).unwrap();
        let s = model.score_at(x.view(), t);
        let (mut distance, mut square) = (0.0, 0.0);
        for (x, s) in x.outer_iter().zip(s.outer_iter()) {
            let (u, w) = (along.score(r * (x[0] + x[1])), across.score(r * (x[0] - x[1])));
            let truth = [r * (u + w), r * (u - w)];
            distance += (s[0] - truth[0]).powi(2) + (s[1] - truth[1]).powi(2);
            square += truth[0].powi(2) + truth[1].powi(2);
        }
        distance / square
    };
    [0.1, 0.3, 0.6, 1.0, 1.5, 2.0].into_iter().map(at_time).collect()
}

#[test]
fn sliced_score_matching_learns_a_double_well_without_a_kernel() {
    let errors = double_well_errors(Objective::Ssm { slices: 1 }, 1500);
    assert!(mean(&errors) < 0.05, "{errors:?}");
}

/// A potential learns too, and a run that is stopped and resumed ends in the same bits.
#[test]
fn resumed_time_models_equal_uninterrupted_ones() {
    let data = Gaussian::standard(2).unwrap();
    let x = narrow(&data.sample(300, &mut ChaCha8Rng::seed_from_u64(1)));
    let settings = network(2, ModelKind::LogDensity, true);
    let clock = Clock::new(Arc::new(Vp::default())).unwrap();
    let start = || {
        let noise = NoiseConfig { simulate: Some(5), ..NoiseConfig::default() };
        let noising = Noising::new(settings.clone(), clock.clone(), noise).unwrap();
        let config = config(Objective::SsmVr { slices: 1 }, 30);
        let model = settings.build(1).unwrap();
        Trainer::over_time(noising, model, x[..400].to_vec(), &x[400..], config).unwrap()
    };
    let mut whole = start();
    whole.run(&mut |_, _| ControlFlow::Continue(()));
    let mut first = start();
    first.run(&mut |trainer, _| match trainer.step() {
        17.. => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    let mut second = start().restored(first.checkpoint()).unwrap();
    second.run(&mut |_, _| ControlFlow::Continue(()));
    assert_eq!(second.step(), 30);
    assert_eq!(whole.parameters(), second.parameters());
}

/// Twenty held-out rows are seen at a thousand times each, which leaves 0.2 of the loss of an untrained model to chance
/// (weights of rows are uneven); seen once each it would be 6.
#[test]
fn held_out_rows_are_seen_at_many_times() {
    let x = narrow(&Gaussian::standard(2).unwrap().sample(20, &mut ChaCha8Rng::seed_from_u64(1)));
    let settings = network(2, ModelKind::Score, true);
    let clock = Clock::new(Arc::new(Vp::default())).unwrap();
    let losses: Vec<f64> = (0..6)
        .map(|seed| {
            let noising =
                Noising::new(settings.clone(), clock.clone(), NoiseConfig::default()).unwrap();
            let config = TrainConfig { seed, batch: 20, ..config(Objective::Regression, 40) };
            let model = settings.build(1).unwrap();
            let mut trainer = Trainer::over_time(noising, model, x.clone(), &x, config).unwrap();
            trainer.run(&mut |_, _| ControlFlow::Continue(()));
            trainer.history()[0].held_out.mean
        })
        .collect();
    let spread =
        losses.iter().map(|l| (l - mean(&losses)).powi(2)).sum::<f64>().sqrt() / 5f64.sqrt();
    assert!(spread < 0.5 * mean(&losses).abs(), "{losses:?}");
}

/// With weights that hardly move, all rows in every batch and no slices, only times and noise differ
/// between steps: all losses do.
#[test]
fn times_and_noise_are_fresh_at_every_step() {
    let x = narrow(&Gaussian::standard(2).unwrap().sample(60, &mut ChaCha8Rng::seed_from_u64(1)));
    let settings = network(2, ModelKind::Score, true);
    let clock = Clock::new(Arc::new(Vp::default())).unwrap();
    let noising = Noising::new(settings.clone(), clock, NoiseConfig::default()).unwrap();
    let config = TrainConfig { learning_rate: 1e-12, batch: 60, ..config(Objective::Exact, 6) };
    let model = settings.build(1).unwrap();
    let mut trainer = Trainer::over_time(noising, model, x.clone(), &x, config).unwrap();
    let mut losses = Vec::new();
    trainer.run(&mut |_, event| {
        if let Event::Step(progress) = event {
            losses.push(progress.loss);
        }
        ControlFlow::Continue(())
    });
    for (i, a) in losses.iter().enumerate() {
        assert!(losses[i + 1..].iter().all(|b| (a - b).abs() > 1e-6), "{losses:?}");
    }
    assert_eq!(losses.len(), 6);
}

#[test]
fn objectives_that_do_not_suit_a_time_model_are_refused() {
    let settings = network(2, ModelKind::Score, true);
    let clock = Clock::new(Arc::new(Vp::default())).unwrap();
    let refused = |noise: NoiseConfig, objective: Objective| {
        let noising = Noising::new(settings.clone(), clock.clone(), noise).unwrap();
        let model = settings.build(1).unwrap();
        let rows = vec![0.0; 8];
        let run = Trainer::over_time(noising, model, rows.clone(), &rows, config(objective, 5));
        run.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let simulated = refused(SIMULATED, Objective::Regression);
    assert!(simulated.contains("kernel"), "{simulated}");
    let noisy = refused(NoiseConfig::default(), Objective::Dsm { sigma: 0.1 });
    assert!(noisy.contains("noise_objective"), "{noisy}");
    assert_eq!(refused(NoiseConfig::default(), Objective::Exact), "");
    let plain = gradlogp::Mlp::new(2, ModelKind::Score).build(1).unwrap();
    let rows = vec![0.0f32; 8];
    assert!(Trainer::new(plain, rows.clone(), &rows, config(Objective::Regression, 5)).is_err());
}

/// Two likelihoods of the same rows that share nothing but the data: of a potential, normalized by importance
/// sampling and annealing, and of a time model by the probability flow. Both are below that of the truth, by their
/// Kullback-Leibler divergences, which the Fisher divergences F of the fits bound:
///
/// ```text
/// potential    KL <= C F                        C = 1/(least curvature of -log p)     (Bakry and Emery 1985)
/// flow         KL = integral of g^2(t) F(t) dt  to first order in the error of the score (Lu et al. 2022, 3.1)
/// ```
///
/// Here -log p bends at least by 1/s^2 - (D/2)^2/s^4, for two bumps of width s whose centres are D apart.
#[test]
fn the_flow_and_importance_sampling_agree_on_the_likelihood() {
    let (width, centre) = (0.6f64, 0.5f64);
    let data = || {
        let centres = array![[-centre, 0.0], [centre, 0.0]];
        GaussianMixture::isotropic(array![0.6, 0.4], centres.view(), width).unwrap()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (rows, held) = (data().sample(4000, &mut rng), data().sample(500, &mut rng));
    let test = data().sample(2000, &mut rng);

    let steps = 1200;
    let start =
        Mlp { hidden: vec![32, 32], ..Mlp::new(2, ModelKind::LogDensity) }.build(1).unwrap();
    let plain = config(Objective::Exact, steps);
    let mut trainer = Trainer::new(start, narrow(&rows), &narrow(&held), plain).unwrap();
    assert_eq!(trainer.run(&mut |_, _| ControlFlow::Continue(())), Stop::Completed);
    let potential = trainer.best_model().cast::<f64>();
    let potential = potential.as_log_density().unwrap();
    let normalizer =
        estimate_normalizer(&potential, rows.view(), &NormalizerConfig::default(), &mut rng);
    let log_z = normalizer.unwrap().log_z.unwrap();
    let by_importance = likelihood(potential.log_density(test.view()).view(), 2, log_z).per_row;

    let sde = Vp::default();
    let settings = network(2, ModelKind::Score, true);
    let noise = NoiseConfig::default();
    let over_time = fit((&rows, &held), settings, sde, noise, config(Objective::Regression, steps));
    let how = (Divergence::Exact, &OdeConfig::default());
    let end = Gaussian::standard(2).unwrap();
    let flow = log_likelihood(&over_time, &sde, &end, test.view(), how, &mut rng).unwrap();

    let exact = data().log_density(test.view());
    // Rows vary alike under all three: only differences on the same rows have small errors.
    let under = |l: &ndarray::Array1<f64>| Estimate::of((&exact - l).view());
    let plain = potential.log_density(test.view()).mapv(|l| l - log_z.value);
    let (potential_kl, flow_kl) = (under(&plain), under(&flow.log_density));

    let curvature = width.powi(-2) - centre.powi(2) * width.powi(-4);
    let fisher = fisher_divergence(&potential, &data(), test.view()).unwrap().absolute;
    let potential_bound = fisher.mean / curvature;
    // Over the positions of the clock, where the integrand is smooth: times of equal steps of log noise.
    let (truth, clock) = (Marginal::new(data(), sde).unwrap(), Clock::new(Arc::new(sde)).unwrap());
    let knots: Vec<f64> = (0..=24).map(|k| clock.time_at(f64::from(k) / 24.0)).collect();
    let flow_bound: f64 = knots
        .windows(2)
        .map(|ends| {
            let time = 0.5 * (ends[0] + ends[1]);
            let distribution = truth.at(time);
            let x = distribution.sample(1000, &mut rng);
            let at = AtTime { family: &over_time, time };
            let absolute = fisher_divergence(&at, &distribution, x.view()).unwrap().absolute.mean;
            sde.diffusion(time).powi(2) * absolute * (ends[1] - ends[0])
        })
        .sum();

    let off = by_importance.mean - flow.log_density.mean().unwrap();
    let error = (potential_kl.standard_error.powi(2)
        + flow_kl.standard_error.powi(2)
        + log_z.standard_error.powi(2))
    .sqrt();
    let says = format!(
        "off {off:.4} +- {error:.4}; potential {:.4} of {potential_bound:.4}, flow {:.4} of {flow_bound:.4}",
        potential_kl.mean, flow_kl.mean
    );
    assert!(potential_bound < 0.05 && flow_bound < 0.05, "poor fits prove nothing: {says}");
    assert!(off.abs() < potential_bound + flow_bound + 3.0 * error, "{says}");
    let error = potential_kl.standard_error.hypot(log_z.standard_error);
    let allowed = -3.0 * error..potential_bound + 3.0 * error;
    assert!(allowed.contains(&potential_kl.mean), "{says}");
    // The noise of t_min is in the flow's density but not in the truth: half of std^2 times E|s|^2, at first order.
    let smoothing = 0.5 * sde.kernel(sde.t_min).unwrap().std.powi(2) * 2.0 / width.powi(2);
    let error = flow_kl.standard_error;
    let allowed = -3.0 * error - smoothing..flow_bound + smoothing + 3.0 * error;
    assert!(allowed.contains(&flow_kl.mean), "{says}");
}

/// A process in the columns' own units, linear, so that the distribution at every time is known: of
/// dx_k = (c_k - x_k) dt + (3 + t) dW from N(m, S) it is N(c + e^-t (m - c), e^-2t S + v(t) I) with
/// v' = -2 v + (3 + t)^2, v = t^2/2 + 5t/2 + 13/4 (1 - e^-2t).
struct Linear {
    towards: [f64; 2],
    data: Gaussian,
}

impl Linear {
    fn process(&self) -> ExpressionProcess {
        ExpressionProcess {
            drift: (0..2).map(|k| format!("{} - {{{}}}", self.towards[k], ["x", "t"][k])).collect(),
            diffusion: "3 + t".into(),
            columns: ["x", "t"].map(String::from).to_vec(),
            horizon: 2.0,
            t_min: 0.02,
        }
    }

    fn at(&self, t: f64) -> Gaussian {
        let (shrunk, towards) = ((-t).exp(), Array1::from(self.towards.to_vec()));
        let mean = &towards + &((self.data.mean() - &towards) * shrunk);
        let noise = 0.5 * t * t + 2.5 * t + 3.25 * (1.0 - shrunk * shrunk);
        let covariance = self.data.covariance() * (shrunk * shrunk) + Array2::<f64>::eye(2) * noise;
        Gaussian::new(mean, covariance).unwrap()
    }

    /// Relative Fisher divergence of a short fit at some times.
    fn errors(&self, kind: Standardization, model: ModelKind, steps: u64) -> Vec<f64> {
        let process = self.process();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (rows, held) = (self.data.sample(3000, &mut rng), self.data.sample(300, &mut rng));
        let start = Transform::fit(kind, rows.view(), &process.columns).unwrap();
        let clock = Clock::new(Arc::new(process.sde().unwrap())).unwrap();
        let columns = &process.columns;
        let scaling = Scaling::fit(&clock, rows.view(), columns, &start, 50, 1).unwrap().unwrap();
        assert_eq!(scaling.kind, kind);
        let clock = clock.in_frame(scaling.frame);
        let settings = network(2, model, true);
        let noise = NoiseConfig {
            weight: NoiseWeight::None,
            times: TimeDistribution::Uniform,
            levels: None,
            simulate: Some(50),
        };
        let noising = Noising::new(settings.clone(), clock.clone(), noise).unwrap();
        let network = settings.build(1).unwrap();
        let inside = |rows: &Array2<f64>| narrow(&start.forward(rows.view()));
        let config = config(Objective::SsmVr { slices: 1 }, steps);
        let mut trainer =
            Trainer::over_time(noising, network, inside(&rows), &inside(&held), config).unwrap();
        assert_eq!(trainer.run(&mut |_, _| ControlFlow::Continue(())), Stop::Completed);
        let model: TimeModel<f64> = TimeModel::new(trainer.best_model().cast(), settings, clock);
        [0.02, 0.1, 0.5, 1.0, 2.0]
            .map(|time| {
                let distribution = self.at(time);
                let x = distribution.sample(1000, &mut rng);
                let at = AtTime { family: &model, time };
                fisher_divergence(&at, &distribution, x.view()).unwrap().relative.mean
            })
            .to_vec()
    }
}

/// Columns of widths 5 and 7 about 18 and 1008 (and about 1.7e9, where single precision knows steps of 128 only)
/// that a process in their own units carries to 20 and 1013.
#[test]
fn processes_in_the_columns_own_units_are_learnt_in_scaled_ones() {
    let covariance = || array![[25.0, -8.0], [-8.0, 49.0]];
    let weather = Linear {
        towards: [20.0, 1013.0],
        data: Gaussian::new(array![18.0, 1008.0], covariance()).unwrap(),
    };
    let epochs = Linear {
        towards: [20.0, 1.7e9],
        data: Gaussian::new(array![-40.0, 1.7e9 + 30.0], covariance()).unwrap(),
    };
    for (distribution, kind, model) in [
        (&weather, Standardization::Standardize, ModelKind::Score),
        (&weather, Standardization::Common, ModelKind::LogDensity),
        (&epochs, Standardization::Robust, ModelKind::Score),
    ] {
        let errors = distribution.errors(kind, model, 600);
        // At the least time, where few rows fall, so short a fit is rough.
        let fine = errors[0] < 0.3 && errors[1..].iter().all(|e| *e < 0.05);
        assert!(fine, "{kind:?} {model:?}: {errors:?}");
    }
}
