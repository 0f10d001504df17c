//! Tests of `estimator_variance.rs`.

use super::*;
use crate::model::{Mlp, ModelKind};

const D: usize = 3;
/// Minus the Jacobian of the score, not symmetric.
const A: [f64; 9] = [1.2, 0.5, -0.3, 0.1, 0.9, 0.4, 0.7, -0.2, 2.0];

/// s(x) = -A x, the score of N(0, A^-1) where A is symmetric.
fn linear() -> Model<f64> {
    let graph = Mlp { hidden: vec![], ..Mlp::new(D, ModelKind::Score) }.graph().unwrap();
    let parameters = A.iter().map(|a| -a).chain([0.0; D]).collect();
    Model::new(ModelKind::Score, graph, parameters).unwrap()
}

fn points(n: usize) -> Vec<f64> {
    (0..n * D).map(|k| (1.7 * k as f64).sin() + 0.3).collect()
}

fn found(
    objective: Objective,
    distribution: SliceDistribution,
    n: usize,
    draws: usize,
) -> EstimatorVariance {
    let pool = Threads::new(2).unwrap();
    estimator_variance(&linear(), &objective, distribution, &points(n), (draws, 3), &pool).unwrap()
}

/// Within 4.5 standard errors of a sample variance of about normal values.
fn near(got: f64, want: f64, draws: usize) -> bool {
    (got - want).abs() < 4.5 * want * (2.0 / draws as f64).sqrt() + 1e-12
}

#[test]
fn ssm_vr_of_a_linear_score_has_the_variances_of_the_table() {
    // MATH 2, with the symmetric part H of A: the same at every row.
    let h = |i: usize, j: usize| 0.5 * (A[i * D + j] + A[j * D + i]);
    let all = || (0..D * D).map(|k| h(k / D, k % D));
    let (frobenius, trace) =
        (all().map(|h| h * h).sum::<f64>(), (0..D).map(|i| h(i, i)).sum::<f64>());
    let diagonal: f64 = (0..D).map(|i| h(i, i) * h(i, i)).sum();
    let (d, draws) = (D as f64, 6000);
    for (distribution, one) in [
        (SliceDistribution::Rademacher, 2.0 * (frobenius - diagonal)),
        (SliceDistribution::Gaussian, 2.0 * frobenius),
        (SliceDistribution::Sphere, 2.0 * d / (d + 2.0) * (frobenius - trace * trace / d)),
    ] {
        for (n, slices) in [(1, 1), (8, 1), (8, 4)] {
            let got = found(Objective::SsmVr { slices }, distribution, n, draws);
            let want = one / (n * slices) as f64;
            assert!(
                near(got.loss_variance, want, draws),
                "{distribution:?} {n} {slices}: {got:?} {want}"
            );
        }
    }
}

#[test]
fn gradient_variance_and_square_of_a_linear_score_in_closed_form() {
    // d/dW of v.W v is v v^T: with signs, every entry off the diagonal is a sign of variance 1, each
    // row's independent. The score term draws nothing: d/dW 1/2 |W x + b|^2 = s x^T, d/db = s.
    let (n, draws) = (5, 4000);
    let got = found(Objective::SsmVr { slices: 1 }, SliceDistribution::Rademacher, n, draws);
    let want = (D * (D - 1)) as f64 / n as f64;
    // Far from normal only for n = 1; entries ij and ji are the same draw, which doubles the variance.
    assert!(near(got.gradient_variance, want, draws / 2), "{got:?} {want}");
    let x = points(n);
    let mut mean = [0.0; D * D + D];
    for x in x.chunks(D) {
        for i in 0..D {
            let s: f64 = -(0..D).map(|j| A[i * D + j] * x[j]).sum::<f64>();
            (0..D).for_each(|j| mean[i * D + j] += s * x[j] / n as f64);
            mean[D * D + i] += s / n as f64;
        }
    }
    (0..D).for_each(|i| mean[i * (D + 1)] += 1.0);
    let square: f64 = mean.iter().map(|g| g * g).sum();
    // 2 g.(mean - E) has variance about 4 |g|^2 tr Cov / K.
    let error = 2.0 * (square * want / draws as f64).sqrt();
    assert!((got.gradient_square - square).abs() < 4.5 * error, "{got:?} {square} {error}");
    // Unbiased also from two draws, whose own mean has want / 2 more.
    let (model, pool) = (linear(), Threads::new(1).unwrap());
    let two = |seed: u64| {
        let objective = Objective::SsmVr { slices: 1 };
        let distribution = SliceDistribution::Rademacher;
        estimator_variance(&model, &objective, distribution, &x, (2, seed), &pool)
            .unwrap()
            .gradient_square
    };
    let found: Vec<f64> = (0..2000).map(two).collect();
    let average = found.iter().sum::<f64>() / 2000.0;
    let spread = found.iter().map(|g| (g - average).powi(2)).sum::<f64>() / 2000.0;
    let error = (spread / 2000.0).sqrt();
    assert!((average - square).abs() < 4.5 * error && 4.5 * error < 0.25 * want);
}

#[test]
fn on_a_domain_slices_are_weighted() {
    use crate::domain::{Bounds, Boxed};
    // x_j >= -3 with w_j = min(1, (x_j + 3) / 5): v.q v with q = -sqrt(w) A sqrt(w), Gaussian slices.
    let columns = vec![Bounds { low: Some(-3.0), high: None, cap: 5.0 }; D];
    let domain = Domain::Box(Boxed { columns, power: 1.0 });
    let (x, draws, pool) = (points(1), 6000, Threads::new(1).unwrap());
    let root = |j: usize| ((x[j] + 3.0) / 5.0).min(1.0).sqrt();
    let h = |i: usize, j: usize| 0.5 * (A[i * D + j] + A[j * D + i]) * root(i) * root(j);
    let want = 2.0 * (0..D * D).map(|k| h(k / D, k % D).powi(2)).sum::<f64>();
    let (objective, distribution) = (Objective::SsmVr { slices: 1 }, SliceDistribution::Gaussian);
    let of = |objective: &Objective| {
        let named = (draws, 3);
        estimator_variance_on_domain(
            Some(&domain),
            &linear(),
            objective,
            distribution,
            &x,
            named,
            &pool,
        )
    };
    let got = of(&objective).unwrap().loss_variance;
    // Chi-squares: a kurtosis of at most 15.
    assert!((got - want).abs() < 4.5 * want * (14.0 / draws as f64).sqrt(), "{got} {want}");
    assert!(of(&Objective::Dsm { sigma: 0.1 }).is_err());
}

/// f = -|x|^2 / 8 + a.x + b, whose differences are exact.
fn quadratic() -> Model<f64> {
    let mlp = Mlp { hidden: vec![], base_scale: Some(2.0), ..Mlp::new(D, ModelKind::LogDensity) };
    mlp.build(4).unwrap()
}

#[test]
fn differences_have_the_variance_of_what_they_stand_for() {
    let (pool, distribution, eps) =
        (Threads::new(1).unwrap(), SliceDistribution::Gaussian, Some(0.01));
    for slices in [1, 3] {
        let fd = Objective::FdSsm { slices, eps };
        let pairs =
            [(linear(), Objective::SsmVr { slices }), (quadratic(), Objective::Ssm { slices })];
        for (model, stands_for) in pairs {
            let of = |o: &Objective| {
                estimator_variance(&model, o, distribution, &points(4), (50, 3), &pool)
            };
            let (got, want) = (of(&fd).unwrap(), of(&stands_for).unwrap());
            let same = |a: f64, b: f64| (a - b).abs() < 1e-6 * b && b > 0.0;
            assert!(same(got.loss_variance, want.loss_variance), "{got:?} {want:?}");
            assert!(same(got.gradient_variance, want.gradient_variance), "{got:?} {want:?}");
        }
    }
}

#[test]
fn curvature_propagation_of_a_quadratic_has_the_variance_of_a_chi_square() {
    // c = -1/tau^2 for every column, so S.T = -|v|^2 / tau^2: variance 2 d / tau^4 for normals, 0 for
    // signs, over M n. The gradient of the base has no parameter to vary with.
    let (pool, draws) = (Threads::new(1).unwrap(), 6000);
    for (n, slices) in [(1, 1), (5, 1), (5, 2)] {
        let of = |distribution| {
            let cp = Objective::Cp { slices };
            estimator_variance(&quadratic(), &cp, distribution, &points(n), (draws, 3), &pool)
                .unwrap()
        };
        let want = 2.0 * D as f64 / 16.0 / (n * slices) as f64;
        let got = of(SliceDistribution::Gaussian).loss_variance;
        // The kurtosis of a chi-square of 3 degrees is 7: (7 - 1) / draws in place of 2 / draws.
        assert!((got - want).abs() < 4.5 * want * (6.0 / draws as f64).sqrt(), "{got} {want}");
        assert!(of(SliceDistribution::Rademacher).loss_variance < 1e-24);
    }
}

#[test]
fn ssm_has_the_variance_of_both_its_terms() {
    // One row, Rademacher: L = -v.A v + 1/2 (v.s)^2 = v.(1/2 s s^T - H) v.
    let x = points(1);
    let s: Vec<f64> = (0..D).map(|i| -(0..D).map(|j| A[i * D + j] * x[j]).sum::<f64>()).collect();
    let mut want = 0.0;
    for i in 0..D {
        for j in (0..D).filter(|j| *j != i) {
            let h = 0.5 * s[i] * s[j] - 0.5 * (A[i * D + j] + A[j * D + i]);
            want += 2.0 * h * h;
        }
    }
    let got = found(Objective::Ssm { slices: 1 }, SliceDistribution::Rademacher, 1, 20_000);
    // Few values of v: the fourth moment is not that of a normal, so a wide band.
    assert!((got.loss_variance - want).abs() < 0.05 * want, "{got:?} {want}");
}

#[test]
fn denoising_noise_grows_as_the_noise_level_falls() {
    // s = -A x at x = 0: 1/2 |z/sigma - sigma A z|^2 = 1/2 z.Q z, Q = (I/sigma - sigma A)^T (I/sigma -
    // sigma A), of variance 1/2 |Q|_F^2, which approaches d / (2 sigma^4).
    let pool = Threads::new(1).unwrap();
    for sigma in [0.5, 0.1] {
        let b = |i: usize, j: usize| f64::from(u8::from(i == j)) / sigma - sigma * A[i * D + j];
        let q = |i: usize, j: usize| (0..D).map(|k| b(k, i) * b(k, j)).sum::<f64>();
        let want = 0.5 * (0..D * D).map(|k| q(k / D, k % D).powi(2)).sum::<f64>();
        let (objective, distribution, draws) =
            (Objective::Dsm { sigma }, SliceDistribution::default(), 20_000);
        let zero = vec![0.0; D];
        let got = estimator_variance(&linear(), &objective, distribution, &zero, (draws, 3), &pool)
            .unwrap();
        // A weighted chi-square has a kurtosis of at most 12.
        let error = want * (14.0 / draws as f64).sqrt();
        assert!((got.loss_variance - want).abs() < 4.5 * error, "{sigma}: {got:?} {want}");
    }
}

#[test]
fn too_few_draws_and_no_rows_are_refused() {
    let pool = Threads::new(1).unwrap();
    let refused = |x: &Vec<f64>, draws| {
        estimator_variance(
            &linear(),
            &Objective::Exact,
            SliceDistribution::default(),
            x,
            (draws, 0),
            &pool,
        )
        .is_err()
    };
    assert!(refused(&points(2), 1) && refused(&Vec::new(), 5) && !refused(&points(2), 2));
}
