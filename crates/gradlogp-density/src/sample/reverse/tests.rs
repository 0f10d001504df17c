//! What the schemes declare, measured: orders by halving the step, distributions against exact marginals.

use super::annealed::AnnealedConfig;
use super::*;
use crate::error::Error;
use crate::reference::{Gaussian, GaussianMixture};
use crate::sample::streams::Own;
use crate::score::TimeScore;
use crate::sde::{CustomSde, Marginal, OrnsteinUhlenbeck, Sde, Ve, Vp};
use ndarray::{Array1, Array2, Axis, array, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;
use std::sync::Arc;

fn go_on(_: ReverseProgress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Two separate bumps under Ornstein-Uhlenbeck: a nonlinear drift backwards, and all moments known.
fn bumps() -> GaussianMixture {
    GaussianMixture::isotropic(array![0.3, 0.7], array![[-1.0], [0.8]].view(), 0.5).unwrap()
}

fn process() -> OrnsteinUhlenbeck {
    OrnsteinUhlenbeck { rate: 1.0, diffusion: 2f64.sqrt(), horizon: 1.5, t_min: 0.1 }
}

type Advance = fn(&State, &Reverse<'_>, f64, ndarray::ArrayView2<'_, f64>) -> Array2<f64>;

/// Rows at the end of `steps` equal steps, driven by the same Brownian paths for every `steps` that
/// divides 2^levels: `noise` holds the finest increments, in units of their standard deviation.
fn paths(
    advance: Advance,
    start: &Array2<f64>,
    noise: &[Array2<f64>],
    steps: usize,
) -> Array2<f64> {
    let score = Marginal::new(bumps(), process()).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let h = (process().horizon - process().t_min) / steps as f64;
    let each = noise.len() / steps;
    let mut state = State { position: start.clone(), time: process().horizon, step: 0 };
    for fine in noise.chunks(each) {
        let mut z = Array2::zeros(start.dim());
        fine.iter().for_each(|part| z += part);
        z /= (each as f64).sqrt();
        let to = state.time - h;
        let position = advance(&state, &reverse, to, z.view());
        state = State { position, time: to, step: state.step + 1 };
    }
    state.position
}

/// (strong, weak): orders from the differences between runs of 8, 16, 32 and 64 steps on the same paths.
fn measured_orders(advance: Advance, n: usize, seed: u64) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let start =
        Marginal::new(bumps(), process()).unwrap().sample_at(n, process().horizon, &mut rng);
    let noise: Vec<_> = (0..64).map(|_| super::normals((n, 1), &mut rng)).collect();
    let ends = [8, 16, 32, 64].map(|steps| paths(advance, &start, &noise, steps));
    let strong = |a: &Array2<f64>, b: &Array2<f64>| (a - b).mapv(f64::abs).mean().unwrap();
    // x^2, whose mean the bias of both schemes shows in.
    let weak = |a: &Array2<f64>, b: &Array2<f64>| (a * a - b * b).mean().unwrap().abs();
    let slope = |f: &dyn Fn(&Array2<f64>, &Array2<f64>) -> f64| {
        (f(&ends[0], &ends[1]) / f(&ends[2], &ends[3])).log2() / 2.0
    };
    (slope(&strong), slope(&weak))
}

#[test]
fn euler_maruyama_has_strong_and_weak_order_one() {
    let (strong, weak) = measured_orders(euler_maruyama::advance, 20_000, 1);
    assert!((strong - 1.0).abs() < 0.2, "strong order {strong}");
    assert!((weak - 1.0).abs() < 0.25, "weak order {weak}");
}

#[test]
fn heun_has_strong_order_one_and_weak_order_two() {
    let (strong, weak) = measured_orders(heun::advance, 60_000, 2);
    assert!((strong - 1.0).abs() < 0.3, "strong order {strong}");
    assert!((weak - 2.0).abs() < 0.5, "weak order {weak}");
}

/// On data N(m, v) every scheme is linear in x and z, so that mean and variance follow exact recursions:
/// the weak orders again, without any sampling error, with g and the step not constant (VP).
#[test]
fn weak_orders_on_a_gaussian_are_exact() {
    let score = Marginal::gaussian(
        Gaussian::new(array![0.7], array![[0.3]]).unwrap(),
        Vp { t_min: 0.2, ..Vp::default() },
    )
    .unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let exact = score.at(0.2);
    let (mean, variance) = (exact.mean_and_variance().0, exact.mean_and_variance().1);
    let errors = |advance: Advance, steps: usize| {
        let times = TimeSchedule::Polynomial { power: 2.0 }.times(score.sde(), steps).unwrap();
        let first = score.at(times[0]).mean_and_variance();
        let (mut m, mut v) = first;
        for pair in times.windows(2) {
            // Rows 0, 1, 0 with noise 0, 0, 1 give the constant and both factors.
            let state = State { position: array![[0.0], [1.0], [0.0]], time: pair[0], step: 0 };
            let x = advance(&state, &reverse, pair[1], array![[0.0], [0.0], [1.0]].view());
            let (c, a, b) = (x[[0, 0]], x[[1, 0]] - x[[0, 0]], x[[2, 0]] - x[[0, 0]]);
            (m, v) = (a * m + c, a * a * v + b * b);
        }
        [(m - mean).abs(), (v - variance).abs()]
    };
    for (advance, declared) in [(euler_maruyama::advance as Advance, 1.0), (heun::advance, 2.0)] {
        let (coarse, fine) = (errors(advance, 400), errors(advance, 1600));
        for k in 0..2 {
            let order = (coarse[k] / fine[k]).log2() / 2.0;
            assert!((order - declared).abs() < 0.15, "moment {k}: order {order}, not {declared}");
        }
    }
}

/// Halving the steps of the deterministic scheme against the adaptive solution of the same flow.
#[test]
fn exponential_has_order_one_and_is_exact_for_one_point() {
    let score = Marginal::new(bumps(), process()).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let start = array![[-1.3], [-0.2], [0.4], [1.5]];
    let state = State { position: start, time: 1.5, step: 0 };
    let exact = by_the_flow(&state, &reverse, 0.1);
    let error = |steps: usize| {
        let times = TimeSchedule::Geometric.times(score.sde(), steps).unwrap();
        let end = times
            .iter()
            .skip(1)
            .fold(state.clone(), |state, to| exponential::step(&state, &reverse, *to).unwrap());
        (end.position - &exact).mapv(f64::abs).sum()
    };
    let order = (error(50) / error(200)).log2() / 2.0;
    assert!((order - 1.0).abs() < 0.1, "order {order}");

    let tiny = GaussianMixture::isotropic(array![1.0], array![[0.7]].view(), 1e-6).unwrap();
    let score = Marginal::new(tiny, process()).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let one = exponential::step(&state, &reverse, 0.1).unwrap().position;
    let exact = by_the_flow(&state, &reverse, 0.1);
    assert!((one - exact).iter().all(|e| e.abs() < 1e-7));
}

fn tight() -> crate::ode::OdeConfig {
    crate::ode::OdeConfig { relative: 1e-10, absolute: 1e-10, ..Default::default() }
}

/// The end of the flow, without error as far as tests can see.
fn by_the_flow(state: &State, reverse: &Reverse<'_>, to: f64) -> Array2<f64> {
    flow::solve(state, reverse, to, (&tight(), None), &mut || true).unwrap().unwrap().y
}

/// The flow keeps quantiles: on a Gaussian x(t) = m(t) + sd(t)/sd(T) (x(T) - m(T)).
#[test]
fn the_flow_carries_quantiles() {
    for sde in [crate::sde::Process::Vp(Vp::default()), crate::sde::Process::Ve(Ve::default())] {
        let data = Gaussian::new(array![0.7], array![[0.3]]).unwrap();
        let score = Marginal::gaussian(data, sde).unwrap();
        let reverse = Reverse { sde: &sde, score: &score };
        let (from, to) = (sde.horizon(), 0.15);
        let state = State { position: array![[-2.0], [0.1], [1.1]], time: from, step: 0 };
        let end = by_the_flow(&state, &reverse, to);
        let ((m0, v0), (m1, v1)) =
            (score.at(from).mean_and_variance(), score.at(to).mean_and_variance());
        for (x, y) in state.position.iter().zip(&end) {
            let expected = m1 + (v1 / v0).sqrt() * (x - m0);
            assert!((y - expected).abs() < 1e-7, "{y}, not {expected}");
        }
    }
}

/// Mean and variance of one column of a mixture.
trait Moments {
    fn mean_and_variance(&self) -> (f64, f64);
}

impl Moments for GaussianMixture {
    fn mean_and_variance(&self) -> (f64, f64) {
        let weights = self.weights() / self.weights().sum();
        let parts = || self.components().iter().zip(&weights);
        let mean: f64 = parts().map(|(p, w)| w * p.mean()[0]).sum();
        let square: f64 =
            parts().map(|(p, w)| w * (p.covariance()[[0, 0]] + p.mean()[0].powi(2))).sum();
        (mean, square - mean * mean)
    }
}

/// Every scheme draws the data: mean, variance and the share of each bump.
#[test]
fn every_scheme_draws_the_data() {
    let schemes = [
        Scheme::EulerMaruyama,
        Scheme::Heun,
        Scheme::PredictorCorrector { corrections: 1, ratio: 0.16 },
        Scheme::Flow(crate::ode::OdeConfig::default()),
        Scheme::Exponential,
        Scheme::Annealed(AnnealedConfig { steps: 8, step: 0.2 }),
    ];
    let data = || {
        GaussianMixture::isotropic(array![0.25, 0.75], array![[-2.0], [1.0]].view(), 0.4).unwrap()
    };
    let n = 4000;
    let exact = data().mean_and_variance();
    let sdes = [
        crate::sde::Process::Ve(Ve { sigma_min: 0.02, sigma_max: 20.0 }),
        crate::sde::Process::Vp(Vp::default()),
    ];
    for (seed, scheme) in schemes.iter().enumerate() {
        for sde in sdes {
            let score = Marginal::new(data(), sde).unwrap();
            let reverse = Reverse { sde: &sde, score: &score };
            let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
            let start = reverse.start(n, &mut rng).unwrap().position;
            let annealed = matches!(scheme, Scheme::Annealed(_));
            let config = ReverseConfig {
                scheme: scheme.clone(),
                schedule: match annealed {
                    true => TimeSchedule::Geometric,
                    false => TimeSchedule::Karras { rho: 7.0 },
                },
                steps: 200,
                denoise: true,
            };
            let run = run_reverse(&reverse, start, &config, &mut rng, &mut go_on).unwrap();
            let x = run.rows.column(0);
            let what = format!("{scheme:?} of {sde:?}");
            let left = x.iter().filter(|x| **x < -0.8).count() as f64 / n as f64;
            let error = (0.25 * 0.75 / n as f64).sqrt();
            // Annealing settles the shares where bumps part, at a bias of its own.
            let bias = if annealed { 0.03 } else { 0.006 };
            assert!((left - 0.25).abs() < 4.0 * error + bias, "{what}: share {left}");
            let spread = (exact.1 / n as f64).sqrt();
            let mean = x.mean().unwrap();
            assert!((mean - exact.0).abs() < 4.0 * spread + 3.0 * bias, "{what}: mean {mean}");
            let inside: Array1<f64> = x.iter().filter(|x| **x > -0.5).copied().collect();
            let sd = inside.std(1.0);
            assert!((sd - 0.4).abs() < 0.04, "{what}: spread of a bump {sd}");
        }
    }
}

/// Langevin steps with exact scores leave the marginal alone but for the bias of ULA, and bring back
/// what is off.
#[test]
fn the_corrector_returns_to_the_marginal() {
    let score = Marginal::gaussian(Gaussian::standard(1).unwrap(), Vp::default()).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let position = super::normals((20_000, 1), &mut rng) * 2.0;
    let mut state = State { position, time: 0.3, step: 0 };
    let mut step_size = 0.0;
    for _ in 0..300 {
        let (next, info) = corrector::step(&mut rng, &state, &reverse, 0.1).unwrap();
        (state, step_size) = (next, info.step_size);
    }
    // s = -x, E|s|^2 = 1: a = 4 r^2 and the variance of ULA, 1/(1 - a/4).
    assert!((step_size - 0.04).abs() < 0.002, "{step_size}");
    let expected = 1.0 / (1.0 - step_size / 4.0);
    let found = state.position.var(1.0);
    assert!((found - expected).abs() < 4.5 * expected * (2.0 / 2e4f64).sqrt(), "{found}");
}

fn holes(rows: ndarray::ArrayView2<'_, f64>) -> Holes {
    Holes::in_coordinates(rows)
}

/// x_1 given x_0 of a correlated Gaussian is N(c x_0, 1 - c^2); observed values keep their bits.
#[test]
fn imputation_draws_the_conditional_law() {
    let c = 0.8;
    let data = Gaussian::new(array![0.0, 0.0], array![[1.0, c], [c, 1.0]]).unwrap();
    let score = Marginal::gaussian(data, Ve { sigma_min: 0.02, sigma_max: 10.0 }).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let n = 3000;
    let rows = Array2::from_shape_fn((n, 2), |(i, j)| match j {
        0 => 1.5 - (i % 3) as f64,
        _ => f64::NAN,
    });
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let config = ReverseImpute::default();
    let mut on = |_: usize, _: usize| ControlFlow::Continue(());
    let found =
        impute_reverse(&reverse, &holes(rows.view()), &config, &mut rng, &mut on).unwrap().unwrap();
    assert!(found.lost.is_empty());
    let found = found.rows;
    assert_eq!(found.column(0), rows.column(0));
    let rest = &found.column(1) - &(&found.column(0) * c);
    let variance = 1.0 - c * c;
    assert!(rest.mean().unwrap().abs() < 4.0 * (variance / n as f64).sqrt() + 0.02);
    assert!((rest.var(1.0) / variance - 1.0).abs() < 0.12, "{}", rest.var(1.0));
    // Nothing changes for them where another row is far off, or there are more draws.
    let mut far = rows.clone();
    far[[n - 1, 0]] = 1e5;
    let (few, mut rng) = (far.slice(s![n - 20.., ..]), ChaCha8Rng::seed_from_u64(3));
    let config = ReverseImpute { draws: 2, steps: 30, ..config };
    let with =
        impute_reverse(&reverse, &holes(few), &config, &mut rng, &mut on).unwrap().unwrap().rows;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let without =
        impute_reverse(&reverse, &holes(few.slice(s![..19, ..])), &config, &mut rng, &mut on);
    let without = without.unwrap().unwrap().rows;
    for draw in 0..2 {
        let (a, b) = (draw * 20, draw * 19);
        assert_eq!(with.slice(s![a..a + 19, ..]), without.slice(s![b..b + 19, ..]));
    }
    // The slope on what was observed, not only the spread.
    let slope = (&found.column(1) * &found.column(0)).sum() / found.column(0).mapv(|x| x * x).sum();
    assert!((slope - c).abs() < 0.04, "{slope}");
    let mut stop = |_: usize, _: usize| ControlFlow::Break(());
    assert!(
        impute_reverse(&reverse, &holes(rows.view()), &config, &mut rng, &mut stop)
            .unwrap()
            .is_none()
    );
}

/// Of mixed coordinates z = A x: x_1 given x_0 has the same law where A x is what the process makes noisy. The data have
/// another covariance in z than the noise, so that a projector which is not orthogonal would show.
#[test]
fn imputation_of_mixed_coordinates_draws_the_conditional_law() {
    let c = 0.8;
    let a = array![[2.0, -0.5], [0.3, 1.0]];
    let covariance = a.dot(&array![[1.0, c], [c, 1.0]]).dot(&a.t());
    let data = Gaussian::new(array![0.0, 0.0], covariance).unwrap();
    let score = Marginal::gaussian(data, Ve { sigma_min: 0.02, sigma_max: 20.0 }).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let n = 3000;
    let known = Array1::from_shape_fn(n, |i| 1.5 - (i % 3) as f64);
    // What stands for x_1 is of no consequence.
    let rows = Array2::from_shape_fn((n, 2), |(i, j)| if j == 0 { known[i] } else { 7.0 });
    let length = a.column(1).dot(&a.column(1)).sqrt();
    let direction = Arc::new((&a.column(1) / length).insert_axis(Axis(1)));
    let holes = Holes::along(rows.dot(&a.t()).view(), vec![direction.clone(); n]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let config = ReverseImpute::default();
    let mut on = |_: usize, _: usize| ControlFlow::Continue(());
    let found = impute_reverse(&reverse, &holes, &config, &mut rng, &mut on).unwrap().unwrap();
    assert!(found.lost.is_empty());
    // A^-1 z.
    let determinant = a[[0, 0]] * a[[1, 1]] - a[[0, 1]] * a[[1, 0]];
    let inverse = array![[a[[1, 1]], -a[[0, 1]]], [-a[[1, 0]], a[[0, 0]]]] / determinant;
    let found = found.rows.dot(&inverse.t());
    let off = (&found.column(0) - &known).mapv(f64::abs);
    assert!(off.iter().all(|off| *off < 1e-12), "what is known stays");
    let rest = &found.column(1) - &(&known * c);
    let variance = 1.0 - c * c;
    assert!(rest.mean().unwrap().abs() < 4.0 * (variance / n as f64).sqrt() + 0.02);
    assert!((rest.var(1.0) / variance - 1.0).abs() < 0.12, "{}", rest.var(1.0));
    let slope = (&found.column(1) * &known).sum() / known.dot(&known);
    assert!((slope - c).abs() < 0.04, "{slope}");
    assert!(Holes::along(rows.view(), vec![direction; 3]).is_err());
    let narrow = Arc::new(array![[1.0]]);
    assert!(Holes::along(rows.slice(s![..1, ..]), vec![narrow]).is_err());
}

/// The score of N(0, I) data under VP, but for what `score` makes of some of its values.
struct Altered<F> {
    dim: usize,
    score: F,
}

impl<F: Fn(ndarray::ArrayView2<'_, f64>, f64) -> Array2<f64> + Sync> TimeScore for Altered<F> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn score_at(&self, x: ndarray::ArrayView2<'_, f64>, t: f64) -> Array2<f64> {
        (self.score)(x, t)
    }
    fn trace_at(&self, x: ndarray::ArrayView2<'_, f64>, _: f64) -> Array1<f64> {
        Array1::from_elem(x.nrows(), -(self.dim as f64))
    }
    fn jacobian_vector_at(
        &self,
        _: ndarray::ArrayView2<'_, f64>,
        _: f64,
        v: ndarray::ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        -v.to_owned()
    }
}

/// One column: beyond 50 the score is -pull x, which leaves rows there where they are, and at times below `until`
/// no number.
fn steep(until: f64, pull: f64) -> impl TimeScore {
    let score = move |x: ndarray::ArrayView2<'_, f64>, t: f64| {
        x.mapv(|x| match (x > 50.0, t < until) {
            (false, _) => -x,
            (true, false) => -pull * x,
            (true, true) => f64::NAN,
        })
    };
    Altered { dim: 1, score }
}

/// Rows 1 and 3 of four are lost when the score is not a number where they are; the others arrive, and where no
/// randomness is in it, just as they do without these two.
#[test]
fn rows_that_leave_the_finite_numbers_are_named_and_the_others_arrive() {
    let sde = Vp::default();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let config = ReverseConfig { schedule: TimeSchedule::UNIFORM, steps: 10, ..Default::default() };
    let (start, good) = (array![[1.0], [400.0], [-0.5], [300.0]], array![[1.0], [-0.5]]);
    for scheme in [
        Scheme::EulerMaruyama,
        Scheme::Heun,
        Scheme::Exponential,
        Scheme::Flow(Default::default()),
        Scheme::PredictorCorrector { corrections: 1, ratio: 0.1 },
        Scheme::Annealed(AnnealedConfig::default()),
    ] {
        // f - g^2 s and f - g^2 s/2 are 0 for s = -x/2 and s = -x.
        let flows = matches!(scheme, Scheme::Exponential | Scheme::Flow(_));
        let steep = steep(0.65, if flows { 1.0 } else { 0.5 });
        let reverse = Reverse { sde: &sde, score: &steep };
        let name = format!("{scheme:?}");
        let config = ReverseConfig { scheme, ..config.clone() };
        let mut holes = Vec::new();
        let mut look = |p: ReverseProgress<'_>| {
            assert_eq!(p.position.nrows(), 4);
            // Within long steps it is told several times the same.
            holes.truncate(p.step);
            holes.push(p.position.iter().filter(|x| x.is_nan()).count());
            ControlFlow::Continue(())
        };
        let run = run_reverse(&reverse, start.clone(), &config, &mut rng, &mut look).unwrap();
        assert!(run.completed && run.rows.dim() == (2, 1), "{name}");
        assert!(run.rows.iter().all(|x| x.abs() < 40.0), "{name}: {}", run.rows);
        let lost: Vec<usize> = run.lost.iter().map(|lost| lost.row).collect();
        assert_eq!(lost, [1, 3], "{name}");
        assert!(run.lost.iter().all(|lost| (4..=5).contains(&lost.step)), "{name}: {:?}", run.lost);
        assert!(holes[..4].iter().all(|n| *n == 0), "{name}: {holes:?}");
        assert!(holes[5..].iter().all(|n| *n == 2), "{name}: {holes:?}");
        let Some(Error::Diverged { step, rows, message }) = run.failure(2000) else {
            panic!("{name}: no failure")
        };
        assert_eq!((step, &rows[..]), (run.lost[0].step as u64, &[2001, 2003][..]), "{name}");
        assert!(message.contains("row 2002 became") && message.contains("2 rows"), "{message}");
        if flows {
            let alone = run_reverse(&reverse, good.clone(), &config, &mut rng, &mut go_on).unwrap();
            assert!(alone.lost.is_empty() && alone.failure(0).is_none());
            assert!((alone.rows - run.rows).iter().all(|e| e.abs() < 1e-4), "{name}");
        }
        let all = array![[400.0], [300.0]];
        let error = run_reverse(&reverse, all, &config, &mut rng, &mut go_on).unwrap_err();
        assert!(matches!(&error, Error::Diverged { rows, .. } if rows == &[0, 1]), "{error}");
    }
}

/// Of a row that is lost what was missing stays missing; the others are filled in.
#[test]
fn rows_that_cannot_be_imputed_stay_as_they_are() {
    let score = |x: ndarray::ArrayView2<'_, f64>, t: f64| {
        let mut out = -x.to_owned();
        for (x, mut s) in x.outer_iter().zip(out.outer_iter_mut()) {
            s[1] = if t < 0.5 && x[0] > 50.0 { f64::NAN } else { s[1] };
        }
        out
    };
    let edge = Altered { dim: 2, score };
    let sde = Vp::default();
    let reverse = Reverse { sde: &sde, score: &edge };
    let nan = f64::NAN;
    let rows = array![[0.5, nan], [1e4, nan], [nan, -0.3], [1.0, 2.0]];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let config = ReverseImpute { steps: 20, ..ReverseImpute::default() };
    let mut on = |_: usize, _: usize| ControlFlow::Continue(());
    let found =
        impute_reverse(&reverse, &holes(rows.view()), &config, &mut rng, &mut on).unwrap().unwrap();
    assert!(matches!(found.lost[..], [Lost { row: 1, .. }]), "{:?}", found.lost);
    assert!(found.rows[[1, 0]] == 1e4 && found.rows[[1, 1]].is_nan());
    assert_eq!(
        (found.rows[[0, 0]], found.rows[[2, 1]], found.rows.row(3)),
        (0.5, -0.3, rows.row(3))
    );
    assert!(found.rows[[0, 1]].abs() < 6.0 && found.rows[[2, 0]].abs() < 6.0);
}

/// Rows that are lost are named as they stood at the start, also after others were lost before them.
#[test]
fn rows_keep_their_numbers_when_others_are_lost() {
    let mut flock = run::Flock::new(array![[0.0], [1.0], [2.0], [3.0], [4.0]], 1.0);
    flock.lose(&[1], 2, 0.8).unwrap();
    flock.lose(&[1, 3], 3, 0.7).unwrap();
    let lost: Vec<(usize, usize)> = flock.lost.iter().map(|lost| (lost.row, lost.step)).collect();
    assert_eq!(lost, [(1, 2), (2, 3), (4, 3)]);
    assert_eq!((flock.kept, flock.state.position), (vec![0, 3], array![[0.0], [3.0]]));
}

/// Observed values get the distribution that they have at the time of the state, scale x + std z, and the
/// missing ones stay.
#[test]
fn observed_values_are_put_back_with_scale_and_noise() {
    let (sde, t, n) = (Vp::default(), 0.3, 20_000);
    let kernel = sde.kernel(t).unwrap();
    let score = Marginal::gaussian(Gaussian::standard(2).unwrap(), sde).unwrap();
    let reverse = Reverse { sde: &sde, score: &score };
    let rows = Array2::from_shape_fn((n, 2), |(_, j)| if j == 0 { 3.0 } else { f64::NAN });
    let mut state = State { position: Array2::from_elem((n, 2), 9.0), time: t, step: 0 };
    let (mut streams, all) = (Own::new(2, n, 1), (0..n).collect::<Vec<_>>());
    impute::put_back(&mut state, &reverse, &holes(rows.view()), (&mut streams, &all)).unwrap();
    let (found, left) = (state.position.column(0), state.position.column(1));
    let (mean, std) = (found.mean().unwrap(), found.std(1.0));
    let error = kernel.std / (n as f64).sqrt();
    assert!((mean - 3.0 * kernel.scale).abs() < 4.0 * error, "{mean}");
    assert!((std / kernel.std - 1.0).abs() < 4.0 / (2.0 * n as f64).sqrt(), "{std}");
    assert!(left.iter().all(|x| *x == 9.0));
}

/// Corrections leave observed values where they are, and on a Gaussian move the missing ones by
/// -(a/2) x + sqrt(a) z, a = c std^2.
#[test]
fn corrections_move_missing_values_alone() {
    let (sde, n, step) = (Vp::default(), 40_000, 0.4);
    let score = Marginal::gaussian(Gaussian::standard(2).unwrap(), sde).unwrap();
    let reverse = Reverse { sde: &sde, score: &score };
    let rows = Array2::from_shape_fn((n, 2), |(_, j)| if j == 0 { 3.0 } else { f64::NAN });
    let start = Array2::from_shape_fn((n, 2), |(_, j)| [50.0, 2.0][j]);
    let state = State { position: start.clone(), time: 0.3, step: 0 };
    let (mut streams, all) = (Own::new(3, n, 1), (0..n).collect::<Vec<_>>());
    let with = (&mut streams, &all[..]);
    let after =
        impute::correct(&state, &reverse, &holes(rows.view()), with, step).unwrap().position;
    assert_eq!(after.column(0), start.column(0));
    // The score is -x at every time.
    let a = step * sde.kernel(0.3).unwrap().std.powi(2);
    let (mean, std) = (after.column(1).mean().unwrap(), after.column(1).std(1.0));
    assert!((mean - 2.0 * (1.0 - 0.5 * a)).abs() < 4.0 * (a / n as f64).sqrt(), "{mean}");
    assert!((std / a.sqrt() - 1.0).abs() < 4.0 / (2.0 * n as f64).sqrt(), "{std}");
}

/// A row's way by the flow has the bits that it has alone, in whatever company, and other rows end none.
#[test]
fn the_flow_takes_every_row_as_if_alone() {
    let covariance = array![[1.0, 0.8], [0.8, 1.0]];
    let data = Gaussian::new(array![0.0, 1.0], covariance).unwrap();
    let score = Marginal::gaussian(data, Vp::default()).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let scheme = Scheme::Flow(crate::ode::OdeConfig::default());
    let config = ReverseConfig { scheme, steps: 5, ..Default::default() };
    let start = array![[0.3, -1.0], [1e6, 5.0], [-0.2, 2.0]];
    let run = |start: Array2<f64>| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        run_reverse(&reverse, start, &config, &mut rng, &mut go_on).unwrap().rows
    };
    let together = run(start.clone());
    for i in 0..3 {
        assert_eq!(run(start.slice(s![i..i + 1, ..]).to_owned()).row(0), together.row(i));
    }
}

/// Few rows are joined by others where the step is found from all of them: one alone gets the right spread.
#[test]
fn one_row_alone_is_drawn_as_well_as_many() {
    let score = Marginal::gaussian(Gaussian::standard(1).unwrap(), Vp::default()).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    for scheme in [
        Scheme::PredictorCorrector { corrections: 3, ratio: 0.3 },
        Scheme::Annealed(AnnealedConfig { steps: 3, step: 0.5 }),
    ] {
        let schedule = TimeSchedule::Geometric;
        let config = ReverseConfig { scheme, schedule, steps: 15, ..Default::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let draws: Array1<f64> = (0..300)
            .map(|_| {
                let start = reverse.start(1, &mut rng).unwrap().position;
                let run = run_reverse(&reverse, start, &config, &mut rng, &mut go_on).unwrap();
                assert_eq!(run.rows.dim(), (1, 1));
                run.rows[[0, 0]]
            })
            .collect();
        let found = draws.mapv(|x| x * x).mean().unwrap();
        assert!((found - 1.0).abs() < 4.0 * (2.0 / 300f64).sqrt() + 0.1, "{found}");
    }
}

/// Told to stop within a step, a run ends where it was before it.
#[test]
fn long_steps_can_be_stopped() {
    let score = Marginal::gaussian(Gaussian::standard(1).unwrap(), Vp::default()).unwrap();
    let reverse = Reverse { sde: score.sde(), score: &score };
    let tight = crate::ode::OdeConfig { relative: 1e-9, absolute: 1e-9, ..Default::default() };
    for scheme in [
        Scheme::PredictorCorrector { corrections: 1_000_000, ratio: 0.1 },
        Scheme::Annealed(AnnealedConfig { steps: 1_000_000, step: 0.1 }),
        Scheme::Flow(tight),
    ] {
        let config = ReverseConfig { scheme, steps: 3, ..Default::default() };
        let mut calls = 0;
        let mut stop = |p: ReverseProgress<'_>| {
            assert_eq!((p.step, p.position.nrows()), (0, 2));
            calls += 1;
            if calls == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let (start, mut rng) = (array![[0.5], [-1.0]], ChaCha8Rng::seed_from_u64(1));
        let run = run_reverse(&reverse, start.clone(), &config, &mut rng, &mut stop).unwrap();
        assert!(!run.completed && run.rows == start && run.time == 1.0);
    }
}

#[test]
fn runs_can_stop() {
    let sde = Vp::default();
    let steep = steep(0.0, 1.0);
    let reverse = Reverse { sde: &sde, score: &steep };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let config = ReverseConfig { schedule: TimeSchedule::UNIFORM, steps: 10, ..Default::default() };
    let mut seen = Vec::new();
    let mut stop = |p: ReverseProgress<'_>| {
        seen.push((p.step, p.total_steps));
        if p.step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let start = Array2::ones((4, 1));
    let run = run_reverse(&reverse, start, &config, &mut rng, &mut stop).unwrap();
    assert!(!run.completed && run.evaluations == 6 && run.time > 0.6);
    assert_eq!(seen, [(0, 10), (1, 10), (2, 10), (3, 10)]);
}

#[test]
fn refuses_what_a_process_cannot_do() {
    let blind = CustomSde::new(|x, _, f| f[0] = -x[0], |_| 1.0, 1.0, 0.1).unwrap();
    let score = Marginal::gaussian(Gaussian::standard(1).unwrap(), Vp::default()).unwrap();
    let reverse = Reverse { sde: &blind, score: &score };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    assert!(reverse.start(3, &mut rng).is_err());
    let state = State { position: array![[0.0]], time: 1.0, step: 0 };
    let message = exponential::step(&state, &reverse, 0.5).unwrap_err().to_string();
    assert!(message.contains("use em"), "{message}");
    let bad = ReverseConfig { steps: 0, ..Default::default() };
    assert!(bad.validate().unwrap_err().to_string().starts_with("steps"));
    let scheme = Scheme::PredictorCorrector { corrections: 1, ratio: 0.0 };
    assert!(ReverseConfig { scheme, ..Default::default() }.validate().is_err());
}

/// E[x_0 | x_t] by Tweedie's formula against the posterior mean of a Gaussian under VP.
#[test]
fn tweedie_is_the_posterior_mean() {
    let (m, v, t) = (0.7, 0.3, 0.25);
    let sde = Vp::default();
    let score = Marginal::gaussian(Gaussian::new(array![m], array![[v]]).unwrap(), sde).unwrap();
    let kernel = sde.kernel(t).unwrap();
    let at = crate::score::AtTime { family: &score, time: t };
    let x = array![[-1.0], [0.4], [2.0]];
    let found = tweedie(&at, x.view(), kernel.scale, kernel.std);
    for (x, found) in x.iter().zip(&found) {
        // Two normal facts about x_0: prior N(m, v), and x/scale with noise (std/scale)^2.
        let noise = (kernel.std / kernel.scale).powi(2);
        let expected = (m / v + x / kernel.scale / noise) / (1.0 / v + 1.0 / noise);
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }
}
