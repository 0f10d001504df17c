//! Score matching on domains with a boundary, MATH (7): closed forms, unbiasedness, gradients, fits.

use std::ops::ControlFlow;

use gradlogp::domain::{Bounds, Boxed, Domain, Ellipsoid, Polytope, ScoreOnDomain};
use gradlogp::engine::LossEngine;
use gradlogp::model::{Derivatives, Mlp, Model, ModelKind, Points};
use gradlogp::reference::{
    Dirichlet, Exponential, ReferenceDensity, TruncatedColumn, TruncatedGaussian,
};
use gradlogp::sample::ula;
use gradlogp::train::{Stop, TrainConfig, Trainer};
use gradlogp::{Objective, Score, SliceDistribution};
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::objectives::{KINDS, conditional, draw, estimate, normals, small};

const HALF_LINE: Bounds = Bounds { low: Some(0.0), high: None, cap: 1.0 };
const HALF_NORMAL: TruncatedColumn =
    TruncatedColumn { mean: 0.0, sd: 1.0, low: 0.0, high: f64::INFINITY };

fn half_line(power: f64) -> Domain {
    Domain::Box(Boxed { columns: vec![HALF_LINE], power })
}

/// One domain of each shape around the origin, for three columns.
fn domains() -> Vec<Domain> {
    let column = |low, high, cap| Bounds { low, high, cap };
    let columns = vec![
        column(Some(-2.0), Some(3.0), 1.5),
        column(None, None, 1.0),
        column(Some(-2.5), None, 2.0),
    ];
    let faces = Polytope::simplex(&[0.3; 3], 1.0).scaled_about_origin();
    vec![
        Domain::Box(Boxed { columns, power: 1.0 }),
        faces,
        Domain::Ellipsoid(Ellipsoid::ball(vec![0.1, 0.0, -0.2], 3.0, 2.0, 2.0)),
    ]
}

trait AboutOrigin {
    fn scaled_about_origin(self) -> Domain;
}

impl AboutOrigin for Polytope {
    fn scaled_about_origin(self) -> Domain {
        Domain::Polytope(self).scaled(&[0.25; 3], &[0.15; 3])
    }
}

/// Rows of N(0, 1/4) that lie in the domain.
fn rows_in(domain: &Domain, n: usize, seed: u64) -> Vec<f64> {
    let all = normals(30 * n * 3, seed);
    let inside = all.chunks(3).map(|x| [0.5 * x[0], 0.5 * x[1], 0.5 * x[2]]);
    inside.filter(|x| domain.contains(x)).take(n).flatten().collect()
}

fn engine(
    domain: &Domain,
    model: &Model<f64>,
    objective: Objective,
    distribution: SliceDistribution,
) -> LossEngine<f64> {
    LossEngine::on_domain(Some(domain), model, &objective, distribution, 2)
}

/// MATH (7) row by row, from the score and the diagonal of its Jacobian.
fn by_hand(domain: &Domain, model: &Model<f64>, x: &[f64]) -> Vec<f64> {
    let at = Derivatives::new(model);
    let (s, diagonal) = (at.score(x), at.jacobian_diagonal(x));
    let rows = x.chunks(3).zip(s.chunks(3)).zip(diagonal.chunks(3));
    rows.map(|((x, s), j)| domain.loss(x, s, j)).collect()
}

#[test]
fn exact_loss_is_the_weighted_one() {
    for kind in KINDS {
        let model = small(kind, 3);
        for domain in domains() {
            let x = rows_in(&domain, 40, 3);
            assert_eq!(x.len(), 120);
            let got = engine(&domain, &model, Objective::Exact, SliceDistribution::default())
                .losses(&model, &x, draw(0));
            for (got, want) in got.iter().zip(by_hand(&domain, &model, &x)) {
                assert!((got - want).abs() < 1e-10 * (1.0 + want.abs()), "{kind:?} {domain:?}");
            }
        }
    }
}

#[test]
fn exact_loss_in_blocks_counts_the_slope_once() {
    // 70 columns: two blocks of unit vectors.
    let dim = 70;
    let domain =
        Domain::Box(Boxed { columns: vec![Bounds { cap: 9.0, ..HALF_LINE }; dim], power: 1.0 });
    let x: Vec<f64> = normals(5 * dim, 4).iter().map(|x| x.abs()).collect();
    for kind in KINDS {
        let model = small(kind, dim);
        let at = Derivatives::new(&model);
        let (s, diagonal) = (at.score(x.as_slice()), at.jacobian_diagonal(x.as_slice()));
        let got = engine(&domain, &model, Objective::Exact, SliceDistribution::default()).losses(
            &model,
            &x,
            draw(0),
        );
        for (r, got) in got.iter().enumerate() {
            let row = r * dim..(r + 1) * dim;
            let want = domain.loss(&x[row.clone()], &s[row.clone()], &diagonal[row]);
            assert!((got - want).abs() < 1e-10 * (1.0 + want.abs()), "{kind:?}: {got} {want}");
        }
    }
}

#[test]
fn sliced_losses_are_unbiased_for_the_weighted_one() {
    for kind in KINDS {
        let model = small(kind, 3);
        for domain in domains() {
            let row = rows_in(&domain, 1, 5);
            let x = row.repeat(20_000);
            let want = by_hand(&domain, &model, &row)[0];
            for distribution in SliceDistribution::ALL {
                for objective in [Objective::Ssm { slices: 2 }, Objective::SsmVr { slices: 1 }] {
                    let losses = engine(&domain, &model, objective, distribution).losses(
                        &model,
                        &x,
                        draw(0),
                    );
                    let (mean, error) = estimate(&losses);
                    assert!(
                        (mean - want).abs() <= 4.0 * error + 1e-9,
                        "{kind:?} {domain:?} {distribution:?} {objective:?}: {mean} +- {error}, {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_match_finite_differences() {
    let objectives =
        [Objective::Exact, Objective::Ssm { slices: 2 }, Objective::SsmVr { slices: 2 }];
    let c = normals(7 * 2, 8);
    for (kind, condition_dim) in KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, 2)]) {
        let model = conditional(kind, 3, condition_dim);
        for domain in domains() {
            let x = rows_in(&domain, 7, 6);
            let points =
                if condition_dim > 0 { Points::with_contexts(&x, &[&c]) } else { Points::from(&x) };
            for objective in objectives {
                let mut engine = engine(&domain, &model, objective, SliceDistribution::Gaussian);
                engine.loss_and_gradient(&model, points, draw(3));
                let gradient = engine.gradient().to_vec();
                let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                let mut at = |i: usize, t: f64| {
                    let mut moved = model.clone();
                    moved.parameters[i] += t;
                    estimate(&engine.losses(&moved, points, draw(3))).0
                };
                let t = 1e-3;
                for i in (0..gradient.len()).step_by(7) {
                    let slope = (8.0 * (at(i, t) - at(i, -t)) - (at(i, 2.0 * t) - at(i, -2.0 * t)))
                        / (12.0 * t);
                    assert!(
                        (gradient[i] - slope).abs() < 1e-6 * (slope.abs() + 0.1 * size),
                        "{kind:?} {condition_dim} {domain:?} {objective:?} {i}: {} {slope}",
                        gradient[i]
                    );
                }
            }
        }
    }
}

#[test]
fn constant_score_on_an_exponential_has_the_closed_form_loss() {
    // s = c, w = min(1, x), x ~ Exp(rate): E[w] = (1 - e^-rate)/rate, E[w'] = 1 - e^-rate, so that
    // J(c) = 1/2 c^2 E[w] + c E[w'], least at c = -rate. Without the weight J = c^2/2, least at 0.
    let rate = 1.5;
    let p = Exponential::new(vec![rate]).unwrap();
    let x = p.sample(100_000, &mut ChaCha8Rng::seed_from_u64(1));
    let part = 1.0 - (-rate).exp();
    for c in [-2.5, -rate, 0.7] {
        let losses: Vec<f64> = x.iter().map(|x| half_line(1.0).loss(&[*x], &[c], &[0.0])).collect();
        let (mean, error) = estimate(&losses);
        let want = 0.5 * c * c * part / rate + c * part;
        assert!((mean - want).abs() < 4.0 * error && error < 0.02, "{c}: {mean} {want} {error}");
    }
}

/// The minimizer of the mean loss over s = a x + c, a quadratic in (a, c), with or without weight.
fn linear_minimizer(x: &[f64], domain: Option<&Domain>) -> (f64, f64) {
    let (mut m, mut b) = ([0.0; 3], [0.0; 2]);
    for x in x {
        let (mut w, mut d) = ([1.0], [0.0]);
        if let Some(domain) = domain {
            domain.weights(&[*x], &mut w, &mut d);
        }
        let (w, d) = (w[0], d[0]);
        m = [m[0] + w * x * x, m[1] + w * x, m[2] + w];
        b = [b[0] + w + d * x, b[1] + d];
    }
    let determinant = m[0] * m[2] - m[1] * m[1];
    (-(m[2] * b[0] - m[1] * b[1]) / determinant, -(m[0] * b[1] - m[1] * b[0]) / determinant)
}

#[test]
fn the_weight_removes_the_bias_on_a_half_normal() {
    let p = TruncatedGaussian::new(vec![HALF_NORMAL]).unwrap();
    let x: Vec<f64> =
        p.sample(200_000, &mut ChaCha8Rng::seed_from_u64(2)).iter().copied().collect();
    // The naive loss finds the Gaussian of the rows' own mean and variance, 1 - 2/pi.
    let (slope, _) = linear_minimizer(&x, None);
    let naive = -1.0 / (1.0 - 2.0 / std::f64::consts::PI);
    assert!((slope - naive).abs() < 0.03, "{slope} {naive}");
    for power in [1.0, 2.0] {
        let (slope, offset) = linear_minimizer(&x, Some(&half_line(power)));
        assert!((slope + 1.0).abs() < 0.03 && offset.abs() < 0.03, "{power}: {slope} {offset}");
    }
}

/// Mean of w (s - s*)^2 over mean of w s*^2 on fresh rows, after a short fit.
fn misfit(
    p: &dyn ReferenceDensity,
    domain: &Domain,
    weighted: bool,
    kind: ModelKind,
    o: Objective,
) -> f64 {
    let d = p.dim();
    let rows = |n, seed| p.sample(n, &mut ChaCha8Rng::seed_from_u64(seed));
    let flat = |x: Array2<f64>| x.iter().map(|x| *x as f32).collect::<Vec<f32>>();
    let config = TrainConfig {
        objective: o,
        domain: weighted.then(|| domain.clone()),
        steps: 800,
        learning_rate: 1e-2,
        ema_decay: 0.99,
        threads: 2,
        ..TrainConfig::default()
    };
    let mlp = Mlp { hidden: vec![16, 16], ..Mlp::new(d, kind) };
    let mut trainer =
        Trainer::new(mlp.build(1).unwrap(), flat(rows(8000, 5)), &flat(rows(1000, 6)), config)
            .unwrap();
    assert_eq!(trainer.run(&mut |_, _| ControlFlow::Continue(())), Stop::Completed);
    let x = rows(4000, 7);
    let (fitted, truth) = (trainer.best_model().score(x.view()), p.score(x.view()));
    let (mut w, mut derivatives, mut sums) = (vec![0.0; d], vec![0.0; d], (0.0, 0.0));
    for ((x, s), t) in x.outer_iter().zip(fitted.outer_iter()).zip(truth.outer_iter()) {
        domain.weights(&x.to_vec(), &mut w, &mut derivatives);
        for j in 0..d {
            sums.0 += w[j] * (s[j] - t[j]).powi(2);
            sums.1 += w[j] * t[j].powi(2);
        }
    }
    sums.0 / sums.1
}

#[test]
fn networks_find_the_score_inside_the_bounds_and_not_without_the_weight() {
    let p = TruncatedGaussian::new(vec![
        HALF_NORMAL,
        TruncatedColumn { mean: 0.0, sd: 1.0, low: -1.0, high: 1.5 },
    ])
    .unwrap();
    let columns = vec![Bounds::new(Some(0.0), None, 0.6), Bounds::new(Some(-1.0), Some(1.5), 0.6)];
    let domain = Domain::Box(Boxed { columns, power: 1.0 });
    for kind in KINDS {
        for objective in [Objective::Exact, Objective::Ssm { slices: 2 }] {
            let weighted = misfit(&p, &domain, true, kind, objective);
            assert!(weighted < 0.1, "{kind:?} {objective:?}: {weighted}");
        }
        let naive = misfit(&p, &domain, false, kind, Objective::Exact);
        assert!(naive > 0.5, "{kind:?}: without the weight {naive}");
    }
}

#[test]
fn networks_find_the_score_of_a_dirichlet() {
    let p = Dirichlet::new(vec![2.0, 4.0], 3.0).unwrap();
    // Columns of about unit size.
    let domain = Domain::Polytope(Polytope::simplex(&[0.13, 0.16], 2.0));
    let scaled = domain.scaled(&[0.0; 2], &[0.15; 2]);
    let wide = Scaled { p, by: 0.15 };
    for kind in KINDS {
        let weighted = misfit(&wide, &scaled, true, kind, Objective::SsmVr { slices: 1 });
        assert!(weighted < 0.1, "{kind:?}: {weighted}");
    }
}

/// A density in columns divided by `by`.
struct Scaled {
    p: Dirichlet,
    by: f64,
}

impl Score for Scaled {
    fn dim(&self) -> usize {
        self.p.dim()
    }

    fn score(&self, x: ndarray::ArrayView2<'_, f64>) -> Array2<f64> {
        self.p.score((&x * self.by).view()) * self.by
    }
}

impl gradlogp::ScoreTrace for Scaled {
    fn trace(&self, x: ndarray::ArrayView2<'_, f64>) -> ndarray::Array1<f64> {
        self.p.trace((&x * self.by).view()) * self.by * self.by
    }
}

impl gradlogp::LogDensity for Scaled {
    fn log_density(&self, x: ndarray::ArrayView2<'_, f64>) -> ndarray::Array1<f64> {
        self.p.log_density((&x * self.by).view()) + self.dim() as f64 * self.by.ln()
    }
}

impl ReferenceDensity for Scaled {
    fn sample(&self, n: usize, rng: &mut dyn rand::Rng) -> Array2<f64> {
        self.p.sample(n, rng) / self.by
    }
}

#[test]
fn the_true_score_of_a_dirichlet_is_stationary_for_the_weighted_loss() {
    // d/dc J(c s) at c = 1 is E[2 (w/2 |s|^2) + w tr J + d.s] = 0; for exponents below 1 only with k = 2.
    for (exponents, rest, power) in [(vec![2.5, 3.0], 2.0, 1.0), (vec![0.6, 2.0], 1.5, 2.0)] {
        let p = Dirichlet::new(exponents, rest).unwrap();
        let domain = Domain::Polytope(Polytope::simplex(&[0.2, 0.2], power));
        let x = p.sample(100_000, &mut ChaCha8Rng::seed_from_u64(9));
        let (s, j) = (p.score(x.view()), p.jacobian_diagonal(x.view()));
        // J(c s) = c^2/2 a + c b by rows: (derivative at c = 1, a).
        let parts: Vec<(f64, f64)> = (0..x.nrows())
            .filter(|r| x.row(*r).iter().all(|x| *x > 0.0))
            .map(|r| {
                let [x, s, j] = [&x, &s, &j].map(|a| a.row(r).to_vec());
                let at = |c: f64| {
                    let times = |v: &[f64]| v.iter().map(|v| c * v).collect::<Vec<_>>();
                    domain.loss(&x, &times(&s), &times(&j))
                };
                (0.5 * (at(2.0) - at(0.0)), at(2.0) - 2.0 * at(1.0) + at(0.0))
            })
            .collect();
        let (derivatives, squares): (Vec<f64>, Vec<f64>) = parts.into_iter().unzip();
        let ((mean, error), (size, _)) = (estimate(&derivatives), estimate(&squares));
        assert!(mean.abs() < 4.0 * error && error < 0.03 * size, "{power}: {mean} {error} {size}");
    }
}

#[test]
fn objectives_that_cross_the_boundary_are_refused() {
    let domain = Some(half_line(1.0));
    let refuse = |objective| {
        let config = TrainConfig { objective, domain: domain.clone(), ..TrainConfig::default() };
        config.validate().unwrap_err().to_string()
    };
    assert!(refuse(Objective::Dsm { sigma: 0.1 }).contains("noise moves rows across"));
    assert!(refuse(Objective::FdSsm { slices: 1, eps: None }).contains("reach across"));
    let config = TrainConfig { domain, ..TrainConfig::default() };
    let mlp = Mlp::new(2, ModelKind::Score).build(0).unwrap();
    let error = Trainer::new(mlp, vec![1.0; 4], [1.0; 2].as_slice(), config).err().unwrap();
    assert!(error.to_string().contains("columns of the domain"), "{error}");
}

/// Mean and second moment of every column after `steps` of ULA within the domain from `start`.
fn moments_of_ula(
    p: &dyn ReferenceDensity,
    domain: &Domain,
    start: &[f64],
    chains: usize,
    (steps, step_size): (usize, f64),
) -> (Vec<f64>, Vec<f64>) {
    let within = ScoreOnDomain { field: p, domain };
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let start = Array2::from_shape_fn((chains, start.len()), |(_, j)| start[j]);
    let mut state = ula::init(start, &within).unwrap();
    for _ in 0..steps {
        state = ula::step(&mut rng, state, &within, step_size).unwrap().0;
    }
    let x = state.position;
    assert!(x.outer_iter().all(|x| domain.contains(&x.to_vec())));
    let mean = |power: i32| x.mapv(|x| x.powi(power)).mean_axis(ndarray::Axis(0)).unwrap().to_vec();
    (mean(1), mean(2))
}

#[test]
fn langevin_steps_stay_inside_and_find_the_moments() {
    let near = |got: f64, want: f64, sd: f64, bias: f64, n: usize| {
        let allowed = 4.5 * sd / (n as f64).sqrt() + bias;
        assert!((got - want).abs() < allowed, "{got} for {want} +- {allowed}");
    };
    // Half-normal: mean sqrt(2/pi), second moment 1. Without the boundary it would be 0 and 1; with steps
    // that are clamped to it, not left out, much of it would lie at 0.
    let (n, p) = (20_000, TruncatedGaussian::new(vec![HALF_NORMAL]).unwrap());
    let (first, second) = moments_of_ula(&p, &half_line(1.0), &[1.0], n, (400, 0.02));
    near(first[0], (2.0 / std::f64::consts::PI).sqrt(), 0.6, 0.012, n);
    near(second[0], 1.0, 1.42, 0.015, n);
    // Dirichlet (2, 3; 4): means a/9, second moments a (a + 1) / 90.
    let (n, p) = (10_000, Dirichlet::new(vec![2.0, 3.0], 4.0).unwrap());
    let simplex = Domain::Polytope(Polytope::simplex(&[0.15; 2], 1.0));
    let (first, second) = moments_of_ula(&p, &simplex, &[0.3, 0.3], n, (1000, 3e-4));
    for (j, a) in [2.0, 3.0].into_iter().enumerate() {
        near(first[j], a / 9.0, 0.15, 0.004, n);
        near(second[j], a * (a + 1.0) / 90.0, 0.12, 0.004, n);
    }
}
