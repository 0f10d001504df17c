//! Every objective, slice distribution and model kind: unbiasedness, gradients, and the identities behind them.

use gradlogp::engine::{Draw, LossEngine, StreamId};
use gradlogp::model::{Beside, Conditioning, Derivatives, LossPass, Mlp, Model, ModelKind, Points};
use gradlogp::numeric::Activation;
use gradlogp::{Objective, SliceDistribution};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub(super) const KINDS: [ModelKind; 2] = [ModelKind::Score, ModelKind::LogDensity];

pub(super) fn small(kind: ModelKind, dim: usize) -> Model<f64> {
    conditional(kind, dim, 0)
}

/// A model of p(x | c) with `condition_dim` columns of c.
pub(super) fn conditional(kind: ModelKind, dim: usize, condition_dim: usize) -> Model<f64> {
    let base_scale = (kind == ModelKind::LogDensity).then_some(1.5);
    let activation = if dim == 3 { Activation::Softplus } else { Activation::Tanh };
    let hidden = vec![6, 6];
    Mlp { hidden, base_scale, residual: true, activation, condition_dim, ..Mlp::new(dim, kind) }
        .build(5)
        .unwrap()
}

pub(super) fn normals(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

pub(super) fn draw(step: u64) -> Draw {
    Draw { seed: 9, stream: StreamId::Train, step }
}

pub(super) fn engine(
    model: &Model<f64>,
    objective: Objective,
    distribution: SliceDistribution,
) -> LossEngine<f64> {
    LossEngine::new(model, &objective, distribution, 2)
}

pub(super) fn losses<'a>(
    model: &Model<f64>,
    objective: Objective,
    distribution: SliceDistribution,
    points: impl Into<Points<'a, f64>>,
    step: u64,
) -> Vec<f64> {
    engine(model, objective, distribution).losses(model, points, draw(step))
}

/// (mean, standard error).
pub(super) fn estimate(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn exact_by_hand<'a>(model: &Model<f64>, points: impl Into<Points<'a, f64>>) -> Vec<f64> {
    let (at, points) = (Derivatives::new(model), points.into());
    let (s, trace) = (at.score(points), at.trace(points));
    let half = |s: &[f64]| 0.5 * s.iter().map(|s| s * s).sum::<f64>();
    s.chunks(model.dim()).zip(trace).map(|(s, t)| t + half(s)).collect()
}

#[test]
fn exact_loss_is_trace_plus_half_square() {
    for kind in KINDS {
        // 70 columns: two blocks of unit vectors.
        for dim in [1, 3, 70] {
            let model = small(kind, dim);
            let x = normals(9 * dim, 1);
            let got = losses(&model, Objective::Exact, SliceDistribution::default(), &x, 0);
            for (got, want) in got.iter().zip(exact_by_hand(&model, &x)) {
                assert!((got - want).abs() < 1e-10 * (1.0 + want.abs()), "{kind:?} {dim}");
            }
        }
    }
}

/// Two ways to the same number: with coordinate slices, M = d, MATH (2) is MATH (4), but goes through the
/// network direction by direction. With few columns the exact loss does, too; with many a potential's
/// exact loss asks for the Laplacian as a whole.
#[test]
fn exact_loss_and_gradient_are_those_of_all_coordinate_slices() {
    for (dim, hidden, residual, condition_dim, whole) in [
        (3, vec![6, 6], true, 0, false),
        (30, vec![40, 7], false, 0, true),
        (30, vec![40, 40], true, 2, true),
        (70, vec![9, 9], true, 0, true),
        (70, vec![5], false, 1, true),
        (30, vec![9, 9, 9], false, 0, false),
    ] {
        let mlp = Mlp {
            hidden,
            residual,
            condition_dim,
            base_scale: Some(1.5),
            ..Mlp::new(dim, ModelKind::LogDensity)
        };
        let model = mlp.build::<f64>(5).unwrap();
        assert_eq!(gradlogp::jet::has_laplacian(model.graph()), mlp.hidden.len() < 3);
        let (x, c) = (normals(9 * dim, 1), normals(9 * condition_dim, 2));
        let contexts: &[&[f64]] = if condition_dim > 0 { &[&c] } else { &[] };
        let points = Points::with_contexts(&x, contexts);
        let mut exact = engine(&model, Objective::Exact, SliceDistribution::default());
        let mut sliced =
            engine(&model, Objective::Ssm { slices: dim }, SliceDistribution::Coordinate);
        // The second time for a gradient that starts anew.
        for step in 0..2 {
            let got = exact.loss_and_gradient(&model, points, draw(step));
            let want = sliced.loss_and_gradient(&model, points, draw(step));
            assert!((got - want).abs() < 1e-11 * (1.0 + want.abs()), "{mlp:?}: {got} {want}");
            for (got, want) in exact.gradient().iter().zip(sliced.gradient()) {
                assert!((got - want).abs() < 1e-10 * (1.0 + want.abs()), "{mlp:?}: {got} {want}");
            }
            let norm = exact.gradient().iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!((exact.gradient_norm() - norm).abs() < 1e-12 * norm, "{mlp:?}");
        }
        // The whole Laplacian costs fewer operations than its directions, what rows share among so many included.
        let operations = |e: &LossEngine<f64>| e.product_operations(&model, 900);
        assert!(!whole || operations(&exact) < operations(&sliced) * 2 / 3, "{mlp:?}");
    }
}

#[test]
fn sliced_losses_are_unbiased_for_the_exact_loss() {
    // The same few rows many times over: only the slices vary.
    let (dim, condition_dim, copies) = (3, 2, 40_000);
    let (row, condition) = (normals(dim, 2), normals(condition_dim, 3));
    let (x, c) = (row.repeat(copies), condition.repeat(copies));
    let points = Points::with_contexts(&x, &[&c]);
    for (kind, condition_dim) in
        KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, condition_dim)])
    {
        let model = conditional(kind, dim, condition_dim);
        let points = if condition_dim > 0 { points } else { Points::from(&x) };
        let want = exact_by_hand(&model, points.some(model.graph(), 0..1))[0];
        for distribution in SliceDistribution::ALL {
            for objective in [
                Objective::Ssm { slices: 1 },
                Objective::Ssm { slices: 4 },
                Objective::SsmVr { slices: 1 },
                Objective::SsmVr { slices: 4 },
            ] {
                let (mean, error) = estimate(&losses(&model, objective, distribution, points, 0));
                assert!(
                    (mean - want).abs() <= 4.0 * error + 1e-9,
                    "{kind:?} {condition_dim} {distribution:?} {objective:?}: {mean} +- {error}, exact {want}"
                );
            }
        }
    }
}

#[test]
fn joint_distributions_make_ssm_exact_at_m_equal_d() {
    let dim = 3;
    let x = normals(20 * dim, 2);
    for kind in KINDS {
        let model = small(kind, dim);
        let want = exact_by_hand(&model, &x);
        for distribution in [SliceDistribution::Orthogonal, SliceDistribution::Coordinate] {
            let got = losses(&model, Objective::Ssm { slices: dim }, distribution, &x, 0);
            for (got, want) in got.iter().zip(&want) {
                assert!(
                    (got - want).abs() < 1e-10 * (1.0 + want.abs()),
                    "{kind:?} {distribution:?}"
                );
            }
        }
    }
}

#[test]
fn denoising_is_the_exact_loss_of_the_smoothed_density_plus_a_constant() {
    // Stein's lemma holds at every x: E_z[1/2 |s(x + sigma z) + z / sigma|^2]
    // = E_z[1/2 |s|^2 + tr grad s at x + sigma z] + d / (2 sigma^2).
    let (dim, copies, sigma) = (3, 60_000, 0.7);
    let row = normals(dim, 4);
    let x = row.repeat(copies);
    let noisy: Vec<f64> = x.iter().zip(normals(x.len(), 8)).map(|(x, z)| x + sigma * z).collect();
    for kind in KINDS {
        let model = small(kind, dim);
        let (left, e1) = estimate(&losses(
            &model,
            Objective::Dsm { sigma },
            SliceDistribution::default(),
            &x,
            0,
        ));
        let (right, e2) = estimate(&exact_by_hand(&model, &noisy));
        let constant = dim as f64 / (2.0 * sigma * sigma);
        let error = (e1 * e1 + e2 * e2).sqrt();
        assert!(
            (left - right - constant).abs() < 4.0 * error,
            "{kind:?}: {left} {right} {constant}"
        );
    }
}

#[test]
fn gradients_match_finite_differences() {
    let dim = 3;
    // More rows than one tile of the exact loss holds.
    let (x, c) = (normals(7 * dim, 3), normals(7 * 2, 5));
    let mut objectives = vec![(Objective::Exact, SliceDistribution::default())];
    objectives.push((Objective::Dsm { sigma: 0.5 }, SliceDistribution::default()));
    for distribution in SliceDistribution::ALL {
        for slices in [1, 4] {
            objectives.push((Objective::Ssm { slices }, distribution));
            objectives.push((Objective::SsmVr { slices }, distribution));
            objectives.push((Objective::FdSsm { slices, eps: Some(0.1) }, distribution));
            objectives
                .push((Objective::FdDsm { slices, sigma: 0.5, eps: Some(0.1) }, distribution));
        }
    }
    for (kind, condition_dim) in KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, 2)]) {
        let model = conditional(kind, dim, condition_dim);
        let points =
            if condition_dim > 0 { Points::with_contexts(&x, &[&c]) } else { Points::from(&x) };
        for (objective, distribution) in &objectives {
            let mut engine = engine(&model, *objective, *distribution);
            engine.loss_and_gradient(&model, points, draw(3));
            let gradient = engine.gradient().to_vec();
            let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!(size > 1e-3);
            let mut at = |i: usize, t: f64| {
                let mut moved = model.clone();
                moved.parameters[i] += t;
                estimate(&engine.losses(&moved, points, draw(3))).0
            };
            let t = 1e-3;
            for i in (0..gradient.len()).step_by(3) {
                let slope = (8.0 * (at(i, t) - at(i, -t)) - (at(i, 2.0 * t) - at(i, -2.0 * t)))
                    / (12.0 * t);
                assert!(
                    (gradient[i] - slope).abs() < 1e-6 * (slope.abs() + 0.1 * size),
                    "{kind:?} {condition_dim} {distribution:?} {objective:?} parameter {i}: {} {slope}",
                    gradient[i]
                );
            }
        }
    }
}

/// FiLM: at a fixed c every layer is its own stretched and shifted one, for every derivative and every loss; and
/// gradients, those of factors and shifts among them, are those of finite differences.
#[test]
fn a_condition_may_stretch_and_shift_every_layer() {
    let (dim, condition_dim, rows) = (3, 2, 5);
    let (x, c) = (normals(rows * dim, 3), normals(rows * condition_dim, 5));
    let c_only = [c.as_slice()];
    let points = Points::with_contexts(&x, &c_only);
    for kind in KINDS {
        let base_scale = (kind == ModelKind::LogDensity).then_some(1.5);
        let mlp = Mlp {
            hidden: vec![5, 4],
            base_scale,
            condition_dim,
            conditioning: Conditioning::Film,
            ..Mlp::new(dim, kind)
        };
        let model = mlp.build::<f64>(5).unwrap();
        // By hand: h = softplus(W h + b), then h (1 + U c + a) + V c + d.
        let of = |name: &str| {
            let index = model.graph().parameters();
            let range = index.iter().find(|(p, _)| p.name == name).unwrap().1;
            model.parameters[range].to_vec()
        };
        let affine = |name: &str, x: &[f64]| -> Vec<f64> {
            let (w, b) = (of(&format!("{name}.weight")), of(&format!("{name}.bias")));
            let dot = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            w.chunks(x.len()).zip(b).map(|(w, b)| dot(w) + b).collect()
        };
        let by_hand = |x: &[f64], c: &[f64]| -> Vec<f64> {
            let mut h = x.to_vec();
            for layer in 0..2 {
                let bent = affine(&format!("net.{layer}"), &h).into_iter().map(|a| a.exp().ln_1p());
                let factor = affine(&format!("given.{layer}.factor"), c);
                let shift = affine(&format!("given.{layer}.shift"), c);
                h = bent.zip(factor).zip(shift).map(|((h, f), s)| h * (1.0 + f) + s).collect();
            }
            let mut out = affine("net.2", &h);
            if kind == ModelKind::LogDensity {
                out[0] -= x.iter().map(|x| x * x).sum::<f64>() / 4.5;
            }
            out
        };
        let at = Derivatives::new(&model);
        let value = match kind {
            ModelKind::LogDensity => at.value(points),
            _ => at.score(points),
        };
        let want = x.chunks(dim).zip(c.chunks(condition_dim)).flat_map(|(x, c)| by_hand(x, c));
        assert!(value.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{kind:?}");
        // Along any v, at fixed c: the score is the gradient of the value, its Jacobian the gradient of the score.
        let v = normals(rows * dim, 4);
        let t = 1e-5;
        let moved = |t: f64| -> Vec<f64> { x.iter().zip(&v).map(|(x, v)| x + t * v).collect() };
        let (up, down) = (moved(t), moved(-t));
        let pair = [&up, &down].map(|x| Points::with_contexts(x.as_slice(), &c_only));
        let (s, jv) = (at.score(points), at.jacobian_vector(points, &v));
        let (high, low) = (at.score(pair[0]), at.score(pair[1]));
        for k in 0..rows * dim {
            assert!((jv[k] - (high[k] - low[k]) / (2.0 * t)).abs() < 1e-8, "{kind:?} {k}");
        }
        if kind == ModelKind::LogDensity {
            let (high, low) = (at.value(pair[0]), at.value(pair[1]));
            for (r, (s, v)) in s.chunks(dim).zip(v.chunks(dim)).enumerate() {
                let along: f64 = s.iter().zip(v).map(|(s, v)| s * v).sum();
                assert!((along - (high[r] - low[r]) / (2.0 * t)).abs() < 1e-8, "{r}");
            }
        }
        let trace = at.trace(points);
        let mut by_hand = vec![0.0; rows];
        for j in 0..dim {
            let unit: Vec<f64> =
                (0..rows * dim).map(|k| f64::from(u8::from(k % dim == j))).collect();
            let column = at.jacobian_vector(points, &unit);
            (0..rows).for_each(|r| by_hand[r] += column[r * dim + j]);
        }
        assert!(trace.iter().zip(&by_hand).all(|(a, b)| (a - b).abs() < 1e-11), "{kind:?}");
        let exact = losses(&model, Objective::Exact, SliceDistribution::default(), points, 0);
        for (r, (got, s)) in exact.iter().zip(s.chunks(dim)).enumerate() {
            let want = by_hand[r] + 0.5 * s.iter().map(|s| s * s).sum::<f64>();
            assert!((got - want).abs() < 1e-10 * (1.0 + want.abs()), "{kind:?}");
        }
        let mut objectives = vec![
            (Objective::Exact, 1e-3),
            (Objective::Ssm { slices: 2 }, 1e-3),
            (Objective::SsmVr { slices: 2 }, 1e-3),
            (Objective::Dsm { sigma: 0.5 }, 1e-3),
            (Objective::FdSsm { slices: 1, eps: Some(0.1) }, 1e-3),
            (Objective::FdDsm { slices: 2, sigma: 0.5, eps: Some(0.1) }, 1e-3),
        ];
        if kind == ModelKind::LogDensity {
            // A smaller step: the root of a curvature near 0 bends sharply.
            objectives
                .extend([(Objective::Cp { slices: 2 }, 1e-6), (Objective::ApproxBackprop, 1e-5)]);
        }
        for (objective, t) in objectives {
            let mut engine = engine(&model, objective, SliceDistribution::Gaussian);
            engine.loss_and_gradient(&model, points, draw(3));
            let gradient = engine.gradient().to_vec();
            let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            for i in 0..gradient.len() {
                let mut at = |t: f64| {
                    let mut moved = model.clone();
                    moved.parameters[i] += t;
                    estimate(&engine.losses(&moved, points, draw(3))).0
                };
                let slope = (8.0 * (at(t) - at(-t)) - (at(2.0 * t) - at(-2.0 * t))) / (12.0 * t);
                let miss = (gradient[i] - slope).abs();
                assert!(
                    miss < 1e-6 * (slope.abs() + 0.1 * size),
                    "{kind:?} {objective:?} {i}: {} {slope}",
                    gradient[i]
                );
            }
        }
    }
    let none = Mlp {
        hidden: vec![],
        condition_dim,
        conditioning: Conditioning::Film,
        ..Mlp::new(3, KINDS[0])
    };
    assert!(none.graph().unwrap_err().to_string().contains("film"));
}

/// Row by row, on every way to derivatives: jets, differences, second sweeps.
#[test]
fn rows_count_by_their_weights() {
    let dim = 3;
    let x = normals(5 * dim, 13);
    let weights = [0.5, 2.0, 0.0, 3.0, 1.5];
    for kind in KINDS {
        let shallow = small(kind, dim);
        // Three layers: the exact loss follows the unit vectors, which all rows share.
        let deep = Mlp { hidden: vec![5, 5, 5], ..Mlp::new(dim, kind) }.build(5).unwrap();
        let mut objectives = vec![
            Objective::Exact,
            Objective::Ssm { slices: 2 },
            Objective::SsmVr { slices: 2 },
            Objective::Dsm { sigma: 0.5 },
            Objective::FdSsm { slices: 2, eps: Some(0.1) },
            Objective::FdDsm { slices: 2, sigma: 0.5, eps: Some(0.1) },
        ];
        if kind == ModelKind::LogDensity {
            objectives.extend([Objective::Cp { slices: 2 }, Objective::ApproxBackprop]);
        }
        let all = objectives.into_iter().map(|o| (&shallow, o)).chain([(&deep, Objective::Exact)]);
        for (model, objective) in all {
            let mut engine = engine(model, objective, SliceDistribution::Gaussian);
            let plain = engine.losses(model, &x, draw(5));
            // Weights draw nothing, so the gradient is that of each row by itself, times its weight.
            let mut want = vec![0.0; model.parameters.len()];
            for (r, weight) in weights.iter().enumerate() {
                let mut only = [0.0; 5];
                only[r] = 1.0;
                let points = Points { weights: &only, ..Points::from(&x) };
                engine.loss_and_gradient(model, points, draw(5));
                want.iter_mut().zip(engine.gradient()).for_each(|(w, g)| *w += weight * g);
            }
            let points = Points { weights: &weights, ..Points::from(&x) };
            let mean = engine.loss_and_gradient(model, points, draw(5));
            let sum: f64 = plain.iter().zip(weights).map(|(l, w)| w * l).sum();
            assert!(
                (mean - sum / 5.0).abs() < 1e-12 * (1.0 + mean.abs()),
                "{kind:?} {objective:?}"
            );
            let size = want.iter().map(|w| w * w).sum::<f64>().sqrt();
            for (got, want) in engine.gradient().iter().zip(&want) {
                assert!((got - want).abs() < 1e-11 * size, "{kind:?} {objective:?}: {got} {want}");
            }
            // All weights 1 is no weights.
            engine.loss_and_gradient(model, &x, draw(5));
            let without = engine.gradient().to_vec();
            let points = Points { weights: &[1.0; 5], ..Points::from(&x) };
            engine.loss_and_gradient(model, points, draw(5));
            for (a, b) in engine.gradient().iter().zip(&without) {
                assert!((a - b).abs() < 1e-12 * size, "{kind:?} {objective:?}");
            }
        }
    }
}

#[test]
fn projected_score_matching_differs_from_ssm_by_a_constant() {
    // MATH 1: 1/2 E (v.s - v.s*)^2 - E[ssm loss] does not depend on the parameters. x ~ N(0, I), s* = -x.
    // The constant is 1/2 E (v.s*)^2 = d / 2, which a wrong scale of the slices would change.
    let (dim, n) = (3, 60_000);
    let x = normals(n * dim, 12);
    for kind in KINDS {
        let model = small(kind, dim);
        let at = Derivatives::new(&model);
        let (s, trace) = (at.score(x.as_slice()), at.trace(x.as_slice()));
        drop(trace);
        for distribution in SliceDistribution::ALL {
            let mut rng = ChaCha8Rng::seed_from_u64(21);
            let mut v = vec![0.0; dim];
            let mut slices = Vec::with_capacity(x.len());
            for _ in 0..n {
                distribution.draw(&mut rng, dim, &mut v);
                slices.extend_from_slice(&v);
            }
            let curvature = at.curvature(x.as_slice(), &slices);
            let gaps: Vec<f64> = (0..n)
                .map(|r| {
                    let row = r * dim..(r + 1) * dim;
                    let along = |field: &dyn Fn(usize) -> f64| -> f64 {
                        row.clone().map(|k| slices[k] * field(k)).sum()
                    };
                    let (fitted, exact) = (along(&|k| s[k]), along(&|k| -x[k]));
                    0.5 * (fitted - exact).powi(2) - curvature[r] - 0.5 * fitted * fitted
                })
                .collect();
            let (gap, error) = estimate(&gaps);
            assert!(
                (gap - 0.5 * dim as f64).abs() < 4.0 * error,
                "{kind:?} {distribution:?}: {gap} {error}"
            );
        }
    }
}

#[test]
fn linear_score_has_the_closed_form_loss() {
    // s = -A (x - b), MATH 4: J = 1/2 tr(A^T A C) - tr A with C the second moment about b.
    let dim = 2;
    let affine = Mlp { hidden: vec![], ..Mlp::new(dim, ModelKind::Score) }.graph().unwrap();
    let (a, b) = ([1.3, 0.4, -0.2, 0.8], [0.5, -1.0]);
    let minus_a: Vec<f64> = a.iter().map(|a| -a).collect();
    let shift = [a[0] * b[0] + a[1] * b[1], a[2] * b[0] + a[3] * b[1]];
    let parameters: Vec<f64> = affine
        .parameters()
        .iter()
        .flat_map(|(p, _)| if p.shape.len() == 2 { minus_a.clone() } else { shift.to_vec() })
        .collect();
    let model = Model::new(ModelKind::Score, affine, parameters).unwrap();
    let x = normals(50 * dim, 6);
    let got = estimate(&losses(&model, Objective::Exact, SliceDistribution::default(), &x, 0)).0;
    let mut want = 0.0;
    for row in x.chunks(2) {
        let (u, w) = (row[0] - b[0], row[1] - b[1]);
        let s = [a[0] * u + a[1] * w, a[2] * u + a[3] * w];
        want += 0.5 * (s[0] * s[0] + s[1] * s[1]) / 50.0;
    }
    want -= a[0] + a[3];
    assert!((got - want).abs() < 1e-12, "{got} {want}");
}

#[test]
fn a_condition_shifts_the_first_layer_and_is_not_differentiated() {
    // W x + V c + b: fixing c is a change of the bias, for every derivative in x and every loss.
    let (dim, condition_dim, rows) = (3, 2, 5);
    let (x, condition) = (normals(rows * dim, 7), normals(condition_dim, 8));
    let c = condition.repeat(rows);
    for kind in KINDS {
        let model = conditional(kind, dim, condition_dim);
        let index = model.graph().parameters();
        let at = |name: &str| index.iter().find(|(p, _)| p.name == name).unwrap().1;
        let mut shifted = small(kind, dim);
        let index_of_shifted = shifted.graph().parameters().clone();
        for (parameter, range) in index_of_shifted.iter() {
            shifted.parameters[range].copy_from_slice(&model.parameters[at(&parameter.name)]);
        }
        let v = &model.parameters[at("net.given.weight")];
        let bias = index_of_shifted.iter().find(|(p, _)| p.name == "net.0.bias");
        for (b, v) in shifted.parameters[bias.unwrap().1].iter_mut().zip(v.chunks(condition_dim)) {
            *b += v[0] * condition[0] + v[1] * condition[1];
        }
        let points = Points::with_contexts(&x, &[&c]);
        let near = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} {b:?}");
        };
        let (here, there) = (Derivatives::new(&model), Derivatives::new(&shifted));
        near(&here.score(points), &there.score(&x));
        near(&here.trace(points), &there.trace(&x));
        near(&here.jacobian_diagonal(points), &there.jacobian_diagonal(&x));
        for objective in [Objective::Exact, Objective::Dsm { sigma: 0.3 }] {
            let distribution = SliceDistribution::default();
            near(
                &losses(&model, objective, distribution, points, 2),
                &losses(&shifted, objective, distribution, &x, 2),
            );
        }
    }
}

#[test]
fn the_passes_hold_as_many_coefficients_as_the_documents_say() {
    let (dim, m) = (3, 2);
    for (kind, wants) in [(ModelKind::Score, [3, 3, 3, 1]), (ModelKind::LogDensity, [5, 4, 5, 2])] {
        let objectives = [
            Objective::Exact,
            Objective::Ssm { slices: m },
            Objective::SsmVr { slices: m },
            Objective::Dsm { sigma: 0.5 },
        ];
        for (objective, want) in objectives.iter().zip(wants) {
            let pass =
                LossPass::<f64>::new(kind, small(kind, dim).graph(), objective, Beside::Nothing);
            assert_eq!(pass.coefficients(), want, "{kind:?} {objective:?}");
        }
    }
    // A third layer: the value and three directions.
    let deep: Model<f64> =
        Mlp { hidden: vec![6, 6, 6], ..Mlp::new(dim, ModelKind::Score) }.build(5).unwrap();
    let pass =
        LossPass::<f64>::new(ModelKind::Score, deep.graph(), &Objective::Exact, Beside::Nothing);
    assert_eq!(pass.coefficients(), 4);
    // Many columns: the value, u, the Laplacian, and half of the six units of the second layer.
    let (kind, exact) = (ModelKind::LogDensity, Objective::Exact);
    for dim in [5, 50] {
        let pass = LossPass::<f64>::new(kind, small(kind, dim).graph(), &exact, Beside::Nothing);
        assert_eq!(pass.coefficients(), 6, "{dim}");
    }
}

#[test]
fn slices_are_fresh_for_every_row_and_step() {
    let model = small(ModelKind::Score, 3);
    let x = normals(3, 1).repeat(64);
    for distribution in SliceDistribution::ALL {
        let first = losses(&model, Objective::Ssm { slices: 1 }, distribution, &x, 0);
        let again = losses(&model, Objective::Ssm { slices: 1 }, distribution, &x, 0);
        let next = losses(&model, Objective::Ssm { slices: 1 }, distribution, &x, 1);
        assert_eq!(first, again);
        let repeated = first.iter().zip(&next).filter(|(a, b)| a == b).count();
        assert!(repeated < 40, "{distribution:?}: {repeated} of 64 rows kept their slice");
        let distinct: std::collections::BTreeSet<u64> = first.iter().map(|l| l.to_bits()).collect();
        // Four slices up to sign in three dimensions for Rademacher, three for coordinate.
        assert!(distinct.len() >= 3, "{distribution:?}");
    }
}

#[test]
fn derivatives_agree_with_each_other() {
    for kind in KINDS {
        let (dim, rows) = (4, 5);
        let model = small(kind, dim);
        let at = Derivatives::new(&model);
        let x = normals(rows * dim, 3);
        let v = normals(rows * dim, 4);
        let (jv, vjv) = (at.jacobian_vector(x.as_slice(), &v), at.curvature(x.as_slice(), &v));
        let t = 1e-5;
        let moved = |t: f64| -> Vec<f64> {
            let x: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x + t * v).collect();
            at.score(x.as_slice())
        };
        let (up, down) = (moved(t), moved(-t));
        for k in 0..rows * dim {
            let slope = (up[k] - down[k]) / (2.0 * t);
            assert!((jv[k] - slope).abs() < 1e-7, "{kind:?} {} {slope}", jv[k]);
        }
        for r in 0..rows {
            let row = r * dim..(r + 1) * dim;
            let want: f64 = row.map(|k| v[k] * jv[k]).sum();
            assert!((vjv[r] - want).abs() < 1e-10, "{kind:?} {} {want}", vjv[r]);
        }
        let (trace, diagonal) = (at.trace(x.as_slice()), at.jacobian_diagonal(x.as_slice()));
        for (t, d) in trace.iter().zip(diagonal.chunks(dim)) {
            assert!((t - d.iter().sum::<f64>()).abs() < 1e-10);
        }
        if kind == ModelKind::LogDensity {
            // s is the gradient of the value.
            let up: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x + t * v).collect();
            let down: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x - t * v).collect();
            let (fu, fd, s) =
                (at.value(up.as_slice()), at.value(down.as_slice()), at.score(x.as_slice()));
            for r in 0..rows {
                let want: f64 = (r * dim..(r + 1) * dim).map(|k| v[k] * s[k]).sum();
                assert!(((fu[r] - fd[r]) / (2.0 * t) - want).abs() < 1e-7);
            }
        }
    }
}

#[test]
fn relu_is_refused_for_a_potential_only() {
    let relu = |kind| Mlp { activation: Activation::Relu, ..Mlp::new(2, kind) }.build::<f32>(0);
    assert!(relu(ModelKind::Score).is_ok());
    assert!(relu(ModelKind::LogDensity).unwrap_err().to_string().contains("zero curvature"));
}

/// 3 -> 6 -> 6 -> 3 or 1 columns and 7 rows: forward, the weights' gradient, and the adjoint of all inputs but x.
#[test]
fn operations_and_working_space_of_each_objective() {
    let (score, potential) = (small(ModelKind::Score, 3), small(ModelKind::LogDensity, 3));
    let of = |model: &Model<f64>, objective: Objective| {
        let pass = LossPass::<f64>::new(model.kind(), model.graph(), &objective, Beside::Nothing);
        let operations =
            engine(model, objective, SliceDistribution::default()).product_operations(model, 7);
        (operations, pass.coefficients(), (pass.slices(), pass.slice_width()))
    };
    // Rows on the tape at the first map and behind, its weights and those of the others.
    let step = |first: u64, rows: u64, out: u64| 2 * (first * 2 * 18 + rows * 3 * (36 + 6 * out));
    // The last map of a score field passes values alone; v.(grad s) v is one product with W^T v, and so is its
    // gradient.
    let projected = 2 * (21 * (2 * 18 + 3 * 36) + 7 * 3 * 18) + 2 * 2 * 14 * 18;
    assert_eq!(of(&score, Objective::Ssm { slices: 2 }), (projected, 3, (2, 3)));
    assert_eq!(of(&potential, Objective::Ssm { slices: 2 }), (step(21, 28, 1), 4, (2, 3)));
    assert_eq!(of(&score, Objective::Dsm { sigma: 1.0 }), (step(7, 7, 3), 1, (0, 3)));
    // With the score by a reverse pass, and along it one direction more.
    let reverse = 2 * 7 * 2 * (18 + 36 + 6);
    let vr = Objective::SsmVr { slices: 2 };
    assert_eq!(of(&potential, vr), (reverse + step(28, 35, 1), 5, (2, 3)));
    // Pairs of points, and the row itself for second differences.
    let fd = Objective::FdSsm { slices: 2, eps: None };
    assert_eq!(of(&score, fd), (step(28, 28, 3), 4, (2, 3)));
    assert_eq!(of(&potential, fd), (step(35, 35, 1), 5, (2, 3)));
    let denoising = Objective::FdDsm { slices: 2, sigma: 1.0, eps: None };
    assert_eq!(of(&potential, denoising), (step(28, 28, 1), 4, (2, 3)));
    // One ordinary sweep and two for each slice, or the squared one; three products each, and three for the rest.
    let once = 2 * 7 * (18 + 36 + 6);
    // Noise for twelve bent units, and for the three columns of the base.
    let propagated = Objective::Cp { slices: 3 };
    assert_eq!(of(&potential, propagated), (once * (3 + 3 * 7), 8, (3, 15)));
    assert_eq!(of(&potential, Objective::ApproxBackprop), (once * (3 + 3 * 2), 2, (0, 15)));
}

/// The same for score fields, whose trace is taken as a whole wherever there are at most two bends: the exact
/// loss and its gradient are those of all coordinate slices, which follow every direction through the network.
#[test]
fn exact_loss_of_score_fields_is_that_of_all_coordinate_slices() {
    for (dim, hidden, residual, condition_dim, activation, whole) in [
        (1, vec![4], false, 0, Activation::Softplus, true),
        (3, vec![6, 6], true, 0, Activation::Softplus, true),
        (5, vec![7, 4], false, 2, Activation::Tanh, true),
        (4, vec![9], true, 1, Activation::Gelu, true),
        (30, vec![8, 8], true, 2, Activation::Silu, true),
        (70, vec![6, 9], false, 0, Activation::Sin, true),
        (4, vec![6, 6, 6], true, 1, Activation::Softplus, false),
    ] {
        let mlp =
            Mlp { hidden, residual, condition_dim, activation, ..Mlp::new(dim, ModelKind::Score) };
        let model = mlp.build::<f64>(5).unwrap();
        assert_eq!(gradlogp::jet::has_trace(model.graph()), whole, "{mlp:?}");
        let (x, c) = (normals(9 * dim, 1), normals(9 * condition_dim, 2));
        let contexts: &[&[f64]] = if condition_dim > 0 { &[&c] } else { &[] };
        let points = Points::with_contexts(&x, contexts);
        let mut exact = engine(&model, Objective::Exact, SliceDistribution::default());
        let mut sliced =
            engine(&model, Objective::Ssm { slices: dim }, SliceDistribution::Coordinate);
        for step in 0..2 {
            let got = exact.loss_and_gradient(&model, points, draw(step));
            let want = sliced.loss_and_gradient(&model, points, draw(step));
            assert!((got - want).abs() < 1e-11 * (1.0 + want.abs()), "{mlp:?}: {got} {want}");
            for (k, (got, want)) in exact.gradient().iter().zip(sliced.gradient()).enumerate() {
                assert!(
                    (got - want).abs() < 1e-10 * (1.0 + want.abs()),
                    "{mlp:?}, parameter {k}: {got} {want}"
                );
            }
        }
        // Many rows: what they share is worth its cost.
        let operations = |e: &LossEngine<f64>| e.product_operations(&model, 900);
        assert!(!whole || operations(&exact) < operations(&sliced), "{mlp:?}");
    }
}

/// The trace of a graph that the library does not build itself: x between contexts, a fixed factor and a shift that
/// does not move with x.
#[test]
fn exact_loss_where_x_stands_between_contexts_and_the_output_is_scaled() {
    let mut b = gradlogp::graph::GraphBuilder::new();
    let (before, x, after) = (b.context(0, 2), b.input(3), b.context(1, 1));
    let joined = b.concat(&[before, x, after]);
    let a = b.affine(joined, 5, "a");
    let a = b.activation(a, Activation::Softplus);
    let c = b.affine(a, 4, "b");
    let c = b.activation(c, Activation::Tanh);
    let y = b.affine(c, 3, "c");
    let y = b.scale(y, -0.7);
    let shift = b.affine(before, 3, "d");
    let y = b.add(shift, y);
    let _ = b.scale(y, 1.3);
    let graph = b.build().unwrap();
    assert!(gradlogp::jet::has_trace(&graph));
    let parameters = gradlogp::model::initialize(&graph, 3);
    let model = Model::<f64>::new(ModelKind::Score, graph, parameters).unwrap();
    let (x, c, d) = (normals(8 * 3, 1), normals(8 * 2, 2), normals(8, 3));
    let contexts: &[&[f64]] = &[&c, &d];
    let points = Points::with_contexts(&x, contexts);
    let mut exact = engine(&model, Objective::Exact, SliceDistribution::default());
    let mut sliced = engine(&model, Objective::Ssm { slices: 3 }, SliceDistribution::Coordinate);
    let got = exact.loss_and_gradient(&model, points, draw(0));
    let want = sliced.loss_and_gradient(&model, points, draw(0));
    assert!((got - want).abs() < 1e-12 * (1.0 + want.abs()), "{got} {want}");
    for (got, want) in exact.gradient().iter().zip(sliced.gradient()) {
        assert!((got - want).abs() < 1e-11 * (1.0 + want.abs()), "{got} {want}");
    }
}

/// The Laplacian of graphs that the library does not build itself, whole where it can be.
#[test]
fn exact_loss_of_potentials_where_x_stands_between_contexts() {
    use gradlogp::graph::{Graph, GraphBuilder, NodeId};
    let dim = 30;
    let bent = |b: &mut GraphBuilder, joined: NodeId| {
        let a = b.affine(joined, 8, "a");
        let a = b.activation(a, Activation::Softplus);
        let c = b.affine(a, 4, "b");
        let c = b.activation(c, Activation::Tanh);
        b.affine(c, 1, "c")
    };
    let between = |nested: bool| -> Graph {
        let mut b = GraphBuilder::new();
        let (before, x, after) = (b.context(0, 2), b.input(dim), b.context(1, 1));
        let x = if nested { b.concat(&[after, x]) } else { x };
        let joined = b.concat(&[before, x, after]);
        bent(&mut b, joined);
        b.build().unwrap()
    };
    let shifted = {
        let mut b = GraphBuilder::new();
        let (before, x, after) = (b.context(0, 2), b.input(dim), b.context(1, 1));
        let shift = b.affine(before, 8, "shift");
        let a = b.affine(x, 8, "a");
        // What does not move comes first in one sum and last in the other.
        let a = b.add(shift, a);
        let a = b.activation(a, Activation::Softplus);
        let c = b.affine(a, 4, "b");
        let more = b.affine(after, 4, "more");
        let c = b.add(c, more);
        let c = b.activation(c, Activation::Tanh);
        b.affine(c, 1, "c");
        b.build().unwrap()
    };
    let unbent = {
        let mut b = GraphBuilder::new();
        let (x, before, after) = (b.input(dim), b.context(0, 2), b.context(1, 1));
        let a = b.affine(x, 8, "a");
        let a = b.affine(a, 1, "b");
        let norm = b.squared_norm(x);
        let a = b.add(a, norm);
        let sums = [before, after].map(|c| b.sum(c));
        let c = b.add(sums[0], sums[1]);
        b.add(a, c);
        b.build().unwrap()
    };
    let (x, c, e) = (normals(8 * dim, 1), normals(8 * 2, 2), normals(8, 3));
    let contexts: &[&[f64]] = &[&c, &e];
    let points = Points::with_contexts(&x, contexts);
    for (graph, whole) in
        [(between(false), true), (between(true), true), (shifted, true), (unbent, false)]
    {
        assert_eq!(gradlogp::jet::has_laplacian(&graph), whole);
        let parameters = gradlogp::model::initialize(&graph, 3);
        let model = Model::<f64>::new(ModelKind::LogDensity, graph, parameters).unwrap();
        let mut exact = engine(&model, Objective::Exact, SliceDistribution::default());
        let mut sliced =
            engine(&model, Objective::Ssm { slices: dim }, SliceDistribution::Coordinate);
        let got = exact.loss_and_gradient(&model, points, draw(0));
        let want = sliced.loss_and_gradient(&model, points, draw(0));
        assert!((got - want).abs() < 1e-11 * (1.0 + want.abs()), "{got} {want}");
        for (got, want) in exact.gradient().iter().zip(sliced.gradient()) {
            assert!((got - want).abs() < 1e-10 * (1.0 + want.abs()), "{got} {want}");
        }
    }
}

/// Where two parts of the output move with x, none of their first orders may be left out.
#[test]
fn sliced_losses_see_both_parts_of_a_sum() {
    let mut b = gradlogp::graph::GraphBuilder::new();
    let x = b.input(3);
    let h = b.affine(x, 5, "a");
    let h = b.activation(h, Activation::Tanh);
    let (left, right) = (b.affine(h, 3, "b"), b.affine(x, 3, "c"));
    b.add(left, right);
    let graph = b.build().unwrap();
    assert!(!gradlogp::jet::has_projected(&graph));
    let parameters = gradlogp::model::initialize(&graph, 3);
    let model = Model::<f64>::new(ModelKind::Score, graph, parameters).unwrap();
    let x = normals(8 * 3, 1);
    let got = losses(&model, Objective::Ssm { slices: 3 }, SliceDistribution::Coordinate, &x, 0);
    for (got, want) in got.iter().zip(exact_by_hand(&model, &x)) {
        assert!((got - want).abs() < 1e-12 * (1.0 + want.abs()), "{got} {want}");
    }
}

/// A network that the library does not build itself, with the last layer's output scaled and shifted: the sliced
/// losses, which only project the last layer's first orders, against those of the same function with a linear last
/// map behind another one, whose first orders are all formed.
#[test]
fn sliced_losses_of_score_fields_do_not_need_the_last_first_orders() {
    let build = |split: bool| {
        let mut b = gradlogp::graph::GraphBuilder::new();
        let (x, c) = (b.input(3), b.context(0, 2));
        let a = b.affine(x, 5, "a");
        let a = b.activation(a, Activation::Softplus);
        let a = b.affine(a, 5, "b");
        let a = b.activation(a, Activation::Tanh);
        let y = b.affine(a, 3, "c");
        let y = b.scale(y, -0.7);
        let shift = b.affine(c, 3, "d");
        let y = b.add(shift, y);
        if split {
            // Sums of slices: the same function, which is no longer an affine map to look at.
            let parts = [0, 1, 2].map(|k| b.slice(y, k, 1));
            let _ = b.concat(&parts);
        }
        let graph = b.build().unwrap();
        assert_eq!(gradlogp::jet::has_projected(&graph), !split);
        let parameters = gradlogp::model::initialize(&graph, 3);
        Model::<f64>::new(ModelKind::Score, graph, parameters).unwrap()
    };
    let (short, long) = (build(false), build(true));
    let (x, c) = (normals(8 * 3, 1), normals(8 * 2, 2));
    let contexts: &[&[f64]] = &[&c];
    let points = Points::with_contexts(&x, contexts);
    for objective in [Objective::Ssm { slices: 2 }, Objective::SsmVr { slices: 3 }] {
        let mut one = engine(&short, objective, SliceDistribution::Gaussian);
        let mut other = engine(&long, objective, SliceDistribution::Gaussian);
        for step in 0..2 {
            let got = one.loss_and_gradient(&short, points, draw(step));
            let want = other.loss_and_gradient(&long, points, draw(step));
            assert!((got - want).abs() < 1e-12 * (1.0 + want.abs()), "{got} {want}");
            for (got, want) in one.gradient().iter().zip(other.gradient()) {
                assert!((got - want).abs() < 1e-11 * (1.0 + want.abs()), "{got} {want}");
            }
        }
        let operations = |e: &LossEngine<f64>, m: &Model<f64>| e.product_operations(m, 8);
        assert!(operations(&one, &short) < operations(&other, &long));
    }
}

/// One row on two threads leaves one without rows; what it held from the batch before must not count.
#[test]
fn a_gradient_forgets_the_batch_before() {
    for (objective, kind) in [
        (Objective::Exact, ModelKind::Score),
        (Objective::SsmVr { slices: 2 }, ModelKind::Score),
        (Objective::Exact, ModelKind::LogDensity),
        (Objective::Cp { slices: 1 }, ModelKind::LogDensity),
        (Objective::ApproxBackprop, ModelKind::LogDensity),
        (Objective::FdSsm { slices: 1, eps: Some(0.1) }, ModelKind::LogDensity),
    ] {
        let model = Mlp { hidden: vec![6, 6], ..Mlp::new(3, kind) }.build(5).unwrap();
        let mut used = engine(&model, objective, SliceDistribution::default());
        used.loss_and_gradient(&model, &normals(9 * 3, 1), draw(0));
        let mut new = engine(&model, objective, SliceDistribution::default());
        let x = normals(3, 2);
        let got = used.loss_and_gradient(&model, &x, draw(1));
        assert_eq!(got, new.loss_and_gradient(&model, &x, draw(1)), "{objective:?}");
        assert_eq!(used.gradient(), new.gradient(), "{objective:?}");
    }
}
