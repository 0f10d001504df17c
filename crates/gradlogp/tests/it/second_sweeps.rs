//! Curvature propagation and the approximate diagonal, MATH (8): expectation, bias, gradients.

use gradlogp::graph::GraphBuilder;
use gradlogp::model::{Conditioning, Derivatives, LossPass, Mlp, Model, ModelKind, Points};
use gradlogp::numeric::Activation;
use gradlogp::train::{TrainConfig, Trainer};
use gradlogp::{Objective, SliceDistribution};

use super::objectives::{conditional, draw, engine, estimate, losses, normals, small};

fn potential(hidden: &[usize], residual: bool) -> Model<f64> {
    let activation = Activation::Softplus;
    let base_scale = Some(1.5);
    let mlp = Mlp::new(3, ModelKind::LogDensity);
    Mlp { hidden: hidden.to_vec(), residual, activation, base_scale, ..mlp }.build(5).unwrap()
}

fn exact(model: &Model<f64>, x: &[f64]) -> Vec<f64> {
    losses(model, Objective::Exact, SliceDistribution::default(), x, 0)
}

#[test]
fn curvature_propagation_is_unbiased_for_the_exact_loss() {
    let row = normals(3, 2);
    let x = row.repeat(20_000);
    for model in
        [potential(&[6, 6], false), potential(&[5, 5, 5], true), small(ModelKind::LogDensity, 3)]
    {
        let want = exact(&model, &row)[0];
        for distribution in SliceDistribution::ALL {
            for slices in [1, 3] {
                let found = losses(&model, Objective::Cp { slices }, distribution, &x, 0);
                let (mean, error) = estimate(&found);
                assert!(
                    (mean - want).abs() <= 4.0 * error && error > 0.0 && error < 0.05,
                    "{distribution:?} {slices}: {mean} +- {error}, exact {want}"
                );
            }
        }
    }
}

#[test]
fn curvature_propagation_without_activations_after_one_layer_is_as_noisy_as_its_parts() {
    // With the base alone, f = -|x|^2/(2 tau^2) + a.x: c = -1/tau^2, S = |c|^(1/2) v, T = -S, so
    // S.T = -|v|^2/tau^2, which for signs is the trace -3/tau^2 without any noise.
    let model = potential(&[], false);
    let x = normals(12, 3);
    let got = losses(&model, Objective::Cp { slices: 1 }, SliceDistribution::Rademacher, &x, 0);
    for (got, want) in got.iter().zip(exact(&model, &x)) {
        assert!((got - want).abs() < 1e-12, "{got} {want}");
    }
}

#[test]
fn the_approximate_diagonal_is_exact_with_one_layer_and_biased_with_more() {
    let x = normals(3 * 20, 4);
    let miss = |model: &Model<f64>| {
        let got = losses(model, Objective::ApproxBackprop, SliceDistribution::default(), &x, 0);
        let gaps = got.iter().zip(exact(model, &x)).map(|(a, b)| (a - b).abs());
        gaps.fold(0.0, f64::max)
    };
    for hidden in [&[][..], &[7]] {
        assert!(miss(&potential(hidden, false)) < 1e-12);
    }
    for (hidden, residual) in [(&[6, 6][..], false), (&[6, 6, 6], true)] {
        assert!(miss(&potential(hidden, residual)) > 1e-2);
    }
}

/// One layer of activations behind parts, sums and a fixed factor of affine maps, whose Jacobians are squared, too.
#[test]
fn the_approximate_diagonal_squares_every_linear_node() {
    let mut b = GraphBuilder::new();
    let x = b.input(3);
    let first = b.affine(x, 4, "a");
    let part = b.slice(first, 1, 2);
    let other = b.affine(x, 2, "b");
    let joined = b.concat(&[part, other]);
    let scaled = b.scale(joined, -0.6);
    let bent = b.activation(scaled, Activation::Tanh);
    let sum = b.sum(bent);
    let more = b.affine(bent, 1, "c");
    b.add(sum, more);
    let graph = b.build().unwrap();
    let parameters = gradlogp::model::initialize(&graph, 3);
    let model = Model::<f64>::new(ModelKind::LogDensity, graph, parameters).unwrap();
    let x = normals(3 * 20, 4);
    let got = losses(&model, Objective::ApproxBackprop, SliceDistribution::default(), &x, 0);
    for (got, want) in got.iter().zip(exact(&model, &x)) {
        assert!((got - want).abs() < 1e-12, "{got} {want}");
    }
}

#[test]
fn the_approximate_diagonal_of_two_layers_is_its_recursion() {
    // By hand for f = w.h(B h(A x + a) + b): u = w h'(q), D_q = w h''(q), r = B^T u,
    // D_p = h'(p)^2 (B^2)^T D_q + h''(p) r, D_x = (A^2)^T D_p.
    let mlp = Mlp {
        hidden: vec![2, 3],
        activation: Activation::Tanh,
        ..Mlp::new(2, ModelKind::LogDensity)
    };
    let model = mlp.build::<f64>(8).unwrap();
    let p = &model.parameters;
    let (a, a0, b, b0, w) = (&p[0..4], &p[4..6], &p[6..12], &p[12..15], &p[15..18]);
    let x = [0.4, -0.9];
    let tanh =
        |z: f64| (z.tanh(), 1.0 - z.tanh().powi(2), -2.0 * z.tanh() * (1.0 - z.tanh().powi(2)));
    let first: Vec<_> =
        (0..2).map(|i| tanh(a[2 * i] * x[0] + a[2 * i + 1] * x[1] + a0[i])).collect();
    let second: Vec<_> =
        (0..3).map(|i| tanh(b[2 * i] * first[0].0 + b[2 * i + 1] * first[1].0 + b0[i])).collect();
    let mut trace = 0.0;
    for i in 0..2 {
        let (mut d, mut r) = (0.0, 0.0);
        for k in 0..3 {
            d += b[2 * k + i].powi(2) * w[k] * second[k].2;
            r += b[2 * k + i] * w[k] * second[k].1;
        }
        let d_p = first[i].1.powi(2) * d + first[i].2 * r;
        trace += (a[2 * i].powi(2) + a[2 * i + 1].powi(2)) * d_p;
    }
    let s = Derivatives::new(&model).score(x.as_slice());
    let want = trace + 0.5 * s.iter().map(|s| s * s).sum::<f64>();
    let got =
        losses(&model, Objective::ApproxBackprop, SliceDistribution::default(), x.as_slice(), 0)[0];
    assert!((got - want).abs() < 1e-12, "{got} {want}");
}

#[test]
fn gradients_match_finite_differences() {
    let x = normals(7 * 3, 3);
    let objectives = [
        (Objective::ApproxBackprop, SliceDistribution::default()),
        (Objective::Cp { slices: 1 }, SliceDistribution::Rademacher),
        (Objective::Cp { slices: 2 }, SliceDistribution::Gaussian),
    ];
    let c = normals(7 * 2, 5);
    let conditioned = conditional(ModelKind::LogDensity, 3, 2);
    for model in [potential(&[6, 6], false), potential(&[5, 5, 5], true), conditioned] {
        let contexts = model.graph().contexts();
        let points = if contexts > 0 { Points::with_contexts(&x, &[&c]) } else { Points::from(&x) };
        for (objective, distribution) in objectives {
            let mut engine = engine(&model, objective, distribution);
            engine.loss_and_gradient(&model, points, draw(3));
            let gradient = engine.gradient().to_vec();
            let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let mut at = |i: usize, t: f64| {
                let mut moved = model.clone();
                moved.parameters[i] += t;
                estimate(&engine.losses(&moved, points, draw(3))).0
            };
            // Small: the root of a curvature near 0 bends sharply.
            let t = 1e-5;
            for i in 0..gradient.len() {
                let slope = (8.0 * (at(i, t) - at(i, -t)) - (at(i, 2.0 * t) - at(i, -2.0 * t)))
                    / (12.0 * t);
                assert!(
                    (gradient[i] - slope).abs() < 1e-6 * (slope.abs() + 0.1 * size),
                    "{objective:?} {distribution:?} parameter {i}: {} {slope}",
                    gradient[i]
                );
            }
        }
    }
}

/// A condition that stretches units leaves a diagonal curvature at every layer: at its c the network is one without a
/// condition. Products of units that both move with x are refused.
#[test]
fn a_condition_may_multiply_but_units_may_not() {
    let film = |hidden: &[usize]| {
        let mlp = Mlp {
            hidden: hidden.to_vec(),
            base_scale: Some(1.5),
            condition_dim: 2,
            conditioning: Conditioning::Film,
            ..Mlp::new(3, ModelKind::LogDensity)
        };
        mlp.build::<f64>(5).unwrap()
    };
    let (x, c) = (normals(3, 2), [0.7, -1.2]);
    let want = |model: &Model<f64>| {
        let points = Points::with_contexts(&x, &[&c]);
        losses(model, Objective::Exact, SliceDistribution::default(), points, 0)[0]
    };
    let (one, two) = (film(&[7]), film(&[6, 6]));
    let (xs, cs) = (x.repeat(20_000), c.repeat(20_000));
    let contexts = [cs.as_slice()];
    let points = Points::with_contexts(&xs, &contexts);
    for distribution in [SliceDistribution::Rademacher, SliceDistribution::Gaussian] {
        let found = losses(&two, Objective::Cp { slices: 2 }, distribution, points, 0);
        let (mean, error) = estimate(&found);
        let want = want(&two);
        assert!(
            (mean - want).abs() <= 4.0 * error && error < 0.05,
            "{distribution:?} {mean} {want}"
        );
    }
    let few = Points::with_contexts(&xs[..3], &[&c]);
    let diagonal = |model: &Model<f64>| {
        losses(model, Objective::ApproxBackprop, SliceDistribution::default(), few, 0)[0]
    };
    assert!((diagonal(&one) - want(&one)).abs() < 1e-12);
    assert!((diagonal(&two) - want(&two)).abs() > 1e-3);

    let mut b = GraphBuilder::new();
    let x = b.input(3);
    let h = b.affine(x, 1, "a");
    let y = b.activation(h, Activation::Tanh);
    b.multiply(h, y);
    let graph = b.build().unwrap();
    let parameters = vec![0.1; graph.parameters().len()];
    let product = Model::new(ModelKind::LogDensity, graph, parameters).unwrap();
    for objective in [Objective::Cp { slices: 1 }, Objective::ApproxBackprop] {
        assert!(LossPass::check(&objective, &two).is_ok());
        let why = LossPass::check(&objective, &product).unwrap_err().to_string();
        assert!(why.contains("products of units"), "{why}");
    }
    assert!(LossPass::check(&Objective::Exact, &product).is_ok());
}

#[test]
fn score_fields_are_refused() {
    for objective in [Objective::Cp { slices: 1 }, Objective::ApproxBackprop] {
        let model = Mlp::new(2, ModelKind::Score).build::<f32>(0).unwrap();
        let why = LossPass::check(&objective, &model).unwrap_err().to_string();
        assert!(why.contains("need a potential"), "{why}");
        let config = TrainConfig { objective, ..TrainConfig::default() };
        assert!(Trainer::new(model, vec![0.0; 8], [0.0; 2].as_slice(), config).is_err());
    }
}
